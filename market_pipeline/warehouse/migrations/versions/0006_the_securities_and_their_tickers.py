"""The securities and their tickers, and the reason why a bar was taken out."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SECURITIES = "INSERT INTO securities (id, name, type) SELECT id, name, vendor_type FROM tracked_symbols"
_TICKERS = """
INSERT INTO security_tickers (security_id, ticker, source, certain)
SELECT id, vendor_ticker, 'assumed', false FROM tracked_symbols
"""
_REFERENCES = "UPDATE tracked_symbols SET security_id = id"

# What was found renamed goes on under its new ticker from now on: it is looked up again.
_RENAMED = """
UPDATE tracked_symbols SET delisted_on = NULL, listed = NULL, checked_at = NULL, renamed_to = NULL
WHERE renamed_to IS NOT NULL
"""
_NEXT_ID = """
SELECT setval(pg_get_serial_sequence('securities', 'id'), coalesce((SELECT max(id) FROM securities), 0) + 1, false)
"""


def upgrade() -> None:
    op.create_table(
        "securities",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("composite_figi", sa.Text(), nullable=True),
        sa.Column("share_class_figi", sa.Text(), nullable=True),
        sa.Column("cik", sa.Text(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("securities_pkey")),
    )
    op.create_table(
        "security_tickers",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("security_id", sa.BigInteger(), nullable=False),
        sa.Column("ticker", sa.Text(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=True),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("certain", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("known_since", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("first_day <= last_day", name=op.f("security_tickers_days_check")),
        sa.CheckConstraint(
            "source IN ('manual', 'vendor events', 'vendor reference', 'assumed')",
            name=op.f("security_tickers_source_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("security_tickers_pkey")),
    )
    op.create_index(
        "security_tickers_period_key",
        "security_tickers",
        ["security_id", "ticker", "first_day"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_index(op.f("security_tickers_ticker_idx"), "security_tickers", ["ticker"], unique=False)
    op.add_column("tracked_symbols", sa.Column("security_id", sa.BigInteger(), nullable=True))
    op.add_column("market_data_revisions", sa.Column("reason", sa.Text(), nullable=True))
    for statement in (_SECURITIES, _TICKERS, _REFERENCES, _RENAMED, _NEXT_ID):
        op.execute(statement)


def downgrade() -> None:
    op.drop_column("market_data_revisions", "reason")
    op.drop_column("tracked_symbols", "security_id")
    op.drop_table("security_tickers")
    op.drop_table("securities")
