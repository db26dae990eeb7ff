"""The instant each slot of the rate limit is handed out, which shows a clock that was set back."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "request_slots",
        sa.Column(
            "taken_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="When the slot was handed out, in the order of ids.",
        ),
    )


def downgrade() -> None:
    op.drop_column("request_slots", "taken_at")
