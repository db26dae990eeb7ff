"""Adjustment factors beside the bars, several dividends a day, and rejected splits and dividends that are still listed."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KEY = ["symbol", "ex_dividend_date", "cash_amount", "currency", "dividend_type", "pay_date"]


def upgrade() -> None:
    op.create_table(
        "adjustment_factors",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("from_date", sa.Date(), nullable=False),
        sa.Column("to_date", sa.Date(), nullable=False),
        sa.Column("split_factor", sa.Double(), nullable=True),
        sa.Column("dividend_factor", sa.Double(), nullable=True),
        sa.Column("unknown_because", sa.Text(), nullable=True),
        sa.CheckConstraint("from_date < to_date", name=op.f("adjustment_factors_stretch_check")),
        sa.CheckConstraint("split_factor > 0 AND dividend_factor > 0", name=op.f("adjustment_factors_factors_check")),
        sa.PrimaryKeyConstraint("symbol", "from_date", name=op.f("adjustment_factors_pkey")),
    )
    op.drop_index("dividends_event_key", table_name="dividends")
    op.create_index("dividends_event_key", "dividends", KEY, unique=True, postgresql_nulls_not_distinct=True)
    op.add_column(
        "rejected_corporate_actions",
        sa.Column("listed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.alter_column("rejected_corporate_actions", "date", nullable=True)
    # Those that were not taken out again are listed, as far as is known; the next refresh settles it.
    op.execute(
        "UPDATE rejected_corporate_actions SET listed = true WHERE NOT reasons && ARRAY["
        "'the vendor has corrected it', 'the vendor no longer lists it']"
    )
    # The marts' tables of before are kept, but hold factors that are not known from now on.
    for table in ("int_corporate_actions", "int_bar_actions"):
        op.execute(f"ALTER TABLE IF EXISTS analytics_staging.{table} ALTER COLUMN split_factor DROP NOT NULL")


def downgrade() -> None:
    for view in ("daily_bars_adjusted", "adjustment_states", "session_actions"):
        op.execute(f"DROP VIEW IF EXISTS {view} CASCADE")
    op.drop_column("rejected_corporate_actions", "listed")
    op.execute("DELETE FROM rejected_corporate_actions WHERE date IS NULL")
    op.alter_column("rejected_corporate_actions", "date", nullable=False)
    op.drop_index("dividends_event_key", table_name="dividends")
    op.create_index(
        "dividends_event_key",
        "dividends",
        ["symbol", "ex_dividend_date", "dividend_type"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.drop_table("adjustment_factors")
