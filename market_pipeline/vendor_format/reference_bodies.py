"""The endpoints of reference data: splits and dividends in both of the vendor's generations, tickers and their types.

Source: the vendor's OpenAPI documents and recorded bodies, also for the order of fields.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from market_pipeline.vendor_format.error_bodies import Body
from market_pipeline.vendor_format.list_requests import (
    ListedRecord,
    ListEndpoint,
    Reader,
    parse_date,
    parse_flag,
    select_fields,
)
from market_pipeline.vendor_format.vendor_request import VendorRequest

FACTOR_DECIMALS = 6

OLDER_SPLITS = ListEndpoint(
    fields=("execution_date", "id", "split_from", "split_to", "ticker"),
    filters={"ticker": str, "execution_date": parse_date, "reverse_split": parse_flag},
    sort="execution_date",
    descending=True,
    limit=10,
    most=1_000,
)
NEWER_SPLITS = ListEndpoint(
    fields=("adjustment_type", "execution_date", "historical_adjustment_factor", *OLDER_SPLITS.fields[1:]),
    filters={"ticker": str, "execution_date": parse_date, "adjustment_type": str},
    sort="execution_date.desc",
    descending=False,
    limit=100,
    most=5_000,
)

_PAID: dict[str, Reader] = {"ticker": str, "ex_dividend_date": parse_date, "frequency": int}
_OTHER_DATES: dict[str, Reader] = dict.fromkeys(("record_date", "declaration_date", "pay_date"), parse_date)

OLDER_DIVIDENDS = ListEndpoint(
    fields=(
        "cash_amount", "currency", "declaration_date", "dividend_type", "ex_dividend_date", "frequency", "id",
        "pay_date", "record_date", "ticker",
    ),
    filters={**_PAID, **_OTHER_DATES, "cash_amount": float, "dividend_type": str},
    sort="ex_dividend_date",
    descending=True,
    limit=10,
    most=1_000,
)  # fmt: skip
NEWER_DIVIDENDS = ListEndpoint(
    fields=(
        "cash_amount", "currency", "declaration_date", "distribution_type", "ex_dividend_date", "frequency",
        "historical_adjustment_factor", "id", "pay_date", "record_date", "split_adjusted_cash_amount", "ticker",
    ),
    filters={**_PAID, "distribution_type": str},
    sort="ticker.asc",
    descending=False,
    limit=100,
    most=5_000,
)  # fmt: skip

TICKERS = ListEndpoint(
    fields=(
        "ticker", "name", "market", "locale", "primary_exchange", "type", "active", "currency_symbol", "currency_name",
        "base_currency_symbol", "base_currency_name", "cik", "composite_figi", "share_class_figi", "last_updated_utc",
        "delisted_utc",
    ),
    filters=dict.fromkeys(("ticker", "type", "market", "exchange", "cusip", "cik"), str),
    sort="ticker",
    descending=False,
    limit=100,
    most=1_000,
)  # fmt: skip

CURRENCIES = {"USD": "United States dollar", "EUR": "Euro", "GBP": "Great Britain Pound", "BTC": "Bitcoin"}

TYPES = {
    "CS": "Common Stock", "PFD": "Preferred Stock", "WARRANT": "Warrant", "RIGHT": "Rights", "BOND": "Corporate Bond",
    "ETF": "Exchange Traded Fund", "ETN": "Exchange Traded Note", "ETV": "Exchange Traded Vehicle",
    "ETS": "Single-security ETF", "SP": "Structured Product", "ADRC": "American Depository Receipt Common",
    "ADRP": "American Depository Receipt Preferred", "ADRW": "American Depository Receipt Warrants",
    "ADRR": "American Depository Receipt Rights", "FUND": "Fund", "BASKET": "Basket", "UNIT": "Unit",
    "LT": "Liquidating Trust", "OS": "Ordinary Shares", "GDR": "Global Depository Receipts",
    "NYRS": "New York Registry Shares", "OTHER": "Other Security Type",
}  # fmt: skip
"""The vendor's type codes of stocks, with their descriptions."""


def build_list_body(
    request: VendorRequest, endpoint: ListEndpoint, found: Sequence[Mapping[str, Any]], more: Mapping[str, object]
) -> Body:
    """Return the body with a page of records, whose other fields are left out; `more` are fields at its end."""
    return {"results": [select_fields(endpoint, record) for record in found], **request.envelope(**more)}


def build_stock_fields(primary_exchange: str | None, kind: str | None) -> ListedRecord:
    """Return the fields of a stock's or fund's record that depend on its market; `exchange` is for the filter."""
    exchange = {"primary_exchange": primary_exchange, "exchange": primary_exchange} if primary_exchange else {}
    return {"market": "stocks", "locale": "us", **exchange, **({"type": kind} if kind else {}), "currency_name": "usd"}


def build_crypto_fields(ticker: str) -> ListedRecord:
    """Return the fields of a crypto pair's record that follow from its ticker."""
    base, quote = ticker.removeprefix("X:")[:-3], ticker[-3:]
    return {
        "market": "crypto",
        "locale": "global",
        "currency_symbol": quote,
        "currency_name": CURRENCIES.get(quote, quote),
        "base_currency_symbol": base,
        "base_currency_name": base,
    }


def build_delisted_field(last: date | None) -> ListedRecord:
    """Return the field with the last day that a ticker traded, or nothing if it isn't known."""
    return {} if last is None else {"delisted_utc": f"{last}T00:00:00Z"}


def build_ticker_change(ticker: str, first: date | None) -> ListedRecord:
    """Return the event of a security's change to a ticker; without `date` if that isn't known."""
    known = {} if first is None else {"date": str(first)}
    return {"ticker_change": {"ticker": ticker}, "type": "ticker_change", **known}


def build_types_body(request: VendorRequest) -> Body:
    """Return the body with the types of stocks; without any if those of another asset class or locale are requested."""
    kind = {"asset_class": "stocks", "locale": "us"}
    is_requested = all(request.parameters.get(name, value) == value for name, value in kind.items())
    kinds = [{"code": code, "description": description, **kind} for code, description in TYPES.items() if is_requested]
    return {"results": kinds, **request.envelope(), "count": len(kinds)}
