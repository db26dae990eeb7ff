"""Faults of the vendor that the sandbox can simulate: the table of them, and their effects on a response.

`fault_rules` chooses the requests that they apply to.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from starlette.responses import Response

from market_pipeline.core.errors import UsageError
from market_pipeline.sandbox import corruptions, file_changes, object_storage
from market_pipeline.sandbox.endpoint_responses import EndpointResponse, build_error_response
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


def _respond_with(response: EndpointResponse) -> FaultAction:
    return lambda request, _proper_response, _argument: to_http_response(response, request)


def _respond_with_error(error: ErrorBody) -> FaultAction:
    return lambda request, _proper_response, _argument: to_http_response(
        build_error_response(error, request.request_id), request
    )


def _corrupt(how: corruptions.Corruption) -> FaultAction:
    return lambda request, proper, argument: to_http_response(
        corruptions.corrupt_body(proper(), request, how, argument), request
    )


def _break_transmission(kind: type[BrokenResponse]) -> FaultAction:
    return lambda request, proper, argument: kind(to_http_response(proper(), request), float(argument or 0))


def _respond_too_many(request: ApiRequest, _proper_response: ProperResponse, argument: str) -> Response:
    headers = {"Retry-After": argument} if argument else {}
    return to_http_response(build_error_response(error_bodies.TOO_MANY, request.request_id, **headers), request)


def _respond_not_authorized(request: ApiRequest, _proper_response: ProperResponse, _argument: str) -> Response:
    return to_http_response(
        replace(build_error_response(error_bodies.NOT_ENTITLED, request.request_id), status=200), request
    )


def _cut_json(request: ApiRequest, proper: ProperResponse, _argument: str) -> Response:
    response = proper()
    return to_http_response(response, request, encode_body(response)[:-3])


def _deny_file(request: ApiRequest, _proper_response: ProperResponse, _argument: str) -> Response:
    return to_http_response(build_error_response(object_storage.DENIED, request.request_id), request)


def _change_file(name: str, change: FileChange, rows: corruptions.Corruption | None = None) -> FaultAction:
    """Return the effect of a change of a file's lines, and of a corruption of a response with bars."""

    def act(request: ApiRequest, proper: ProperResponse, argument: str) -> Response:
        response = proper()
        if isinstance(response.body, bytes):
            response = _send_changed_file(
                name, request, lambda file: request.files.build_content(file, change, argument)
            )
        elif rows is not None:
            response = corruptions.corrupt_body(response, request, rows, argument)
        return to_http_response(response, request)

    return act


def _truncate_gzip(request: ApiRequest, proper: ProperResponse, argument: str) -> Response:
    response = proper()
    if isinstance(response.body, bytes):
        content = partial(request.files.build_content, share=float(argument))
        response = _send_changed_file("truncated_gzip", request, content)
    return to_http_response(response, request)


def _replace_file(request: ApiRequest, proper: ProperResponse, _argument: str) -> Response:
    response = proper()
    if isinstance(response.body, bytes) and object_storage.reaches_end(response):
        request.files.replace_file(object_storage.find_file(request))
    return to_http_response(response, request)


def _send_changed_file(name: str, request: ApiRequest, content: Callable[[FlatFile], bytes]) -> EndpointResponse:
    file = object_storage.find_file(request)
    changed = replace(request, variant_of=lambda _file: name)
    return object_storage.build_file_response(changed, file, content(file))


def _check_column(text: str) -> None:
    if text not in COLUMNS:
        raise ValueError(text)


def _check_seconds(text: str) -> None:
    if text and not float(text) >= 0:
        raise ValueError(text)


def _check_share(text: str) -> None:
    if not 0 <= float(text) < 1:
        raise ValueError(text)


