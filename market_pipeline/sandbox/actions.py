"""The endpoints that list splits and dividends, in both of the vendor's generations.

Source: the vendor's OpenAPI documents and recorded bodies.
"""

from collections.abc import Callable, Iterable

from market_pipeline.sandbox.dividends import DECLARED_BEFORE, PAID_AFTER, QUARTERLY, RECORD_AFTER, Dividend
from market_pipeline.sandbox.endpoint_responses import EndpointResponse
from market_pipeline.sandbox.listings import Listing
from market_pipeline.sandbox.market import VisibleBars
from market_pipeline.sandbox.pages import (
    ListEndpoint,
    Reader,
    Record,
    a_date,
    a_flag,
    listed,
    on_the_wire,
    wanted_tickers,
)
from market_pipeline.sandbox.request import ApiRequest

FACTOR_DECIMALS = 6

OLDER_SPLITS = ListEndpoint(
    fields=("execution_date", "id", "split_from", "split_to", "ticker"),
    filters={"ticker": str, "execution_date": a_date, "reverse_split": a_flag},
    sort="execution_date",
    descending=True,
    limit=10,
    most=1_000,
)
NEWER_SPLITS = ListEndpoint(
    fields=("adjustment_type", "execution_date", "historical_adjustment_factor", *OLDER_SPLITS.fields[1:]),
    filters={"ticker": str, "execution_date": a_date, "adjustment_type": str},
    sort="execution_date.desc",
    descending=False,
    limit=100,
    most=5_000,
)

_PAID: dict[str, Reader] = {"ticker": str, "ex_dividend_date": a_date, "frequency": int}
_OTHER_DATES: dict[str, Reader] = dict.fromkeys(("record_date", "declaration_date", "pay_date"), a_date)

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


def older_splits(call: ApiRequest) -> EndpointResponse:
    """Splits as /v3/reference/splits lists them: newest first, ten a page.

    Raises:
        RejectedRequestError: a parameter can't be read.
    """
    return _answer(call, OLDER_SPLITS, _splits)


def newer_splits(call: ApiRequest) -> EndpointResponse:
    """Splits as /stocks/v1/splits lists them: with their cumulative factors.

    Raises:
        RejectedRequestError: a parameter can't be read.
    """
    return _answer(call, NEWER_SPLITS, _splits)


def older_dividends(call: ApiRequest) -> EndpointResponse:
    """Dividends as /v3/reference/dividends lists them: newest first, ten a page.

    Raises:
        RejectedRequestError: a parameter can't be read.
    """
    return _answer(call, OLDER_DIVIDENDS, _dividends)


def newer_dividends(call: ApiRequest) -> EndpointResponse:
    """Dividends as /stocks/v1/dividends lists them: with their cumulative factors.

    Raises:
        RejectedRequestError: a parameter can't be read.
    """
    return _answer(call, NEWER_DIVIDENDS, _dividends)


def _answer(
    call: ApiRequest, endpoint: ListEndpoint, records_of: Callable[[ApiRequest, Listing], Iterable[Record]]
) -> EndpointResponse:
    universe = call.market.universe
    named = [universe.find(ticker) for ticker in wanted_tickers(call)]
    listings = [listing for listing in named or universe.all() if listing is not None]
    found, more = listed(call, endpoint, (record for listing in listings for record in records_of(call, listing)))
    body = {"results": [on_the_wire(endpoint, record) for record in found], **call.envelope(**more)}
    if not found:
        return EndpointResponse(body)
    return EndpointResponse(body, "recorded" if all(record["recorded"] for record in found) else "generated")


def _splits(call: ApiRequest, listing: Listing) -> list[Record]:
    return [_split_record(shown, listing) for shown in call.market.splits(listing)]


def _split_record(shown: VisibleBars, listing: Listing) -> Record:
    split = shown.split
    return {
        "adjustment_type": split.kind,
        "execution_date": str(split.execution_date),
        "historical_adjustment_factor": round(shown.cumulative_factor, FACTOR_DECIMALS),
        "id": split.vendor_id,
        "reverse_split": split.kind == "reverse_split",
        "split_from": split.split_from,
        "split_to": split.split_to,
        "ticker": split.ticker,
        "recorded": listing.recorded,
    }


def _dividends(call: ApiRequest, listing: Listing) -> list[Record]:
    return [_dividend_record(dividend, listing) for dividend in call.market.dividends(listing)]


def _dividend_record(dividend: Dividend, listing: Listing) -> Record:
    recorded = {
        "cash_amount": dividend.cash,
        "currency": "USD",
        "distribution_type": "special" if dividend.special else "recurring",
        "dividend_type": "SC" if dividend.special else "CD",
        "ex_dividend_date": str(dividend.ex_date),
        "historical_adjustment_factor": dividend.cumulative_factor,
        "id": dividend.vendor_id,
        "split_adjusted_cash_amount": dividend.split_adjusted_cash,
        "ticker": dividend.ticker,
        "recorded": listing.recorded,
    }
    return recorded if listing.recorded else {**recorded, **_made_up(dividend)}


def _made_up(dividend: Dividend) -> Record:
    """What isn't recorded of a real dividend: the vendor leaves out what it doesn't know."""
    return {
        "declaration_date": str(dividend.ex_date - DECLARED_BEFORE),
        "frequency": QUARTERLY,
        "pay_date": str(dividend.ex_date + PAID_AFTER),
        "record_date": str(dividend.ex_date + RECORD_AFTER),
    }
