"""The one declaration of every table of the warehouse, with the meaning of each column.

DDL, COPY order, Dagster's column metadata and the API's routes are derived from here. Migrations bring a database to
this state; a test holds the two equal. Comments are written into the database, where analysts read them.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

Instant = DateTime(timezone=True)

INTERNAL = {"internal": True}
"""Marks a table for the project's own processes, which is shown to nobody."""


def required(name: str, kind: Any, comment: str, **options: Any) -> Column[Any]:
    """Return a column that is never NULL."""
    return Column(name, kind, nullable=False, comment=comment, **options)


def optional(name: str, kind: Any, comment: str, **options: Any) -> Column[Any]:
    """Return a column that may be NULL."""
    return Column(name, kind, nullable=True, comment=comment, **options)


def only_row() -> tuple[Column[Any], CheckConstraint]:
    """Return the column and the constraint that hold a table to one row."""
    given = text("true")
    column: Column[Any] = Column(
        "only_row", Boolean, primary_key=True, server_default=given, comment="Holds this table to one row."
    )
    return column, CheckConstraint("only_row", name="only_row")


def load_reference() -> Column[Any]:
    """Return the column of a versioned table that names the load of the row's values; PostgreSQL fills it in."""
    given = text("current_load()")
    return required("load_id", Integer, "The load that brought these values, as in loads.", server_default=given)


securities = Table(
    "securities",
    metadata,
    Column("id", BigInteger, primary_key=True, comment="Permanent id; tickers and names change, this doesn't."),
    optional("name", Text, "The company's or fund's name; NULL if no source gives one."),
    optional("type", Text, "The vendor's type code, e.g. CS, ADRC, ETF; NULL where it gives none."),
    optional("composite_figi", Text, "Composite FIGI; NULL where the vendor gives none, as for most delisted ones."),
    optional("share_class_figi", Text, "Share class FIGI; NULL where the vendor gives none."),
    optional("cik", Text, "CIK of the company at the SEC; NULL where the vendor gives none."),
    optional("checked_at", Instant, "When its ticker history was last looked up; NULL if never."),
    load_reference(),
    comment="The security master: shares, funds and coins by a permanent id. Their tickers are in security_tickers.",
)

security_tickers = Table(
    "security_tickers",
    metadata,
    Column("id", BigInteger, primary_key=True, comment="Surrogate key."),
    required("security_id", BigInteger, "The security, as in securities."),
    required("ticker", Text, "The vendor's ticker, e.g. META, X:BTCUSD; its bars of these days are the security's."),
    optional("first_day", Date, "First day under the ticker; NULL since the beginning of the vendor's bars."),
    optional("last_day", Date, "Last day under the ticker; NULL until today."),
    required(
        "source", Text, "Where the period comes from: manual, vendor events, vendor reference, or assumed (none)."
    ),
    required("certain", Boolean, "True if a source states the period, false if it is assumed."),
    optional("note", Text, "Remarks: of a manual correction who, why and its source; NULL if there is none."),
    optional(
        "known_since", Instant, "Earlier loads of these days requested another ticker. NULL if none did."
    ),
    load_reference(),
    Index(
        "security_tickers_period_key", "security_id", "ticker", "first_day",
        unique=True, postgresql_nulls_not_distinct=True,
    ),
    Index(None, "ticker"),
    CheckConstraint("first_day <= last_day", name="days"),
    CheckConstraint("source IN ('manual', 'vendor events', 'vendor reference', 'assumed')", name="source"),
    comment="The tickers of each security, with the days it had them. A ticker can be several securities' in turn.",
)  # fmt: skip

