"""The endpoint `/metrics` for Prometheus: counts of the API's requests, and the pipeline's metrics.

The runbook's `/api/v1/metrics` is another endpoint, in `status`.
"""

from asyncio import CancelledError
from collections.abc import Sequence
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from market_pipeline.api.admin.auth import check_reader
from market_pipeline.api.pipeline_metrics import PREFIX, PipelineMetrics
from market_pipeline.api.problems import CLIENT_GONE

PATH = "/metrics"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 100.0)
"""Seconds: one bar takes less than the first bucket, a download of 100,000 rows a few seconds."""

NO_ROUTE = "none"
"""The route of a request that reached no route: its path doesn't exist, or the client is above the rate limit."""


class RequestMetrics:
    """Counts and times requests by route, not by path, as clients can send any number of paths."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            f"{PREFIX}api_requests", "Requests that had a response.", ("method", "route", "status"), registry=registry
        )
        self._duration = Histogram(
            f"{PREFIX}api_request_duration_seconds",
            "From a request's first byte to its response's last.",
            ("method", "route"),
            buckets=BUCKETS,
            registry=registry,
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request that had a response."""
        method = scope["method"] if scope["method"] in METHODS else "other"
        # Looking up the labels takes longer than counting.
        key = (method, _find_route(scope), status)
        counters = self._children.get(key)
        if counters is None:
            counters = self._requests.labels(*key), self._duration.labels(*key[:2])
            self._children[key] = counters
        requests, duration = counters
        requests.inc()
        duration.observe(seconds)


class CountingMiddleware:
    """Counts every request, rejected ones included."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # of an error that is handled outside
        begun = perf_counter()

        async def send_and_record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_record)
        except CancelledError:
            status = CLIENT_GONE
            raise
        finally:
            self._metrics.count(scope, status, perf_counter() - begun)


def _find_route(scope: Scope) -> str:
    """Return the template of the path, e.g. /api/v1/tables/{table}, which routing has put into the scope."""
    route = scope.get("route")
    path: str = getattr(route, "path", NO_ROUTE)
    return f"{path}/{{path}}" if isinstance(route, Mount) else path


def build_metrics_routes(pipeline: PipelineMetrics, registry: CollectorRegistry) -> Sequence[BaseRoute]:
    """Return the endpoint's route. It needs a key if reading does; the clients' rate limit doesn't count it."""
    registry.register(pipeline)
    ProcessCollector(registry=registry)

    async def metrics(request: Request) -> Response:
        await check_reader(request)
        await pipeline.refresh()
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type, "cache-control": "no-store"})

    return [Route(PATH, metrics)]
