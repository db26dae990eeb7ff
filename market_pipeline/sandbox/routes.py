"""The sandbox as an ASGI application: its routes, and the steps that every request passes."""

import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from market_pipeline.sandbox import actions, aggregates, market_status, object_storage, tickers
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.endpoint_responses import EndpointResponse, build_error_response
from market_pipeline.sandbox.fault_rules import Scenario
from market_pipeline.sandbox.faults import FILE, FaultError, VendorFault, find_fault
from market_pipeline.sandbox.flat_files import KEY, FlatFile, FlatFiles
from market_pipeline.sandbox.market import SandboxMarket
from market_pipeline.sandbox.object_storage import BUCKET
from market_pipeline.sandbox.plan_limits import PLAN_LIMITS
from market_pipeline.sandbox.request import ApiRequest
from market_pipeline.sandbox.rolling_limit import RollingLimit
from market_pipeline.sandbox.stats import RequestStats
from market_pipeline.sandbox.transmission import SANDBOX_HEADER, to_http_response
from market_pipeline.vendor_format.error_bodies import (
    NO_KEY,
    TOO_MANY,
    UNKNOWN_KEY,
    UNKNOWN_PATH,
    ErrorBody,
    RejectedRequestError,
)
from market_pipeline.vendor_format.reference_bodies import (
    NEWER_DIVIDENDS,
    NEWER_SPLITS,
    OLDER_DIVIDENDS,
    OLDER_SPLITS,
)

Endpoint = Callable[[ApiRequest], EndpointResponse]

FAULT_HEADER = "X-Sandbox-Fault"

FoundFault = tuple[VendorFault, str]
"""A fault and its argument."""

ENDPOINTS: tuple[tuple[str, str, Endpoint], ...] = (
    ("range", "/v2/aggs/ticker/{ticker}/range/{multiplier}/{timespan}/{from}/{to}", aggregates.read_range),
    ("previous_day", "/v2/aggs/ticker/{ticker}/prev", aggregates.read_previous_day),
    ("grouped", "/v2/aggs/grouped/locale/us/market/stocks/{date}", aggregates.read_grouped_stocks),
    ("grouped", "/v2/aggs/grouped/locale/global/market/crypto/{date}", aggregates.read_grouped_crypto),
    ("open_close", "/v1/open-close/crypto/{base}/{quote}/{date}", aggregates.read_crypto_open_close),
    ("open_close", "/v1/open-close/{ticker}/{date}", aggregates.read_open_close),
    ("splits", "/v3/reference/splits", partial(actions.list_splits, OLDER_SPLITS)),
    ("splits", "/stocks/v1/splits", partial(actions.list_splits, NEWER_SPLITS)),
    ("dividends", "/v3/reference/dividends", partial(actions.list_dividends, OLDER_DIVIDENDS)),
    ("dividends", "/stocks/v1/dividends", partial(actions.list_dividends, NEWER_DIVIDENDS)),
    ("tickers", "/v3/reference/tickers", tickers.read_tickers),
    ("ticker_types", "/v3/reference/tickers/types", tickers.read_ticker_types),
    ("ticker_details", "/v3/reference/tickers/{ticker}", tickers.read_ticker_details),
    ("ticker_events", "/vX/reference/tickers/{ticker}/events", tickers.read_ticker_events),
    ("market_status", "/v1/marketstatus/upcoming", market_status.read_holidays),
    ("market_status", "/v1/marketstatus/now", market_status.read_status),
)
"""The vendor's endpoints: the kind they are counted as, the path, and the handler."""

FILE_HEAD, FILE_LIST = "file_head", "file_list"
FILE_KINDS = (FILE, FILE_HEAD, FILE_LIST)
"""Kinds of requests for flat files: GET, HEAD and lists. They have keys of their own and no rate limit."""


