"""Preferences of a request, as PostgREST reads them: Prefer (counts) and Accept (the form of the response)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from market_pipeline.api.postgrest.rest_errors import RestError

CACHED_HEADERS = 500
"""Size of the caches of parsed headers: clients repeat the same ones."""

COUNTS = ("exact", "planned", "estimated")
_KNOWN = re.compile(
    r"count=(exact|planned|estimated)|handling=(strict|lenient)|return=(representation|minimal|headers-only)"
    r"|resolution=(merge-duplicates|ignore-duplicates)|missing=(default|null)|tx=(commit|rollback)|max-affected=\d+"
)


@dataclass(frozen=True)
class Representation:
    """Form of a response: an array, one object or CSV; `strips_nulls`: objects have no fields that are null."""

    media_type: str
    is_single: bool = False
    is_csv: bool = False
    strips_nulls: bool = False

    @cached_property
    def content_type(self) -> bytes:
        """The header Content-Type."""
        return f"{self.media_type}; charset=utf-8".encode()


ARRAY = Representation("application/json")
STRIPPED_ARRAY = Representation("application/vnd.pgrst.array+json;nulls=stripped", strips_nulls=True)
SINGLE = Representation("application/vnd.pgrst.object+json", is_single=True)
STRIPPED_SINGLE = Representation(f"{SINGLE.media_type};nulls=stripped", is_single=True, strips_nulls=True)
CSV = Representation("text/csv", is_csv=True)

_FORMS: Mapping[str, tuple[Representation, Representation]] = {
    "*/*": (ARRAY, ARRAY),
    "application/*": (ARRAY, ARRAY),
    "application/json": (ARRAY, ARRAY),
    "application/vnd.pgrst.array": (ARRAY, STRIPPED_ARRAY),
    "application/vnd.pgrst.array+json": (ARRAY, STRIPPED_ARRAY),
    "application/vnd.pgrst.object": (SINGLE, STRIPPED_SINGLE),
    "application/vnd.pgrst.object+json": (SINGLE, STRIPPED_SINGLE),
    "text/csv": (CSV, CSV),
}
"""The form of each media type, and the one with the parameter `nulls=stripped`."""


@lru_cache(CACHED_HEADERS)
def choose_representation(accept: str) -> Representation:
    """Return the form that is accepted best; an array of objects if the header is missing.

    Raises:
        RestError: none of the accepted forms is available.
    """
    entries = [_parse_entry(entry) for entry in accept.split(",")] if accept else [("*/*", {})]
    for media_type, parameters in sorted(entries, key=_parse_weight, reverse=True):
        if media_type in _FORMS:
            return _FORMS[media_type][parameters.get("nulls") == "stripped"]
    raise RestError(406, "PGRST107", f"None of these media types are available: {accept}")


def _parse_entry(entry: str) -> tuple[str, Mapping[str, str]]:
    media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
    pairs = (parameter.partition("=") for parameter in parameters)
    return media_type, {name.strip(): value.strip(' "') for name, _, value in pairs}


def _parse_weight(entry: tuple[str, Mapping[str, str]]) -> float:
    try:
        return float(entry[1].get("q", 1))
    except ValueError:
        return 0.0


@lru_cache(CACHED_HEADERS)
def parse_count(prefer: str) -> str | None:
    """Return how all rows are to be counted: exact, planned, estimated, or None for not at all.

    Raises:
        RestError: `handling=strict` is preferred, together with something unknown.
    """
    preferences = [part.strip() for part in prefer.split(",") if part.strip()]
    if "handling=strict" in preferences:
        unknown = [each for each in preferences if not _KNOWN.fullmatch(each)]
        if unknown:
            details = f"Invalid preferences: {', '.join(unknown)}"
            raise RestError(400, "PGRST122", "Invalid preferences given with handling=strict", details=details)
    return next((kind for kind in COUNTS if f"count={kind}" in preferences), None)
