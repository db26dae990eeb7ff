"""The short way to the generated routes, which carry the load: Starlette's takes as long as reading the request."""

from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from market_pipeline.api.problems import respond_with_problem


class Shortcut:
    """Answers GET on routes of the form `/fixed/path/{name}`, and leaves everything else to the application.

    The application has the same routes: for other methods, and for HEAD.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self._app = app
        self._routes: Mapping[str, Route] = {route.path.rpartition("/")[0]: route for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        folder, _, name = scope["path"].rpartition("/") if scope["type"] == "http" else ("", "", "")
        route = self._routes.get(folder)
        if route is None or not name or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        scope["route"], scope["path_params"] = route, dict.fromkeys(route.param_convertors, name)
        request = Request(scope, receive)
        try:
            response = await route.endpoint(request)
        except Exception as error:
            response = await respond_with_problem(request, error)
        await response(scope, receive, send)
