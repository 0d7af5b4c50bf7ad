"""``queue.fal.run``: submit, status, status stream, result, cancel (wire.md 3.1–3.5).

The HTTP status is part of the protocol: 202 until a request is done, 200 from then on; failure
is told by the result. Knows fal's words for a request's state; knows no engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from limner.requests.lifecycle import Cancellation
from limner.requests.request import LogLine, Request, Status
from limner.server.events import event_stream
from limner.server.hosts import Address
from limner.server.intake import TRUE, Intake
from limner.server.plain import plain
from limner.server.previews import Previews
from limner.server.watch import Watch

#: Our states in fal's words.
STATUS = {Status.QUEUED: "IN_QUEUE", Status.RUNNING: "IN_PROGRESS", Status.DONE: "COMPLETED"}

CANCELLATION = {
    Cancellation.REMOVED: (200, {"status": "OK"}),
    Cancellation.REQUESTED: (202, {"status": "CANCELLATION_REQUESTED"}),
    Cancellation.ALREADY_DONE: (400, {"status": "ALREADY_COMPLETED"}),
    Cancellation.NOT_FOUND: (404, {"status": "NOT_FOUND", "detail": "Request not found"}),
}


def log_entry(line: LogLine) -> dict[str, Any]:
    """A log line in the union of fal's published shapes (wire.md 3.2)."""
    return {
        "timestamp": line.at.isoformat(),
        "message": line.message,
        "level": line.level,
        "source": "USER",
        "labels": {"progress": line.progress} if line.progress is not None else {},
    }


def outcome_response(request: Request) -> Response:
    """The result as the model returned it, also when that is an error."""
    outcome = request.outcome
    assert outcome is not None
    return JSONResponse(outcome.body, outcome.http_status, headers=outcome_headers(request))


def outcome_headers(request: Request) -> dict[str, str]:
    """The headers that go with a result on every road."""
    assert request.outcome is not None
    own = {"x-fal-request-id": request.id, "x-fal-billable-units": "0"}
    if request.engine is not None:
        own["x-limner-engine"] = request.engine
    return {**own, **request.outcome.headers}


class Queue:
    """The queue's words for one ledger."""

    def __init__(self, intake: Intake, watch: Watch) -> None:
        self._intake = intake
        self._ledger = intake.ledger
        self._watch = watch

    async def status_body(
        self, request: Request, address: Address, logs: list[LogLine] | None
    ) -> dict[str, Any]:
        """fal's QueueStatus; ``logs`` None when they were not asked for."""
        url = f"{address.queue}/{request.submission.endpoint}/requests/{request.id}"
        body: dict[str, Any] = {
            "status": STATUS[request.status],
            "request_id": request.id,
            "response_url": url,
            "status_url": f"{url}/status",
            "cancel_url": f"{url}/cancel",
            "logs": None if logs is None else [log_entry(line) for line in logs],
            "metrics": {},
        }
        if request.status is Status.QUEUED:
            position = await asyncio.wrap_future(self._ledger.position(request.id))
            # It may have been claimed since we looked: then nobody is in front of it.
            body["queue_position"] = position or 0
        if request.outcome is not None:
            body["metrics"] = {"inference_time": request.inference_time}
            if request.outcome.error is not None:
                body["error"] = request.outcome.error
                if request.outcome.error_type is not None:
                    body["error_type"] = request.outcome.error_type
        return body

    async def submit(self, call: HttpRequest, app: str) -> Response:
        """Accept a request and answer with all eight keys, and the webhook's ninth."""
        request = await self._intake.queue(call, self._intake.resolve(app))
        body = await self.status_body(request, call.state.address, None)
        # fal answers IN_QUEUE whatever became of it since.
        body |= {
            "status": "IN_QUEUE",
            "metrics": {},
            "gateway_request_id": request.id,
            "queue_position": body.get("queue_position", 0),
        }
        for key in ("error", "error_type"):
            body.pop(key, None)
        return JSONResponse(body, headers={"x-fal-request-id": request.id})

    async def status(self, call: HttpRequest, app: str, request_id: str) -> Response:
        """202 until done, then 200; logs null unless asked for, then all of them."""
        request = await self._intake.find(call, app, request_id)
        logs = None
        if wants_logs(call):
            logs = await asyncio.wrap_future(self._ledger.logs(request_id))
        body = await self.status_body(request, call.state.address, logs)
        code = 200 if request.status is Status.DONE else 202
        return JSONResponse(body, code, headers={"x-fal-request-id": request.id})

    async def stream(self, call: HttpRequest, app: str, request_id: str) -> Response:
        """Server-sent events: the status on every change, with only what is new of log and preview.

        ``preview`` is ours: a data URI of a small picture, in the events that have a new one.
        """
        request = await self._intake.find(call, app, request_id)
        return event_stream(self._changes(call, request), request_id)

    async def _changes(self, call: HttpRequest, request: Request) -> AsyncGenerator[Any]:
        with_logs = wants_logs(call)
        seen = -1
        last: dict[str, Any] = {}
        previews = Previews(self._intake.strict)
        with self._watch.listen(f"step:{request.id}", f"done:{request.id}", "moved") as heard:
            while True:
                followed = self._ledger.follow(request.id, after=seen)
                current, lines = await asyncio.wrap_future(followed)
                if current is None:
                    return
                seen = lines[-1].seq if lines else seen
                logs = lines if with_logs else None
                body = await self.status_body(current, call.state.address, logs)
                preview = previews.news(current)
                if logs or preview or body != last:
                    yield {**body, **preview}
                if current.status is Status.DONE:
                    return
                last = {**body, "logs": [] if with_logs else None}
                await heard.next()

    async def result(self, call: HttpRequest, app: str, request_id: str) -> Response:
        """The model's own answer; 400 while there is none."""
        request = await self._intake.find(call, app, request_id)
        if request.outcome is None:
            return JSONResponse(
                {"detail": "Request is still in progress"},
                400,
                headers={"x-fal-request-id": request.id},
            )
        return outcome_response(request)

    async def cancel(self, call: HttpRequest, app: str, request_id: str) -> Response:
        """200 removed, 202 will stop at its next step, 400 too late, 404 unknown."""
        await self._intake.find(call, app, request_id)
        verdict = await asyncio.wrap_future(self._ledger.cancel(request_id))
        code, body = CANCELLATION[verdict]
        return JSONResponse(body, code, headers={"x-fal-request-id": request_id})


def wants_logs(call: HttpRequest) -> bool:
    """``logs=1`` from JavaScript, ``logs=true`` from Python."""
    return call.query_params.get("logs", "").lower() in TRUE


async def not_of_a_request(_: HttpRequest, rest: str = "", **_of: str) -> Response:
    """Whatever else is called on a request's paths; else it would be taken for a submit."""
    raise HTTPException(
        405 if rest in ("", "status", "status/stream", "cancel", "response") else 404
    )


def queue_routes(queue: Queue) -> list[Route]:
    """The queue's routes; the app's path may be ``owner/alias`` or the full endpoint id."""
    base = "/@queue/{app:path}/requests/{request_id}"
    every = ("GET", "POST", "PUT", "DELETE")
    return [
        plain(f"{base}/status/stream", queue.stream, "GET"),
        plain(f"{base}/status", queue.status, "GET"),
        plain(f"{base}/cancel", queue.cancel, "PUT"),
        plain(f"{base}/response", queue.result, "GET"),
        plain(base, queue.result, "GET"),
        plain(base, not_of_a_request, *every),
        plain(f"{base}/{{rest:path}}", not_of_a_request, *every),
        plain("/@queue/{app:path}", queue.submit, "POST", "GET"),
    ]
