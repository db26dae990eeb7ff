"""Negotiation of the response's format: by the parameter `format`, or by the header `Accept`."""

from collections.abc import Iterator, Mapping

from starlette.requests import Request

from market_pipeline.api.generated.formats import MEDIA_TYPES, ResponseFormat
from market_pipeline.api.problems import Fault, ProblemError, build_parameter_problem

_BY_NAME: Mapping[str, ResponseFormat] = {str(kind): kind for kind in ResponseFormat}
_BY_MEDIA_TYPE: Mapping[str, ResponseFormat] = {
    **{media_type: kind for kind, media_type in MEDIA_TYPES.items()},
    "*/*": ResponseFormat.JSON,
    "application/*": ResponseFormat.JSON,
    "text/*": ResponseFormat.CSV,
}


def negotiate_format(request: Request, name: str | None) -> ResponseFormat:
    """Return the format that a request names, otherwise the one that it accepts best.

    Raises:
        ProblemError: 400 for an unknown name, 406 if none of the formats is accepted.
    """
    if name is not None:
        if name not in _BY_NAME:
            raise build_parameter_problem([Fault("format", f"{name!r} is not one of {', '.join(ResponseFormat)}")])
        return _BY_NAME[name]
    accept = read_header(request, b"accept")
    if not accept or accept == "*/*":
        return ResponseFormat.JSON
    accepted = sorted(_parse_accept(accept), key=lambda entry: -entry[1])
    for media_type, weight in accepted:
        if media_type in _BY_MEDIA_TYPE and weight > 0:
            return _BY_MEDIA_TYPE[media_type]
    raise ProblemError(
        406, f"none of the accepted formats is available: accept one of {', '.join(MEDIA_TYPES.values())}"
    )


def read_header(request: Request, name: bytes) -> str:
    """Return a header of the request, "" if it is missing."""
    for key, value in request.scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return ""


def _parse_accept(accept: str) -> Iterator[tuple[str, float]]:
    """Yield each media type with its weight; an unreadable weight is 0."""
    for entry in accept.split(","):
        media_type, *parameters = (part.strip() for part in entry.split(";"))
        weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
        try:
            yield media_type.lower(), float(weights[0]) if weights else 1.0
        except ValueError:
            yield media_type.lower(), 0.0
