"""Files that clients read by parts: kept for a while, so that all parts are of one file.

Readers of Parquet, such as polars and DuckDB, request the length of a file, then its end, and then some of its columns.
A kept file is a temporary file without a name: no one else can open it, and the system removes it with the process.
"""

import asyncio
import logging
import tempfile
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import BinaryIO
from weakref import WeakValueDictionary

from starlette.responses import Response
from starlette.types import Message, Scope
from xxhash import xxh3_128

from market_pipeline.api.limits import (
    KEPT_BYTES,
    KEPT_FILE_BYTES,
    KEPT_FILES,
    KEPT_FILES_OF_ONE,
    KEPT_FRESH_SECONDS,
    KEPT_SECONDS,
)

Headers = list[tuple[bytes, bytes]]
Key = tuple[str, Hashable]
"""The client's address, and its request."""


OF_WHOLE = (b"etag", b"content-length")
"""Headers of the whole response that a part has its own of."""


class TooLargeError(Exception):
    """A file would be larger than KEPT_FILE_BYTES."""


@dataclass(eq=False)
class KeptFile:
    """A file, its size in bytes, its strong ETag, and the other headers of its responses."""

    file: BinaryIO
    size: int
    tag: str
    headers: Headers
    built_at: float
    used_at: float


class KeptFiles:
    """The files by client and request, the one used last at the end."""

    def __init__(self) -> None:
        self._files: OrderedDict[Key, KeptFile] = OrderedDict()
        self._too_large: dict[Key, float] = {}
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    async def hold(
        self, key: Key, build: Callable[[], Awaitable[Response]], scope: Scope, *, fresh: bool
    ) -> KeptFile | None:
        """Return the file of a request; None if it is too large. `fresh`: built some seconds ago at most."""
        async with self._locks.setdefault(key, asyncio.Lock()):
            now = time.monotonic()
            self._expire(now)
            kept = self._files.get(key)
            if kept is None or (fresh and now - kept.built_at > KEPT_FRESH_SECONDS):
                if key in self._too_large:
                    return None
                try:
                    kept = await _write(await build(), scope)
                except TooLargeError:
                    self._too_large[key] = now
                    return None
                except OSError as error:
                    logging.getLogger(__name__).warning("A file to read by parts can't be kept: %s", error)
                    return None
                self._add(key, kept)
            kept.used_at = now
            self._files.move_to_end(key)
            return kept

    def close(self) -> None:
        """Remove all files."""
        for key in list(self._files):
            self._remove(key)

    def _add(self, key: Key, kept: KeptFile) -> None:
        """Keep a file; remove those used longest ago, of the same client first, until all are within the limits."""
        self._remove(key)
        own = [other for other in self._files if other[0] == key[0]]
        for other in own[: max(0, len(own) + 1 - KEPT_FILES_OF_ONE)]:
            self._remove(other)
        while self._files and (
            len(self._files) >= KEPT_FILES or sum(file.size for file in self._files.values()) + kept.size > KEPT_BYTES
        ):
            self._remove(next(iter(self._files)))
        self._files[key] = kept

    def _remove(self, key: Key) -> None:
        if kept := self._files.pop(key, None):
            kept.file.close()  # responses in progress have descriptors of their own

    def _expire(self, now: float) -> None:
        for key in [key for key, kept in self._files.items() if now - kept.used_at > KEPT_SECONDS]:
            self._remove(key)
        self._too_large = {key: at for key, at in self._too_large.items() if now - at <= KEPT_SECONDS}


async def _write(response: Response, scope: Scope) -> KeptFile:
    """Write a response's body to a file.

    Raises:
        TooLargeError: it has more than KEPT_FILE_BYTES.
    """
    file: BinaryIO = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it is kept open  # type: ignore[assignment]
    digest, size = xxh3_128(), 0

    async def write(message: Message) -> None:
        nonlocal size
        body: bytes = message.get("body", b"")
        size += len(body)
        if size > KEPT_FILE_BYTES:
            raise TooLargeError
        digest.update(body)
        await asyncio.to_thread(file.write, body)

    try:
        await response({**scope, "method": "GET"}, _receive_nothing, write)
    except BaseException:
        file.close()
        raise
    now = time.monotonic()
    headers = [header for header in response.raw_headers if header[0] not in OF_WHOLE]
    return KeptFile(file, size, f'"{digest.hexdigest()}"', headers, now, now)


async def _receive_nothing() -> Message:
    return {"type": "http.disconnect"}
