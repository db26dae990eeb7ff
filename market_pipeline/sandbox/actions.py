"""The endpoints that list splits and dividends. `reference_bodies` writes their responses."""

from collections.abc import Callable, Iterable

from market_pipeline.sandbox.dividends import DECLARED_BEFORE, PAID_AFTER, QUARTERLY, RECORD_AFTER, DividendEvent
from market_pipeline.sandbox.endpoint_responses import EndpointResponse
from market_pipeline.sandbox.listings import Listing
from market_pipeline.sandbox.market import ListedSplit
from market_pipeline.sandbox.pages import list_page
from market_pipeline.sandbox.request import ApiRequest
from market_pipeline.vendor_format.list_requests import ListedRecord, ListEndpoint, read_requested_tickers
from market_pipeline.vendor_format.reference_bodies import FACTOR_DECIMALS, build_list_body


def list_splits(endpoint: ListEndpoint, request: ApiRequest) -> EndpointResponse:
    """List splits as one of the vendor's endpoints does.

    Raises:
        RejectedRequestError: a parameter can't be read.
    """
    return _respond_with_list(request, endpoint, _build_split_records)


def list_dividends(endpoint: ListEndpoint, request: ApiRequest) -> EndpointResponse:
    """List dividends as one of the vendor's endpoints does.

    Raises:
        RejectedRequestError: a parameter can't be read.
    """
    return _respond_with_list(request, endpoint, _build_dividend_records)


def _respond_with_list(
    request: ApiRequest, endpoint: ListEndpoint, records_of: Callable[[ApiRequest, Listing], Iterable[ListedRecord]]
) -> EndpointResponse:
    universe = request.market.universe
    named = read_requested_tickers(request)
    listings = (
        [listing for ticker in named for listing in universe.find_listings(ticker)] if named else universe.list_all()
    )
    found, more = list_page(
        request, endpoint, (record for listing in listings for record in records_of(request, listing))
    )
    body = build_list_body(request, endpoint, found, more)
    if not found:
        return EndpointResponse(body)
    return EndpointResponse(body, "recorded" if all(record["recorded"] for record in found) else "generated")


def _build_split_records(request: ApiRequest, listing: Listing) -> list[ListedRecord]:
    return [_build_split_record(shown, listing) for shown in request.market.list_splits(listing)]


def _build_split_record(shown: ListedSplit, listing: Listing) -> ListedRecord:
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


def _build_dividend_records(request: ApiRequest, listing: Listing) -> list[ListedRecord]:
    return [_build_dividend_record(dividend, listing) for dividend in request.market.list_dividends(listing)]


def _build_dividend_record(dividend: DividendEvent, listing: Listing) -> ListedRecord:
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
    return recorded if listing.recorded else {**recorded, **_build_generated_fields(dividend)}


def _build_generated_fields(dividend: DividendEvent) -> ListedRecord:
    """Return the fields of generated dividends only; a recorded one lacks them, as the vendor omits unknown fields."""
    return {
        "declaration_date": str(dividend.ex_date - DECLARED_BEFORE),
        "frequency": QUARTERLY,
        "pay_date": str(dividend.ex_date + PAID_AFTER),
        "record_date": str(dividend.ex_date + RECORD_AFTER),
    }
