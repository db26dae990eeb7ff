"""Flat files over the S3 protocol, path style: HEAD, GET with ranges, ListObjectsV2, and their errors.

Source: the S3 API reference. As observed at the vendor, 403 says "not yet published", "not in your plan" and "no such
session" alike.
"""

import re
from dataclasses import dataclass
from email.utils import format_datetime
from http import HTTPStatus
from itertools import groupby
from xml.sax.saxutils import escape

from market_pipeline.sandbox.endpoint_responses import EndpointResponse
from market_pipeline.sandbox.flat_files import FOLDERS, FileVersion, FlatFile
from market_pipeline.sandbox.request import ApiRequest
from market_pipeline.sandbox.storage_signatures import StorageError, check_signature
from market_pipeline.vendor_format.error_bodies import RejectedRequestError

BUCKET = "flatfiles"
MOST_KEYS = 1_000
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

DENIED = StorageError(403, "AccessDenied", "Access Denied.")
NO_SUCH_KEY = StorageError(404, "NoSuchKey", "The specified key does not exist.")
BAD_TOKEN = StorageError(400, "InvalidArgument", "The continuation token provided is incorrect")
BAD_RANGE = StorageError(416, "InvalidRange", "The requested range is not satisfiable")


def read_object(request: ApiRequest) -> EndpointResponse:
    """Return a file, or the part of it in the header Range; of a HEAD request only the headers.

    Raises:
        RejectedRequestError: the keys are wrong, or there is no such file to read, or no such range.
    """
    return build_file_response(request, find_file(request))


def list_objects(request: ApiRequest) -> EndpointResponse:
    """List the files' keys by prefix and delimiter, a page at a time (ListObjectsV2).

    Raises:
        RejectedRequestError: the keys are wrong, or the plan has no files.
    """
    check_signature(request)
    if request.market.plan.end_of_day:
        raise RejectedRequestError(DENIED)
    if request.method == "HEAD":
        return EndpointResponse("", media_type="application/xml")
    page = _read_page(request)
    contents = [(key, request.files.find(key)) for key in page.keys]
    body = [
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{NAMESPACE}">',
        _format_tag("Name", BUCKET), _format_tag("Prefix", request.query.get("prefix", "")),
        _format_tag("MaxKeys", page.most),
        _format_tag("Delimiter", request.query["delimiter"]) if "delimiter" in request.query else "",
        _format_tag("KeyCount", len(page.keys) + len(page.folders)),
        _format_tag("IsTruncated", str(page.more is not None).lower()),
        _format_tag("NextContinuationToken", page.more) if page.more else "",
        *(
            _format_entry(file, request.files.find_version(file, request.variant_of(file)))
            for _, file in contents
            if file
        ),
        *(f"<CommonPrefixes>{_format_tag('Prefix', folder)}</CommonPrefixes>" for folder in page.folders),
        "</ListBucketResult>",
    ]  # fmt: skip
    return EndpointResponse("".join(body), media_type="application/xml")


def is_continued(request: ApiRequest) -> bool:
    """Return True for a later part of a file."""
    found = RANGE.fullmatch(request.headers.get("range", ""))
    return found is not None and found[1] not in ("", "0")


def reaches_end(response: EndpointResponse) -> bool:
    """Return True if a response has the last byte of a file."""
    part, _, size = response.headers.get("Content-Range", "").partition("/")
    return response.status == HTTPStatus.OK or (bool(size) and part.endswith(f"-{int(size) - 1}"))


def find_file(request: ApiRequest) -> FlatFile:
    """Return the file that a request names.

    Raises:
        RejectedRequestError: the keys are wrong, or there is no such file to read.
    """
    check_signature(request)
    key = request.path["key"]
    if not any(key.startswith(f"{folder}/") for folder in FOLDERS):
        raise RejectedRequestError(NO_SUCH_KEY)
    file = request.files.find(key)
    if file is None or not request.files.is_in_plan(file):
        raise RejectedRequestError(DENIED)
    return file


def build_file_response(request: ApiRequest, file: FlatFile, content: bytes | None = None) -> EndpointResponse:
    """Return the response with a file, or with other content in its place.

    Raises:
        RejectedRequestError: the range is not within the file.
    """
    version = request.files.find_version(file, request.variant_of(file))
    first, last = _parse_range(request, version.size)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{version.etag}"',
        "Last-Modified": format_datetime(version.modified, usegmt=True),
        "Content-Length": str(last - first + 1),
    }
    partial = "range" in request.headers
    if partial:
        headers["Content-Range"] = f"bytes {first}-{last}/{version.size}"
    body = b""
    if request.method != "HEAD":
        body = (request.files.build_content(file) if content is None else content)[first : last + 1]
    return EndpointResponse(body, "generated", 206 if partial else 200, headers, "application/gzip")


@dataclass(frozen=True)
class _Page:
    """A page of a list: keys and common prefixes, its limit, the token of the next page."""

    keys: list[str]
    folders: list[str]
    most: int
    more: str | None


def _read_page(request: ApiRequest) -> _Page:
    """Return the requested page. A token is the last name of the page before, in hex digits."""
    query = request.query
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    most = min(int(query["max-keys"]) if query.get("max-keys", "").isdecimal() else MOST_KEYS, MOST_KEYS)
    token = query.get("continuation-token", "")
    try:
        after = bytes.fromhex(token).decode() if token else query.get("start-after", "")
    except ValueError:
        raise RejectedRequestError(BAD_TOKEN) from None
    names = [
        (name, len(name) > len(prefix) and bool(delimiter) and name.endswith(delimiter))
        for name, _ in groupby(_shorten_key(key, prefix, delimiter) for key in request.files.list_keys(prefix))
        if name > after
    ]
    page = names[:most]
    more = page[-1][0].encode().hex() if page and len(names) > most else None
    return _Page(
        [name for name, is_folder in page if not is_folder], [name for name, is_folder in page if is_folder], most, more
    )


def _shorten_key(key: str, prefix: str, delimiter: str) -> str:
    """Return a key, or its part up to the first delimiter after the prefix."""
    head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
    return f"{prefix}{head}{found}" if found else key


def _format_entry(file: FlatFile, version: FileVersion) -> str:
    modified = version.modified.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    fields = (
        _format_tag("Key", file.key), _format_tag("LastModified", modified), _format_tag("ETag", f'"{version.etag}"'),
        _format_tag("Size", version.size), _format_tag("StorageClass", "STANDARD"),
    )  # fmt: skip
    return f"<Contents>{''.join(fields)}</Contents>"


def _format_tag(name: str, value: object) -> str:
    return f"<{name}>{escape(str(value))}</{name}>"


def _parse_range(request: ApiRequest, size: int) -> tuple[int, int]:
    """Return the first and the last byte of the header Range; of the whole file without one."""
    if "range" not in request.headers:
        return 0, size - 1
    found = RANGE.fullmatch(request.headers["range"].strip())
    if found is None or not (found[1] or found[2]):
        raise RejectedRequestError(BAD_RANGE)
    if not found[1]:
        return max(0, size - int(found[2])), size - 1
    first, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
    if not first <= last:
        raise RejectedRequestError(BAD_RANGE)
    return first, last
