"""Fetching of a market's sessions over real HTTP: interfaces, order, errors of one and of all, replaced files."""

from collections.abc import Sequence
from datetime import date

import pytest
from pydantic import SecretStr

from market_pipeline.core import stop_signals
from market_pipeline.core.market_bars import MarketSession
from market_pipeline.core.plans import PLANS, PlanName
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings, SettingsError
from market_pipeline.polygon import vendor_errors
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.polygon.market_fetcher import SESSIONS_AHEAD, MarketFetcher, MarketSessionError
from market_pipeline_tests.integration.market_vendor import (
    FROM_SANDBOX,
    NOW,
    US_STOCKS,
    MarketVendor,
    flat_file,
    market_fetcher,
    s3_error,
)
from market_pipeline_tests.integration.polygon_cases import error_reply
from market_pipeline_tests.scripted_vendor import Reply, ScriptedVendor

SESSIONS = list_sessions("XNYS", date(2024, 1, 16), date(2024, 1, 31))
PUBLISHED = {day: f"etag-{day}" for day in SESSIONS}
Results = Sequence[MarketSession | MarketSessionError]


def fetch(
    market: MarketVendor, sessions: Sequence[date] = SESSIONS, from_files: Sequence[date] = (), **options: object
) -> tuple[Results, ScriptedVendor]:
    with market_fetcher(market, **options) as (fetcher, vendor):  # type: ignore[arg-type]
        return list(fetcher.iterate(sessions, from_files)), vendor


def origins(results: Results) -> list[str]:
    return ["error" if isinstance(result, MarketSessionError) else str(result.origin) for result in results]


def failed(result: MarketSession | MarketSessionError) -> MarketSessionError:
    assert isinstance(result, MarketSessionError)
    return result


def loaded(result: MarketSession | MarketSessionError) -> MarketSession:
    assert isinstance(result, MarketSession)
    return result


def test_a_history_comes_from_files_and_its_newest_sessions_from_grouped_requests() -> None:
    results, vendor = fetch(MarketVendor(PUBLISHED))
    assert [result.session for result in results] == SESSIONS
    assert origins(results) == ["flat file"] * 10 + ["grouped"] * 2
    assert sum(loaded(result).requests for result in results) == len(vendor.requests) == 13  # with the list
    first, last = loaded(results[0]), loaded(results[-1])
    assert (first.version, last.version) == (f"etag-{SESSIONS[0]}", None)
    for name in ("date", "open", "high", "low", "close", "volume", "transactions"):
        assert first.columns[name].dtype == last.columns[name].dtype
    assert list(first.tickers) == list(last.tickers) == ["AAPL", "KIMpL"]
    assert first.payload(1) == {
        "ticker": "KIMpL", "volume": "100.5", "open": "10", "close": "11", "high": "12", "low": "9",
        "window_start": "1705381200000000000", "transactions": "7",
    }  # fmt: skip
    assert last.payload(1) == {
        "T": "KIMpL", "v": 100.5, "vw": 10.5, "o": 10, "c": 11, "h": 12, "l": 9, "t": 1706734800000, "n": 7,
    }  # fmt: skip


def test_a_night_within_the_rate_limit_requests_no_list() -> None:
    results, vendor = fetch(MarketVendor(PUBLISHED), SESSIONS[-5:], requests_per_minute=5)
    assert origins(results) == ["grouped"] * 5
    assert len(vendor.requests) == 5


def test_without_keys_every_session_is_requested() -> None:
    results, vendor = fetch(MarketVendor(PUBLISHED), with_keys=False)
    assert origins(results) == ["grouped"] * 12
    assert len(vendor.requests) == 12


def test_without_permission_to_list_every_session_is_requested() -> None:
    results, vendor = fetch(MarketVendor(PUBLISHED, {"list-type": s3_error(403, "AccessDenied")}))
    assert origins(results) == ["grouped"] * 12
    assert sum(loaded(result).requests for result in results) == len(vendor.requests) == 13


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (s3_error(403, "AccessDenied"), "403 AccessDenied"),
        (Reply(flat_file(SESSIONS[4], "AAPL"), 200, FROM_SANDBOX), f"has the bars of {SESSIONS[4]}"),
        (Reply(flat_file(SESSIONS[3], "AAPL")[:50], 200, FROM_SANDBOX), "is cut off"),
        (Reply(b"ticker,open\nA,1\n", 200, FROM_SANDBOX), "has no column high, low, close"),
    ],
)
def test_a_grouped_request_replaces_an_unusable_file(reply: Reply, problem: str) -> None:
    results, vendor = fetch(MarketVendor(PUBLISHED, {f"{SESSIONS[3]}.csv.gz": reply}))
    assert origins(results) == ["flat file"] * 3 + ["grouped"] + ["flat file"] * 6 + ["grouped"] * 2
    (note,) = loaded(results[3]).notes
    assert problem in note
    assert note.endswith("A grouped request took its place")
    assert sum(loaded(result).requests for result in results) == len(vendor.requests)


def test_many_unusable_files_do_not_become_many_grouped_requests() -> None:
    files = SESSIONS[:10]  # the others are requested anyway
    broken = Reply(b"ticker,open\nA,1\n", 200, FROM_SANDBOX)
    results, vendor = fetch(MarketVendor(PUBLISHED, {"/flatfiles/us_stocks": broken}))
    instead = [path for path in vendor.paths if any(f"/grouped/locale/us/market/stocks/{day}" in path for day in files)]
    assert len(instead) == 2
    assert origins(results)[-3:] == ["error"] * 3
    last = failed(results[-1])
    assert list(last.not_requested) == SESSIONS[len(results) :]
    assert f"Not requested after it: {len(last.not_requested)} sessions from {last.not_requested[0]}" in last.message


