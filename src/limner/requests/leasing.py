"""The worker's side of a request it claimed: keep the lease, write steps, finish or give it back.

The fence is the attempt: every claim raises it, and whatever a worker writes is written only where
the request still runs with that number. A worker that was given up for lost can write nothing.
Functions of a connection. Knows leases; knows no queue, caller, process or clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from limner.requests.lifecycle import (
    CANCELLED,
    DISCONNECTED,
    NOT_STARTED,
    Ended,
    Reaped,
    Rules,
    Standing,
    StepTaken,
    end,
    ending,
)
from limner.requests.prepared import Prepared
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

#: The fence: this attempt still has the request.
_HELD = (
    COLUMNS.id == sa.bindparam("held_id", type_=sa.Text),
    COLUMNS.attempt == sa.bindparam("held_attempt", type_=sa.Integer),
    COLUMNS.status == "running",
)

_FINISH = ending(*_HELD, ~COLUMNS.cancel_requested)

_FINISH_CANCELLED = ending(*_HELD, COLUMNS.cancel_requested)

_HOLD = sa.select(COLUMNS.seq).where(*_HELD).with_for_update()

_RELEASE = requests.update().where(*_HELD).values(**_WAITING)

_LINE = Prepared(logs.insert().inline())

_NOW, _LEASE, _FAR = (sa.bindparam(name, type_=sa.Float(53)) for name in ("now", "lease", "far"))

_SHORTEN = requests.update().where(_RUNNING, COLUMNS.lease_until > _FAR).values(lease_until=_LEASE)

_LOST = (_RUNNING, COLUMNS.lease_until < _NOW)

_END_LATE = ending(WAITING, COLUMNS.start_by <= _NOW)

_END_CANCELLED = ending(*_LOST, COLUMNS.cancel_requested)

_END_HOPELESS = ending(*_LOST, sa.or_(COLUMNS.no_retry, COLUMNS.losses + 1 >= MOST_LOSSES))

_REQUEUE = (
    requests.update()
    .where(*_LOST)
    .values(**_WAITING, losses=COLUMNS.losses + 1)
    .returning(COLUMNS.id)
)

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
    said: dict[str, Any] = {
        "progress": taken.progress,
        "engine": taken.engine,
        "preview": taken.preview,
    }
    told = {name: value for name, value in said.items() if value is not None}
    row = _step(frozenset(told)).first(
        connection,
        {
            **{f"its_{name}": value for name, value in told.items()},
            "until": now + rules.lease,
            "held_id": request_id,
            "held_attempt": attempt,
        },
    )
    if row is None:
        return Standing.LOST
    _LINE.all(
        connection,
        {
            "request_id": request_id,
            "at": now,
            "level": taken.level,
            "message": taken.message,
            "progress": taken.progress,
        },
    )
    return Standing.CANCEL if row.cancel_requested else Standing.ON


@cache
def _step(told: frozenset[str]) -> Prepared:
    """The statement of a step that tells these columns; the others stay as they are."""
    values: dict[str, Any] = {
        name: sa.bindparam(f"its_{name}", type_=COLUMNS[name].type) for name in told
    }
    if "preview" in values:
        values["preview"] = sa.case((COLUMNS.store_io, values["preview"]), else_=None)
    return Prepared(
        requests.update()
        .where(*_HELD)
        .values(**values, lease_until=sa.bindparam("until", type_=sa.Float(53)))
        .returning(COLUMNS.cancel_requested)
    )


def finish(
    connection: sa.Connection,
    request_id: str,
    attempt: int,
    outcome: Outcome,
    now: float,
    rules: Rules,
) -> Ended | None:
    """End a request that this attempt holds and nobody cancelled; else None."""
    held = {"held_id": request_id, "held_attempt": attempt}
    ended = end(connection, _FINISH, outcome, now, rules, held)
    return ended[0] if ended else None


def finish_cancelled(
    connection: sa.Connection, request_id: str, attempt: int, now: float, rules: Rules
) -> Ended | None:
    """End a request that this attempt holds as cancelled, if it was; else None."""
    held = {"held_id": request_id, "held_attempt": attempt}
    ended = end(connection, _FINISH_CANCELLED, CANCELLED, now, rules, held)
    return ended[0] if ended else None


def release(
    connection: sa.Connection, request_id: str, attempt: int, now: float, rules: Rules
) -> bool:
    """Put a request back to the queue's head, no loss counted; one cancelled since ends."""
    held = {"held_id": request_id, "held_attempt": attempt}
    # Held still, because PostgreSQL lets it be cancelled between two statements.
    connection.execute(_HOLD, held)
    if finish_cancelled(connection, request_id, attempt, now, rules):
        return True
    released = connection.execute(_RELEASE, held)
    return released.rowcount == 1


def reap(connection: sa.Connection, now: float, rules: Rules) -> Reaped:
    """Deal with lost workers and with requests that were not started in time."""
    if connection.dialect.name == "postgresql":
        mine = sa.select(sa.func.pg_try_advisory_xact_lock(_REAPER))
        if not connection.execute(mine).scalar_one():
            return Reaped((), ())
    # A clock that was set back would let a dead worker's lease last as long as the jump was.
    connection.execute(_SHORTEN, {"lease": now + rules.lease, "far": now + 2 * rules.lease})
    at = {"now": now}
    ended = [
        *end(connection, _END_LATE, NOT_STARTED, now, rules, at),
        *end(connection, _END_CANCELLED, CANCELLED, now, rules, at),
        *end(connection, _END_HOPELESS, DISCONNECTED, now, rules, at),
    ]
    requeued = connection.execute(_REQUEUE, at).scalars()
    return Reaped(requeued=tuple(requeued), ended=tuple(ended))
