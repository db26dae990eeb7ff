"""Writer of `models/staging` from the warehouse's own catalog: a view per source, with columns, types and comments.

    python dbt/write_staging.py

Run it after a change of the warehouse's tables or views; a test holds the folder equal to its output.
"""

from pathlib import Path

import yaml
from sqlalchemy import Connection, text

from market_pipeline.core.settings import load_settings
from market_pipeline.warehouse.database import open_warehouse

FOLDER = Path(__file__).parent / "models" / "staging"

SOURCES = {
    "tracked_symbols": ["symbol"],
    "market_data": ["symbol", "date"],
    "market_data_revisions": ["id"],
    "splits": ["symbol", "execution_date"],
    "dividends": ["id"],
    "rejected_corporate_actions": ["id"],
    "session_actions": ["symbol", "session"],
    "adjustment_states": ["symbol"],
    "adjustment_factors": ["symbol", "from_date"],
    "daily_bars_adjusted": ["symbol", "date"],
    "sessions": ["calendar", "date"],
    "session_states": ["symbol", "date"],
    "bars": ["symbol_id", "date"],
    "symbol_identities": ["symbol_id"],
    "market_listings": ["symbol_id"],
    "market_sessions": ["market", "date"],
    "listings": ["market", "symbol"],
    "security_tickers": ["id"],
    "coverage": ["symbol"],
    "backfill_history": ["id"],
    "reconciliations": ["file", "symbol", "field", "first_session"],
}
"""Sources of the models, with the columns that identify their rows."""

WITHOUT_FOREIGN_KEY = {
    "market_data", "market_data_revisions", "splits", "dividends", "rejected_corporate_actions", "adjustment_factors",
    "reconciliations",
}  # fmt: skip
"""Tables without a foreign key for `symbol`, which a test replaces."""

TRACKED_ONLY = {"market_data", "market_data_revisions", "daily_bars_adjusted"}
"""Tables that have the bars of whole markets too, of which the models take the tracked symbols alone."""

CHECKED_AS_MODELS = {"coverage", "session_actions", "daily_bars_adjusted", "bars", "listings"}
"""Views that take seconds to evaluate, and a table of millions of rows with a primary key; models check the key."""

CHECKED_BY_CHANGES = {"market_data", "market_data_revisions"}
"""Large tables, whose symbols a night doesn't check: that of each changed bar is, with its return."""

COLUMNS = text("""
    SELECT attname AS name, format_type(atttypid, atttypmod) AS data_type, col_description(attrelid, attnum) AS comment
    FROM pg_attribute
    WHERE attrelid = CAST(:relation AS regclass) AND attnum > 0 AND NOT attisdropped
    ORDER BY attnum
""")
COMMENT = text("SELECT obj_description(CAST(:relation AS regclass))")

Column = dict[str, str]


def build_files(connection: Connection) -> dict[str, str]:
    """Return the files of `models/staging` by name."""
    columns = {source: _columns(connection, source) for source in SOURCES}
    about = {source: connection.execute(COMMENT, {"relation": source}).scalar_one() for source in SOURCES}
    models = {f"stg_{source}.sql": _model(source, columns[source]) for source in SOURCES}
    return {
        "sources.yml": _yaml({"sources": [_sources(columns, about)]}),
        "staging.yml": _yaml({"models": [_properties(source, columns[source], about[source]) for source in SOURCES]}),
        **models,
    }


def _columns(connection: Connection, source: str) -> list[Column]:
    rows = connection.execute(COLUMNS, {"relation": source})
    return [{"name": row.name, "data_type": row.data_type, "description": row.comment} for row in rows]


def _sources(columns: dict[str, list[Column]], about: dict[str, str]) -> dict[str, object]:
    tables = [{"name": name, "description": about[name], "columns": columns[name]} for name in SOURCES]
    description = "Tables that the nightly runs load, declared in market_pipeline/warehouse."
    return {"name": "warehouse", "schema": "public", "description": description, "tables": tables}


def _properties(source: str, columns: list[Column], about: str) -> dict[str, object]:
    key: dict[str, object] = {"arguments": {"columns": SOURCES[source]}}
    if source == "session_states":  # the others are market_data's, and too many to look at twice
        key["config"] = {"where": "state <> 'loaded'"}
    tests: list[object] = [] if source in CHECKED_AS_MODELS else [{"key": key}]
    if source in WITHOUT_FOREIGN_KEY:
        known = {"to": "ref('stg_tracked_symbols')", "field": "symbol"}
        nightly = {} if source in CHECKED_BY_CHANGES else {"config": {"tags": ["nightly"]}}
        tests.append({"relationships": {"arguments": {"column_name": "symbol", **known}, **nightly}})
    return {"name": f"stg_{source}", "description": about, "data_tests": tests, "columns": columns}


def _model(source: str, columns: list[Column]) -> str:
    names = ",\n".join(f"    {column['name']}" for column in columns)
    rows = f"FROM {{{{ source('warehouse', '{source}') }}}}\n"
    if source in TRACKED_ONLY:
        rows += "WHERE symbol IN (SELECT tracked.symbol FROM {{ source('warehouse', 'tracked_symbols') }} AS tracked)\n"
    return f"SELECT\n{names}\n{rows}"


def _yaml(content: dict[str, object]) -> str:
    head = "# Written by dbt/write_staging.py from the warehouse's catalog.\nversion: 2\n\n"
    return head + yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)


def main() -> None:
    """Write the folder anew."""
    with open_warehouse(load_settings()).connect() as connection:
        written = build_files(connection)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file in set(FOLDER.iterdir()) - {FOLDER / name for name in written}:
        file.unlink()
    for name, content in written.items():
        (FOLDER / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
