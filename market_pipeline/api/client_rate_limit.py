"""Rate limit by client address: a fixed number of requests a minute, counted in this process."""

from collections import Counter
from collections.abc import Callable
from time import monotonic

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from market_pipeline.api.problems import ProblemError, build_problem_response
from market_pipeline.core.wording import format_count

WINDOW = 60.0
"""Seconds. All clients share one window, so that all counts are reset together."""


class RateLimitMiddleware:
    """Responds with 429 to a client above the limit, and adds the number of remaining requests to every response.

    Requests for paths that `is_exempt` accepts are not counted. `respond` makes a problem the response for a path.
    """

    def __init__(
        self,
        app: ASGIApp,
        requests_per_minute: int,
        is_exempt: Callable[[str], bool] = lambda _path: False,
        respond: Callable[[ProblemError, str], Response] = build_problem_response,
    ) -> None:
        self._app = app
        self._most, self._is_exempt, self._respond = requests_per_minute, is_exempt, respond
        self._policy = (b"ratelimit-policy", b'"minute";q=%d;w=%d' % (requests_per_minute, WINDOW))
        self._counts: Counter[str] = Counter()
        self._ends = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        if scope["type"] != "http" or self._is_exempt(scope["path"]):
            await self._app(scope, receive, send)
            return
        left, seconds = self._count((scope["client"] or ("unknown",))[0])
        header = (b"ratelimit", b'"minute";r=%d;t=%d' % (max(0, left), seconds))

        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], self._policy, header]
            await send(message)

        if left >= 0:
            await self._app(scope, receive, send_with_header)
            return
        detail = f"more than {format_count(self._most, 'request')} in a minute: wait {format_count(seconds, 'second')}"
        problem = ProblemError(429, detail, headers={"Retry-After": str(seconds)})
        await self._respond(problem, scope["path"])(scope, receive, send_with_header)

    def _count(self, client: str) -> tuple[int, int]:
        """Count a request; return the number still allowed (below 0: too many) and the seconds left of the window."""
        now = monotonic()
        if now >= self._ends:
            self._counts.clear()
            self._ends = now + WINDOW
        self._counts[client] += 1
        return self._most - self._counts[client], max(1, round(self._ends - now))
