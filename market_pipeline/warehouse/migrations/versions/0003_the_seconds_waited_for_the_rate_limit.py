"""The seconds that a symbol's requests waited for the rate limit."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "backfill_history",
        sa.Column(
            "waited_seconds",
            sa.Double(),
            server_default=sa.text("0"),
            nullable=False,
            comment="How long its requests waited for the rate limit.",
        ),
    )


def downgrade() -> None:
    op.execute("DROP VIEW IF EXISTS runs")  # which is made anew with every migration
    op.drop_column("backfill_history", "waited_seconds")
