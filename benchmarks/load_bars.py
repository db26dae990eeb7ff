"""HTTP to PostgreSQL: the project's load of a million bars beside bare COPY, dlt and row-by-row upserts; and again.

    python -m benchmarks.load_bars

Every load is a process of its own, into an empty table, in turns. In the first round the rows of each are compared with
the project's, in both directions; in later rounds the number that each load returns is checked.
"""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

import requests
from sqlalchemy import Engine, text

from benchmarks.dlt_loaders import load_by_dlt_at_its_best, load_by_dlt_default
from benchmarks.loaders import FLAT_BARS, Work, load_by_bare_copy, load_by_project, load_row_by_row
from benchmarks.report import Finding, require_at_least, require_at_most, run_command_line
from benchmarks.stage import STORED, Measured, execute_statements, fresh_warehouse, list_stocks, measure, sandbox
from market_pipeline.core.sessions import list_sessions
from market_pipeline.warehouse.tracked_symbols import add_symbols

COLUMNS = "symbol, date, time, open, high, low, close, volume, vwap, transactions"
EMPTY = (
    f"TRUNCATE {', '.join(STORED)}",
    "DROP TABLE IF EXISTS flat_bars",
    FLAT_BARS,
    "CREATE INDEX ON flat_bars (time)",
    "DROP SCHEMA IF EXISTS dlt_best, dlt_best_staging, dlt_default, dlt_default_staging CASCADE",
    "CHECKPOINT",
)


@dataclass(frozen=True)
class Size:
    """Symbols, sessions and rounds. The slow loads take only the first symbols, and are compared by rows per second."""

    symbols: int = 200
    sessions: int = 5_000
    symbols_by_default: int = 10
    symbols_row_by_row: int = 6
    rounds: int = 3


@dataclass(frozen=True)
class Way:
    """A way of loading, its number of symbols, its table, and those that hold its bytes."""

    name: str
    load: Callable[[Work], int]
    symbols: int
    table: str = "flat_bars"
    stored_in: Sequence[str] = ()


def run(size: Size) -> Finding:
    """Load the bars each way in turns, and compare."""
    ways = [
        Way("the project's", load_by_project, size.symbols, "market_data", ["bars", "bar_flags", "loads"]),
        Way("bare COPY", load_by_bare_copy, size.symbols),
        Way("dlt at its best", load_by_dlt_at_its_best, size.symbols, "dlt_best.bars"),
        Way("dlt by default", load_by_dlt_default, size.symbols_by_default, "dlt_default.bars"),
        Way("row by row", load_row_by_row, size.symbols_row_by_row),
    ]
    taken: defaultdict[str, list[Measured]] = defaultdict(list)
    sizes: dict[str, int] = {}
    with sandbox(cached=True) as base_url, fresh_warehouse() as (settings, engine):
        assert settings.database_url is not None
        symbols = list_stocks(size.symbols)
        sessions = list_sessions("XNYS", date(2003, 9, 10), date(2026, 1, 1))[: size.sessions]
        work = Work(base_url, settings.database_url.get_secret_value(), symbols, sessions)
        add_symbols(engine, symbols)
        cache_responses(work)
        for number in range(size.rounds):
            for way in ways:
                execute_statements(engine, *EMPTY)
                taken[way.name].append(run_load(way, work))
                if way.load is load_by_project:
                    if number == 0:
                        keep_as_expected(engine)
                    taken["again, nothing changed"].append(run_load(way, work))
                if number == 0:  # in later rounds the count suffices: a comparison takes minutes
                    check_equal(engine, way, work)
                sizes[way.name] = measure_bytes(engine, way)
    return build_finding(size, ways, taken, sizes)


def cache_responses(work: Work) -> None:
    """Fetch every response once, so that the sandbox has cached all of them before any load is timed."""
    with work.open_session() as session:
        for symbol in work.symbols:
            session.get(work.build_url(symbol)).raise_for_status()
    assert len(requests.get(work.base_url + "/_sandbox/stats", timeout=10).content)


def run_load(way: Way, work: Work) -> Measured:
    """Run one load in a process of its own."""
    part = replace(work, symbols=work.symbols[: way.symbols])
    found = measure(way.load, part)
    if found.result != len(part.symbols) * len(part.sessions):
        raise SystemExit(f"{way.name} returned {found.result} bars")
    return found


def keep_as_expected(engine: Engine) -> None:
    """Copy the rows of the project to a table, for comparison with the others."""
    execute_statements(
        engine, "DROP TABLE IF EXISTS expected", f"CREATE TABLE expected AS SELECT {COLUMNS} FROM market_data"
    )


def check_equal(engine: Engine, way: Way, work: Work) -> None:
    """Check that the table holds the expected rows of its symbols and no others, the same in every column."""
    expected = f"SELECT {COLUMNS} FROM expected WHERE symbol <= '{work.symbols[way.symbols - 1].name}'"
    found = f"SELECT {COLUMNS} FROM {way.table}"
    query = f"SELECT count(*) FROM (({expected} EXCEPT ALL {found}) UNION ALL ({found} EXCEPT ALL {expected})) AS other"
    with engine.connect() as connection:
        if differing := int(connection.execute(text(query)).scalar_one()):
            raise SystemExit(f"{way.name} has stored {differing} rows that differ, so its time can't be compared")


