"""The register of requests: look through it, look at one, cancel it, submit it again, delete it,
send its webhooks once more.

Of a request that runs, ``preview`` is the latest small picture of what is being drawn, a data URI
(``data:image/webp;base64,…``, at most 256 pixels and 12 KB); null where there is none, and always
once it has ended. The status stream and ``/{id}/stream`` tell each new one in the same field.

Knows the ledger's register and our own words; knows no engine.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi import Request as HttpRequest

from limner.errors import Refused
from limner.files.store import FileStore
from limner.requests.ledger import Ledger
from limner.requests.lifecycle import Cancellation
from limner.requests.outbox import Delivery
from limner.requests.register import Wanted
from limner.requests.request import Request
from limner.requests.retry import again
from limner.server.deleting import delete_request
from limner.server.keys import Caller, Gate
from limner.server.previews import preview_uri

State = Literal["queued", "running", "done", "failed", "cancelled"]

MOST = 200

#: A place in a list, counted by the database.
Place = Annotated[int, Query(ge=0, lt=2**63)]


def delivery_body(delivery: Delivery) -> dict[str, Any]:
    """How a webhook's delivery stands; its body is the answer, which is told elsewhere."""
    return {
        "url": delivery.url,
        "attempts": delivery.attempts,
        "due_at": delivery.due_at,
        "delivered_at": delivery.delivered_at,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
    }


def add_requests(router: APIRouter, gate: Gate, ledger: Ledger, files: FileStore) -> None:
    """Add the register's routes."""

    async def mine(call: HttpRequest, request_id: str) -> Request:
        """A request that this caller may see. Raises Refused 404, also for somebody else's."""
        caller = await gate.caller(call)
        request = await asyncio.wrap_future(ledger.get(request_id))
        if request is None or not _may_see(caller, request.submission.key_id):
            raise Refused(404, "Request not found")
        return request

    @router.get("/requests")
    async def search(
        call: HttpRequest,
        state: State | None = None,
        text: str = "",
        before: Place | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    ) -> dict[str, Any]:
        """The newest first; ``next`` is what to give as ``before`` for those that follow."""
        caller = await gate.caller(call)
        key_id = None if caller.admin else caller.key_id
        wanted = Wanted(key_id, state, text.strip(), before, limit + 1)
        found = await asyncio.wrap_future(ledger.search(wanted))
        shown = found[:limit]
        return {
            "requests": [asdict(entry) for entry in shown],
            "next": shown[-1].place if len(found) > limit else None,
        }

    @router.get("/requests/{request_id}")
    async def one(call: HttpRequest, request_id: str) -> dict[str, Any]:
        """Everything that is kept of one request."""
        return await _whole(ledger, await mine(call, request_id))

    @router.post("/requests/{request_id}/cancel")
    async def cancel(call: HttpRequest, request_id: str) -> dict[str, Any]:
        """``removed``, or ``requested`` of a running one. Raises Refused 409 when it has ended."""
        await mine(call, request_id)
        verdict = await asyncio.wrap_future(ledger.cancel(request_id))
        if verdict not in (Cancellation.REMOVED, Cancellation.REQUESTED):
            raise Refused(409, "The request has ended already")
        return {"cancelled": "removed" if verdict is Cancellation.REMOVED else "requested"}

    @router.post("/requests/{request_id}/retry")
    async def retry(call: HttpRequest, request_id: str) -> dict[str, Any]:
        """Submit an ended request again, as a new one of the same key; its id.

        Raises Refused 409 when it has not ended or cannot go well, 410 when its input is gone.
        """
        request = await mine(call, request_id)
        # The store is asked beside the loop: it may be far away.
        submission = await asyncio.to_thread(again, request, lambda name: bool(files.find(name)))
        fresh = await asyncio.wrap_future(ledger.submit(submission))
        return {"retried": request_id, "id": fresh.id}

    @router.delete("/requests/{request_id}")
    async def delete(call: HttpRequest, request_id: str) -> dict[str, Any]:
        """Forget it with its input, log, answer and files. Raises Refused 409 while it runs.

        ``owed``: files that go as soon as the store can be reached.
        """
        request = await mine(call, request_id)
        deleted = await asyncio.to_thread(
            delete_request, ledger, files, request_id, request.submission.key_id
        )
        if deleted is None:
            raise Refused(409, "The request has not ended; cancel it first")
        return {"deleted": request_id, "files": len(deleted.gone), "owed": len(deleted.owed)}

    @router.post("/requests/{request_id}/redeliver")
    async def redeliver(call: HttpRequest, request_id: str) -> dict[str, Any]:
        """Send its webhooks again; how many there are."""
        await mine(call, request_id)
        return {"webhooks": await asyncio.wrap_future(ledger.redeliver(request_id))}


def _may_see(caller: Caller, key_id: str) -> bool:
    return caller.admin or caller.key_id == key_id


async def _whole(ledger: Ledger, request: Request) -> dict[str, Any]:
    logs = await asyncio.wrap_future(ledger.logs(request.id))
    owed = await asyncio.wrap_future(ledger.deliveries(request.id))
    fleet = await asyncio.wrap_future(ledger.workers())
    outcome = request.outcome
    return {
        "id": request.id,
        "endpoint": request.submission.endpoint,
        "key_id": request.submission.key_id,
        "status": request.status.value,
        "progress": request.progress,
        "attempt": request.attempt,
        # Who could draw it now: with none it waits for ever, and whoever waits should know.
        "workers": sum(request.submission.endpoint in seen.presence.endpoints for seen in fleet),
        "engine": request.engine,
        "preview": preview_uri(request),
        "priority": request.submission.priority.value,
        "created_at": request.created_at,
        "started_at": request.started_at,
        "finished_at": request.finished_at,
        "input": dict(request.submission.input),
        "http_status": outcome.http_status if outcome else None,
        "answer": outcome.body if outcome else None,
        "logs": [
            {"at": line.at.timestamp(), "level": line.level, "message": line.message}
            for line in logs
        ],
        "webhooks": [delivery_body(delivery) for delivery in owed],
    }
