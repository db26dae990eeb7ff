"""Reference data of symbols, and the difference between a symbol that was delisted and one that fails."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pytest
import requests
from dagster import DagsterInstance
from sqlalchemy import Engine, func, select

from market_pipeline.core.run_planning import Gap, RangeRun
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import AssetClass, Symbol
from market_pipeline.ingest import Run, ingest
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.run_launch import launch_range_run, open_instance
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.fetcher import Fetcher
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.polygon.vendor_errors import UnknownTickerError
from market_pipeline.reference_data import fetch_reference, find_asset_class
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.security_refresh import refresh_reference
from market_pipeline.warehouse.bar_tables import market_data
from market_pipeline.warehouse.coverage import find_oldest_gaps
from market_pipeline.warehouse.load_history import LoadResult
from market_pipeline.warehouse.tables import backfill_history, tracked_symbols
from market_pipeline.warehouse.tracked_symbols import Reference, add_symbols, read_delistings, record_reference
from market_pipeline_tests.bar_frames import frame_of
from market_pipeline_tests.integration.polygon_cases import client_of, error_reply, ok
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor

AAPL, FB, GONECO, META, NOSUCH = (Symbol.of(name, "stock") for name in ("AAPL", "FB", "GONECO", "META", "NOSUCH"))
NOW = datetime(2024, 6, 15, 2, tzinfo=UTC)
LAST_DAY = date(2020, 3, 31)
AROUND = list_sessions("XNYS", date(2020, 3, 30), date(2020, 4, 2))
AFTER = list_sessions("XNYS", date(2021, 3, 1), date(2021, 3, 5))

NAME = "Meta Platforms, Inc. Class A Common Stock"
OLD = {"ticker": "FB", "name": NAME, "type": "CS", "active": False, "delisted_utc": "2022-06-09T00:00:00Z"}
NEW = {"ticker": "META", "name": NAME, "type": "CS", "primary_exchange": "XNAS", "active": True}
CHANGES = [
    {"ticker_change": {"ticker": "META"}, "type": "ticker_change", "date": "2022-06-09"},
    {"ticker_change": {"ticker": "FB"}, "type": "ticker_change", "date": "2012-05-18"},
]


def reference(**stated: Any) -> Reference:
    nothing = dict.fromkeys(("name", "vendor_type", "primary_exchange", "delisted_on", "renamed_to"))
    return Reference(**{**nothing, "listed": False, **stated})


@pytest.fixture
def sandbox() -> Iterator[str]:
    with running_sandbox(SandboxConfig()) as base_url:
        yield base_url


@pytest.fixture
def client(sandbox: str) -> Iterator[PolygonClient]:
    with PolygonClient(sandbox, None, source="sandbox", limiter=LocalLimiter(100_000)) as opened:
        yield opened


def requests_sent(sandbox: str) -> int:
    return int(requests.get(f"{sandbox}/_sandbox/stats", timeout=10).json()["requests"])


def result_of(symbol: Symbol, sessions: Sequence[date], client: PolygonClient, warehouse: Engine) -> LoadResult:
    add_symbols(warehouse, [symbol])
    [[result]] = ingest(
        [symbol],
        sessions,
        vendor=Fetcher(client, [symbol], sessions, NOW),
        fetch_reference=partial(refresh_reference, client, warehouse),
        delisted=read_delistings(warehouse),
        warehouse=warehouse,
        run=Run("run-1", "cli"),
    )
    return result


# --- the vendor's reference data


def test_a_ticker_whose_company_continues_under_another_is_reported_as_renamed() -> None:
    replies = (ok([]), ok([OLD]), ok([NEW]), ok({"name": NAME, "events": CHANGES}))
    with scripted_vendor(*replies) as vendor, client_of(vendor) as client:
        found = fetch_reference(client, FB)
    assert vendor.paths[3] == "/vX/reference/tickers/META/events?types=ticker_change"
    assert (found.listed, found.delisted_on, found.renamed_to) == (False, date(2022, 6, 9), "META")
    assert found.ending == "renamed to META after 2022-06-09"


def test_without_a_last_day_it_is_the_one_before_the_renaming() -> None:
    replies = (ok([]), ok([{**OLD, "delisted_utc": None}]), ok([NEW]), ok({"events": CHANGES}))
    with scripted_vendor(*replies) as vendor, client_of(vendor) as client:
        assert fetch_reference(client, FB).delisted_on == date(2022, 6, 8)


@pytest.mark.parametrize(
    "after",
    [
        (ok([]),),
        (ok([NEW]), ok({"events": CHANGES[:1]})),  # another company of the same name
        (ok([NEW]), error_reply(403, "You are not entitled to this data.")),
        (ok([{"ticker": "../../X", "name": NAME}]),),
    ],
)
def test_a_delisting_is_reported_where_no_later_ticker_is_known(after: tuple[Reply, ...]) -> None:
    with scripted_vendor(ok([]), ok([OLD]), *after) as vendor, client_of(vendor) as client:
        found = fetch_reference(client, FB)
    assert len(vendor.paths) == 2 + len(after)
    assert found.ending == "delisted on 2022-06-09"


def test_a_delisting_without_a_date_is_reported() -> None:
    assert reference().ending == "no longer trades, and the vendor doesn't say since when"
    assert reference(listed=True).ending is None


@pytest.mark.parametrize(
    ("vendor_type", "expected"),
    [("CS", AssetClass.STOCK), ("ADRC", AssetClass.STOCK), ("ETF", AssetClass.ETF), ("FUND", AssetClass.ETF),
     ("BASKET", None), (None, None)],
)  # fmt: skip
def test_the_vendors_types_stand_for_asset_classes_where_that_is_certain(
    vendor_type: str | None, expected: AssetClass | None
) -> None:
    assert find_asset_class(reference(vendor_type=vendor_type)) is expected


def test_a_later_response_replaces_an_earlier_one(client: PolygonClient, warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL, NOSUCH])
    record_reference(warehouse, AAPL, reference(name="An Apple", delisted_on=LAST_DAY, renamed_to="PEAR"))
    assert set(read_delistings(warehouse)) == {"AAPL"}
    assert refresh_reference(client, warehouse, AAPL).name == "AAPL (sandbox)"
    assert not read_delistings(warehouse)
    with pytest.raises(UnknownTickerError):
        refresh_reference(client, warehouse, NOSUCH)
    with warehouse.connect() as connection:
        rows = {row.symbol: row for row in connection.execute(select(tracked_symbols))}
    assert (rows["AAPL"].name, rows["AAPL"].listed, rows["AAPL"].renamed_to) == ("AAPL (sandbox)", True, None)
    assert rows["NOSUCH"].checked_at is None


# --- its effect on a run


def test_sessions_after_a_known_delisting_are_neither_requested_nor_missing(
    client: PolygonClient, warehouse: Engine
) -> None:
    add_symbols(warehouse, [AAPL])
    record_reference(warehouse, AAPL, reference(delisted_on=LAST_DAY))  # though the vendor would have more
    result = result_of(AAPL, AROUND, client, warehouse)
    assert (result.sessions, result.loaded, result.missing, result.rejected) == (2, 2, 0, 0)
    assert result.notes == ("delisted on 2020-03-31",)


def test_a_run_after_a_known_delisting_requests_nothing_and_is_no_failure(
    sandbox: str, client: PolygonClient, warehouse: Engine
) -> None:
    add_symbols(warehouse, [GONECO])
    refresh_reference(client, warehouse, GONECO)
    before = requests_sent(sandbox)
    result = result_of(GONECO, AFTER, client, warehouse)
    assert requests_sent(sandbox) == before
    assert (result.error, result.sessions, result.missing, result.fetched) == (None, 0, 0, 0)
    with warehouse.connect() as connection:
        row = connection.execute(select(backfill_history)).one()
    assert (row.success, row.notes) == (True, "delisted on 2020-03-31")
    assert (row.start_date, row.end_date, row.sessions, row.missing) == (AFTER[0], AFTER[-1], 0, 0)


def test_a_delisting_that_explains_the_lack_of_data_is_found_and_stored(
    client: PolygonClient, warehouse: Engine
) -> None:
    result = result_of(GONECO, AFTER, client, warehouse)
    assert (result.error, result.missing) == (None, 0)
    assert result.notes == ("delisted on 2020-03-31",)
    assert read_delistings(warehouse)["GONECO"].delisted_on == LAST_DAY


def test_an_unknown_ticker_stays_a_failure_and_is_called_one(client: PolygonClient, warehouse: Engine) -> None:
    error = result_of(NOSUCH, AFTER, client, warehouse).error
    assert error is not None
    assert error.startswith("No data returned for symbol (2021-03-01 to 2021-03-05): ")
    assert "the vendor knows no ticker NOSUCH" in error


def test_a_listed_symbol_without_data_stays_a_failure(client: PolygonClient, warehouse: Engine) -> None:
    before_its_first = list_sessions("XNYS", date(2004, 8, 2), date(2004, 8, 6))
    error = result_of(Symbol.of("GOOG", "stock"), before_its_first, client, warehouse).error
    assert error == (
        "No data returned for symbol (2004-08-02 to 2004-08-06): the vendor knows GOOG; check that it was listed then"
    )


def test_a_failure_names_the_vendor_once(warehouse: Engine, caplog: pytest.LogCaptureFixture) -> None:
    with scripted_vendor(error_reply(403, "Your plan doesn't cover that")) as vendor, client_of(vendor) as client:
        error = result_of(FB, AFTER, client, warehouse).error
    assert error is not None
    assert error.startswith("2021-03-01 to 2021-03-05: the vendor returned 403")
    assert f"Failed FB: {error}" in caplog.messages


def test_a_symbol_delisted_later_without_data_stays_a_failure(warehouse: Engine) -> None:
    empty = Reply({"ticker": "FB", "adjusted": False, "status": "OK", "request_id": "1", "resultsCount": 0})
    replies = (empty, empty, ok([]), ok([OLD]), ok([]))
    with scripted_vendor(*replies) as vendor, client_of(vendor) as client:
        error = result_of(FB, AFTER, client, warehouse).error
    assert error is not None
    assert "No data returned for symbol (2021-03-01 to 2021-03-05): delisted on 2022-06-09" in error


def test_no_bar_after_the_last_day_is_fetched_in_either_way(client: PolygonClient) -> None:
    many = [Symbol.of(f"AA{letter}", "stock") for letter in "ABCDEFGH"]
    for symbols in (many, many[:1]):
        fetched = Fetcher(client, symbols, AROUND, NOW).fetch_bars(many[0], LAST_DAY)
        assert [day.date() for day in frame_of(fetched)["date"]] == AROUND[:2]


def test_a_symbol_that_has_ended_does_not_make_every_night_reach_back_to_its_end(
    client: PolygonClient, warehouse: Engine
) -> None:
    def gaps() -> Mapping[str, Gap]:
        return find_oldest_gaps(warehouse, ["AAPL", "GONECO"], AROUND[0], AFTER[-1])

    result_of(GONECO, AROUND[:2], client, warehouse)
    result_of(AAPL, AFTER, client, warehouse)
    assert set(gaps()) == {"GONECO"}
    refresh_reference(client, warehouse, GONECO)
    assert gaps() == {}


def test_partitions_after_a_delisting_hold_no_row_and_the_run_succeeds(
    settings: Settings, environment: dict[str, str], sandbox: str, client: PolygonClient, warehouse: Engine
) -> None:
    on_sandbox = settings.model_copy(update={"polygon_base_url": sandbox})
    add_symbols(warehouse, [AAPL, GONECO])
    refresh_reference(client, warehouse, GONECO)
    with open_instance(settings) as instance:
        for sessions in (AROUND, AFTER):
            covered = RangeRun("XNYS", [AAPL, GONECO], sessions)
            assert launch_range_run(build_loading(on_sandbox), covered, instance, warehouse).success
        assert rows(instance, AAPL) == dict.fromkeys([*AROUND, *AFTER], 1)
        assert rows(instance, GONECO) == {
            **dict.fromkeys(AROUND[:2], 1),
            **dict.fromkeys([*AROUND[2:], *AFTER], "after its last day on the market, 2020-03-31"),
        }
    with warehouse.connect() as connection:
        assert connection.execute(select(func.count()).where(market_data.c.symbol == "GONECO")).scalar_one() == 2


def rows(instance: DagsterInstance, symbol: Symbol) -> dict[date, Any]:
    """Return the row count of each materialized partition, or the reason for none."""
    records = instance.fetch_materializations(build_asset_key(symbol), limit=100).records
    found = [record.asset_materialization for record in records if record.asset_materialization is not None]
    return {
        date.fromisoformat(str(event.partition)): event.metadata.get(
            "reason", event.metadata["dagster/partition_row_count"]
        ).value
        for event in found
    }