tracked_symbols = Table(
    "tracked_symbols",
    metadata,
    Column("id", BigInteger, primary_key=True, comment="Surrogate key, kept for older queries."),
    required("symbol", Text, "The symbol's name here, e.g. AAPL, BRK.B, BTC; case-sensitive.", unique=True),
    required("asset_class", Text, "stock, etf or crypto."),
    required("vendor_ticker", Text, "Its present ticker at the vendor, e.g. AAPL, X:BTCUSD."),
    required("calendar", Text, "Trading calendar: XNYS, or 24/7 for crypto."),
    required("active", Boolean, "False once removed: no longer fetched, its bars kept.", server_default=text("true")),
    required("date_added", Instant, "When the symbol was first tracked.", server_default=func.now()),
    optional("last_backfill", Instant, "When bars of the symbol were last loaded successfully; NULL if never."),
    required(
        "backfill_status", Text, "State of its last load: pending (none yet), completed or failed.",
        server_default=text("'pending'"),
    ),
    optional("name", Text, "The company's or fund's name at the vendor."),
    optional("vendor_type", Text, "The vendor's own type code, e.g. CS, ADRC, ETF; NULL where it gives none."),
    optional("primary_exchange", Text, "Its exchange by ISO 10383 code, e.g. XNAS; NULL where there is none."),
    optional("listed", Boolean, "True if the vendor lists it as trading."),
    optional("delisted_on", Date, "The last day it traded; later sessions are not requested. NULL while it trades."),
    optional("renamed_to", Text, "The ticker that it trades as now, if that isn't the symbol; NULL if none is known."),
    optional("checked_at", Instant, "When these reference data were last fetched; NULL, like them, if never."),
    optional("security_id", BigInteger, "The security, as in securities; its tickers are in security_tickers."),
    CheckConstraint("asset_class IN ('stock', 'etf', 'crypto')", name="asset_class"),
    CheckConstraint("backfill_status IN ('pending', 'completed', 'failed')", name="backfill_status"),
    comment="The symbols whose bars are fetched; one Dagster asset each.",
)  # fmt: skip

sessions = Table(
    "sessions",
    metadata,
    Column("calendar", Text, primary_key=True, comment="Trading calendar: XNYS, or 24/7 for crypto."),
    Column("date", Date, primary_key=True, comment="The session, by its date where it trades."),
    comment="Every session of every calendar in use, those of the near future included.",
)

rejected_bars = Table(
    "rejected_bars",
    metadata,
    Column("id", BigInteger, primary_key=True, comment="Surrogate key."),
    required("symbol", Text, "The requested symbol."),
    optional("date", Date, "The session the bar claims; NULL where its timestamp can't be read."),
    required("reasons", ARRAY(Text), "The rules it broke, in words."),
    required("payload", JSON, "The vendor's record as it came."),
    required("source", Text, "polygon or sandbox."),
    required("first_rejected_at", Instant, "When this very record was first rejected."),
    required("last_rejected_at", Instant, "When it was last rejected."),
    required("run_id", Text, "The run that last rejected it."),
    Index("rejected_bars_record_key", "symbol", text("md5(payload::text)"), unique=True),
    Index(None, "symbol", "date"),
    comment="Bars that can't be true, kept out of market_data, with the vendor's record and the reasons.",
)

splits = Table(
    "splits",
    metadata,
    Column("symbol", Text, primary_key=True, comment="The symbol, as in tracked_symbols."),
    Column(
        "execution_date",
        Date,
        primary_key=True,
        comment="First session that trades after the split; later than today in New York: announced, not in effect.",
    ),
    required("split_from", Double, "Shares before, e.g. 1 of a 2-for-1 split."),
    required("split_to", Double, "Shares after, e.g. 2 of a 2-for-1 split."),
    optional("vendor_id", Text, "The vendor's id of the event; NULL where it gives none."),
    required("source", Text, "polygon or sandbox."),
    required("fetched_at", Instant, "When the response that first held these values was loaded."),
    required("run_id", Text, "The run that loaded them."),
    load_reference(),
    CheckConstraint("split_from > 0 AND split_to > 0", name="factor"),
    comment="Stock splits as the vendor lists them now, one a symbol and day; prices before execution_date times "
    "split_from / split_to compare. What it corrects, withdraws or contradicts is in rejected_corporate_actions.",
)

dividends = Table(
    "dividends",
    metadata,
    Column("id", BigInteger, primary_key=True, comment="Surrogate key."),
    required("symbol", Text, "The symbol, as in tracked_symbols."),
    required(
        "ex_dividend_date",
        Date,
        "First session that trades without the dividend; later than today in New York: announced, not in effect.",
    ),
    required("cash_amount", Double, "Per share, in `currency`, as paid (not adjusted for later splits)."),
    optional("currency", Text, "ISO 4217 code; NULL where the vendor gives none."),
    optional("dividend_type", Text, "The vendor's own kind, e.g. recurring, special, CD; NULL where it gives none."),
    optional("frequency", Integer, "Payments a year as the vendor says; 0 for once only."),
    optional("declaration_date", Date, "When it was announced."),
    optional("record_date", Date, "Holders of shares on this day are paid."),
    optional("pay_date", Date, "When it is paid."),
    optional("vendor_id", Text, "The vendor's id of the event; NULL where it gives none."),
    required("source", Text, "polygon or sandbox."),
    required("fetched_at", Instant, "When the response that first held these values was loaded."),
    required("run_id", Text, "The run that loaded them."),
    load_reference(),
    Index(
        "dividends_event_key",
        "symbol", "ex_dividend_date", "cash_amount", "currency", "dividend_type", "pay_date",
        unique=True, postgresql_nulls_not_distinct=True,
    ),
    CheckConstraint("cash_amount > 0", name="cash_amount"),
    comment="Cash dividends as the vendor lists them now; a day may have several, such as a regular and a special one. "
    "What it corrects, withdraws or contradicts is in rejected_corporate_actions.",
)  # fmt: skip

