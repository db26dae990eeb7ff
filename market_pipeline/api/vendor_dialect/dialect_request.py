"""A request in the vendor's dialect: its key, and the project's extensions of its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request

from market_pipeline.api.admin.auth import check_key, find_key, is_loopback_name, names_this_machine
from market_pipeline.api.context import Context, get_context
from market_pipeline.api.generated.instants import resolve_snapshot, settle_instant
from market_pipeline.api.generated.query_params import (
    CACHED_QUERIES,
    parse_instant,
    parse_parameters,
    read_query_string,
)
from market_pipeline.api.problems import ProblemError
from market_pipeline.vendor_format.error_bodies import NO_KEY, UNKNOWN_KEY, RejectedRequestError, describe_bad_parameter
from market_pipeline.vendor_format.vendor_request import VendorRequest, merge_cursor

KEY_PARAMETER = "apiKey"
ADJUSTMENTS = {"true": "splits", "false": "none", "all": "all"}
"""The API's name of each value of `adjusted`; `all` is not the vendor's."""

FIRST_INSTANT = datetime(2000, 1, 3, tzinfo=UTC)
"""Begin of the first session of any calendar. Requests as of an earlier instant find what they find as of this one."""

FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"via"})
"""Headers of requests that a proxy on this machine forwards for others."""


@dataclass(kw_only=True, eq=False)
class DialectRequest(VendorRequest):
    """A request, with the instant that it reads the warehouse as of; None: now."""

    context: Context
    parameters: Mapping[str, str]
    as_of: datetime | None = None

    @property
    def adjustment(self) -> str:
        """The requested adjustment of prices: none, splits or all.

        Raises:
            RejectedRequestError: it can't be parsed.
        """
        try:
            return ADJUSTMENTS[self.parameters.get("adjusted", "true").lower()]
        except KeyError:
            raise RejectedRequestError(describe_bad_parameter("adjusted", ", ".join(ADJUSTMENTS))) from None

    @property
    def kept(self) -> Mapping[str, str]:
        """The parameters that the pages after this one need as well."""
        return {name: value for name, value in self.parameters.items() if name in ("adjusted", "as_of")}

    @property
    def now(self) -> datetime:
        """The instant of the request, or the one that it reads as of."""
        return datetime.now(UTC) if self.as_of is None else max(self.as_of, FIRST_INSTANT)


async def read_request(request: Request) -> DialectRequest:
    """Check a request's key and parse its parameters.

    Raises:
        RejectedRequestError: it has no valid key though it needs one, or parameters are wrong.
        ProblemError: there is no such snapshot, or the database can't be reached.
    """
    context = get_context(request)
    text = read_query_string(request)
    if context.settings.api_key_required or not is_from_this_machine(request):
        await _check_key(request, context, dict(parse_parameters(text)).get(KEY_PARAMETER))
    query, parameters = _parse_query(await resolve_snapshot(context, text))
    path: str = request.scope["path"]
    if "\0" in path:
        _check_text(request.scope["path_params"])
    parsed = DialectRequest(
        path=request.scope["path_params"],
        query=query,
        address=lambda: str(request.base_url).rstrip("/"),
        target=path,
        context=context,
        parameters=parameters,
    )
    as_of = parameters.get("as_of")
    if as_of is not None:
        parsed.as_of = _parse_instant(as_of)
        await settle_instant(context, parsed.as_of)
    return parsed


@lru_cache(CACHED_QUERIES)
def _parse_query(text: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the parameters of a query string as written, and with those of the cursor.

    Raises:
        RejectedRequestError: the cursor can't be decoded, or a value has a null character.
    """
    query = dict(parse_parameters(text))
    parameters = merge_cursor(query)
    _check_text(parameters)
    return query, parameters


def _check_text(values: Mapping[str, str]) -> None:
    """Check that no value has a null character, which PostgreSQL can't be sent.

    Raises:
        RejectedRequestError: one has.
    """
    for name, value in values.items():
        if "\0" in value:
            raise RejectedRequestError(describe_bad_parameter(name, "text without a null character"))


def is_from_this_machine(request: Request) -> bool:
    """Return True if a request is this machine's own, not a proxy's or a foreign page's."""
    host = (request.scope["client"] or ("",))[0]
    is_forwarded = any(name in FORWARDED for name, _ in request.scope["headers"])
    return is_loopback_name(host) and not is_forwarded and names_this_machine(request)


async def _check_key(request: Request, context: Context, from_query: str | None) -> None:
    key = find_key(request.headers) or from_query
    if not key:
        raise RejectedRequestError(NO_KEY)
    try:
        await run_in_threadpool(check_key, context, key)
    except ProblemError as problem:
        if problem.status == UNKNOWN_KEY.http:
            raise RejectedRequestError(UNKNOWN_KEY) from None
        raise


def _parse_instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError:
        raise RejectedRequestError(describe_bad_parameter("as_of", "an instant such as 2026-03-01T12:00:00Z")) from None
