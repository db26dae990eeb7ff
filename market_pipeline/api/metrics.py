"""`/metrics`, what Prometheus scrapes: the API's own requests, counted here, and the pipeline's metrics.

The runbook's `/api/v1/metrics` is something else, and in overview.py.
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
"""Seconds: one bar is answered in less than the first, a download of 100,000 rows streams for some."""

NO_ROUTE = "none"
"""The route of a request that reached none, because there is no such path or the client asks too often."""


class RequestMetrics:
    """Counts requests and how long they took, by route and never by path: anyone can make paths up."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            f"{PREFIX}api_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._duration = Histogram(
            f"{PREFIX}api_request_duration_seconds",
            "From a request's first byte to its answer's last.",
            ("method", "route"),
            buckets=BUCKETS,
            registry=registry,
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        method = scope["method"] if scope["method"] in METHODS else "other"
        # Looking the labels up costs more than counting.
        key = (method, _route(scope), status)
        found = self._children.get(key)
        if found is None:
            found = self._requests.labels(*key), self._duration.labels(*key[:2])
            self._children[key] = found
        requests, duration = found
        requests.inc()
        duration.observe(seconds)


class Counted:
    """Has every request counted, the refused ones included."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # of an error that is only answered further out
        begun = perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except CancelledError:
            status = CLIENT_GONE
            raise
        finally:
            self._metrics.count(scope, status, perf_counter() - begun)


def _route(scope: Scope) -> str:
    """The template of the path, e.g. /api/v1/tables/{table}; routing has left it in the scope."""
    route = scope.get("route")
    path: str = getattr(route, "path", NO_ROUTE)
    return f"{path}/{{path}}" if isinstance(route, Mount) else path


def metrics_routes(pipeline: PipelineMetrics, registry: CollectorRegistry) -> Sequence[BaseRoute]:
    """The endpoint. Whether it takes a key follows the other reads; the clients' rate limit doesn't count it."""
    registry.register(pipeline)
    ProcessCollector(registry=registry)

    async def metrics(request: Request) -> Response:
        await check_reader(request)
        await pipeline.refresh()
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type, "cache-control": "no-store"})

    return [Route(PATH, metrics)]