_TABLE = (
    VendorFault(
        "429", "429, too many requests; =SECONDS adds the header Retry-After", _respond_too_many, check=_check_seconds
    ),
    VendorFault("429_empty", "429 with an empty body", _respond_with(EndpointResponse("", status=429))),
    VendorFault("500", "500 with a JSON body", _respond_with(SERVER_ERROR)),
    VendorFault("html", "502 with a proxy's HTML page", _respond_with(HTML)),
    VendorFault(
        "truncate",
        "the body cut after =SHARE of it, under its full Content-Length",
        _break_transmission(CutShortResponse),
        "0.5",
        _check_share,
    ),
    VendorFault("bad_json", "a complete response whose JSON is cut off", _cut_json),
    VendorFault("reset", "the connection reset instead of a response", _break_transmission(ResetConnection)),
    VendorFault(
        "slow", "nothing for =SECONDS, then the response", _break_transmission(LateResponse), "1", _check_seconds
    ),
    VendorFault("hang", "no response, ever; the connection stays open", _break_transmission(SilentConnection)),
    VendorFault("not_authorized_200", "200 whose body says NOT_AUTHORIZED", _respond_not_authorized),
    VendorFault("eod403", "403, today's data before end of day", _respond_with_error(error_bodies.BEFORE_END_OF_DAY)),
    VendorFault(
        "history403",
        "403, the plan doesn't include this timeframe",
        _respond_with_error(error_bodies.OUTSIDE_TIMEFRAME),
    ),
    VendorFault(
        "plan403", "403, the plan doesn't include this endpoint", _respond_with_error(error_bodies.NOT_ENTITLED)
    ),
    VendorFault("unknown_key", "401, unknown API key", _respond_with_error(error_bodies.UNKNOWN_KEY)),
    VendorFault(
        "wrong_adjusted", "`adjusted` in the body contradicts the request", _corrupt(corruptions.invert_adjusted)
    ),
    VendorFault(
        "foreign_next_url",
        "`next_url` leads to =HOST, present on the last page of a range too",
        _corrupt(corruptions.set_foreign_next_url),
        "foreign.invalid",
    ),
    VendorFault("repeated_next_url", "every page names the same next page", _corrupt(corruptions.repeat_next_url)),
    VendorFault(
        "endless_next_url",
        "every page names another next page, without end",
        _corrupt(corruptions.set_endless_next_url),
    ),
    VendorFault(
        "trailing_empty_page",
        "a range's last page names one more, which is empty",
        _corrupt(corruptions.add_empty_page),
    ),
    VendorFault("duplicate_rows", "every record twice", _corrupt(corruptions.duplicate_rows)),
    VendorFault("missing_fields", "records lack the fields =A,B", _corrupt(corruptions.remove_fields), "vw,n"),
    VendorFault(
        "out_of_range_bars", "two more bars, 30 years before and after", _corrupt(corruptions.add_distant_bars)
    ),
    VendorFault(
        "impossible_bars",
        "first bar: high below low; second: close 0; third: negative volume",
        _corrupt(corruptions.make_bars_impossible),
    ),
    VendorFault("empty", "200 without `results` though there are some", _corrupt(corruptions.remove_results)),
    VendorFault(
        "results_null", "200 with `results` null though there are some", _corrupt(corruptions.set_results_null)
    ),
    VendorFault(
        "half_rows",
        "a session with =SHARE of its bars, in a flat file or a grouped response",
        _change_file("half_rows", file_changes.keep_share, corruptions.keep_share),
        "0.5",
        _check_share,
        SESSIONS,
    ),
    VendorFault(
        "wrong_day",
        "a session whose bars have the next session's stamps, in a flat file or a grouped response",
        _change_file("wrong_day", file_changes.shift_day, corruptions.shift_day),
        only=SESSIONS,
    ),
    VendorFault(
        "truncated_gzip",
        "a flat file whose compressed data end after =SHARE of them",
        _truncate_gzip,
        "0.5",
        _check_share,
        FILE_ONLY,
    ),
    VendorFault(
        "more_columns",
        "a flat file with one more column, =NAME",
        _change_file("more_columns", file_changes.add_column),
        "otc",
        only=FILE_ONLY,
    ),
    VendorFault(
        "fewer_columns",
        "a flat file without the column =NAME",
        _change_file("fewer_columns", file_changes.remove_column),
        "transactions",
        _check_column,
        FILE_ONLY,
    ),
    VendorFault(
        REPLACED,
        "after it is read, a flat file is replaced: another ETag, and corrections also in the other responses",
        _replace_file,
        only=FILE_ONLY,
    ),
    VendorFault("file403", "403, a flat file that can't be read", _deny_file, only=FILE_ONLY),
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
