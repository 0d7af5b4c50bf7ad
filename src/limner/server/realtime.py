"""Websockets: fal's realtime protocol, and HTTP over a websocket (wire.md 3.8).

``fal.run/{id}/realtime``: one map in, one map out, in order, ``request_id`` echoed; what goes wrong
is an ``x-fal-error`` and the connection stays. ``ws.fal.run/{id}``: one JSON input in; a ``start``,
the body and an ``end`` out. Whoever may not call is refused at the handshake.
The same intake, ledger and worker as every other road; hanging up cancels. Knows no engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import APIRouter, WebSocket
from fastapi.responses import JSONResponse
from pydantic_core import from_json, to_json
from starlette.websockets import WebSocketDisconnect

from limner.errors import OUR_FAULT, CallersFault, Refused, bad_request, whereabouts
from limner.requests.connections import Unreachable
from limner.requests.request import Request
from limner.server.frames import Frame, read, receive, send, send_json
from limner.server.intake import App, Intake
from limner.server.keys import Caller
from limner.server.numerals import is_whole
from limner.server.problems import AWAY, as_response, in_words
from limner.server.queue import outcome_headers
from limner.server.waiting import Waiting
from limner.server.watch import Watch

log = structlog.get_logger(__name__)

#: fal's upper bound of ``max_buffering``. Without one, so many may wait before we stop reading.
MOST_BUFFERED = 60

#: Close code of a fault of ours (RFC 6455, 7.4.1).
INTERNAL_ERROR = 1011


@dataclass(frozen=True, slots=True)
class Reply:
    """What HTTP would have answered."""

    status: int
    headers: Mapping[str, str]
    body: Any
    #: Empty when the input was refused before it became a request.
    request_id: str = ""


class Desk:
    """Takes the input of one caller to the ledger and waits for what comes of it.

    A line outlives its handshake by hours, so a key that was revoked since opens nothing.
    """

    def __init__(
        self, intake: Intake, watch: Watch, socket: WebSocket, app: App, caller: Caller
    ) -> None:
        self._intake = intake
        self._watch = watch
        self._socket = socket
        self._app = app
        self._caller = caller

    async def reply(self, raw: dict[str, Any]) -> Reply:
        """What became of ``raw``; cancelled as a request when it is cancelled as a coroutine."""
        try:
            request = await self._intake.take(self._socket, self._app, self._caller, raw)
            done = await self._done(request.id)
        except CallersFault as fault:
            return reply_of(fault)
        assert done.outcome is not None
        return Reply(done.outcome.http_status, outcome_headers(done), done.outcome.body, request.id)

    async def _done(self, request_id: str) -> Request:
        try:
            with self._watch.listen(f"done:{request_id}") as heard:
                while True:
                    current = await self._intake.looks.get(request_id)
                    if current is None:
                        raise Refused(404, "Request not found")
                    if current.outcome is not None:
                        return current
                    await heard.next()
        except asyncio.CancelledError:
            self._intake.ledger.cancel(request_id)
            raise


def reply_of(fault: CallersFault) -> Reply:
    """A fault as HTTP would have answered it."""
    told = fault.answer()
    return Reply(told.status, told.headers, told.body)


#: Answers one frame of a socket with the help of a desk.
Answer = Callable[[WebSocket, Desk, Frame], Awaitable[None]]


async def answer_in_realtime(socket: WebSocket, desk: Desk, frame: Frame) -> None:
    """The output with its ``request_id`` in the asker's encoding, or an ``x-fal-error``."""
    request_id: Any = None
    packed = False
    try:
        message = read(frame)
        packed = message.packed
        request_id = message.body.pop("request_id", None)
        # 1e999 is a number, wherever in it, and its echo would be no JSON: null then.
        request_id = from_json(to_json(request_id, inf_nan_mode="null"))
        reply = await desk.reply(message.body)
    except CallersFault as fault:
        reply = reply_of(fault)
    if request_id is None:
        request_id = reply.request_id
    if reply.status < 300:
        await send(socket, {**reply.body, "request_id": request_id}, packed=packed)
    else:
        await send_json(socket, error_message(reply, request_id))