rejected_corporate_actions = Table(
    "rejected_corporate_actions",
    metadata,
    Column("id", BigInteger, primary_key=True, comment="Surrogate key."),
    required("kind", Text, "splits or dividends: the table it is kept or taken out of."),
    required("symbol", Text, "The symbol, as in tracked_symbols."),
    optional("date", Date, "Its execution date or ex-date; NULL if it can't be read: then no day's prices are known."),
    required("reasons", ARRAY(Text), "Why, in words."),
    required(
        "payload", JSON, "Its values, under the names of that table's columns; the vendor's record if it can't be read."
    ),
    required("source", Text, "polygon or sandbox."),
    required("first_rejected_at", Instant, "When these very values were first rejected or taken out."),
    required("last_rejected_at", Instant, "When they last were."),
    required("run_id", Text, "The run that last rejected them or took them out."),
    required(
        "listed", Boolean,
        "True while the vendor lists it: adjusted prices before its date are not known then. False once it is "
        "corrected or withdrawn.",
        server_default=text("false"),
    ),
    Index("rejected_corporate_actions_record_key", "kind", "symbol", text("md5(payload::text)"), unique=True),
    Index(None, "symbol", "date"),
    comment="Splits and dividends that were rejected, or taken out again as the vendor corrected or withdrew them.",
)  # fmt: skip

adjustment_factors = Table(
    "adjustment_factors",
    metadata,
    Column("symbol", Text, primary_key=True, comment="The symbol, as in tracked_symbols."),
    Column("from_date", Date, primary_key=True, comment="The first day of the stretch; 0001-01-01 for the first one."),
    required(
        "to_date", Date,
        "The first day after it, on which a split or dividend takes effect; 9999-12-31 for the last stretch.",
    ),
    optional(
        "split_factor", Double,
        "Factor that makes a price of these days comparable with today's: the product of split_from / split_to over "
        "all later splits in effect. NULL where it is not known.",
    ),
    optional(
        "dividend_factor", Double,
        "Further factor, with which a price's change is a holder's return: the product of 1 - dividend / close before "
        "the ex-date over all later dividends in effect. NULL where it is not known.",
    ),
    optional(
        "unknown_because", Text,
        "Why a factor is not known: the latest split or dividend without a known effect, its date and the reason; NULL "
        "where both are known.",
    ),
    load_reference(),
    CheckConstraint("from_date < to_date", name="stretch"),
    CheckConstraint("split_factor > 0 AND dividend_factor > 0", name="factors"),
    comment="Each symbol's adjustment factors and from when to when they hold. Every day is in one stretch, which ends "
    "with the session that first trades after a split or dividend; those before the first bar are left out. Made of "
    "the view session_actions.",
)  # fmt: skip

corporate_action_inquiries = Table(
    "corporate_action_inquiries",
    metadata,
    Column("kind", Text, primary_key=True, comment="splits or dividends."),
    Column("symbol", Text, primary_key=True, comment="The symbol, as in tracked_symbols."),
    required("asked_at", Instant, "When its recent and announced ones were last requested."),
    required("history_asked_at", Instant, "When all of them were last requested."),
    comment="The last requests for a symbol's splits and dividends, which decide what a night requests.",
)

