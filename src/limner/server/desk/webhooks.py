"""The deliveries of webhooks: which are owed, arrived, or were given up.

Sending one again is asked of its request (``requests.py``). Knows the outbox; sends nothing.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request

from limner.requests.ledger import Ledger
from limner.requests.outbox import Delivery, Owing
from limner.server.desk.requests import MOST, Place
from limner.server.keys import Gate

State = Literal["due", "delivered", "given up"]


def add_webhooks(router: APIRouter, gate: Gate, ledger: Ledger) -> None:
    """Add the route."""

    @router.get("/webhooks")
    async def listed(
        call: Request,
        state: State | None = None,
        before: Place | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    ) -> dict[str, Any]:
        """The newest first; ``next`` is what to give as ``before`` for those that follow."""
        caller = await gate.caller(call)
        sought = Owing(None if caller.admin else caller.key_id, state, before, limit + 1)
        found = await asyncio.wrap_future(ledger.all_deliveries(sought))
        shown = found[:limit]
        return {
            "webhooks": [_body(delivery) for delivery in shown],
            "next": shown[-1].id if len(found) > limit else None,
        }


def _body(delivery: Delivery) -> dict[str, Any]:
    arrived = delivery.delivered_at is not None
    return {
        "id": delivery.id,
        "request_id": delivery.request_id,
        "url": delivery.url,
        "state": "due" if delivery.due_at is not None else "delivered" if arrived else "given up",
        "attempts": delivery.attempts,
        "due_at": delivery.due_at,
        "delivered_at": delivery.delivered_at,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
    }
