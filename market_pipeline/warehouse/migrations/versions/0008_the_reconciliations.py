"""The results of comparisons with files."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reconciliations",
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("first_session", sa.Date(), nullable=False),
        sa.Column("last_session", sa.Date(), nullable=False),
        sa.Column("sessions", sa.Integer(), nullable=False),
        sa.Column("found_in", sa.Text(), nullable=False),
        sa.Column("adjustment", sa.Text(), nullable=False),
        sa.Column("tolerance", sa.Double(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("explained", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("lowest_ratio", sa.Double(), nullable=True),
        sa.Column("highest_ratio", sa.Double(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("found_in IN ('both', 'file', 'warehouse')", name=op.f("reconciliations_found_in_check")),
        sa.CheckConstraint("adjustment IN ('none', 'splits', 'all')", name=op.f("reconciliations_adjustment_check")),
        sa.PrimaryKeyConstraint("file", "symbol", "field", "first_session", name=op.f("reconciliations_pkey")),
    )
    op.create_index(op.f("reconciliations_symbol_idx"), "reconciliations", ["symbol"])


def downgrade() -> None:
    op.execute("DROP VIEW IF EXISTS analytics.reconciliation, analytics_staging.stg_reconciliations CASCADE")
    op.drop_table("reconciliations")