backfill_history = Table(
    "backfill_history",
    metadata,
    Column("id", BigInteger, primary_key=True, comment="Surrogate key."),
    required("run_id", Text, "The run, as Dagster's UI shows it."),
    required("trigger", Text, "What started the run: cli, schedule, api, backfill (from the UI) or manual."),
    required("symbol", Text, "The symbol, as in tracked_symbols."),
    required("start_date", Date, "First requested session."),
    required("end_date", Date, "Last requested session."),
    required("sessions", Integer, "Requested sessions, but for those after a delisting = answered + refused."),
    required("answered", Integer, "Of those, the sessions that the vendor answered for, with a bar or without one."),
    required("refused", Integer, "Of those, the ones that failed or that the plan doesn't give, or not yet."),
    optional("answered_from", Date, "First session answered for; NULL where none was."),
    optional("answered_to", Date, "Last session answered for; NULL where none was."),
    required("requests", Integer, "HTTP requests it took, retries included."),
    required("fetched", Integer, "Different bars in the vendor's response = loaded + revised + unchanged + rejected."),
    required("loaded", Integer, "Bars that were new."),
    required("revised", Integer, "Bars that replaced another; the other is in market_data_revisions."),
    required("unchanged", Integer, "Bars that were there already, equal in every value."),
    required("rejected", Integer, "Bars that can't be true; they are in rejected_bars."),
    required("flagged", Integer, "Of the bars loaded, revised or unchanged, those that a rule flagged."),
    required("missing", Integer, "Requested sessions without a bar in market_data after the load."),
    required("records_imported", Integer, "loaded + revised, under the name that older queries use."),
    required("started_at", Instant, "When work on the symbol began."),
    required("duration_seconds", Double, "How long it took, waits for the rate limit included."),
    required("backfill_timestamp", Instant, "When it ended.", server_default=func.now()),
    required("success", Boolean, "False if the symbol failed; nothing was loaded then."),
    optional("error_details", Text, "Why it failed; NULL if it did not."),
    optional("notes", Text, "Sessions that a plan or a delisting left out, and why; NULL if none."),
    required("waited_seconds", Double, "How long its requests waited for the rate limit.", server_default=text("0")),
    Index(None, "symbol", "backfill_timestamp"),
    # A symbol's first and last requested session, which every query for missing sessions begins with.
    Index(None, "symbol", "start_date"),
    Index(None, "symbol", "end_date"),
    Index(None, "run_id"),
    CheckConstraint("fetched = loaded + revised + unchanged + rejected", name="reconciles"),
    CheckConstraint("sessions = answered + refused", name="answered"),
    CheckConstraint("records_imported = loaded + revised", name="records_imported"),
    CheckConstraint("success = (error_details IS NULL)", name="error_details"),
    comment="Load records, one per symbol and run: request and result. Written with the bars, in one transaction.",
)

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("file", Text, primary_key=True, comment="Name of the file that the stored bars were compared with."),
    Column("symbol", Text, primary_key=True, comment="The symbol, as in tracked_symbols."),
    Column(
        "field", Text, primary_key=True,
        comment="The file's column, e.g. close or adj_close; bar for dates that only one side has.",
    ),
    Column("first_session", Date, primary_key=True, comment="First date of the range."),
    required("last_session", Date, "Last date of the range."),
    required("sessions", Integer, "Dates of the range; others with another explanation may lie between."),
    required("found_in", Text, "both; or file or warehouse, if only that side has the dates."),
    required("adjustment", Text, "The stored series that was compared: none (as traded), splits or all."),
    required("tolerance", Double, "Relative difference up to which two values agree."),
    required("explanation", Text, "agreed, or the likely reason of the difference; unexplained if there is none."),
    required("explained", Boolean, "False if there is no likely reason."),
    optional("detail", Text, "More about the reason; NULL if there is no more."),
    optional("lowest_ratio", Double, "Smallest file / stored value; NULL where one is missing."),
    optional("highest_ratio", Double, "Largest file / stored value; NULL where one is missing."),
    required("made_at", Instant, "When the comparison was made."),
    Index(None, "symbol"),
    CheckConstraint("found_in IN ('both', 'file', 'warehouse')", name="found_in"),
    CheckConstraint("adjustment IN ('none', 'splits', 'all')", name="adjustment"),
    comment="The last comparison with each file by `market-pipeline reconcile`: every date of each symbol and field in "
    "one range, with the explanation.",
)  # fmt: skip

markets = Table(
    "markets",
    metadata,
    Column("market", Text, primary_key=True, comment="Its name, e.g. us_stocks."),
    required("calendar", Text, "Trading calendar: XNYS, or 24/7 for crypto."),
    required("active", Boolean, "False once untracked: no longer fetched, its bars kept.", server_default=text("true")),
    required("date_added", Instant, "When the market was first tracked.", server_default=func.now()),
    comment="The markets whose sessions are loaded whole, with all tickers; one Dagster asset each.",
)

