"""Byte ranges of files: requests for parts by HEAD, Range and conditions, and their responses (RFC 9110, 13, 14)."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from market_pipeline.api.generated.negotiation import read_header
from market_pipeline.api.kept_files import KeptFile, KeptFiles
from market_pipeline.api.problems import ProblemError

PART_BYTES = 256 * 1024
"""Bytes in memory at a time."""


def is_by_parts(request: Request) -> bool:
    """Return True if a request is for a file's length or for parts of it."""
    return request.method == "HEAD" or bool(read_header(request, b"range"))


async def hold_file(request: Request, files: KeptFiles, build: Callable[[], Awaitable[Response]]) -> KeptFile | None:
    """Return the kept file of a request, built if it lacks; None if it can't be kept."""
    scope = request.scope
    return await files.hold(
        (scope["client"][0], (scope["path"], scope["query_string"], read_header(request, b"accept"))),
        build,
        scope,
        fresh=request.method == "HEAD",
    )


def respond_with_part(request: Request, kept: KeptFile) -> Response:
    """Return the requested part of a file, or all of it.

    Raises:
        ProblemError: 412, parts of another file are requested; 416, the file has no such part.
    """
    needed = read_header(request, b"if-match")
    if needed and needed != "*" and kept.tag not in needed:
        raise ProblemError(412, "the file was built anew since: request its length again by HEAD, and all parts")
    requested, condition = read_header(request, b"range"), read_header(request, b"if-range")
    part = None
    if request.method == "GET" and (not condition or condition == kept.tag):
        part = parse_range(requested, kept.size)
    return _PartResponse(kept, part)


def parse_range(text: str, size: int) -> range | None:
    """Return the bytes that a header Range is for; None for all, as for several ranges and malformed ones.

    Raises:
        ProblemError: 416, the file has none of them.
    """
    form = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", text.replace(" ", ""), re.ASCII)
    if form is None or form[0] == "bytes=-":
        return None
    first, last = form[1], form[2]
    if not first:
        found = range(max(0, size - int(last)), size)
    elif last and int(last) < int(first):
        return None
    else:
        found = range(int(first), min(size, int(last) + 1) if last else size)
    if not found:
        raise ProblemError(
            416, f"the file has {size} bytes, and none in this range", headers={"Content-Range": f"bytes */{size}"}
        )
    return found


class _PartResponse(Response):
    """A response with bytes of a kept file, which may be removed meanwhile."""

    def __init__(self, kept: KeptFile, part: range | None) -> None:
        self._file = os.fdopen(os.dup(kept.file.fileno()), "rb", buffering=0)
        self._part = range(kept.size) if part is None else part
        self.status_code = 200 if part is None else 206
        self.background = None
        position = [] if part is None else [(b"content-range", b"bytes %d-%d/%d" % (part[0], part[-1], kept.size))]
        self.raw_headers = [
            *kept.headers,
            *position,
            (b"etag", kept.tag.encode()),
            (b"accept-ranges", b"bytes"),
            (b"content-length", b"%d" % len(self._part)),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        with self._file as file:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for at in self._part[::PART_BYTES] if scope["method"] == "GET" else ():
                size = min(PART_BYTES, self._part.stop - at)
                body = await asyncio.to_thread(os.pread, file.fileno(), size, at)
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body"})
