"""The faults that the sandbox can show: the one table of them, and what each does to an answer.

When a fault is applied is not decided here but by `fault_rules`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from starlette.responses import Response

from market_pipeline.core.errors import UsageError
from market_pipeline.sandbox import corruptions, endpoint_responses
from market_pipeline.sandbox.endpoint_responses import EndpointResponse, ErrorBody
from market_pipeline.sandbox.request import ApiRequest
from market_pipeline.sandbox.transmission import Broken, CutShort, Late, Reset, Silent, whole, written

Proper = Callable[[], EndpointResponse]
"""Works out what would have been answered without the fault."""

Act = Callable[[ApiRequest, Proper, str], Response]
"""What a fault does: from a call, its proper answer and the fault's argument to a response."""


class FaultError(UsageError):
    """A fault or a rule for one that can't be used."""


@dataclass(frozen=True)
class Fault:
    """One fault: its name, what the client meets, what it does, and what its argument is if none is given."""

    name: str
    meaning: str
    act: Act
    default: str = ""
    check: Callable[[str], object] = str
    """Fails with a ValueError where the argument can't be used."""


HTML = EndpointResponse("<html><body><h1>502 Bad Gateway</h1></body></html>", status=502, media_type="text/html")
SERVER_ERROR = EndpointResponse({"status": "ERROR", "error": "Internal Server Error"}, status=500)


def _instead(answer: EndpointResponse) -> Act:
    return lambda call, _proper, _argument: whole(answer, call)


def _refused(refusal: ErrorBody) -> Act:
    return lambda call, _proper, _argument: whole(refusal.answer(call.request_id), call)


def _damaged(how: corruptions.Damage) -> Act:
    return lambda call, proper, argument: whole(corruptions.damaged(proper(), call, how, argument), call)


def _broken(kind: type[Broken]) -> Act:
    return lambda call, proper, argument: kind(whole(proper(), call), float(argument or 0))


def _too_many(call: ApiRequest, _proper: Proper, argument: str) -> Response:
    headers = {"Retry-After": argument} if argument else {}
    return whole(endpoint_responses.TOO_MANY.answer(call.request_id, **headers), call)


def _not_authorized_200(call: ApiRequest, _proper: Proper, _argument: str) -> Response:
    return whole(replace(endpoint_responses.NOT_ENTITLED.answer(call.request_id), status=200), call)


def _bad_json(call: ApiRequest, proper: Proper, _argument: str) -> Response:
    answer = proper()
    return whole(answer, call, written(answer)[:-3])


def _seconds(text: str) -> None:
    if text and not float(text) >= 0:
        raise ValueError(text)


def _share(text: str) -> None:
    if not 0 <= float(text) < 1:
        raise ValueError(text)


_TABLE = (
    Fault("429", "429, too many requests; =SECONDS adds the header Retry-After", _too_many, check=_seconds),
    Fault("429_empty", "429 with an empty body", _instead(EndpointResponse("", status=429))),
    Fault("500", "500 with a JSON body", _instead(SERVER_ERROR)),
    Fault("html", "502 with a proxy's HTML page", _instead(HTML)),
    Fault(
        "truncate", "the body cut after =SHARE of it, under its full Content-Length", _broken(CutShort), "0.5", _share
    ),
    Fault("bad_json", "a complete answer whose JSON doesn't end", _bad_json),
    Fault("reset", "the connection reset instead of an answer", _broken(Reset)),
    Fault("slow", "nothing for =SECONDS, then the answer", _broken(Late), "1", _seconds),
    Fault("hang", "no answer, ever; the connection stays open", _broken(Silent)),
    Fault("not_authorized_200", "200 whose body says NOT_AUTHORIZED", _not_authorized_200),
    Fault("eod403", "403, today's data before end of day", _refused(endpoint_responses.BEFORE_END_OF_DAY)),
    Fault("history403", "403, the plan doesn't include this timeframe", _refused(endpoint_responses.OUTSIDE_TIMEFRAME)),
    Fault("plan403", "403, the plan doesn't include this endpoint", _refused(endpoint_responses.NOT_ENTITLED)),
    Fault("unknown_key", "401, unknown API key", _refused(endpoint_responses.UNKNOWN_KEY)),
    Fault("wrong_adjusted", "`adjusted` in the body contradicts the request", _damaged(corruptions.wrong_adjusted)),
    Fault(
        "foreign_next_url",
        "`next_url` leads to =HOST, present on the last page of a range too",
        _damaged(corruptions.foreign_next_url),
        "foreign.invalid",
    ),
    Fault("repeated_next_url", "every page names the same next page", _damaged(corruptions.repeated_next_url)),
    Fault(
        "endless_next_url", "every page names another next page, without end", _damaged(corruptions.endless_next_url)
    ),
    Fault(
        "trailing_empty_page",
        "a range's last page names one more, which is empty",
        _damaged(corruptions.trailing_empty_page),
    ),
    Fault("duplicate_rows", "every record twice", _damaged(corruptions.duplicate_rows)),
    Fault("missing_fields", "records lack the fields =A,B", _damaged(corruptions.missing_fields), "vw,n"),
    Fault("out_of_range_bars", "two more bars, 30 years before and after", _damaged(corruptions.out_of_range_bars)),
    Fault(
        "impossible_bars",
        "first bar: high below low; second: close 0; third: negative volume",
        _damaged(corruptions.impossible_bars),
    ),
    Fault("empty", "200 without `results` though there are some", _damaged(corruptions.empty)),
    Fault("results_null", "200 with `results` null though there are some", _damaged(corruptions.results_null)),
)

FAULTS = {fault.name: fault for fault in _TABLE}
"""Every fault, by name."""


def find_fault(name: str, argument: str | None) -> tuple[Fault, str]:
    """A fault and the argument it gets.

    Raises:
        FaultError: there is no such fault, or it can't have that argument.
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