def measure_bytes(engine: Engine, way: Way) -> int:
    """Return the bytes of a million rows of the table, or of those it is made of, with their indexes."""
    size = " + ".join(f"pg_total_relation_size('{name}')" for name in way.stored_in or [way.table])
    query = text(f"SELECT ({size}) * 1e6 / count(*) FROM {way.table}")
    with engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def build_finding(size: Size, ways: Sequence[Way], taken: dict[str, list[Measured]], sizes: dict[str, int]) -> Finding:
    """Return the figures and the goals."""
    bars = {way.name: way.symbols * size.sessions for way in ways}
    bars["again, nothing changed"] = bars["the project's"]
    rates = {name: [bars[name] / each.seconds for each in several] for name, several in taken.items()}
    rows = [
        [
            name,
            f"{bars[name]:,}",
            f"{statistics.median(each.seconds for each in taken[name]):.1f} s",
            f"{statistics.median(rates[name]):,.0f}",
            f"{statistics.median(each.mib for each in taken[name]):,.0f} MiB",
            f"{sizes[name] / 1e6:,.0f} MB" if name in sizes else "",
        ]
        for name in taken
    ]

    def compute_ratios(of: str, to: str) -> list[float]:
        return [one / other for one, other in zip(rates[of], rates[to], strict=True)]

    ours = "the project's"
    goals = [
        require_at_least("rows/s, the project's / bare COPY", compute_ratios(ours, "bare COPY"), 0.8),
        require_at_least("rows/s, the project's / dlt at its best", compute_ratios(ours, "dlt at its best"), 2.5),
        require_at_most("bytes a bar, the project's / bare COPY", [sizes[ours] / sizes["bare COPY"]], 0.58),
        require_at_least("rows/s, the project's / row by row", compute_ratios(ours, "row by row"), 20),
        require_at_most(
            "2. time, again with nothing changed / first load", compute_ratios(ours, "again, nothing changed"), 0.5
        ),
    ]
    return Finding(
        "1, 2. From HTTP into PostgreSQL, and the same again",
        f"{size.symbols} stocks x {size.sessions:,} sessions of New York's exchange, {bars[ours]:,} daily bars in "
        f"{size.symbols} responses. (No symbol has 50,000 daily bars: that would take two centuries. So it is more "
        "symbols.) All get the same compressed bytes from the same sandbox in a process of its own, which has made its "
        "responses beforehand. The project's load has its rules, rejected bars, merge, revisions, flags, shared rate "
        "limit and load records on; bare COPY reads the JSON with the fastest "
        "parser, lays the rows out as arrays, fetches ahead as the project does, and does not look for duplicates.",
        ["way", "bars", "time", "rows/s", "memory", "table and indexes, a million bars"],
        rows,
        goals,
        [
            "What bounds it: PostgreSQL's COPY into a table with three indexes, and in Python reading the JSON, which "
            "the floor does too, the rules, flags and frames, which it doesn't, on two cores that the sandbox shares. "
            "Tried: COPY into a staging table and one merge statement, which took PostgreSQL half as long again as "
            "COPY straight into the table, and joined what hadn't changed; reading what is stored by COPY or row by "
            "row, which takes Python longer than comparing it; loading one symbol at a time, in which PostgreSQL and "
            "Python wait for each other; decoding the JSON into typed structures, which saves a millisecond of 26 a "
            "symbol and would need a second way for values that are of no such type. Kept: what is stored is read as "
            "one value and compared in arrays, what is new goes by COPY straight into the table, symbols of up to "
            "20,000 bars share a transaction of nine round trips, of which three run at a time, and pooled connections "
            "are checked without a query. Also tried: Arrow's reader of JSON, which takes as long as orjson and NumPy "
            "together. Bare COPY keeps both cores busy, so that being within 0.8 of it leaves a quarter of its time "
            "for all else; and as nothing is written the second time, what is left of that is Python's part of the "
            "first.",
            "Where a peer wins: " + "; ".join(list_wins_of_peers(taken, rates, sizes)) + ".",
            f"dlt by default and row by row load {bars['dlt by default']:,} and {bars['row by row']:,} of these bars; "
            "their rows/s are those of that part. The memory is the peak, beyond Python and the imported libraries. "
            "dlt's table has the vendor's ten columns and no second index; those of bare COPY and row by row have "
            "`market_data`'s, the source, flags and times of each bar among them, and a second index.",
        ],
    )


def list_wins_of_peers(
    taken: dict[str, list[Measured]], rates: dict[str, list[float]], sizes: dict[str, int]
) -> Iterator[str]:
    """Yield the figures in which others are better than the project."""
    mib = {name: statistics.median(each.mib for each in several) for name, several in taken.items()}
    fewer: dict[str, dict[str, float]] = {"memory": mib, "bytes a bar": {**sizes}}
    faster = [name for name in sizes if statistics.median(rates[name]) > statistics.median(rates["the project's"])]
    yield f"in rows/s {', '.join(faster) or 'none'}"
    for what, figures in fewer.items():
        less = [name for name in sizes if figures[name] < figures["the project's"]]
        yield f"in {what} {', '.join(less) or 'none'}"


FULL = Size()
TINY = Size(symbols=3, sessions=30, symbols_by_default=2, symbols_row_by_row=1, rounds=1)

if __name__ == "__main__":
    run_command_line(run, FULL, TINY)
