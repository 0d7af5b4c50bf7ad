"""The hot routes, without FastAPI's machinery: their handlers take a call and answer a response.

FastAPI reads parameters by their types and looks through every router it was given; for a handler
that needs neither, both cost more than the handler. Knows routes; knows no path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request as HttpRequest
from fastapi.responses import Response
from starlette.routing import Route


def plain(path: str, handler: Callable[..., Awaitable[Response]], *methods: str) -> Route:
    """A route whose ``handler`` takes the call, then the path's parameters by name."""

    async def endpoint(call: HttpRequest) -> Response:
        return await handler(call, **call.path_params)

    route = Route(path, endpoint)
    # Exactly these: Starlette would answer HEAD wherever there is GET.
    route.methods = set(methods)
    return route
