"""Add what the gateway needs: projects' keys for providers, prices of their own, and limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "provider_keys",
        sa.Column("project_id", sa.String(64), sa.ForeignKey("projects.id"), primary_key=True),
        sa.Column("provider", sa.String(40), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("ending", sa.String(4), nullable=False),
        sa.Column("set_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "model_prices",
        sa.Column("project_id", sa.String(64), primary_key=True),
        sa.Column("provider", sa.String(40), primary_key=True),
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("input", sa.String(40), nullable=False),
        sa.Column("output", sa.String(40), nullable=False),
        sa.Column("cached_input", sa.String(40), nullable=True),
        sa.Column("set_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "limits",
        *_whose(),
        sa.Column("action", sa.String(10), primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "uses",
        *_whose(),
        sa.Column("begun", sa.BigInteger, nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
    )


def _whose() -> list[sa.Column[str]]:
    return [
        sa.Column("project_id", sa.String(64), sa.ForeignKey("projects.id"), primary_key=True),
        sa.Column("scope", sa.String(10), primary_key=True),
        sa.Column("subject", sa.String(200), primary_key=True),
        sa.Column("unit", sa.String(10), primary_key=True),
        sa.Column("per", sa.String(10), primary_key=True),
    ]