async def answer_as_http(socket: WebSocket, desk: Desk, frame: Frame) -> None:
    """A ``start`` with status and headers, the JSON body, an ``end``."""
    try:
        reply = await desk.reply(read(frame).body)
    except CallersFault as fault:
        reply = reply_of(fault)
    mark = {"request_id": reply.request_id}
    headers = {"content-type": "application/json", **reply.headers}
    await send_json(socket, {"type": "start", **mark, "status": reply.status, "headers": headers})
    await send_json(socket, reply.body)
    await send_json(socket, {"type": "end", **mark})


def error_message(reply: Reply, request_id: Any) -> dict[str, Any]:
    """fal's error message: always JSON text. ``error`` is a word, ``reason`` is for people."""
    word = "INVALID_INPUT" if reply.status == 422 else "INTERNAL_ERROR"
    detail = reply.body["detail"]
    return {
        "type": "x-fal-error",
        "error": str(reply.body.get("error_type", word)).upper(),
        "reason": in_words(detail),
        "request_id": request_id,
        "status_code": reply.status,
        "detail": detail,
    }


async def converse(socket: WebSocket, desk: Desk, answer: Answer, buffering: int | None) -> None:
    """Read ahead and answer in order until the caller hangs up.

    ``buffering``: how many may wait before the oldest is dropped, because a live picture is worth
    more than those before it (fal's own app does so); None: none is dropped.
    """
    waiting = Waiting(buffering or MOST_BUFFERED, dropping=buffering is not None)

    async def listen() -> None:
        while True:
            await waiting.put(await receive(socket))

    async def answer_each() -> None:
        while True:
            await answer(socket, desk, await waiting.get())

    tasks = {asyncio.create_task(listen()), asyncio.create_task(answer_each())}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    except WebSocketDisconnect:
        pass
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Realtime:
    """Accepts websockets for one ledger."""

    def __init__(self, intake: Intake, watch: Watch) -> None:
        self._intake = intake
        self._watch = watch

    async def realtime(self, socket: WebSocket, app: str) -> None:
        """fal's realtime protocol."""
        await self._serve(socket, app, answer_in_realtime)

    async def http(self, socket: WebSocket, app: str) -> None:
        """HTTP over a websocket."""
        await self._serve(socket, app, answer_as_http)

    async def _serve(self, socket: WebSocket, app: str, answer: Answer) -> None:
        try:
            resolved = self._intake.resolve(app)
            if resolved.path:
                raise Refused(404, f"Path /{resolved.path} not found")
            caller = await self._intake.gate.caller(socket, resolved.endpoint.id)
            buffering = _buffering(socket.query_params.get("max_buffering"))
        except Exception as fault:  # noqa: BLE001 - the boundary that reports
            await socket.send_denial_response(_refusal(fault))
            return
        await socket.accept()
        desk = Desk(self._intake, self._watch, socket, resolved, caller)
        try:
            await converse(socket, desk, answer, buffering)
        except Exception as fault:  # noqa: BLE001 - the boundary that reports
            log.error("line_failed", fault=whereabouts(fault))
            await socket.close(INTERNAL_ERROR)


def _refusal(fault: Exception) -> JSONResponse:
    """Why a handshake is refused; of what is our fault there is a line in the log."""
    if isinstance(fault, CallersFault):
        return as_response(fault.answer())
    log.error("handshake_failed", fault=whereabouts(fault))
    return as_response(AWAY if isinstance(fault, Unreachable) else OUR_FAULT)


def _buffering(value: str | None) -> int | None:
    if value is None:
        return None
    if not is_whole(value, len(str(MOST_BUFFERED))) or not 1 <= int(value) <= MOST_BUFFERED:
        raise bad_request(f"max_buffering must be a whole number from 1 to {MOST_BUFFERED}")
    return int(value)


def realtime_router(realtime: Realtime) -> APIRouter:
    """The websocket routes."""
    router = APIRouter()
    router.add_api_websocket_route("/@run/{app:path}/realtime", realtime.realtime)
    router.add_api_websocket_route("/@ws/{app:path}", realtime.http)
    return router
