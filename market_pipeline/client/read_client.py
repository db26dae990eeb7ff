"""The client: a method for each kind of data of the read API."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Literal, Self
from urllib.parse import quote

import requests

from market_pipeline.client.frames import ChangeFeed, RowSet
from market_pipeline.client.requests_with_retries import ApiError, Parameters, ServerSession

Adjustment = Literal["splits", "none", "all"]
Instant = datetime | str
Day = date | str
Scalar = str | int | float | bool | date | datetime | None

ATTEMPTS = 4
MOST_CHANGES = 10_000
"""Of a page."""

OPERATORS = ("eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "cs")
"""After `__` in the name of a filter, as in `date__gte`."""


class Client:
    """A client of one server. Requests are retried after temporary errors, when the server says; use it in one thread.

    Args:
        url: the server's URL, such as http://localhost:8000.
        api_key: a key, if the server requires one (`market-pipeline keys create NAME`).
        attempts: of a request, at most.

    Raises:
        ValueError: the URL doesn't begin with http:// or https://.
    """

    def __init__(self, url: str, api_key: str | None = None, *, attempts: int = ATTEMPTS) -> None:
        self._session = ServerSession(url, api_key, attempts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def bars(
        self,
        symbols: str | Iterable[str],
        start: Day | None = None,
        end: Day | None = None,
        *,
        adjustment: Adjustment = "splits",
        as_of: Instant | None = None,
        snapshot: str | None = None,
        validated_only: bool = False,
    ) -> RowSet:
        """Return the daily bars of one or several symbols, from `start` to `end`, both included; all by default.

        Those of several symbols are of one instant too, and each bar is there once, even if a symbol is named twice or
        by two of its tickers. `as_of`, or a snapshot's name, returns the bars and their adjustment as they were then.

        Raises:
            ApiError: 404, a symbol has no bars; 409, its adjusted prices are not known; another rejected request.
        """
        names = [symbols] if isinstance(symbols, str) else list(dict.fromkeys(symbols))
        if not names:
            raise ValueError("symbols is empty: name at least one symbol")
        parameters = _encode_parameters(
            start=_to_date(start), end=_to_date(end), adjustment=adjustment, as_of=as_of, snapshot=snapshot
        )
        if validated_only:
            parameters["validated_only"] = "true"
        responses = []
        for name in names:
            responses.append(self._read(f"api/v1/historical/{quote(name, safe='')}", [*parameters.items()]))
            if snapshot is None:
                parameters["as_of"] = responses[0].headers["X-As-Of"]
        days = {name: response.headers.get("X-Known-From") for name, response in zip(names, responses, strict=True)}
        return _build_row_set(
            responses, known_from={name: date.fromisoformat(day) for name, day in days.items() if day}
        )

    def table(
        self,
        name: str,
        *,
        select: str | Sequence[str] = (),
        order: str | Sequence[str] = (),
        limit: int | None = None,
        as_of: Instant | None = None,
        snapshot: str | None = None,
        **filters: Scalar | Iterable[Scalar],
    ) -> RowSet:
        """Return the rows of a table, a view or a mart.

        Filters are by column: a value to be equal to, several values of which it is one, or None for missing ones; an
        operator follows `__`, as in `date__gte="2020-01-01"` (OPERATORS). None, True and False take `eq` and `neq`,
        several values these and `cs`, which is for lists that have all of them. `order` has columns, or `date.desc`.

        Raises:
            ValueError: a filter has an unknown operator, or one that its value can't have.
            ApiError: there is no such table or column, or another rejected request.
        """
        parameters = _encode_parameters(
            select=_join_names(select), order=_join_names(order), limit=limit, as_of=as_of, snapshot=snapshot
        )
        conditions = [_encode_condition(column, value) for column, value in filters.items()]
        return _build_row_set([self._read(f"api/v1/tables/{quote(name, safe='')}", [*parameters.items(), *conditions])])

    def universe(self, day: Day) -> RowSet:
        """Return the tickers of US stocks that traded on a session, those that are gone since included.

        Raises:
            ApiError: 404, the day is no session or is not stored whole; another rejected request.
        """
        return _build_row_set([self._read("api/v1/universe", [*_encode_parameters(date=_to_date(day)).items()])])

    def changes(
        self, since: Instant | None = None, *, kinds: str | Sequence[str] = (), symbol: str | None = None
    ) -> ChangeFeed:
        """Return the rows that came, changed or went since a point; all by default.

        Raises:
            ApiError: while they are iterated over, if the request was rejected.
        """
        parameters = _encode_parameters(since=since, kind=_join_names(kinds), symbol=symbol, limit=MOST_CHANGES)
        return ChangeFeed(self._session, "api/v1/changes", [*parameters.items()])

    def _read(self, path: str, parameters: Parameters) -> requests.Response:
        response = self._session.get(path, [*parameters, ("format", "arrow")])
        if "X-As-Of" not in response.headers:
            raise ApiError(
                f"the response of {response.url} has no rows: check that the URL is the API's", response.status_code
            )
        return response


def _build_row_set(responses: Sequence[requests.Response], known_from: Mapping[str, date] | None = None) -> RowSet:
    headers = responses[0].headers
    return RowSet(
        as_of=datetime.fromisoformat(headers["X-As-Of"]),
        adjustment=headers.get("X-Adjustment"),
        known_from=known_from or {},
        streams=list(dict.fromkeys(response.content for response in responses)),  # FB and META are the same bars
    )


def _encode_parameters(**parameters: Scalar) -> dict[str, str]:
    """Return the parameters that are given, as text."""
    return {name: _encode_value(value) for name, value in parameters.items() if value is not None}


def _to_date(day: Day | None) -> Day | None:
    """Return the date of a time at midnight, such as a pandas Timestamp; other values as they are."""
    return day.date() if isinstance(day, datetime) and day.time() == time.min else day


def _encode_value(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


def _encode_condition(name: str, value: Scalar | Iterable[Scalar]) -> tuple[str, str]:
    """Return a filter as a parameter of the API.

    Raises:
        ValueError: there is no such operator, or it takes no such value.
    """
    column, _, operator = name.partition("__")
    if operator and operator not in OPERATORS:
        raise ValueError(f"{name}: {operator!r} is no operator, only {', '.join(OPERATORS)}")
    if isinstance(value, str | int | float | date) and not isinstance(value, bool):
        return column, f"{operator or 'eq'}.{_encode_value(value)}"
    if value is None or isinstance(value, bool):
        _check_operator(name, operator, repr(value), ("eq", "neq"))
        is_value = "is.null" if value is None else f"is.{_encode_value(value)}"
        return column, f"not.{is_value}" if operator == "neq" else is_value
    _check_operator(name, operator, "a list", ("eq", "neq", "cs"))
    values = list(value)
    if None in values:
        raise ValueError(f"{name}: None can't be one of several values; {column}=None finds the missing ones")
    texts = [_encode_value(one) for one in values]
    if operator == "cs":
        if not texts or any(set(text) & set("{},") for text in texts):
            raise ValueError(f"{name}: cs takes at least one value, none with a comma or braces")
        return column, "cs.{" + ",".join(texts) + "}"
    escaped = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    listed = "in.(" + ",".join(f'"{text}"' for text in escaped) + ")"
    return column, f"not.{listed}" if operator == "neq" else listed


def _check_operator(name: str, operator: str, value: str, possible: Sequence[str]) -> None:
    if operator and operator not in possible:
        column = name.partition("__")[0]
        forms = ", ".join(column if each == "eq" else f"{column}__{each}" for each in possible)
        raise ValueError(f"{name}: {operator} takes one value, not {value}, which is possible with {forms}")


def _join_names(names: str | Sequence[str]) -> str | None:
    """Return names as a list of the API; None if there are none."""
    return names if isinstance(names, str) and names else ",".join(names) or None
