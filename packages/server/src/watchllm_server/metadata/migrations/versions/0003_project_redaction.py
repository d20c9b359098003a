"""Let a project say what is replaced in its events before they are stored."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. A project made before redacts what does not come from our SDK."""
    op.add_column("projects", sa.Column("redact", sa.String(100), nullable=True))
