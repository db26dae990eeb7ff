"""SQL longer than a line: each statement in a file of its own, in the folder `sql`."""

from functools import cache
from importlib.resources import files

from sqlalchemy import TextClause, text

VIEW_KEYS = {
    "adjustment_states": ["symbol"],
    "coverage": ["symbol"],
    "coverage_by_month": ["symbol", "month"],
    "daily_bars_adjusted": ["symbol", "date"],
    "runs": ["run_id"],
    "session_actions": ["symbol", "session"],
    "session_states": ["symbol", "date"],
}
"""The views and their keys, which PostgreSQL doesn't know."""


@cache
def statement(name: str) -> TextClause:
    """Return the statement in `sql/<name>.sql`; its first lines name its purpose and its parameters."""
    return text(_read(f"{name}.sql"))


def views() -> list[str]:
    """Return the statements that make the views and functions, in the order they build on each other."""
    folder = files("market_pipeline.warehouse") / "sql" / "views"
    return [file.read_text(encoding="utf-8") for file in sorted(folder.iterdir(), key=lambda file: file.name)]


def _read(name: str) -> str:
    return (files("market_pipeline.warehouse") / "sql" / name).read_text(encoding="utf-8")
