"""How often a client may ask: a fixed number of requests a minute for each address, counted in this process."""

import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from market_pipeline.api.problems import ProblemError, problem_response


class RequestLimit:
    """Answers 429 to a client that asks too often, and tells everyone how many requests are left to them.

    The path `but_for` is nobody's request: it isn't counted.
    """

    def __init__(self, app: ASGIApp, requests_per_minute: int, but_for: str) -> None:
        self._app = app
        self._but_for = but_for
        self._item = RateLimitItemPerMinute(requests_per_minute)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        if scope["type"] != "http" or scope["path"] == self._but_for:
            await self._app(scope, receive, send)
            return
        client = (scope["client"] or ("unknown",))[0]
        granted = await self._limiter.hit(self._item, client)
        window = await self._limiter.get_window_stats(self._item, client)
        seconds = max(1, round(window.reset_time - time.time()))
        told = [
            (b"ratelimit-policy", b'"minute";q=%d;w=60' % self._item.amount),
            (b"ratelimit", b'"minute";r=%d;t=%d' % (max(0, window.remaining), seconds)),
        ]
        if not granted:
            detail = f"more than {self._item.amount} requests in a minute: wait {seconds} seconds"
            problem = ProblemError(429, detail, headers={"Retry-After": str(seconds)})
            await problem_response(problem, scope["path"])(scope, receive, _adding(send, told))
            return
        await self._app(scope, receive, _adding(send, told))


def _adding(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return sending
