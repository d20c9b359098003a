"""Let a project say how long its answers are kept, and apart for a route."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. A project made before keeps its answers as the server is set."""
    op.add_column("projects", sa.Column("cache_ttl", sa.Integer, nullable=True))
    op.add_column("projects", sa.Column("cache_ttl_routes", sa.JSON, nullable=True))
