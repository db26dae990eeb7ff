"""The endpoints about tickers: the list, one ticker's details, and its changes of name.

`reference_bodies` writes their responses. Names are the sandbox's own and end in "(sandbox)"; unknown
fields (CIK, mostly FIGI and the exchange) are left out, as the vendor does.
"""

from collections.abc import Iterable
from datetime import date
from functools import lru_cache, partial

from market_pipeline.core.sessions import CALENDARS, Calendar, find_calendar
from market_pipeline.core.symbols import STARTING_SET, AssetClass
from market_pipeline.sandbox.endpoint_responses import EndpointResponse
from market_pipeline.sandbox.issuers import Issue
from market_pipeline.sandbox.listings import FIRST_STOCK_SESSION, Listing
from market_pipeline.sandbox.market import SandboxMarket
from market_pipeline.sandbox.pages import list_page
from market_pipeline.sandbox.random_numbers import draw_number, make_identifier
from market_pipeline.sandbox.request import ApiRequest
from market_pipeline.vendor_format.error_bodies import NO_SUCH_TICKER, RejectedRequestError
from market_pipeline.vendor_format.list_requests import (
    ListedRecord,
    read_requested_tickers,
    select_fields,
    wants_active,
)
from market_pipeline.vendor_format.reference_bodies import (
    TICKERS,
    build_crypto_fields,
    build_delisted_field,
    build_list_body,
    build_stock_fields,
    build_ticker_change,
    build_types_body,
)
from market_pipeline.vendor_format.vendor_request import parse_time

EXCHANGES = {"AAPL": "XNAS", "FB": "XNAS", "GOOG": "XNAS", "IBM": "XNYS", "MSFT": "XNAS"}
SANDBOX_TYPES = {"WHEN ISSUED": "CS"}
"""The vendor's type of a generated security, if it isn't its kind."""

MISSING_DEAD, MISSING_OTHERS = 0.8, 0.08
MISSING = {"PFD": 0.6, "WARRANT": 0.7, "UNIT": 0.7, "RIGHT": 0.8, "WHEN ISSUED": 1.0}
"""Shares of the generated tickers that the list lacks: of those that trade no longer, of others, and by kind."""

SHARE_WITH_FIGI, SHARE_WITH_FIGI_DEAD, SHARE_WITH_TYPE = 0.85, 0.2, 0.95
ETFS = frozenset(STARTING_SET[AssetClass.ETF])


def read_tickers(request: ApiRequest) -> EndpointResponse:
    """List the tickers that trade (or, with `active=false`, no longer do), today or on `date`.

    Raises:
        RejectedRequestError: a parameter can't be parsed.
    """
    universe = request.market.universe
    active = wants_active(request)
    search = request.parameters.get("search", "").lower()
    named = read_requested_tickers(request)
    days = tuple(_parse_day(request, find_calendar(name)) for name in CALENDARS)
    if named:
        listings = [listing for ticker in named for listing in universe.register_ticker(ticker)]
        records = _list_records(request.market, listings, days, active=active)
    else:
        records = _list_all_records(
            request.market, days, request.market.find_today(find_calendar("XNYS")), universe.count_named(), active
        )
    wanted = [record for record in records if search in record["name"].lower()]
    found, more = list_page(request, TICKERS, wanted)
    return EndpointResponse(build_list_body(request, TICKERS, found, {"count": len(found), **more}), "generated")


def read_ticker_details(request: ApiRequest) -> EndpointResponse:
    """Return one ticker that trades today, or on `date`.

    Raises:
        RejectedRequestError: it doesn't trade, or the date can't be parsed.
    """
    listing = _find_trading(request)
    record = select_fields(TICKERS, _build_record(listing, _parse_day(request, listing.calendar)))
    return EndpointResponse({"results": {**record, **_build_list_date(listing)}, **request.envelope()}, "generated")


def read_ticker_types(request: ApiRequest) -> EndpointResponse:
    """List the types of tickers."""
    return EndpointResponse(build_types_body(request))


def read_ticker_events(request: ApiRequest) -> EndpointResponse:
    """List all tickers of the security that has this one now, newest first.

    Raises:
        RejectedRequestError: no security has it now.
    """
    listing = _find_trading(request)
    today = request.market.find_today(listing.calendar)
    held = [each for each in request.market.universe.find_security_listings(listing) if each.first <= today]
    events = [build_ticker_change(each.ticker, each.first) for each in reversed(held)]
    results = {"name": _build_name(listing), **_build_identifiers(listing), "events": events}
    return EndpointResponse({"results": results, **request.envelope()}, "generated")


