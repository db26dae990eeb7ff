"""Places for large downloads: so many at once, so that those who take long keep no place from all others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from market_pipeline.api.limits import DOWNLOAD_WAIT, DOWNLOADS, DOWNLOADS_OF_ONE
from market_pipeline.api.problems import ProblemError

FULL = (
    "as many large downloads as are served at once are in progress: ask again in a while, or for pages of up to 10,000 "
    "rows, which need not wait"
)


class Downloads:
    """The places, which are given in the order in which they are asked for."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(DOWNLOADS)
        self._of_client: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator[None]:
        """A place for a download by the client of this address, while the block runs.

        Raises:
            ProblemError: none was free in time.
        """
        of_client = self._of_client.setdefault(client, asyncio.Semaphore(DOWNLOADS_OF_ONE))
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(DOWNLOAD_WAIT):
                    await held.enter_async_context(of_client)
                    await held.enter_async_context(self._places)
            except TimeoutError:
                raise ProblemError(503, FULL, headers={"Retry-After": "10"}) from None
            yield
