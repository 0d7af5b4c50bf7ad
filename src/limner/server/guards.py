"""What every answer says to browsers, whatever it is: our JSON is no page, no script, no picture.

Set only where the answer says nothing itself: files and the playground have policies of their own.
Knows headers; knows no answer.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

GUARDS = {
    # The content type is meant: a browser shall not find a script in JSON.
    "x-content-type-options": "nosniff",
    # Opened as a page it can do nothing, and no page may frame it.
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    # An address may hold a token or name a request.
    "referrer-policy": "no-referrer",
    # Somebody's requests, results and keys are in no cache on the way.
    "cache-control": "no-store",
}

#: The start of an answer, and of a refusal to open a websocket.
_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})


class Guards:
    """ASGI middleware that adds what is missing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] in _STARTS:
                headers = MutableHeaders(scope=message)
                for name, value in GUARDS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, guarded)
