"""The worker's side of a request: claim it, keep the lease, write steps, finish or give it back.

The fence is the attempt: every claim raises it, and whatever a worker writes is written only where
the request still runs with that number. A worker that was given up for lost can write nothing.
Functions of a connection. Knows leases; knows no caller, process or clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from limner.requests.lifecycle import (
    CANCELLED,
    DISCONNECTED,
    NOT_STARTED,
    Reaped,
    Rules,
    Standing,
    StepTaken,
    end,
)
from limner.requests.request import Outcome, Request
from limner.requests.rows import request_from
from limner.requests.tables import logs, requests

#: As at fal: attempts in total before a request whose workers keep getting lost fails.
MOST_ATTEMPTS = 10

COLUMNS = requests.c

#: A request that no worker holds any more.
_WAITING: dict[str, Any] = {
    "status": "queued",
    "lease_until": None,
    "worker": None,
    "preview": None,
}


def claim(
    connection: sa.Connection,
    worker: str,
    endpoints: Sequence[str],
    limit: int,
    now: float,
    rules: Rules,
) -> list[Request]:
    """Give a worker the next requests, in order, for the length of a lease."""
    # A CTE, because PostgreSQL may run IN (SELECT … LIMIT n FOR UPDATE SKIP LOCKED) again and
    # then claim more than n rows (serving.md 2). SQLite leaves FOR UPDATE out.
    pick = (
        sa.select(COLUMNS.seq)
        .where(
            COLUMNS.status == "queued",
            COLUMNS.endpoint.in_(endpoints),
            sa.or_(COLUMNS.start_by.is_(None), COLUMNS.start_by > now),
        )
        .order_by(COLUMNS.priority, COLUMNS.seq)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("pick")
    )
    rows = connection.execute(
        requests.update()
        .where(COLUMNS.seq.in_(sa.select(pick.c.seq)), COLUMNS.status == "queued")
        .values(
            status="running",
            attempt=COLUMNS.attempt + 1,
            worker=worker,
            lease_until=now + rules.lease,
            started_at=now,
            progress=0.0,
            preview=None,
        )
        .returning(requests)
    ).all()
    ordered = sorted(rows, key=lambda row: (row.priority, row.seq))
    return [request_from(row) for row in ordered]


def heartbeat(
    connection: sa.Connection, held: Sequence[tuple[str, int]], now: float, rules: Rules
) -> dict[str, Standing]:
    """Renew the leases of (id, attempt) pairs; what became of each."""
    rows = connection.execute(
        requests.update()
        .where(sa.tuple_(COLUMNS.id, COLUMNS.attempt).in_(list(held)), COLUMNS.status == "running")
        .values(lease_until=now + rules.lease)
        .returning(COLUMNS.id, COLUMNS.cancel_requested)
    ).all()
    standings = dict.fromkeys((request_id for request_id, _ in held), Standing.LOST)
    for row in rows:
        standings[row.id] = Standing.CANCEL if row.cancel_requested else Standing.ON
    return standings


def step(
    connection: sa.Connection,
    request_id: str,
    attempt: int,
    taken: StepTaken,
    now: float,
    rules: Rules,
) -> Standing:
    """Write a step down, renew the lease, and say whether to go on."""
    values: dict[str, Any] = {"lease_until": now + rules.lease}
    if taken.progress is not None:
        values["progress"] = taken.progress
    if taken.engine is not None:
        values["engine"] = taken.engine
    if taken.preview is not None:
        values["preview"] = sa.case((COLUMNS.store_io, taken.preview), else_=None)
    row = connection.execute(
        requests.update()
        .where(*_held(request_id, attempt))
        .values(**values)
        .returning(COLUMNS.cancel_requested)
    ).first()
    if row is None:
        return Standing.LOST
    connection.execute(
        logs.insert().values(
            request_id=request_id,
            at=now,
            level=taken.level,
            message=taken.message,
            progress=taken.progress,
        )
    )
    return Standing.CANCEL if row.cancel_requested else Standing.ON


def finish(
    connection: sa.Connection,
    request_id: str,
    attempt: int,
    outcome: Outcome,
    now: float,
    rules: Rules,
) -> bool:
    """End a request that this attempt holds; False when it is not this attempt's any more."""
    return bool(end(connection, _held(request_id, attempt), outcome, now, rules))


def release(
    connection: sa.Connection, request_id: str, attempt: int, now: float, rules: Rules
) -> bool:
    """Put a request back where it stood in the queue, no loss counted; one cancelled since ends."""
    held = _held(request_id, attempt)
    if end(connection, [*held, COLUMNS.cancel_requested], CANCELLED, now, rules):
        return True
    released = connection.execute(requests.update().where(*held).values(**_WAITING))
    return released.rowcount == 1


def reap(connection: sa.Connection, now: float, rules: Rules) -> Reaped:
    """Deal with lost workers and with requests that were not started in time."""
    # A clock that was set back would let a dead worker's lease last as long as the jump was.
    connection.execute(
        requests.update()
        .where(COLUMNS.status == "running", COLUMNS.lease_until > now + 2 * rules.lease)
        .values(lease_until=now + rules.lease)
    )
    late = [COLUMNS.status == "queued", COLUMNS.start_by <= now]
    lost = [COLUMNS.status == "running", COLUMNS.lease_until < now]
    hopeless = sa.or_(COLUMNS.no_retry, COLUMNS.losses + 1 >= MOST_ATTEMPTS)
    ended = [
        *end(connection, late, NOT_STARTED, now, rules),
        *end(connection, [*lost, COLUMNS.cancel_requested], CANCELLED, now, rules),
        *end(connection, [*lost, hopeless], DISCONNECTED, now, rules),
    ]
    requeued = connection.execute(
        requests.update()
        .where(*lost)
        .values(**_WAITING, losses=COLUMNS.losses + 1)
        .returning(COLUMNS.id)
    ).scalars()
    return Reaped(requeued=tuple(requeued), ended=tuple(ended))


def _held(request_id: str, attempt: int) -> list[sa.ColumnElement[bool]]:
    """The fence: this attempt still has the request."""
    return [COLUMNS.id == request_id, COLUMNS.attempt == attempt, COLUMNS.status == "running"]
