"""The endpoints about tickers: the list, one ticker's details, and its changes of name.

Source: the vendor's OpenAPI documents and recorded bodies. Names are the sandbox's own and say so; what isn't known of
a ticker (its CIK, its FIGI, mostly its exchange) is left out, as the vendor does.
"""

from datetime import date

from market_pipeline.core.symbols import STARTING_SET, AssetClass
from market_pipeline.sandbox.endpoint_responses import NO_SUCH_TICKER, EndpointResponse, RejectedRequestError
from market_pipeline.sandbox.listings import FIRST_STOCK_SESSION, Listing, market_listing
from market_pipeline.sandbox.pages import ListEndpoint, Record, listed, on_the_wire, wanted_tickers
from market_pipeline.sandbox.request import ApiRequest, moment

EXCHANGES = {"AAPL": "XNAS", "FB": "XNAS", "GOOG": "XNAS", "IBM": "XNYS", "MSFT": "XNAS"}
ETFS = frozenset(STARTING_SET[AssetClass.ETF])

TICKERS = ListEndpoint(
    fields=(
        "ticker", "name", "market", "locale", "primary_exchange", "type", "active", "currency_symbol", "currency_name",
        "base_currency_symbol", "base_currency_name", "last_updated_utc", "delisted_utc",
    ),
    filters=dict.fromkeys(("ticker", "type", "market", "exchange", "cusip", "cik"), str),
    sort="ticker",
    descending=False,
    limit=100,
    most=1_000,
)  # fmt: skip


def tickers(call: ApiRequest) -> EndpointResponse:
    """The tickers that trade (or, with `active=false`, no longer do), today or on `date`.

    Raises:
        RejectedRequestError: a parameter can't be read.
    """
    universe, parameters = call.market.universe, call.parameters
    named = [universe.find(ticker) for ticker in wanted_tickers(call)]
    listings = [listing for listing in named or universe.all() if listing is not None]
    records = [_record(listing, _day(call, listing)) for listing in listings if listing.first <= _day(call, listing)]
    active = parameters.get("active", "true").lower() == "true"
    search = parameters.get("search", "").lower()
    wanted = [record for record in records if record["active"] == active and search in record["name"].lower()]
    found, more = listed(call, TICKERS, wanted)
    rows = [on_the_wire(TICKERS, record) for record in found]
    return EndpointResponse({"results": rows, **call.envelope(count=len(rows), **more)}, "generated")


def ticker_details(call: ApiRequest) -> EndpointResponse:
    """One ticker, if it trades today, or on `date`.

    Raises:
        RejectedRequestError: it doesn't, or the date can't be read.
    """
    listing = _trading(call)
    record = on_the_wire(TICKERS, _record(listing, _day(call, listing)))
    return EndpointResponse({"results": {**record, **_list_date(listing)}, **call.envelope()}, "generated")


def ticker_events(call: ApiRequest) -> EndpointResponse:
    """The tickers that the company which has this one now has traded as, newest first.

    Raises:
        RejectedRequestError: nobody has it now.
    """
    listing = _trading(call)
    former = market_listing(listing.was) if listing.was else None
    events = [_change(held) for held in (listing, former) if held is not None]
    return EndpointResponse({"results": {"name": _name(listing), "events": events}, **call.envelope()}, "generated")


def _day(call: ApiRequest, listing: Listing) -> date:
    """The day that is asked about."""
    if "date" in call.parameters:
        return moment(call.parameters["date"], "date", listing.calendar.timezone)
    return call.market.today(listing.calendar)


def _trading(call: ApiRequest) -> Listing:
    listing = call.market.universe.find(call.path["ticker"])
    if listing is None or not listing.trades_on(_day(call, listing)):
        raise RejectedRequestError(NO_SUCH_TICKER)
    return listing


def _record(listing: Listing, day: date) -> Record:
    active = listing.trades_on(day)
    record = {
        "ticker": listing.ticker,
        "name": _name(listing),
        **(_crypto(listing.ticker) if listing.is_crypto else _stock(listing.ticker)),
        "active": active,
        "last_updated_utc": f"{day}T00:00:00Z",
    }
    return record if active else {**record, "delisted_utc": f"{listing.last}T00:00:00Z"}


def _list_date(listing: Listing) -> Record:
    """List date of a stock, unless its first bar is only where the records begin."""
    return {} if listing.is_crypto or listing.first <= FIRST_STOCK_SESSION else {"list_date": str(listing.first)}


def _name(listing: Listing) -> str:
    return f"{listing.was or listing.ticker} (sandbox)"  # a renamed ticker is the same company's


def _stock(ticker: str) -> Record:
    exchange = {"primary_exchange": EXCHANGES[ticker], "exchange": EXCHANGES[ticker]} if ticker in EXCHANGES else {}
    kind = "ETF" if ticker in ETFS else "CS"
    return {"market": "stocks", "locale": "us", **exchange, "type": kind, "currency_name": "usd"}


def _crypto(ticker: str) -> Record:
    base = ticker.removeprefix("X:").removesuffix("USD")
    return {
        "market": "crypto",
        "locale": "global",
        "currency_symbol": "USD",
        "currency_name": "United States dollar",
        "base_currency_symbol": base,
        "base_currency_name": base,
    }


def _change(listing: Listing) -> Record:
    return {"ticker_change": {"ticker": listing.ticker}, "type": "ticker_change", "date": str(listing.first)}
