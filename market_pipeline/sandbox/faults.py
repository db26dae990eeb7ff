"""Faults of the vendor that the sandbox can simulate: the table of them, and their effects on a response.

`fault_rules` chooses the requests that they apply to.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from starlette.responses import Response

from market_pipeline.core.errors import UsageError
from market_pipeline.sandbox import corruptions, file_changes, object_storage
from market_pipeline.sandbox.endpoint_responses import EndpointResponse, error_response
from market_pipeline.sandbox.flat_files import COLUMNS, FileChange, FlatFile
from market_pipeline.sandbox.request import ApiRequest
from market_pipeline.sandbox.transmission import (
    BrokenResponse,
    CutShortResponse,
    LateResponse,
    ResetConnection,
    SilentConnection,
    encode_body,
    to_http_response,
)
from market_pipeline.vendor_format import error_bodies
from market_pipeline.vendor_format.error_bodies import ErrorBody

ProperResponse = Callable[[], EndpointResponse]
"""Returns the response without the fault."""

FaultAction = Callable[[ApiRequest, ProperResponse, str], Response]
"""Effect of a fault: from a request, its proper response and the argument of the fault to an HTTP response."""


class FaultError(UsageError):
    """A fault or a fault rule can't be used."""


@dataclass(frozen=True)
class VendorFault:
    """One fault: its name, its description, its effect, and the default of its argument."""

    name: str
    meaning: str
    act: FaultAction
    default: str = ""
    check: Callable[[str], object] = str
    """Raises ValueError if the argument can't be used."""

    only: frozenset[str] = frozenset()
    """The kinds of requests that it can happen to; empty: all."""

    @property
    def variant(self) -> str:
        """Its name if it changes a file's content, which then has another ETag; otherwise nothing."""
        return self.name if FILE in self.only and self.name != REPLACED else ""

    def applies_to(self, kind: str | None) -> bool:
        """Return True if the fault can happen to requests of that kind."""
        return not self.only or kind in self.only


FILE, GROUPED, REPLACED = "file", "grouped", "replaced_file"
FILE_ONLY = frozenset({FILE})
SESSIONS = frozenset({FILE, GROUPED})

HTML = EndpointResponse("<html><body><h1>502 Bad Gateway</h1></body></html>", status=502, media_type="text/html")
SERVER_ERROR = EndpointResponse({"status": "ERROR", "error": "Internal Server Error"}, status=500)


def _instead(response: EndpointResponse) -> FaultAction:
    return lambda request, _proper_response, _argument: to_http_response(response, request)


def _error(error: ErrorBody) -> FaultAction:
    return lambda request, _proper_response, _argument: to_http_response(
        error_response(error, request.request_id), request
    )


def _damaged(how: corruptions.Corruption) -> FaultAction:
    return lambda request, proper, argument: to_http_response(
        corruptions.corrupt_body(proper(), request, how, argument), request
    )


def _broken(kind: type[BrokenResponse]) -> FaultAction:
    return lambda request, proper, argument: kind(to_http_response(proper(), request), float(argument or 0))


def _too_many(request: ApiRequest, _proper_response: ProperResponse, argument: str) -> Response:
    headers = {"Retry-After": argument} if argument else {}
    return to_http_response(error_response(error_bodies.TOO_MANY, request.request_id, **headers), request)


def _not_authorized_200(request: ApiRequest, _proper_response: ProperResponse, _argument: str) -> Response:
    return to_http_response(replace(error_response(error_bodies.NOT_ENTITLED, request.request_id), status=200), request)


def _bad_json(request: ApiRequest, proper: ProperResponse, _argument: str) -> Response:
    response = proper()
    return to_http_response(response, request, encode_body(response)[:-3])


def _denied(request: ApiRequest, _proper_response: ProperResponse, _argument: str) -> Response:
    return to_http_response(error_response(object_storage.DENIED, request.request_id), request)


def _changed_file(name: str, change: FileChange, rows: corruptions.Corruption | None = None) -> FaultAction:
    """Return the effect of a change of a file's lines, and of a corruption of a response with bars."""

    def act(request: ApiRequest, proper: ProperResponse, argument: str) -> Response:
        response = proper()
        if isinstance(response.body, bytes):
            response = _file_instead(name, request, lambda file: request.files.content(file, change, argument))
        elif rows is not None:
            response = corruptions.corrupt_body(response, request, rows, argument)
        return to_http_response(response, request)

    return act


def _truncated_gzip(request: ApiRequest, proper: ProperResponse, argument: str) -> Response:
    response = proper()
    if isinstance(response.body, bytes):
        content = partial(request.files.content, share=float(argument))
        response = _file_instead("truncated_gzip", request, content)
    return to_http_response(response, request)


def _replaced_file(request: ApiRequest, proper: ProperResponse, _argument: str) -> Response:
    response = proper()
    if isinstance(response.body, bytes) and object_storage.reaches_end(response):
        request.files.replace(object_storage.find_file(request))
    return to_http_response(response, request)


def _file_instead(name: str, request: ApiRequest, content: Callable[[FlatFile], bytes]) -> EndpointResponse:
    file = object_storage.find_file(request)
    changed = replace(request, variant_of=lambda _file: name)
    return object_storage.file_response(changed, file, content(file))


def _column(text: str) -> None:
    if text not in COLUMNS:
        raise ValueError(text)