def test_the_error_of_one_session_leaves_the_others() -> None:
    market = MarketVendor({}, {f"/{SESSIONS[2]}": Reply(b"{", 200, FROM_SANDBOX)})
    results, _ = fetch(market)
    assert origins(results) == ["grouped"] * 2 + ["error"] + ["grouped"] * 9
    error = failed(results[2])
    assert (error.session, type(error.error), error.not_requested) == (SESSIONS[2], vendor_errors.CutShortError, ())
    assert error.error.requests == 3


@pytest.mark.parametrize(
    ("faults", "kind", "errors"),
    [
        ({"/grouped/": error_reply(401, "Unknown API Key", **FROM_SANDBOX)}, vendor_errors.BadKeyError, 1),
        ({"/grouped/": Reply(b"", 502)}, vendor_errors.VendorDownError, 3),
        ({"list-type": s3_error(403, "InvalidAccessKeyId")}, vendor_errors.BadKeyError, 1),
        ({"list-type": Reply(b"", 503)}, vendor_errors.VendorDownError, 1),
    ],
)
def test_an_error_of_all_sessions_ends_soon_and_is_reported_once(
    faults: dict[str, Reply], kind: type[vendor_errors.PolygonError], errors: int
) -> None:
    results, vendor = fetch(MarketVendor({}, faults), with_keys="list-type" in faults)
    if "list-type" in faults:
        assert failed(results[0]).error.requests == len(vendor.requests)
    assert origins(results) == ["error"] * errors
    assert {type(failed(result).error) for result in results} == {kind}
    assert list(failed(results[-1]).not_requested) == SESSIONS[errors:]
    assert len(vendor.requests) <= (errors + SESSIONS_AHEAD) * 3


def test_sessions_outside_a_known_plan_are_not_requested() -> None:
    sessions = [date(2022, 2, 25), *SESSIONS, date(2024, 3, 1)]
    results, vendor = fetch(MarketVendor({}), sessions, with_keys=False, plan=PLANS[PlanName.BASIC])
    assert origins(results) == ["error", *["grouped"] * 12, "error"]
    assert len(vendor.requests) == 12
    old, new = failed(results[0]), failed(results[-1])
    assert (type(old.error), str(old.error)) == (vendor_errors.PlanError, "your plan starts at 2022-03-01")
    assert isinstance(new.error, vendor_errors.NotYetAvailableError)


def test_the_start_of_an_unknown_plans_history_is_found_with_few_requests() -> None:
    old = list_sessions("XNYS", date(2019, 1, 2), date(2019, 3, 1))  # 5 years before NOW: 2019-03-01
    market = MarketVendor(
        {}, {"/2019-": error_reply(403, "Your plan doesn't include this data timeframe", **FROM_SANDBOX)}
    )
    results, vendor = fetch(market, [*old, *SESSIONS], with_keys=False)
    assert [failed(result).session for result in results[: len(old)]] == old
    assert origins(results[len(old) :]) == ["grouped"] * 12
    assert len(vendor.requests) <= 12 + 2 * (SESSIONS_AHEAD + 1)


def test_replaced_files_are_found_by_one_request_and_read_again() -> None:
    stored = {**PUBLISHED, SESSIONS[9]: "another"}
    with market_fetcher(MarketVendor(PUBLISHED), requests_per_minute=5) as (fetcher, vendor):
        changed = fetcher.find_changed_files(stored)
        assert (changed, len(vendor.requests)) == ([SESSIONS[9]], 1)
        results = list(fetcher.iterate(SESSIONS[-5:], changed))
    assert origins(results) == ["grouped"] * 2 + ["flat file"] + ["grouped"] * 2
    assert sum(loaded(result).requests for result in results) == len(vendor.requests)
    with market_fetcher(MarketVendor(PUBLISHED), with_keys=False) as (fetcher, vendor):
        assert fetcher.find_changed_files(stored) == []
        assert not vendor.requests


def test_only_a_few_sessions_are_fetched_ahead() -> None:
    with market_fetcher(MarketVendor(PUBLISHED)) as (fetcher, vendor):
        results = fetcher.iterate(SESSIONS)
        next(results)
        assert len(vendor.requests) <= 1 + 1 + SESSIONS_AHEAD  # the list, the first, and those ahead of it
        results.close()  # type: ignore[attr-defined]
        assert len(vendor.requests) <= 1 + 1 + SESSIONS_AHEAD


def test_no_session_is_begun_after_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    with market_fetcher(MarketVendor(PUBLISHED)) as (fetcher, vendor):
        results = fetcher.iterate(SESSIONS)
        next(results)
        monkeypatch.setattr(stop_signals, "is_requested", lambda: True)
        with pytest.raises(stop_signals.Interrupted):
            next(results)
    assert len(vendor.requests) <= 1 + 1 + SESSIONS_AHEAD


def test_bars_of_a_sandbox_and_of_the_vendor_are_not_mixed() -> None:
    settings = Settings(
        _env_file=None,
        polygon_api_key=SecretStr("k"),
        polygon_s3_access_key=SecretStr("a"),
        polygon_s3_secret_key=SecretStr("s"),
        polygon_s3_endpoint="http://127.0.0.1:8900",
    )
    message = "^POLYGON_S3_ENDPOINT and POLYGON_BASE_URL must both be the vendor's"
    with PolygonClient.from_settings(settings, LocalLimiter(5)) as client, pytest.raises(SettingsError, match=message):
        MarketFetcher.from_settings(settings, client, US_STOCKS, NOW)
