"""Bodies of the endpoints about the market's hours: its current status, and the upcoming holidays.

Source: the vendor's OpenAPI documents. Holidays are the exchange's published ones, by exchange_calendars.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from market_pipeline.core.sessions import find_calendar, list_holidays, list_sessions
from market_pipeline.vendor_format.error_bodies import Body

EXCHANGES = ("NYSE", "NASDAQ", "OTC")
AHEAD = timedelta(days=365)
BEFORE_OPEN, OPEN, CLOSE, AFTER_CLOSE = time(4), time(9, 30), time(16), time(20)

NAMES = {
    1: "Martin Luther King, Jr. Day", 2: "Washington's Birthday", 3: "Good Friday", 4: "Good Friday",
    5: "Memorial Day", 6: "Juneteenth", 7: "Independence Day", 9: "Labor Day", 11: "Thanksgiving", 12: "Christmas",
}  # fmt: skip
"""Names of the exchange's holidays by month, except New Year's Day."""


def build_holidays_body(today: date) -> list[dict[str, str]]:
    """Return the next year's holidays and early closes: a plain list, a row for each exchange."""
    closed = [(day, {"status": "closed"}) for day in list_holidays("XNYS", today, today + AHEAD)]
    short = [(day, _build_early_close(day, close)) for day, close in _find_early_closes(today, today + AHEAD).items()]
    return [
        {"exchange": exchange, "name": _name(day), "date": str(day), **what}
        for day, what in sorted(closed + short, key=lambda found: found[0])
        for exchange in EXCHANGES
    ]


def build_status_body(now: datetime) -> Body:
    """Return the status of the markets at an instant."""
    local = now.astimezone(find_calendar("XNYS").timezone)
    session = bool(list_sessions("XNYS", local.date(), local.date()))
    clock = local.time()
    close = _find_early_close_time(local.date()) if session else CLOSE
    early, open_, after = (
        session and start <= clock < end for start, end in ((BEFORE_OPEN, OPEN), (OPEN, close), (close, AFTER_CLOSE))
    )
    state = "open" if open_ else "extended-hours" if early or after else "closed"
    body: Body = {"market": state, "earlyHours": early, "afterHours": after}
    body["serverTime"] = local.isoformat(timespec="seconds")
    body["exchanges"] = {exchange.lower(): state for exchange in EXCHANGES}
    body["currencies"] = {"crypto": "open"}
    return body


def _name(day: date) -> str:
    return "New Years Day" if (day.month, day.day) <= (1, 3) else NAMES.get(day.month, "Special Closure")


def _build_early_close(day: date, close: datetime) -> dict[str, str]:
    opens = datetime.combine(day, OPEN, tzinfo=find_calendar("XNYS").timezone)
    return {"status": "early-close", "open": _format_utc(opens), "close": _format_utc(close)}


def _find_early_close_time(day: date) -> time:
    early = _find_early_closes(day, day).get(day)
    return early.astimezone(find_calendar("XNYS").timezone).time() if early else CLOSE


@lru_cache(maxsize=8)
def _find_early_closes(first: date, last: date) -> dict[date, datetime]:
    """Return the exchange's early closes from `first` to `last`, both included, in UTC by date."""
    import exchange_calendars  # 0.2 s that only this function needs

    start, end = first - timedelta(days=7), last + timedelta(days=7)  # a calendar must hold some session
    found = exchange_calendars.get_calendar("XNYS", start=str(start), end=str(end))
    days = (day.date() for day in found.early_closes)
    return {day: found.session_close(str(day)).to_pydatetime() for day in days if first <= day <= last}


def _format_utc(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
