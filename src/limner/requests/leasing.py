"""The worker's side of a request it claimed: keep the lease, write steps, finish or give it back.

The fence is the attempt: every claim raises it, and whatever a worker writes is written only where
the request still runs with that number. A worker that was given up for lost can write nothing.
Functions of a connection. Knows leases; knows no queue, caller, process or clock.
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
from limner.requests.request import Outcome
from limner.requests.tables import logs, requests
from limner.requests.tally import WAITING
from limner.requests.turns import RETURNED

#: A request that so many workers were lost with fails: it may be what ends them (decision 0041).
MOST_LOSSES = 3

COLUMNS = requests.c

#: A request that no worker holds any more.
_WAITING: dict[str, Any] = {
    "status": "queued",
    "lease_until": None,
    "worker": None,
    "turn": RETURNED,
    "preview": None,
}

#: Written out rather than bound, so that every planner sees that the partial index will do.
_RUNNING = COLUMNS.status == sa.literal_column("'running'")

#: PostgreSQL's advisory lock of whoever deals with what was lost; the others need not.
_REAPER = 0x4C494D50


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
    """Put a request back to the queue's head, no loss counted; one cancelled since ends."""
    held = _held(request_id, attempt)
    # Held still, because PostgreSQL lets it be cancelled between two statements.
    connection.execute(sa.select(COLUMNS.seq).where(*held).with_for_update())
    if end(connection, [*held, COLUMNS.cancel_requested], CANCELLED, now, rules):
        return True
    released = connection.execute(requests.update().where(*held).values(**_WAITING))
    return released.rowcount == 1


def reap(connection: sa.Connection, now: float, rules: Rules) -> Reaped:
    """Deal with lost workers and with requests that were not started in time."""
    if connection.dialect.name == "postgresql":
        mine = sa.select(sa.func.pg_try_advisory_xact_lock(_REAPER))
        if not connection.execute(mine).scalar_one():
            return Reaped((), ())
    # A clock that was set back would let a dead worker's lease last as long as the jump was.
    connection.execute(
        requests.update()
        .where(_RUNNING, COLUMNS.lease_until > now + 2 * rules.lease)
        .values(lease_until=now + rules.lease)
    )
    late = [WAITING, COLUMNS.start_by <= now]
    lost = [_RUNNING, COLUMNS.lease_until < now]
    hopeless = sa.or_(COLUMNS.no_retry, COLUMNS.losses + 1 >= MOST_LOSSES)
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
