"""The declaration of the tables of bars, of the loads that order them, and of the views on them.

A bar takes few bytes here: its symbol and load are numbers, and flags are kept for flagged bars alone. The views
`market_data` and `market_data_revisions` have all columns that readers need. Earlier versions of rows are in a table of
their own beside each versioned table, kept by PostgreSQL itself (`sql/views/0_loads.sql`).
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, ExcludeConstraint

from market_pipeline.warehouse.tables import (
    INTERNAL,
    Instant,
    adjustment_factors,
    dividends,
    load_reference,
    metadata,
    only_row,
    optional,
    required,
    securities,
    security_tickers,
    splits,
)

readable = MetaData()
"""The views `market_data` and `market_data_revisions`, declared as tables are."""


def _make_symbol_key() -> Column[Any]:
    return Column(
        "symbol_id", Integer, primary_key=True, autoincrement=False, comment="The symbol, as in tracked_symbols.id."
    )


def _make_session_columns() -> list[Column[Any]]:
    day = "The session: New York's date for equities, UTC's for crypto."
    return [_make_symbol_key(), Column("date", Date, primary_key=True, comment=day)]


def _make_value_columns() -> list[Column[Any]]:
    return [
        required("open", Double, "First price of the session, US dollars, as traded."),
        required("high", Double, "Highest price of the session, US dollars, as traded."),
        required("low", Double, "Lowest price of the session, US dollars, as traded."),
        required("close", Double, "Last price of the session, US dollars, as traded."),
        required("volume", Double, "Shares or coins traded; fractional for crypto and, since 2026, for stocks."),
        optional("vwap", Double, "Volume-weighted average price, US dollars; NULL where the vendor gives none."),
    ]


def _count_column(kind: Any) -> Column[Any]:
    return optional("transactions", kind, "Number of trades; NULL where the vendor gives none.")


def _flag_columns() -> list[Column[Any]]:
    return [
        required("quality_score", Double, "From 0 to 1; 1 for a bar without flags.", server_default=text("1")),
        required("flags", ARRAY(Text), "The rules that flagged the bar; {} if none.", server_default=text("'{}'")),
        optional("validation_notes", Text, "The flags in words; NULL if there is none."),
        required(
            "gap_detected", Boolean, "A price jump that no split explains, or a split without one.",
            server_default=text("false"),
        ),
        required(
            "volume_anomaly", Boolean, "No volume, or one far from the symbol's usual one.",
            server_default=text("false"),
        ),
    ]  # fmt: skip


def _make_bar_columns() -> list[Column[Any]]:
    return [
        required("time", Instant, "When the session's day begins: midnight in New York for equities, UTC for crypto."),
        *_make_value_columns(),
        _count_column(BigInteger),
        required("source", Text, "Where the bar came from: polygon (the market) or sandbox (not the market)."),
        required("validated", Boolean, "True if no rule flagged the bar."),
        *_flag_columns(),
        required("fetched_at", Instant, "When these values were loaded: the point of their load."),
        required("run_id", Text, "The run that loaded these values."),
    ]


loads = Table(
    "loads",
    metadata,
    Column("id", Integer, primary_key=True, comment="Surrogate key, in the order in which a symbol's loads began."),
    optional(
        "point", Instant,
        "The instant from which its changes are visible, later than that of every load visible before; NULL while it "
        "is under way.",
        index=True,
    ),
    optional("run_id", Text, "The run; manual for a change outside one, as a correction by SQL; NULL if not known."),
    optional("source", Text, "Where its bars came from: polygon or sandbox; NULL if not known."),
    comment="Every transaction that changed bars, splits, dividends, adjustment factors or identities, in order.",
)  # fmt: skip

settled = Table(
    "settled",
    metadata,
    *only_row(),
    required("point", Instant, "The settled point: whatever is stored as of it or before never changes."),
    comment="The newest settled point. A load takes the next one as its last act, so points have the order of commits.",
    info=INTERNAL,
)  # fmt: skip

snapshots = Table(
    "snapshots",
    metadata,
    Column("name", Text, primary_key=True, comment="Its name."),
    required("point", Instant, "The instant that it stands for, which is settled."),
    required("created_at", Instant, "When it was created.", server_default=func.now()),
    optional("note", Text, "A remark by its creator; NULL without one."),
    comment="Names of instants. Data are read and exported as of a snapshot's point; it holds none itself.",
)

symbol_identities = Table(
    "symbol_identities",
    metadata,
    _make_symbol_key(),
    required("symbol", Text, "Its name here."),
    required("asset_class", Text, "stock, etf or crypto."),
    required("calendar", Text, "Trading calendar: XNYS, or 24/7 for crypto."),
    optional("security_id", BigInteger, "The security, as in securities."),
    load_reference(),
    Index(None, "symbol"),
    comment="Names and securities of tracked_symbols, kept with their earlier versions.",
)

bars = Table(
    "bars",
    metadata,
    *_make_session_columns(),
    load_reference(),
    _count_column(Integer),  # four numbers of four bytes before those of eight, so that alignment costs none
    *_make_value_columns(),
    Index(None, "date"),
    # The bars of the newest loads; a B-tree would take seven bytes a bar more.
    Index("bars_load_id_idx", "load_id", postgresql_using="brin",
          postgresql_with={"pages_per_range": 32, "autosummarize": "on"}),
    comment="Daily bars as traded, one a symbol and session. Read them by market_data.",
    info=INTERNAL,
)  # fmt: skip

bar_flags = Table(
    "bar_flags",
    metadata,
    *_make_session_columns(),
    load_reference(),
    *_flag_columns(),
    comment="Flags of bars, for those that a rule has flagged. Read them by market_data.",
    info=INTERNAL,
)

VERSIONED = (bars, bar_flags, symbol_identities, securities, security_tickers, splits, dividends, adjustment_factors)
"""Tables of which PostgreSQL keeps every version of a row."""


def _declare_versions(table: Table) -> Table:
    """Declare the table of earlier versions of a table's rows."""
    keys = {column.name for column in table.primary_key}
    copied = [
        Column(
            column.name, column.type, primary_key=column.name in keys | {"load_id"}, autoincrement=False,
            nullable=column.nullable, comment=column.comment,
        )
        for column in table.columns
    ]  # fmt: skip
    return Table(
        f"{table.name}_revisions",
        metadata,
        *copied,
        required("replaced_by", Integer, "The load that replaced or deleted this version, as in loads."),
        CheckConstraint("replaced_by > load_id", name="order"),
        Index(f"{table.name}_revisions_replaced_by_idx", "replaced_by"),
        comment=f"Earlier versions of the rows of {table.name}.",
        info=INTERNAL,
    )


