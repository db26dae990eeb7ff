"""Markets whose sessions are loaded whole, their load records, listings, and the vendor's list of tickers."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
COUNTERS = ("fetched", "loaded", "revised", "unchanged", "rejected", "withdrawn", "flagged")


def upgrade() -> None:
    op.create_table(
        "markets",
        sa.Column("market", sa.Text(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("date_added", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("market", name=op.f("markets_pkey")),
    )
    op.create_table(
        "market_loads",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("market", sa.Text(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("run_id", "trigger", "source")),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("origin", "version")),
        sa.Column("load_id", sa.Integer(), nullable=True),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("waited_seconds", sa.Double(), server_default=sa.text("0"), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in COUNTERS),
        sa.Column("tickers", sa.Integer(), nullable=True),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("suspicious", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("error_details", "notes")),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("duration_seconds", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "fetched = loaded + revised + unchanged + rejected", name=op.f("market_loads_reconciles_check")
        ),
        sa.CheckConstraint("success = (error_details IS NULL)", name=op.f("market_loads_error_details_check")),
        sa.CheckConstraint("NOT (success AND suspicious)", name=op.f("market_loads_suspicious_check")),
        sa.CheckConstraint("success = (tickers IS NOT NULL)", name=op.f("market_loads_tickers_check")),
        sa.CheckConstraint("origin IN ('grouped', 'flat file')", name=op.f("market_loads_origin_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("market_loads_pkey")),
    )
    op.create_index(op.f("market_loads_market_date_idx"), "market_loads", ["market", "date"])
    op.create_index(op.f("market_loads_run_id_idx"), "market_loads", ["run_id"])
    op.create_table(
        "market_listings",
        sa.Column("symbol_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("market", sa.Text(), nullable=False),
        sa.Column("first_session", sa.Date(), nullable=False),
        sa.Column("last_session", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("symbol_id", name=op.f("market_listings_pkey")),
    )
    op.create_table(
        "reference_tickers",
        sa.Column("id", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("market", "ticker")),
        sa.Column("delisted_on", sa.Date(), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("name", "type", "primary_exchange", "composite_figi")),
        sa.Column("fetched_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("reference_tickers_pkey")),
    )
    op.create_index(
        "reference_tickers_entry_key", "reference_tickers", ["market", "ticker", "delisted_on"],
        unique=True, postgresql_nulls_not_distinct=True,
    )  # fmt: skip


def downgrade() -> None:
    op.execute("DROP VIEW IF EXISTS market_sessions, listings, listings_by_month")
    op.execute("DROP FUNCTION IF EXISTS refresh_listing, recent_since, universe")
    for table in ("reference_tickers", "market_listings", "market_loads", "markets"):
        op.drop_table(table)