market_loads = Table(
    "market_loads",
    metadata,
    Column("id", BigInteger, primary_key=True, comment="Surrogate key."),
    required("market", Text, "The market, as in markets."),
    required("date", Date, "The session."),
    required("run_id", Text, "The run, as Dagster's UI shows it."),
    required("trigger", Text, "What started the run: cli, schedule, api, backfill (from the UI) or manual."),
    required("source", Text, "polygon or sandbox."),
    optional("origin", Text, "The vendor's interface: grouped or flat file; NULL where there was no response."),
    optional("version", Text, "The flat file's ETag; NULL of a grouped response."),
    optional("load_id", Integer, "The load, as in loads; NULL if no bar has changed."),
    required("requests", Integer, "HTTP requests it took, retries included."),
    required("waited_seconds", Double, "How long they waited for the rate limit.", server_default=text("0")),
    required("fetched", Integer, "Different bars in the response = loaded + revised + unchanged + rejected."),
    required("loaded", Integer, "Bars that were new."),
    required("revised", Integer, "Bars that replaced another; the other is in market_data_revisions."),
    required("unchanged", Integer, "Bars that were there already, equal in every value."),
    required("rejected", Integer, "Bars that can't be true; they are in rejected_bars."),
    required("withdrawn", Integer, "Bars that the vendor no longer gives; they are in market_data_revisions."),
    required("flagged", Integer, "Of the bars loaded, revised or unchanged, those that a rule flagged."),
    optional("tickers", Integer, "Bars of the market's session after the load; NULL if it failed."),
    required("success", Boolean, "False if the session failed; nothing was loaded then."),
    required("suspicious", Boolean, "True if the response can't be the whole session; nothing was loaded then."),
    optional("error_details", Text, "Why it failed; NULL if it did not."),
    optional("notes", Text, "Remarks, such as tickers that were left out; NULL if none."),
    required("started_at", Instant, "When loading began, for all sessions of the transaction."),
    required("ended_at", Instant, "When it ended.", server_default=func.clock_timestamp()),
    required("duration_seconds", Double, "How long loading took; sessions of one transaction share its time evenly."),
    Index(None, "market", "date"),
    Index(None, "run_id"),
    CheckConstraint("fetched = loaded + revised + unchanged + rejected", name="reconciles"),
    CheckConstraint("success = (error_details IS NULL)", name="error_details"),
    CheckConstraint("NOT (success AND suspicious)", name="suspicious"),
    CheckConstraint("success = (tickers IS NOT NULL)", name="tickers"),
    CheckConstraint("origin IN ('grouped', 'flat file')", name="origin"),
    comment="Load records of markets, one per session and run: a session is loaded whole or not at all. Written with "
    "the bars, in one transaction.",
)

market_listings = Table(
    "market_listings",
    metadata,
    Column("symbol_id", Integer, primary_key=True, autoincrement=False, comment="As in symbol_identities."),
    required("market", Text, "The market, as in markets."),
    required("first_session", Date, "Its first session with a bar."),
    required("last_session", Date, "Its last session with a bar."),
    comment="First and last bar of every symbol that a market's sessions had. Read them by listings.",
    info=INTERNAL,
)

reference_tickers = Table(
    "reference_tickers",
    metadata,
    Column("id", BigInteger, primary_key=True, comment="Surrogate key."),
    required("market", Text, "The market, as in markets."),
    required("ticker", Text, "The vendor's ticker."),
    optional("delisted_on", Date, "The last day it traded; NULL while it is listed."),
    optional("name", Text, "The company's or fund's name; NULL if the vendor gives none."),
    optional("type", Text, "The vendor's type code, e.g. CS, ADRC, ETF; NULL where it gives none."),
    optional("primary_exchange", Text, "Its exchange by ISO 10383 code, e.g. XNAS; NULL where there is none."),
    optional("composite_figi", Text, "Composite FIGI; NULL where the vendor gives none."),
    required("fetched_at", Instant, "When the list was last fetched with this entry."),
    Index(
        "reference_tickers_entry_key", "market", "ticker", "delisted_on",
        unique=True, postgresql_nulls_not_distinct=True,
    ),
    comment="The vendor's own list of a market's tickers. It lacks thousands that traded: bars don't depend on it.",
)  # fmt: skip

bar_source = Table(
    "bar_source",
    metadata,
    *only_row(),
    required("source", Text, "polygon or sandbox: the only source this database accepts."),
    comment="The source of the first bar. Bars from the other are not accepted.",
    info=INTERNAL,
)  # fmt: skip

request_slots = Table(
    "request_slots",
    metadata,
    Column("id", BigInteger, primary_key=True, comment="Surrogate key."),
    required("at", Instant, "When the request may be sent.", index=True),
    required(
        "taken_at", Instant, "When the slot was handed out, in the order of ids.", server_default=func.clock_timestamp()
    ),
    comment="The rate limit that all processes share: when the latest requests were, or will be, sent.",
    info=INTERNAL,
)
