"""Shared by the tests of splits and dividends: the vendor's records, refreshes, and the stored rows."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy import Engine, Table, select

from market_pipeline.core.symbols import Symbol
from market_pipeline.corporate_action_requests import refresh_actions
from market_pipeline.warehouse.corporate_action_refresh import SPLITS, ActionTable, plan_refresh
from market_pipeline.warehouse.corporate_actions import RefreshResult
from market_pipeline.warehouse.tables import rejected_corporate_actions, splits
from market_pipeline.warehouse.tracked_symbols import list_active_symbols
from market_pipeline_tests.integration.polygon_cases import client_of
from market_pipeline_tests.scripted_vendor import Reply, ScriptedVendor, scripted_vendor

AAPL, MSFT, BTC = Symbol.of("AAPL", "stock"), Symbol.of("MSFT", "stock"), Symbol.of("BTC", "crypto")
MANY = [Symbol.of(f"S{letter}", "stock") for letter in "ABCDEFGH"]
NOW = datetime(2024, 6, 3, 2, 0, tzinfo=UTC)

SPLIT: dict[str, Any] = {
    "ticker": "AAPL", "execution_date": "2020-08-31", "split_from": 1, "split_to": 4, "id": "E1",
}  # fmt: skip
DIVIDEND: dict[str, Any] = {
    "ticker": "AAPL", "ex_dividend_date": "2024-05-10", "cash_amount": 0.25, "currency": "USD", "id": "E2",
    "distribution_type": "recurring", "frequency": 4, "declaration_date": "2024-05-02", "record_date": "2024-05-13",
    "pay_date": "2024-05-16",
}  # fmt: skip


def listing(*records: dict[str, Any]) -> Reply:
    return Reply({"status": "OK", "request_id": "1", "results": list(records)})


def refresh_once(
    warehouse: Engine, vendor: ScriptedVendor, actions: ActionTable = SPLITS, *, at: datetime = NOW, run: str = "run-1"
) -> RefreshResult:
    with client_of(vendor) as client:
        symbols = list_active_symbols(warehouse)
        plan = plan_refresh(warehouse, actions, symbols, at)
        result = refresh_actions(client, warehouse, actions, plan, symbols, run_id=run)
    assert result.stored is not None
    return result.stored


def refresh_from(
    warehouse: Engine, *replies: Reply, actions: ActionTable = SPLITS, run: str = "run-1"
) -> RefreshResult:
    """Return the result of a refresh that gets these replies, all of which it requests."""
    with scripted_vendor(*replies) as vendor:
        result = refresh_once(warehouse, vendor, actions, run=run)
        assert not vendor.replies
    return result


def counts(result: RefreshResult) -> dict[str, int]:
    names = ("loaded", "revised", "unchanged", "rejected", "removed")
    return {name: getattr(result, name) for name in names if getattr(result, name)}


def rows(warehouse: Engine, table: Table) -> list[dict[str, Any]]:
    with warehouse.connect() as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]


def factors(warehouse: Engine) -> list[tuple[Any, ...]]:
    names = ("symbol", "execution_date", "split_from", "split_to")
    return [tuple(row[name] for name in names) for row in rows(warehouse, splits)]


def rejected_reasons(warehouse: Engine) -> list[tuple[str, str, Any]]:
    """Return kind, reason and distinguishing value of each rejected action."""
    found = rows(warehouse, rejected_corporate_actions)
    return [(row["kind"], *row["reasons"], row["payload"].get("split_to")) for row in found]


def requested_tickers(vendor: ScriptedVendor) -> list[list[str] | None]:
    """Return the tickers of each request, None for the whole market."""
    queries = [dict(parse_qsl(urlsplit(path).query)) for path in vendor.paths]
    named = [query.get("ticker.any_of", query.get("ticker")) for query in queries]
    return [names.split(",") if names else None for names in named]
