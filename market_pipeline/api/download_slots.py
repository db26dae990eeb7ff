"""Slots for large downloads: a limited number at once, in total and for each client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from market_pipeline.api.limits import DOWNLOAD_WAIT, DOWNLOADS, DOWNLOADS_OF_ONE
from market_pipeline.api.problems import ProblemError

FULL = (
    "the maximum number of large downloads is in progress: try again in a while, or request pages of up to 10,000 "
    "rows, which need no slot"
)


class DownloadSlots:
    """The slots; they are assigned in the order of the requests."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(DOWNLOADS)
        self._of_client: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def acquire(self, client: str) -> AsyncIterator[None]:
        """Hold a slot for a download by the client of this address while the block runs.

        Raises:
            ProblemError: no slot was free in time.
        """
        of_client = self._of_client.setdefault(client, asyncio.Semaphore(DOWNLOADS_OF_ONE))
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(DOWNLOAD_WAIT):
                    await held.enter_async_context(of_client)
                    await held.enter_async_context(self._slots)
            except TimeoutError:
                raise ProblemError(503, FULL, headers={"Retry-After": "10"}) from None
            yield
