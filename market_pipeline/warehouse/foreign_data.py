"""Foreign data on an embedded server, which are reported to the owner before the server is deleted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from sqlalchemy import Engine, text

from market_pipeline.core.settings import Source
from market_pipeline.core.wording import format_count, name_some
from market_pipeline.warehouse.api_keys import access_metadata
from market_pipeline.warehouse.bar_tables import readable
from market_pipeline.warehouse.embedded.cluster import DATABASES, USER
from market_pipeline.warehouse.roles import ANALYST, ASSISTANT, READER
from market_pipeline.warehouse.statements import VIEW_KEYS, read_statement
from market_pipeline.warehouse.tables import metadata

KINDS = ("symbol", "bar", "API key", "database", "role", "table")
"""Kinds of data, in the order of the report."""


@dataclass(frozen=True)
class KnownData:
    """Expected data: bars of one source by symbol and first date, up to a last date, and the marts."""

    source: Source
    first_dates: Mapping[str, date]
    last_date: date
    marts: Sequence[str]


def find_foreign_data(engine: Engine, known: KnownData) -> list[str]:
    """Return the foreign data on the server as text: `1 symbol (NVDA)`, `61 bars (NVDA)`, `1 table (public.mine)`.

    Args:
        engine: on the server's warehouse; its tables may be missing.
        known: the data expected there.
    """
    tables = [
        *(f"public.{name}" for name in (*metadata.tables, *readable.tables, *VIEW_KEYS, "alembic_version")),
        *access_metadata.tables,
        *(f"{schema}.{name}" for schema in ("analytics", "analytics_staging") for name in known.marts),
    ]
    objects = {
        "known_roles": [USER, ANALYST, READER, ASSISTANT],
        "known_databases": [*DATABASES, "postgres"],
        "known_tables": tables,
    }
    rows = {
        "symbols": list(known.first_dates),
        "first_dates": list(known.first_dates.values()),
        "last_date": known.last_date,
        "source": known.source,
    }
    with engine.connect() as connection:
        found = list(connection.execute(read_statement("foreign_objects"), objects))
        if connection.scalar(text("SELECT to_regclass('public.market_data') IS NOT NULL")):
            found = [*connection.execute(read_statement("foreign_rows"), rows), *found]
    report = []
    for kind, group in groupby(
        sorted(found, key=lambda row: (KINDS.index(row.kind), row.name)), key=lambda row: row.kind
    ):
        members = list(group)
        names = name_some([row.name for row in members])
        report.append(f"{format_count(sum(row.number for row in members), kind)} ({names})")
    return report