def _parse_day(request: ApiRequest, market: Calendar) -> date:
    """Return the day in the request, by default today."""
    if "date" in request.parameters:
        return parse_time(request.parameters["date"], "date", market.timezone)
    return request.market.find_today(market)


@lru_cache(maxsize=4)
def _list_all_records(
    market: SandboxMarket, days: tuple[date, ...], _today: date, _named: int, active: bool
) -> list[ListedRecord]:
    """Return the records of the whole list, kept for its pages; they change with the day and the tickers requested."""
    return _list_records(market, market.universe.list_all(), days, active=active)


def _list_records(
    market: SandboxMarket, listings: Iterable[Listing], days: tuple[date, ...], *, active: bool
) -> list[ListedRecord]:
    day_of = dict(zip(CALENDARS, days, strict=True))
    return [
        _build_record(listing, day)
        for listing in listings
        for day in (day_of[listing.calendar.name],)
        if listing.first <= day and listing.trades_on(day) == active and _is_known(market, listing)
    ]


def _is_known(market: SandboxMarket, listing: Listing) -> bool:
    """Return True if the vendor's list has the ticker: it lacks most dead ones, and many that are no stocks."""
    if listing.issue is None:
        return True
    kind = listing.issue.kind
    if listing.last is not None and listing.last < market.find_today(listing.calendar):
        missing = MISSING_DEAD
    else:
        missing = MISSING.get(kind, MISSING_OTHERS)
    return draw_number(market.config.seed, "listed", listing.ticker, listing.first) >= missing


def _find_trading(request: ApiRequest) -> Listing:
    for listing in request.market.universe.register_ticker(request.path["ticker"]):
        if listing.trades_on(_parse_day(request, listing.calendar)) and _is_known(request.market, listing):
            return listing
    raise RejectedRequestError(NO_SUCH_TICKER)


def _build_record(listing: Listing, day: date) -> ListedRecord:
    active = listing.trades_on(day)
    record = {
        "ticker": listing.ticker,
        "name": _build_name(listing),
        **(build_crypto_fields(listing.ticker) if listing.is_crypto else _build_stock_fields(listing, day)),
        "active": active,
        "last_updated_utc": f"{day}T00:00:00Z",
    }
    return record if active else {**record, **build_delisted_field(listing.last)}


def _build_list_date(listing: Listing) -> ListedRecord:
    """Return the list date of a stock, unless its first bar is that of the vendor's whole history."""
    first = listing.whole.first
    return {} if listing.is_crypto or first <= FIRST_STOCK_SESSION else {"list_date": str(first)}


def _build_name(listing: Listing) -> str:
    """Return the name, which a renamed ticker keeps. The fund that was META before Facebook is called METV."""
    first = listing.whole
    if listing.issue is not None:  # with its year, since another company may have had the ticker
        return f"{first.ticker} of {first.first.year} (sandbox)"
    return f"{'METV' if first.ticker == 'META' else first.ticker} (sandbox)"


def _build_identifiers(listing: Listing) -> ListedRecord:
    """Return the identifiers of a security with several tickers; as at the vendor, others lack them."""
    if listing.issue is not None:
        return {"composite_figi": listing.issue.figi}
    return (
        {"composite_figi": f"BBG{make_identifier('figi', _build_name(listing))[:9].upper()}"}
        if listing.security
        else {}
    )


def _build_stock_fields(listing: Listing, day: date) -> ListedRecord:
    ticker = listing.ticker
    if listing.issue is not None:
        return _build_generated_fields(listing, listing.issue, day)
    kind = "ETF" if listing.whole.ticker in ETFS or _build_name(listing) == "METV (sandbox)" else "CS"
    identifiers = _build_identifiers(listing) if listing.last is None else {}
    return {**build_stock_fields(EXCHANGES.get(ticker), kind), **identifiers}


def _build_generated_fields(listing: Listing, issue: Issue, day: date) -> ListedRecord:
    """Return the fields of a generated security; some have no type, and most that are gone no identifier."""
    draw = partial(draw_number, issue.key)
    exchange = "ARCX" if issue.kind == "ETF" else ("XNYS", "XNAS", "XASE")[int(3 * draw("exchange"))]
    has_figi = draw("figi", listing.ticker) < (SHARE_WITH_FIGI if listing.trades_on(day) else SHARE_WITH_FIGI_DEAD)
    kind = SANDBOX_TYPES.get(issue.kind, issue.kind) if draw("type") < SHARE_WITH_TYPE else None
    return {**build_stock_fields(exchange, kind), **({"composite_figi": issue.figi} if has_figi else {})}
