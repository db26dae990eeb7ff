"""Parameters of requests in the protocol UDF. Unknown and empty ones have no effect, as its clients send some."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from market_pipeline.api.generated.query_params import (
    Parsers,
    create_choice_parser,
    create_value_parser,
    parse_parameters,
)
from market_pipeline.api.problems import Fault, build_parameter_problem

RESOLUTIONS: Mapping[str, str] = {"1D": "day", "1W": "week", "1M": "month"}
"""The resolutions, each with PostgreSQL's name of its period."""

VENDOR_PREFIX = "X"
"""Of the vendor's tickers of crypto, such as X:BTCUSD; no exchange is called so."""

MOST_BARS = 10_000
MOST_SYMBOLS = 1_000
DAY = timedelta(days=1)


def parse_udf(query_string: str, parsers: Parsers, required: Sequence[str] = ()) -> dict[str, Any]:
    """Parse the parameters of a request by the parser of each name.

    Raises:
        ProblemError: parameters are wrong or missing; each is named with the reason.
    """
    values: dict[str, Any] = {}
    faults = []
    for name, value in parse_parameters(query_string):
        if value and name in parsers:
            try:
                values[name] = parsers[name](value)
            except ValueError as error:
                faults.append(Fault(name, str(error)))
    wrong = {fault.parameter for fault in faults}
    faults += [Fault(name, "is missing") for name in required if name not in values and name not in wrong]
    if faults:
        raise build_parameter_problem(faults)
    return values


def parse_name(text: str) -> str:
    """Return the symbol's name, or a coin's ticker at the vendor; an exchange before it (XNAS:AAPL) has no effect.

    Raises:
        ValueError: it is not text that can be stored.
    """
    exchange, colon, name = create_value_parser("text")(text).partition(":")
    return name if colon and exchange != VENDOR_PREFIX else text


def parse_resolution(text: str) -> str:
    """Return the resolution: 1D, 1W or 1M, whose 1 may be left out.

    Raises:
        ValueError: it is none of them.
    """
    whole = f"1{text}"
    return whole if whole in RESOLUTIONS else create_choice_parser(*RESOLUTIONS)(text)


def parse_first_date(text: str) -> date:
    """Return the first date that begins at or after a Unix time.

    Raises:
        ValueError: it is no whole number of seconds.
    """
    return _to_date(_parse_seconds(text) + DAY - timedelta(seconds=1))


def parse_last_date(text: str) -> date:
    """Return the last date that begins before a Unix time.

    Raises:
        ValueError: it is no whole number of seconds.
    """
    return _to_date(_parse_seconds(text) - timedelta(seconds=1))


def _parse_seconds(text: str) -> timedelta:
    create_value_parser("bigint")(text)
    try:
        return timedelta(seconds=int(text))
    except OverflowError:
        raise ValueError(f"{text!r} is not a Unix time in seconds") from None


def _to_date(since_epoch: timedelta) -> date:
    day = date(1970, 1, 1).toordinal() + since_epoch.days
    return date.fromordinal(min(max(day, date.min.toordinal()), date.max.toordinal()))


def count_parser(most: int) -> Callable[[str], int]:
    """Return the parser of a number of bars or symbols; a larger one is taken for the most."""

    def parse(text: str) -> int:
        number = int(create_value_parser("bigint")(text))
        if number < 1:
            raise ValueError(f"{text!r} is not a number from 1 on")
        return min(number, most)

    return parse
