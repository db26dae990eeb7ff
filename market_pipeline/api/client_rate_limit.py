"""Rate limit by client address: a fixed number of requests a minute, counted in this process."""

from collections import Counter
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from market_pipeline.api.problems import ProblemError, problem_response
from market_pipeline.core.wording import counted

WINDOW = 60.0
"""Seconds. One window is everyone's, so that what is counted can be forgotten at once."""


class RequestLimit:
    """Answers 429 to a client that asks too often, and tells everyone how many requests are left to them.

    The path `but_for` is nobody's request: it isn't counted.
    """

    def __init__(self, app: ASGIApp, requests_per_minute: int, but_for: str) -> None:
        self._app = app
        self._most, self._but_for = requests_per_minute, but_for
        self._policy = (b"ratelimit-policy", b'"minute";q=%d;w=%d' % (requests_per_minute, WINDOW))
        self._counts: Counter[str] = Counter()
        self._ends = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        if scope["type"] != "http" or scope["path"] == self._but_for:
            await self._app(scope, receive, send)
            return
        left, seconds = self._count((scope["client"] or ("unknown",))[0])
        told = (b"ratelimit", b'"minute";r=%d;t=%d' % (max(0, left), seconds))

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], self._policy, told]
            await send(message)

        if left >= 0:
            await self._app(scope, receive, telling)
            return
        detail = f"more than {counted(self._most, 'request')} in a minute: wait {counted(seconds, 'second')}"
        problem = ProblemError(429, detail, headers={"Retry-After": str(seconds)})
        await problem_response(problem, scope["path"])(scope, receive, telling)

    def _count(self, client: str) -> tuple[int, int]:
        """Count a request: how many are left to the client behind it, below 0 for too many, and for how long."""
        now = monotonic()
        if now >= self._ends:
            self._counts.clear()
            self._ends = now + WINDOW
        self._counts[client] += 1
        return self._most - self._counts[client], max(1, round(self._ends - now))
