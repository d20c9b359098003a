"""Let a project say how its questions are matched by their meaning, and apart for a route."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. A project made before has its questions matched as the server is set."""
    op.add_column("projects", sa.Column("cache_semantic", sa.String(20), nullable=True))
    op.add_column("projects", sa.Column("cache_semantic_routes", sa.JSON, nullable=True))
