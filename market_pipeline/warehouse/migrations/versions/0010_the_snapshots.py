"""Named snapshots, and indexes for the conditions of sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "snapshots",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("point", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("snapshots_pkey")),
    )
    op.create_index(op.f("bars_revisions_date_idx"), "bars_revisions", ["date"])
    op.create_index(op.f("backfill_history_symbol_start_date_idx"), "backfill_history", ["symbol", "start_date"])
    op.create_index(op.f("backfill_history_symbol_end_date_idx"), "backfill_history", ["symbol", "end_date"])


def downgrade() -> None:
    op.execute("DROP VIEW IF EXISTS day_conditions")
    op.drop_index(op.f("backfill_history_symbol_end_date_idx"), "backfill_history")
    op.drop_index(op.f("backfill_history_symbol_start_date_idx"), "backfill_history")
    op.drop_index(op.f("bars_revisions_date_idx"), "bars_revisions")
    op.drop_table("snapshots")