REVISIONS = {table.name: _declare_versions(table) for table in VERSIONED}
"""The table of earlier versions of each versioned table."""

bars_revisions = REVISIONS["bars"]
bars_revisions.append_column(Column("id", BigInteger, Identity(), nullable=False, comment="Surrogate key."))
bars_revisions.append_column(
    optional("reason", Text, "Why it was taken out of market_data; NULL if the vendor has corrected it.")
)
Index("bars_revisions_date_idx", bars_revisions.c.date)  # the corrections of one session of all symbols
bars_revisions.append_constraint(
    ExcludeConstraint(
        (text("int8range((symbol_id::bigint << 32) + (date - '1970-01-01'::date), "
              "(symbol_id::bigint << 32) + (date - '1970-01-01'::date), '[]')"), "&&"),
        (text("int4range(load_id, replaced_by)"), "&&"),
        name="bars_revisions_one_at_a_time",
    )
)  # fmt: skip

market_data = Table(
    "market_data",
    readable,
    Column("symbol", Text, primary_key=True, comment="The symbol, as in tracked_symbols."),
    Column("date", Date, primary_key=True, comment="The session: New York's date for equities, UTC's for crypto."),
    *_make_bar_columns(),
    required("updated_at", Instant, "When anything of the row last changed, flags included."),
    comment="Daily bars as traded (adjusted for nothing), one a symbol and session: the newest the vendor has given.",
)

market_data_revisions = Table(
    "market_data_revisions",
    readable,
    Column("id", BigInteger, primary_key=True, comment="Surrogate key."),
    required("symbol", Text, "The symbol, as in tracked_symbols."),
    required("date", Date, "The session."),
    *_make_bar_columns(),
    required("replaced_at", Instant, "When another bar took this one's place in market_data."),
    required("replaced_by_run_id", Text, "The run that replaced it."),
    optional("reason", Text, "Why it was taken out of market_data; NULL if the vendor has corrected it."),
    comment="Bars that a correction by the vendor has replaced, or that were another security's, as they were.",
)