def _seconds(text: str) -> None:
    if text and not float(text) >= 0:
        raise ValueError(text)


def _share(text: str) -> None:
    if not 0 <= float(text) < 1:
        raise ValueError(text)


_TABLE = (
    VendorFault("429", "429, too many requests; =SECONDS adds the header Retry-After", _too_many, check=_seconds),
    VendorFault("429_empty", "429 with an empty body", _instead(EndpointResponse("", status=429))),
    VendorFault("500", "500 with a JSON body", _instead(SERVER_ERROR)),
    VendorFault("html", "502 with a proxy's HTML page", _instead(HTML)),
    VendorFault(
        "truncate",
        "the body cut after =SHARE of it, under its full Content-Length",
        _broken(CutShortResponse),
        "0.5",
        _share,
    ),
    VendorFault("bad_json", "a complete response whose JSON is cut off", _bad_json),
    VendorFault("reset", "the connection reset instead of a response", _broken(ResetConnection)),
    VendorFault("slow", "nothing for =SECONDS, then the response", _broken(LateResponse), "1", _seconds),
    VendorFault("hang", "no response, ever; the connection stays open", _broken(SilentConnection)),
    VendorFault("not_authorized_200", "200 whose body says NOT_AUTHORIZED", _not_authorized_200),
    VendorFault("eod403", "403, today's data before end of day", _error(error_bodies.BEFORE_END_OF_DAY)),
    VendorFault("history403", "403, the plan doesn't include this timeframe", _error(error_bodies.OUTSIDE_TIMEFRAME)),
    VendorFault("plan403", "403, the plan doesn't include this endpoint", _error(error_bodies.NOT_ENTITLED)),
    VendorFault("unknown_key", "401, unknown API key", _error(error_bodies.UNKNOWN_KEY)),
    VendorFault(
        "wrong_adjusted", "`adjusted` in the body contradicts the request", _damaged(corruptions.wrong_adjusted)
    ),
    VendorFault(
        "foreign_next_url",
        "`next_url` leads to =HOST, present on the last page of a range too",
        _damaged(corruptions.foreign_next_url),
        "foreign.invalid",
    ),
    VendorFault("repeated_next_url", "every page names the same next page", _damaged(corruptions.repeated_next_url)),
    VendorFault(
        "endless_next_url", "every page names another next page, without end", _damaged(corruptions.endless_next_url)
    ),
    VendorFault(
        "trailing_empty_page",
        "a range's last page names one more, which is empty",
        _damaged(corruptions.trailing_empty_page),
    ),
    VendorFault("duplicate_rows", "every record twice", _damaged(corruptions.duplicate_rows)),
    VendorFault("missing_fields", "records lack the fields =A,B", _damaged(corruptions.missing_fields), "vw,n"),
    VendorFault(
        "out_of_range_bars", "two more bars, 30 years before and after", _damaged(corruptions.out_of_range_bars)
    ),
    VendorFault(
        "impossible_bars",
        "first bar: high below low; second: close 0; third: negative volume",
        _damaged(corruptions.impossible_bars),
    ),
    VendorFault("empty", "200 without `results` though there are some", _damaged(corruptions.empty)),
    VendorFault("results_null", "200 with `results` null though there are some", _damaged(corruptions.results_null)),
    VendorFault(
        "half_rows",
        "a session with =SHARE of its bars, in a flat file or a grouped response",
        _changed_file("half_rows", file_changes.half_rows, corruptions.half_rows),
        "0.5",
        _share,
        SESSIONS,
    ),
    VendorFault(
        "wrong_day",
        "a session whose bars have the next session's stamps, in a flat file or a grouped response",
        _changed_file("wrong_day", file_changes.wrong_day, corruptions.wrong_day),
        only=SESSIONS,
    ),
    VendorFault(
        "truncated_gzip",
        "a flat file whose compressed data end after =SHARE of them",
        _truncated_gzip,
        "0.5",
        _share,
        FILE_ONLY,
    ),
    VendorFault(
        "more_columns",
        "a flat file with one more column, =NAME",
        _changed_file("more_columns", file_changes.more_columns),
        "otc",
        only=FILE_ONLY,
    ),
    VendorFault(
        "fewer_columns",
        "a flat file without the column =NAME",
        _changed_file("fewer_columns", file_changes.fewer_columns),
        "transactions",
        _column,
        FILE_ONLY,
    ),
    VendorFault(
        REPLACED,
        "after it is read, a flat file is replaced: another ETag, and corrections also in the other responses",
        _replaced_file,
        only=FILE_ONLY,
    ),
    VendorFault("file403", "403, a flat file that can't be read", _denied, only=FILE_ONLY),
)

FAULTS = {fault.name: fault for fault in _TABLE}
"""Every fault, by name."""


def find_fault(name: str, argument: str | None) -> tuple[VendorFault, str]:
    """Return a fault and its argument.

    Raises:
        FaultError: there is no such fault, or its argument can't be used.
    """
    fault = FAULTS.get(name)
    if fault is None:
        raise FaultError(f"fault {name!r} is not known; use one of {', '.join(FAULTS)}")
    chosen = fault.default if argument is None else argument
    try:
        fault.check(chosen)
    except ValueError:
        raise FaultError(f"fault {name} can't have the argument {chosen!r}: {fault.meaning}") from None
    return fault, chosen