class RequestPipeline:
    """The steps of every request to the vendor's endpoints: count, fault, key, rate limit, endpoint."""

    def __init__(self, config: SandboxConfig) -> None:
        self.market = SandboxMarket(config)
        self.files = FlatFiles(self.market)
        self.stats = RequestStats()
        self._keys = [key.get_secret_value() for key in config.keys]
        self._limit = RollingLimit(PLAN_LIMITS[config.plan].calls_per_minute)
        self._scenario = Scenario(config.faults, config.seed)
        self._reading: dict[str, FoundFault | None] = {}
        """The fault of each file's content as it is being read; parts after the first have the same."""

    def reset(self) -> None:
        """Forget all requests."""
        self.stats.reset()
        self.market.reset()
        self._reading.clear()
        self._limit.reset()
        self._scenario.reset()

    def handle_request(self, kind: str, request: Request, endpoint: Endpoint) -> Response:
        """Return the response to a request, or its fault's."""
        self.stats.count_request(kind)
        api_request = self._read_request(request, kind)
        try:
            found = self._choose_fault(request, api_request, kind)
        except FaultError as error:
            return to_http_response(
                build_error_response(ErrorBody(400, "ERROR", str(error)), api_request.request_id), api_request
            )
        if found is None:
            return to_http_response(self._build_proper_response(api_request, kind, endpoint), api_request)
        fault, argument = found
        return fault.act(api_request, lambda: self._build_proper_response(api_request, kind, endpoint), argument)

    def _choose_fault(self, request: Request, api_request: ApiRequest, kind: str) -> FoundFault | None:
        """Return the fault for this request and its argument, if any, and count it."""
        key = api_request.path.get("key", "")
        if kind == FILE and object_storage.is_continued(api_request):
            return self._reading.get(key)
        found = self._find_new_fault(request, api_request, kind)
        if kind == FILE:
            self._reading[key] = found if found and found[0].only else None
        if found:
            self.stats.count_fault(found[0].name)
        return found

    def _find_new_fault(self, request: Request, api_request: ApiRequest, kind: str) -> FoundFault | None:
        if FAULT_HEADER in request.headers:
            name, _, argument = request.headers[FAULT_HEADER].partition("=")
            return find_fault(name, argument or None)
        query = {name: value for name, value in api_request.query.items() if name != "apiKey"}
        target = f"{api_request.target}?{urlencode(sorted(query.items()))}"
        rule = self._scenario.choose_rule(target, _find_subject(api_request), kind)
        return (rule.fault, rule.argument) if rule else None

    def _build_proper_response(self, api_request: ApiRequest, kind: str, endpoint: Endpoint) -> EndpointResponse:
        try:
            if kind not in FILE_KINDS:
                self._check_key(api_request.key)
            return endpoint(api_request)
        except RejectedRequestError as error:
            return build_error_response(error.body, api_request.request_id)

    def _read_request(self, request: Request, kind: str) -> ApiRequest:
        """Return the request independent of the framework."""
        return ApiRequest(
            market=self.market,
            files=self.files,
            path=request.path_params,
            query=dict(request.query_params),
            address=lambda: str(request.base_url).rstrip("/"),
            target=request.url.path,
            method=request.method,
            headers=dict(request.headers) if kind in FILE_KINDS else {},
            raw_path=request.scope["raw_path"].decode(),
            raw_query=request.url.query,
            variant_of=(lambda _file: "") if kind == FILE else self._find_next_variant,
            key=_read_key(request),
            accepts_gzip="gzip" in request.headers.get("Accept-Encoding", ""),
        )

    def _find_next_variant(self, file: FlatFile) -> str:
        """Return the name of the fault that the next request for a file's content will find in it."""
        found = self._scenario.find_next_rule(f"/{BUCKET}/{file.key}?", str(file.session), FILE)
        return found[1].fault.variant if found else ""

    def _check_key(self, key: str | None) -> None:
        if not key:
            raise RejectedRequestError(NO_KEY)
        if self._keys and not any(secrets.compare_digest(key.encode(), known.encode()) for known in self._keys):
            raise RejectedRequestError(UNKNOWN_KEY)
        if not self._limit.grant(key):
            raise RejectedRequestError(TOO_MANY)


class SandboxHeaderMiddleware:
    """Adds the sandbox's header to every response, errors of the framework included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""

        async def send_labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], SANDBOX_HEADER]
            await send(message)

        await self._app(scope, receive, send_labelled)


def create_app(config: SandboxConfig) -> Starlette:
    """Create the sandbox's application. It needs `loopback_server`, which faults of the connection rely on.

    Raises:
        FaultError: a fault rule can't be used.
    """
    pipeline = RequestPipeline(config)

    async def stats(_request: Request) -> Response:
        return JSONResponse(pipeline.stats.report())

    async def reset(_request: Request) -> Response:
        pipeline.reset()
        return JSONResponse({"status": "OK"})

    async def not_found(_request: Request, _error: Exception) -> Response:
        pipeline.stats.count_request("unknown")
        return Response(UNKNOWN_PATH, 404, media_type="text/plain")

    routes = [
        Route("/_sandbox/stats", stats),
        Route("/_sandbox/reset", reset, methods=["POST"]),
        *(Route(path, _create_handler(pipeline, kind, endpoint)) for kind, path, endpoint in ENDPOINTS),
        Route(f"/{BUCKET}", _create_handler(pipeline, FILE_LIST, object_storage.list_objects)),
        Route(f"/{BUCKET}/", _create_handler(pipeline, FILE_LIST, object_storage.list_objects)),
        Route(f"/{BUCKET}/{{key:path}}", _create_file_handler(pipeline)),
    ]
    app = Starlette(routes=routes, exception_handlers={404: not_found})
    app.router.redirect_slashes = False
    app.add_middleware(SandboxHeaderMiddleware)
    return app


def _create_handler(
    pipeline: RequestPipeline, kind: str, endpoint: Endpoint
) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        return pipeline.handle_request(kind, request, endpoint)

    return handle


def _create_file_handler(pipeline: RequestPipeline) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        kind = FILE_HEAD if request.method == "HEAD" else FILE
        return pipeline.handle_request(kind, request, object_storage.read_object)

    return handle


def _find_subject(request: ApiRequest) -> str | None:
    """Return the ticker that a request is about, or the session of one for all tickers."""
    if "key" in request.path:
        found = KEY.fullmatch(request.path["key"])
        return found["day"] if found else None
    return request.path.get("ticker") or request.query.get("ticker") or request.path.get("date")


def _read_key(request: Request) -> str | None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else request.query_params.get("apiKey")
