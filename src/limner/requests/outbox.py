"""Webhooks owed: written in the transaction of the outcome, gone only when delivered or given up.

Functions of a connection; the Ledger runs them. Knows fal's webhook body; sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from limner.requests.request import Outcome
from limner.requests.rows import to_json
from limner.requests.tables import requests, webhooks

#: Whose webhooks those of a server without keys are.
LOCAL = "local"

#: Seconds: nobody who sends puts a try off for longer, neither as a pause nor as a lease.
FARTHEST = 300.0

_CONDITIONS: dict[str, sa.ColumnElement[bool]] = {
    "due": webhooks.c.due_at.is_not(None),
    "delivered": webhooks.c.due_at.is_(None) & webhooks.c.delivered_at.is_not(None),
    "given up": webhooks.c.due_at.is_(None) & webhooks.c.delivered_at.is_(None),
}

#: How a delivery can stand.
STATES = tuple(_CONDITIONS)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook and how its delivery stands."""

    id: int
    request_id: str
    #: Public part of the key that submitted.
    user_id: str
    url: str
    #: The exact bytes to sign and send.
    body: bytes
    #: How often it was taken up to be sent, the current time included.
    attempts: int
    #: Unix seconds of the next try; None when delivered or given up.
    due_at: float | None
    last_status: int | None
    last_error: str | None
    delivered_at: float | None


@dataclass(frozen=True, slots=True)
class Owing:
    """Which deliveries to look for; None matches everything."""

    #: Public part of the key that submitted.
    key_id: str | None = None
    #: One of STATES.
    state: str | None = None
    #: Only those older than the delivery with this number.
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Owed:
    """To whom a webhook is owed, and where."""

    request_id: str
    key_id: str
    url: str


def webhook_body(request_id: str, outcome: Outcome) -> bytes:
    """fal's webhook for an outcome (wire.md 6)."""
    body: dict[str, Any] = {
        "request_id": request_id,
        "gateway_request_id": request_id,
        "status": "OK" if outcome.ok else "ERROR",
        "payload": outcome.body,
    }
    if not outcome.ok:
        body["error"] = outcome.error or f"Invalid status code: {outcome.http_status}"
    return to_json(body).encode()


def owe(
    connection: sa.Connection, owed: Owed, outcome: Outcome, now: float, forget_at: float
) -> None:
    """Owe the webhook of a request that just ended."""
    connection.execute(
        webhooks.insert().values(
            request_id=owed.request_id,
            user_id=owed.key_id or LOCAL,
            url=owed.url,
            body=webhook_body(owed.request_id, outcome),
            attempts=0,
            due_at=now,
            forget_at=forget_at,
        )
    )


def due(connection: sa.Connection, now: float, limit: int, lease: float) -> list[Delivery]:
    """Take up to ``limit`` deliveries that are due; nobody else gets them for ``lease`` seconds."""
    pick = (
        sa.select(webhooks.c.id)
        .where(webhooks.c.due_at <= now)
        .order_by(webhooks.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("pick")
    )
    taken = connection.execute(
        webhooks.update()
        .where(webhooks.c.id.in_(sa.select(pick.c.id)))
        .values(due_at=now + lease, attempts=webhooks.c.attempts + 1)
        .returning(webhooks)
    )
    return [_delivery(row) for row in taken]


def hasten(connection: sa.Connection, now: float) -> None:
    """Make due what is put off for longer than anybody does: the clock was set back since."""
    connection.execute(
        webhooks.update().where(webhooks.c.due_at > now + 2 * FARTHEST).values(due_at=now)
    )


def delivered(connection: sa.Connection, delivery_id: int, status: int, now: float) -> None:
    """The receiver has it; where nothing is to be stored, we have it no more."""
    if _let_go(connection, delivery_id):
        return
    connection.execute(
        webhooks.update()
        .where(webhooks.c.id == delivery_id)
        .values(due_at=None, last_status=status, last_error=None, delivered_at=now)
    )


def failed(
    connection: sa.Connection,
    delivery_id: int,
    status: int | None,
    error: str,
    retry_at: float | None,
) -> None:
    """It did not arrive; try again at ``retry_at``, or never.

    Unless it did since: whoever was silent for longer than its lease says so too late.
    """
    if retry_at is None and _let_go(connection, delivery_id):
        return
    connection.execute(
        webhooks.update()
        .where(webhooks.c.id == delivery_id, webhooks.c.delivered_at.is_(None))
        .values(due_at=retry_at, last_status=status, last_error=error)
    )


def _let_go(connection: sa.Connection, delivery_id: int) -> bool:
    """Forget a delivery that needs no sending any more, if its request was not to be stored.

    Such a request goes before its delivery does, so one that is gone was such a one.
    """
    stored = sa.exists().where(requests.c.id == webhooks.c.request_id, requests.c.store_io)
    gone = connection.execute(webhooks.delete().where(webhooks.c.id == delivery_id, ~stored))
    return bool(gone.rowcount)


def deliveries(connection: sa.Connection, request_id: str) -> list[Delivery]:
    """Every delivery of a request, oldest first."""
    rows = connection.execute(
        sa.select(webhooks).where(webhooks.c.request_id == request_id).order_by(webhooks.c.id)
    )
    return [_delivery(row) for row in rows]


def search(connection: sa.Connection, sought: Owing) -> list[Delivery]:
    """The newest deliveries that match, of every request."""
    wanted = sa.select(webhooks).order_by(webhooks.c.id.desc()).limit(sought.limit)
    if sought.key_id is not None:
        wanted = wanted.where(webhooks.c.user_id == (sought.key_id or LOCAL))
    if sought.state is not None:
        wanted = wanted.where(_CONDITIONS[sought.state])
    if sought.before is not None:
        wanted = wanted.where(webhooks.c.id < sought.before)
    return [_delivery(row) for row in connection.execute(wanted)]


def redeliver(connection: sa.Connection, request_id: str, now: float) -> int:
    """Make every delivery of a request due again; how many there are."""
    return connection.execute(
        webhooks.update()
        .where(webhooks.c.request_id == request_id)
        .values(due_at=now, attempts=0, delivered_at=None)
    ).rowcount


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        request_id=row.request_id,
        user_id=row.user_id,
        url=row.url,
        body=row.body,
        attempts=row.attempts,
        due_at=row.due_at,
        last_status=row.last_status,
        last_error=row.last_error,
        delivered_at=row.delivered_at,
    )
