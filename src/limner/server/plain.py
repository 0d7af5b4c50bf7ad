"""The hot routes, without FastAPI's machinery: their handlers take a call and answer a response.

FastAPI reads parameters by their types and looks through every router it was given; for a handler
that needs neither, both cost more than the handler. Knows routes; knows no path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fastapi import Request as HttpRequest
from fastapi.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from limner.server.problems import response_to


def plain(path: str, handler: Callable[..., Awaitable[Response]], *methods: str) -> Route:
    """A route whose ``handler`` takes the call, then the path's parameters by name."""

    async def endpoint(call: HttpRequest) -> Response:
        return await handler(call, **call.path_params)

    route = Route(path, endpoint)
    # Exactly these: Starlette would answer HEAD wherever there is GET.
    route.methods = set(methods)
    return route


class PlainRoutes:
    """ASGI middleware that answers what is called by one of these routes; all else goes on.

    The application has the same routes: it says what is wrong with a method that none of them has.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self.app = app
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for route in self.routes if scope["type"] == "http" else ():
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                call = HttpRequest(scope, receive, send)
                try:
                    response = await route.endpoint(call)
                except Exception as problem:  # noqa: BLE001 - the boundary that reports
                    response = response_to(call, problem)
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)
