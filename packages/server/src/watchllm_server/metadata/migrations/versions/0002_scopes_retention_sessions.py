"""Give keys scopes, limits and an end, projects a retention; add sessions and erasures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and tables. A key made before keeps what it could do: all but admin."""
    op.add_column("projects", sa.Column("retention_days", sa.Integer, nullable=True))
    scopes = sa.Column(
        "scopes", sa.String(100), nullable=False, server_default="ingest,read,gateway"
    )
    op.add_column("api_keys", scopes)
    op.add_column("api_keys", sa.Column("rate_limit", sa.Integer, nullable=True))
    op.add_column("api_keys", sa.Column("last_used_at", sa.DateTime, nullable=True))
    op.add_column("api_keys", sa.Column("revoked_at", sa.DateTime, nullable=True))
    op.create_table(
        "sessions",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False, index=True),
    )
    op.create_table(
        "erasures",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project_id", sa.String(64), nullable=False, index=True),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("subject_hash", sa.String(64), nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
