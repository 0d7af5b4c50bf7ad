"""``fal.run``: the caller waits on the line, for the result or for its steps (wire.md 3.6, 3.7).

The same ledger and the same worker as the queue; hanging up cancels. Knows no engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import Request as HttpRequest
from fastapi.responses import Response
from starlette.routing import Route

from limner.errors import Refused
from limner.requests.request import Request
from limner.server.events import event_stream
from limner.server.intake import Intake
from limner.server.plain import plain
from limner.server.previews import Previews
from limner.server.queue import outcome_response
from limner.server.watch import Watch


class Run:
    """Direct calls for one ledger."""

    def __init__(self, intake: Intake, watch: Watch) -> None:
        self._intake = intake
        self._ledger = intake.ledger
        self._watch = watch

    async def call(self, call: HttpRequest, app: str) -> Response:
        """The bare output, or the error, when it is there."""
        if app.endswith("/stream"):
            return await self._stream(call, app.removesuffix("/stream"))
        request = await self._intake.run(call, self._intake.resolve(app))
        try:
            return await self._outcome(call, request.id)
        except asyncio.CancelledError:
            # The server stops: nobody will be there for the result. Asked, not waited for.
            self._ledger.cancel(request.id)
            raise

    async def _outcome(self, call: HttpRequest, request_id: str) -> Response:
        with self._watch.listen(f"done:{request_id}") as heard:
            while True:
                await heard.next()
                current = await self._current(request_id)
                if current.outcome is not None:
                    return outcome_response(current)
                if await call.is_disconnected():
                    await asyncio.wrap_future(self._ledger.cancel(request_id))
                    raise Refused(499, "Client disconnected", error_type="client_disconnected")

    async def _stream(self, call: HttpRequest, app: str) -> Response:
        """One event per step, some with a ``preview`` (a data URI), the last the full result."""
        request = await self._intake.run(call, self._intake.resolve(app))
        return event_stream(self._steps(request), request.id)

    async def _steps(self, request: Request) -> AsyncGenerator[Any]:
        seen = -1
        previews = Previews(self._intake.strict)
        try:
            with self._watch.listen(f"step:{request.id}", f"done:{request.id}") as heard:
                while True:
                    followed = self._ledger.follow(request.id, after=seen)
                    found, lines = await asyncio.wrap_future(followed)
                    current = _there(found)
                    for line in lines:
                        seen = line.seq
                        yield {
                            "request_id": request.id,
                            "message": line.message,
                            "level": line.level,
                            "progress": line.progress,
                            **(previews.news(current) if line is lines[-1] else {}),
                        }
                    if current.outcome is not None:
                        yield current.outcome.body
                        return
                    await heard.next()
        finally:
            # Also when the caller hung up; a request that is done stays as it is. Asked, not waited
            # for: a second cancellation would take back what the ledger had not begun yet.
            self._ledger.cancel(request.id)

    async def _current(self, request_id: str) -> Request:
        return _there(await self._intake.looks.get(request_id))


def _there(request: Request | None) -> Request:
    if request is None:
        raise Refused(404, "Request not found", body={"status": "NOT_FOUND"})
    return request


def run_routes(run: Run) -> list[Route]:
    """Every path that nobody else claimed is a run."""
    return [plain("/@run/{app:path}", run.call, "POST", "GET")]
