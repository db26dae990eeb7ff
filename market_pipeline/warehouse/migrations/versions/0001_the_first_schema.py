"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "backfill_history",
        sa.Column("id", sa.BigInteger(), nullable=False, comment="Surrogate key."),
        sa.Column("run_id", sa.Text(), nullable=False, comment="The run, as Dagster's UI shows it."),
        sa.Column(
            "trigger",
            sa.Text(),
            nullable=False,
            comment="What started the run: cli, schedule, backfill (from the UI) or manual.",
        ),
        sa.Column("symbol", sa.Text(), nullable=False, comment="The symbol, as in tracked_symbols."),
        sa.Column("start_date", sa.Date(), nullable=False, comment="First session asked for."),
        sa.Column("end_date", sa.Date(), nullable=False, comment="Last session asked for."),
        sa.Column(
            "sessions",
            sa.Integer(),
            nullable=False,
            comment="Sessions asked for, but for those after a delisting = answered + refused.",
        ),
        sa.Column(
            "answered",
            sa.Integer(),
            nullable=False,
            comment="Of those, the sessions that the vendor answered for, be it with nothing.",
        ),
        sa.Column(
            "refused",
            sa.Integer(),
            nullable=False,
            comment="Of those, the ones that failed or that the plan doesn't give, or not yet.",
        ),
        sa.Column(
            "answered_from", sa.Date(), nullable=True, comment="First session answered for; NULL where none was."
        ),
        sa.Column("answered_to", sa.Date(), nullable=True, comment="Last session answered for; NULL where none was."),
        sa.Column("requests", sa.Integer(), nullable=False, comment="HTTP requests it took, retries included."),
        sa.Column(
            "fetched",
            sa.Integer(),
            nullable=False,
            comment="Different bars in the vendor's answer = loaded + revised + unchanged + rejected.",
        ),
        sa.Column("loaded", sa.Integer(), nullable=False, comment="Bars that were new."),
        sa.Column(
            "revised",
            sa.Integer(),
            nullable=False,
            comment="Bars that replaced another; the other is in market_data_revisions.",
        ),
        sa.Column(
            "unchanged", sa.Integer(), nullable=False, comment="Bars that were there already, equal in every value."
        ),
        sa.Column(
            "rejected", sa.Integer(), nullable=False, comment="Bars that can't be true; they are in rejected_bars."
        ),
        sa.Column(
            "flagged",
            sa.Integer(),
            nullable=False,
            comment="Of the bars loaded, revised or unchanged, those that a rule found odd.",
        ),
        sa.Column(
            "missing",
            sa.Integer(),
            nullable=False,
            comment="Sessions asked for that market_data holds no bar of after the load.",
        ),
        sa.Column(
            "records_imported",
            sa.Integer(),
            nullable=False,
            comment="loaded + revised, under the name that older queries use.",
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, comment="When work on the symbol began."),
        sa.Column(
            "duration_seconds",
            sa.Double(),
            nullable=False,
            comment="How long it took, waits for the rate limit included.",
        ),
        sa.Column(
            "backfill_timestamp",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it ended.",
        ),
        sa.Column(
            "success", sa.Boolean(), nullable=False, comment="False if the symbol failed; nothing was loaded then."
        ),
        sa.Column("error_details", sa.Text(), nullable=True, comment="Why it failed; NULL if it did not."),
        sa.Column(
            "notes",
            sa.Text(),
            nullable=True,
            comment="What to know of sessions that a plan or a delisting left out; NULL where nothing.",
        ),
        sa.CheckConstraint(
            "fetched = loaded + revised + unchanged + rejected", name=op.f("backfill_history_reconciles_check")
        ),
        sa.CheckConstraint("records_imported = loaded + revised", name=op.f("backfill_history_records_imported_check")),
        sa.CheckConstraint("sessions = answered + refused", name=op.f("backfill_history_answered_check")),
        sa.CheckConstraint("success = (error_details IS NULL)", name=op.f("backfill_history_error_details_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("backfill_history_pkey")),
        comment="One row a symbol and run: what was asked, what came of it. Written with the bars, in one transaction.",
    )
    op.create_index(op.f("backfill_history_run_id_idx"), "backfill_history", ["run_id"], unique=False)
    op.create_index(
        op.f("backfill_history_symbol_backfill_timestamp_idx"),
        "backfill_history",
        ["symbol", "backfill_timestamp"],
        unique=False,
    )
    op.create_table(
        "bar_source",
        sa.Column(
            "only_row",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="Holds this table to one row.",
        ),
        sa.Column(
            "source", sa.Text(), nullable=False, comment="polygon or sandbox: the only source this database accepts."
        ),
        sa.CheckConstraint("only_row", name=op.f("bar_source_only_row_check")),
        sa.PrimaryKeyConstraint("only_row", name=op.f("bar_source_pkey")),
        comment="Which source the first bar came from. Bars from the other are refused.",
    )
    op.create_table(
        "corporate_action_inquiries",
        sa.Column("kind", sa.Text(), nullable=False, comment="splits or dividends."),
        sa.Column("symbol", sa.Text(), nullable=False, comment="The symbol, as in tracked_symbols."),
        sa.Column(
            "asked_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the vendor was last asked for its recent and announced ones.",
        ),
        sa.Column(
            "history_asked_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it was last asked for all of them.",
        ),
        sa.PrimaryKeyConstraint("kind", "symbol", name=op.f("corporate_action_inquiries_pkey")),
        comment="When the vendor was last asked for a symbol's splits and dividends; decides what a night asks for.",
    )
    op.create_table(
        "dividends",
        sa.Column("id", sa.BigInteger(), nullable=False, comment="Surrogate key."),
        sa.Column("symbol", sa.Text(), nullable=False, comment="The symbol, as in tracked_symbols."),
        sa.Column(
            "ex_dividend_date",
            sa.Date(),
            nullable=False,
            comment="First session that trades without the dividend; later than today in New York: announced, not in effect.",
        ),
        sa.Column(
            "cash_amount",
            sa.Double(),
            nullable=False,
            comment="Per share, in `currency`, as paid (not adjusted for later splits).",
        ),
        sa.Column("currency", sa.Text(), nullable=True, comment="ISO 4217 code; NULL where the vendor gives none."),
        sa.Column(
            "dividend_type",
            sa.Text(),
            nullable=True,
            comment="The vendor's own kind, e.g. recurring, special, CD; NULL where it gives none.",
        ),
        sa.Column(
            "frequency", sa.Integer(), nullable=True, comment="Payments a year as the vendor says; 0 for once only."
        ),
        sa.Column("declaration_date", sa.Date(), nullable=True, comment="When it was announced."),
        sa.Column("record_date", sa.Date(), nullable=True, comment="Who held shares on this day is paid."),
        sa.Column("pay_date", sa.Date(), nullable=True, comment="When it is paid."),
        sa.Column(
            "vendor_id", sa.Text(), nullable=True, comment="The vendor's id of the event; NULL where it gives none."
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="polygon or sandbox."),
        sa.Column(
            "fetched_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the answer that first held these values was loaded.",
        ),
        sa.Column("run_id", sa.Text(), nullable=False, comment="The run that loaded them."),
        sa.CheckConstraint("cash_amount > 0", name=op.f("dividends_cash_amount_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("dividends_pkey")),
        comment="Cash dividends as the vendor lists them now, one a symbol, ex-date and kind. What it corrects, withdraws or contradicts is in rejected_corporate_actions.",
    )
    op.create_index(
        "dividends_event_key",
        "dividends",
        ["symbol", "ex_dividend_date", "dividend_type"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "market_data",
        sa.Column("symbol", sa.Text(), nullable=False, comment="The symbol, as in tracked_symbols."),
        sa.Column(
            "date", sa.Date(), nullable=False, comment="The session: New York's date for equities, UTC's for crypto."
        ),
        sa.Column(
            "time",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the session's day begins: midnight in New York for equities, UTC for crypto.",
        ),
        sa.Column("open", sa.Double(), nullable=False, comment="First price of the session, US dollars, as traded."),
        sa.Column("high", sa.Double(), nullable=False, comment="Highest price of the session, US dollars, as traded."),
        sa.Column("low", sa.Double(), nullable=False, comment="Lowest price of the session, US dollars, as traded."),
        sa.Column("close", sa.Double(), nullable=False, comment="Last price of the session, US dollars, as traded."),
        sa.Column(
            "volume",
            sa.Double(),
            nullable=False,
            comment="Shares or coins traded; fractional for crypto and, since 2026, for stocks.",
        ),
        sa.Column(
            "vwap",
            sa.Double(),
            nullable=True,
            comment="Volume-weighted average price, US dollars; NULL where the vendor gives none.",
        ),
        sa.Column(
            "transactions",
            sa.BigInteger(),
            nullable=True,
            comment="Number of trades; NULL where the vendor gives none.",
        ),
        sa.Column(
            "source",
            sa.Text(),
            nullable=False,
            comment="Where the bar came from: polygon (the market) or sandbox (not the market).",
        ),
        sa.Column(
            "validated",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="True where no rule found the bar odd.",
        ),
        sa.Column(
            "quality_score",
            sa.Double(),
            server_default=sa.text("1"),
            nullable=False,
            comment="From 0 to 1; 1 where nothing is odd.",
        ),
        sa.Column(
            "flags",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="The rules that found the bar odd; {} if none.",
        ),
        sa.Column(
            "validation_notes", sa.Text(), nullable=True, comment="What they found, in words; NULL where nothing."
        ),
        sa.Column(
            "gap_detected",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="A price jump that no split explains, or a split without one.",
        ),
        sa.Column(
            "volume_anomaly",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="No volume, or one far from the symbol's usual one.",
        ),
        sa.Column(
            "fetched_at", sa.DateTime(timezone=True), nullable=False, comment="When these values were first loaded."
        ),
        sa.Column("run_id", sa.Text(), nullable=False, comment="The run that loaded these values."),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When anything of the row last changed, flags included.",
        ),
        sa.CheckConstraint("source IN ('polygon', 'sandbox')", name=op.f("market_data_source_check")),
        sa.PrimaryKeyConstraint("symbol", "date", name=op.f("market_data_pkey")),
        comment="Daily bars as traded (adjusted for nothing), one a symbol and session: the newest the vendor has given.",
    )
    op.create_index(
        "market_data_flagged_idx",
        "market_data",
        ["symbol", "date"],
        unique=False,
        postgresql_where=sa.text("NOT validated"),
    )
    op.create_index(op.f("market_data_time_idx"), "market_data", ["time"], unique=False)
    op.create_table(
        "market_data_revisions",
        sa.Column("id", sa.BigInteger(), nullable=False, comment="Surrogate key."),
        sa.Column("symbol", sa.Text(), nullable=False, comment="The symbol, as in tracked_symbols."),
        sa.Column("date", sa.Date(), nullable=False, comment="The session."),
        sa.Column(
            "time",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the session's day begins: midnight in New York for equities, UTC for crypto.",
        ),
        sa.Column("open", sa.Double(), nullable=False, comment="First price of the session, US dollars, as traded."),
        sa.Column("high", sa.Double(), nullable=False, comment="Highest price of the session, US dollars, as traded."),
        sa.Column("low", sa.Double(), nullable=False, comment="Lowest price of the session, US dollars, as traded."),
        sa.Column("close", sa.Double(), nullable=False, comment="Last price of the session, US dollars, as traded."),
        sa.Column(
            "volume",
            sa.Double(),
            nullable=False,
            comment="Shares or coins traded; fractional for crypto and, since 2026, for stocks.",
        ),
        sa.Column(
            "vwap",
            sa.Double(),
            nullable=True,
            comment="Volume-weighted average price, US dollars; NULL where the vendor gives none.",
        ),
        sa.Column(
            "transactions",
            sa.BigInteger(),
            nullable=True,
            comment="Number of trades; NULL where the vendor gives none.",
        ),
        sa.Column(
            "source",
            sa.Text(),
            nullable=False,
            comment="Where the bar came from: polygon (the market) or sandbox (not the market).",
        ),
        sa.Column(
            "validated",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="True where no rule found the bar odd.",
        ),
        sa.Column(
            "quality_score",
            sa.Double(),
            server_default=sa.text("1"),
            nullable=False,
            comment="From 0 to 1; 1 where nothing is odd.",
        ),
        sa.Column(
            "flags",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="The rules that found the bar odd; {} if none.",
        ),
        sa.Column(
            "validation_notes", sa.Text(), nullable=True, comment="What they found, in words; NULL where nothing."
        ),
        sa.Column(
            "gap_detected",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="A price jump that no split explains, or a split without one.",
        ),
        sa.Column(
            "volume_anomaly",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="No volume, or one far from the symbol's usual one.",
        ),
        sa.Column(
            "fetched_at", sa.DateTime(timezone=True), nullable=False, comment="When these values were first loaded."
        ),
        sa.Column("run_id", sa.Text(), nullable=False, comment="The run that loaded these values."),
        sa.Column(
            "replaced_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When another bar took this one's place in market_data.",
        ),
        sa.Column("replaced_by_run_id", sa.Text(), nullable=False, comment="The run that replaced it."),
        sa.PrimaryKeyConstraint("id", name=op.f("market_data_revisions_pkey")),
        comment="Bars that a correction by the vendor has replaced, as they were.",
    )
    op.create_index(
        op.f("market_data_revisions_symbol_date_replaced_at_idx"),
        "market_data_revisions",
        ["symbol", "date", "replaced_at"],
        unique=False,
    )
    op.create_table(
        "rejected_bars",
        sa.Column("id", sa.BigInteger(), nullable=False, comment="Surrogate key."),
        sa.Column("symbol", sa.Text(), nullable=False, comment="The symbol asked for."),
        sa.Column(
            "date",
            sa.Date(),
            nullable=True,
            comment="The session the bar claims; NULL where its timestamp can't be read.",
        ),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), nullable=False, comment="The rules it broke, in words."),
        sa.Column(
            "payload", postgresql.JSON(astext_type=sa.Text()), nullable=False, comment="The vendor's record as it came."
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="polygon or sandbox."),
        sa.Column(
            "first_rejected_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When this very record was first refused.",
        ),
        sa.Column("last_rejected_at", sa.DateTime(timezone=True), nullable=False, comment="When it was last refused."),
        sa.Column("run_id", sa.Text(), nullable=False, comment="The run that last refused it."),
        sa.PrimaryKeyConstraint("id", name=op.f("rejected_bars_pkey")),
        comment="Bars that can't be true, kept out of market_data with what the vendor sent and why.",
    )
    op.create_index(
        "rejected_bars_record_key", "rejected_bars", ["symbol", sa.literal_column("md5(payload::text)")], unique=True
    )
    op.create_index(op.f("rejected_bars_symbol_date_idx"), "rejected_bars", ["symbol", "date"], unique=False)
    op.create_table(
        "rejected_corporate_actions",
        sa.Column("id", sa.BigInteger(), nullable=False, comment="Surrogate key."),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="splits or dividends: the table it is kept or taken out of."
        ),
        sa.Column("symbol", sa.Text(), nullable=False, comment="The symbol, as in tracked_symbols."),
        sa.Column("date", sa.Date(), nullable=False, comment="Its execution date or ex-date."),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), nullable=False, comment="Why, in words."),
        sa.Column(
            "payload",
            postgresql.JSON(astext_type=sa.Text()),
            nullable=False,
            comment="Its values, under the names of that table's columns.",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="polygon or sandbox."),
        sa.Column(
            "first_rejected_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When these very values were first refused or taken out.",
        ),
        sa.Column("last_rejected_at", sa.DateTime(timezone=True), nullable=False, comment="When they last were."),
        sa.Column("run_id", sa.Text(), nullable=False, comment="The run that last refused them or took them out."),
        sa.PrimaryKeyConstraint("id", name=op.f("rejected_corporate_actions_pkey")),
        comment="Splits and dividends that were refused, or taken out again as the vendor corrected or withdrew them.",
    )
    op.create_index(
        "rejected_corporate_actions_record_key",
        "rejected_corporate_actions",
        ["kind", "symbol", sa.literal_column("md5(payload::text)")],
        unique=True,
    )
    op.create_index(
        op.f("rejected_corporate_actions_symbol_date_idx"),
        "rejected_corporate_actions",
        ["symbol", "date"],
        unique=False,
    )
    op.create_table(
        "request_slots",
        sa.Column("id", sa.BigInteger(), nullable=False, comment="Surrogate key."),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="When the request may be sent."),
        sa.PrimaryKeyConstraint("id", name=op.f("request_slots_pkey")),
        comment="The rate limit that all processes share: when the latest requests were, or will be, sent.",
    )
    op.create_index(op.f("request_slots_at_idx"), "request_slots", ["at"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("calendar", sa.Text(), nullable=False, comment="Trading calendar: XNYS, or 24/7 for crypto."),
        sa.Column("date", sa.Date(), nullable=False, comment="The session, by its date where it trades."),
        sa.PrimaryKeyConstraint("calendar", "date", name=op.f("sessions_pkey")),
        comment="Every session of every calendar in use, those of the near future included.",
    )
    op.create_table(
        "splits",
        sa.Column("symbol", sa.Text(), nullable=False, comment="The symbol, as in tracked_symbols."),
        sa.Column(
            "execution_date",
            sa.Date(),
            nullable=False,
            comment="First session that trades after the split; later than today in New York: announced, not in effect.",
        ),
        sa.Column("split_from", sa.Double(), nullable=False, comment="Shares before, e.g. 1 of a 2-for-1 split."),
        sa.Column("split_to", sa.Double(), nullable=False, comment="Shares after, e.g. 2 of a 2-for-1 split."),
        sa.Column(
            "vendor_id", sa.Text(), nullable=True, comment="The vendor's id of the event; NULL where it gives none."
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="polygon or sandbox."),
        sa.Column(
            "fetched_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the answer that first held these values was loaded.",
        ),
        sa.Column("run_id", sa.Text(), nullable=False, comment="The run that loaded them."),
        sa.CheckConstraint("split_from > 0 AND split_to > 0", name=op.f("splits_factor_check")),
        sa.PrimaryKeyConstraint("symbol", "execution_date", name=op.f("splits_pkey")),
        comment="Stock splits as the vendor lists them now, one a symbol and day; prices before execution_date times split_from / split_to compare. What it corrects, withdraws or contradicts is in rejected_corporate_actions.",
    )
    op.create_table(
        "tracked_symbols",
        sa.Column("id", sa.BigInteger(), nullable=False, comment="Surrogate key, kept for older queries."),
        sa.Column(
            "symbol",
            sa.Text(),
            nullable=False,
            comment="The symbol's name here, e.g. AAPL, BRK.B, BTC; case-sensitive.",
        ),
        sa.Column("asset_class", sa.Text(), nullable=False, comment="stock, etf or crypto."),
        sa.Column(
            "vendor_ticker",
            sa.Text(),
            nullable=False,
            comment="The ticker in the vendor's requests, e.g. AAPL, X:BTCUSD.",
        ),
        sa.Column("calendar", sa.Text(), nullable=False, comment="Trading calendar: XNYS, or 24/7 for crypto."),
        sa.Column(
            "active",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="False once removed: no longer fetched, its bars kept.",
        ),
        sa.Column(
            "date_added",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the symbol was first tracked.",
        ),
        sa.Column(
            "last_backfill",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When bars of the symbol were last loaded successfully; NULL if never.",
        ),
        sa.Column(
            "backfill_status",
            sa.Text(),
            server_default=sa.text("'pending'"),
            nullable=False,
            comment="Outcome of its last load: pending (none yet), completed or failed.",
        ),
        sa.Column("name", sa.Text(), nullable=True, comment="The company's or fund's name at the vendor."),
        sa.Column(
            "vendor_type",
            sa.Text(),
            nullable=True,
            comment="The vendor's own type code, e.g. CS, ADRC, ETF; NULL where it gives none.",
        ),
        sa.Column(
            "primary_exchange",
            sa.Text(),
            nullable=True,
            comment="Its exchange by ISO 10383 code, e.g. XNAS; NULL where there is none.",
        ),
        sa.Column("listed", sa.Boolean(), nullable=True, comment="Whether the vendor lists it as trading."),
        sa.Column(
            "delisted_on",
            sa.Date(),
            nullable=True,
            comment="The last day it traded; later sessions are not asked for. NULL while it trades.",
        ),
        sa.Column(
            "renamed_to",
            sa.Text(),
            nullable=True,
            comment="The ticker that its company trades as since delisted_on; NULL if none is known.",
        ),
        sa.Column(
            "checked_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the vendor last said all this; NULL, like all this, if it wasn't asked.",
        ),
        sa.CheckConstraint("asset_class IN ('stock', 'etf', 'crypto')", name=op.f("tracked_symbols_asset_class_check")),
        sa.CheckConstraint(
            "backfill_status IN ('pending', 'completed', 'failed')", name=op.f("tracked_symbols_backfill_status_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("tracked_symbols_pkey")),
        sa.UniqueConstraint("symbol", name=op.f("tracked_symbols_symbol_key")),
        comment="The symbols whose bars are fetched; one Dagster asset each.",
    )


def downgrade() -> None:
    op.drop_table("tracked_symbols")
    op.drop_table("splits")
    op.drop_index(op.f("request_slots_at_idx"), table_name="request_slots")
    op.drop_table("request_slots")
    op.drop_index(op.f("rejected_corporate_actions_symbol_date_idx"), table_name="rejected_corporate_actions")
    op.drop_index("rejected_corporate_actions_record_key", table_name="rejected_corporate_actions")
    op.drop_table("rejected_corporate_actions")
    op.drop_index(op.f("rejected_bars_symbol_date_idx"), table_name="rejected_bars")
    op.drop_index("rejected_bars_record_key", table_name="rejected_bars")
    op.drop_table("rejected_bars")
    op.drop_index(op.f("market_data_revisions_symbol_date_replaced_at_idx"), table_name="market_data_revisions")
    op.drop_table("market_data_revisions")
    op.drop_index(op.f("market_data_time_idx"), table_name="market_data")
    op.drop_table("market_data")
    op.drop_index("dividends_event_key", table_name="dividends", postgresql_nulls_not_distinct=True)
    op.drop_table("dividends")
    op.drop_table("corporate_action_inquiries")
    op.drop_table("bar_source")
    op.drop_index(op.f("backfill_history_symbol_backfill_timestamp_idx"), table_name="backfill_history")
    op.drop_index(op.f("backfill_history_run_id_idx"), table_name="backfill_history")
    op.drop_table("backfill_history")
