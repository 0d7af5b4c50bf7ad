"""What can happen to a request, each as one function of a connection.

Whatever ends a request goes through :func:`_end`: the outcome, the webhook owed and the time of
forgetting are one statement in one transaction, and only where the request has not ended yet.
Knows the tables; knows no thread, process or clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from limner.errors import Refused
from limner.requests import outbox
from limner.requests.request import LogLine, Outcome, Request, Submission, new_id
from limner.requests.rows import log_line_from, outcome_values, request_from, submission_values
from limner.requests.tables import logs, requests

#: As at fal: attempts in total before a request whose workers keep getting lost fails.
MOST_ATTEMPTS = 10

#: Seconds a result stays when the caller wants no payload stored: long enough to fetch it once.
UNSTORED_LIFE = 60.0

COLUMNS = requests.c

CANCELLED = Outcome(
    http_status=499,
    body={"detail": "Request was cancelled", "error_type": "client_cancelled"},
    headers={"x-fal-error-type": "client_cancelled"},
    error="Request was cancelled",
    error_type="client_cancelled",
)

DISCONNECTED = Outcome(
    http_status=503,
    body={"detail": "Runner disconnected", "error_type": "runner_disconnected"},
    headers={"x-fal-error-type": "runner_disconnected", "x-fal-retryable": "true"},
    error="Runner disconnected",
    error_type="runner_disconnected",
)

NOT_STARTED = Outcome(
    http_status=504,
    body={"detail": "Request timed out", "error_type": "request_timeout"},
    headers={"x-fal-error-type": "request_timeout", "x-fal-request-timeout-type": "user"},
    error="Request timed out",
    error_type="request_timeout",
)


class Standing(StrEnum):
    """What a worker hears of a request that it holds."""

    ON = "on"  #: Go on.
    CANCEL = "cancel"  #: Stop; nobody wants it any more.
    LOST = "lost"  #: Stop; it is not yours any more.


class Cancellation(StrEnum):
    """What became of a cancel."""

    REMOVED = "removed"  #: It waited, and has ended.
    REQUESTED = "requested"  #: It runs, and stops at its next step.
    ALREADY_DONE = "already done"  #: Too late.
    NOT_FOUND = "not found"  #: There is no such request.


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's numbers, in seconds."""

    #: How long a claim lasts without a sign of life.
    lease: float
    #: How long an ended request is remembered.
    retention: float


def submit(
    connection: sa.Connection,
    submission: Submission,
    max_waiting: int | None,
    ended: Outcome | None,
    now: float,
    rules: Rules,
) -> Request:
    """Accept a request, or end it at once with ``ended``. Raises Refused 429."""
    if submission.idempotency_key is not None:
        again = connection.execute(
            sa.select(requests).where(
                COLUMNS.key_id == submission.key_id,
                COLUMNS.idempotency_key == submission.idempotency_key,
            )
        ).first()
        if again is not None:
            return request_from(again)
    if max_waiting is not None and waiting(connection, submission.endpoint) > max_waiting:
        raise Refused(
            429, "The queue is longer than fal_max_queue_length", headers={"retry-after": "5"}
        )
    row = connection.execute(
        requests.insert()
        .values(
            **submission_values(submission),
            id=new_id(),
            status="queued",
            attempt=0,
            losses=0,
            cancel_requested=False,
            progress=0.0,
            created_at=now,
        )
        .returning(requests)
    ).one()
    if ended is not None:
        _end(connection, [COLUMNS.id == row.id], ended, now, rules)
        return _get(connection, row.id)
    return request_from(row)


def get(connection: sa.Connection, request_id: str) -> Request | None:
    """A request, or None."""
    row = connection.execute(sa.select(requests).where(COLUMNS.id == request_id)).first()
    return request_from(row) if row is not None else None


def _get(connection: sa.Connection, request_id: str) -> Request:
    request = get(connection, request_id)
    assert request is not None
    return request


def waiting(connection: sa.Connection, endpoint: str) -> int:
    """How many requests of an endpoint wait."""
    return connection.execute(
        sa.select(sa.func.count()).where(COLUMNS.status == "queued", COLUMNS.endpoint == endpoint)
    ).scalar_one()


def position(connection: sa.Connection, request_id: str) -> int | None:
    """How many waiting requests go before this one; None when it does not wait."""
    here = connection.execute(
        sa.select(COLUMNS.endpoint, COLUMNS.priority, COLUMNS.seq).where(
            COLUMNS.id == request_id, COLUMNS.status == "queued"
        )
    ).first()
    if here is None:
        return None
    in_front = sa.or_(
        COLUMNS.priority < here.priority,
        sa.and_(COLUMNS.priority == here.priority, COLUMNS.seq < here.seq),
    )
    return connection.execute(
        sa.select(sa.func.count()).where(
            COLUMNS.status == "queued", COLUMNS.endpoint == here.endpoint, in_front
        )
    ).scalar_one()


def log_lines(connection: sa.Connection, request_id: str, after: int) -> list[LogLine]:
    """The lines with a number above ``after``, in order."""
    rows = connection.execute(
        sa.select(logs)
        .where(logs.c.request_id == request_id, logs.c.seq > after)
        .order_by(logs.c.seq)
    )
    return [log_line_from(row) for row in rows]


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


@dataclass(frozen=True, slots=True)
class StepTaken:
    """What a worker says of a step."""

    message: str
    level: str = "INFO"
    progress: float | None = None
    engine: str | None = None


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


def _held(request_id: str, attempt: int) -> list[sa.ColumnElement[bool]]:
    """The fence: this attempt still has the request."""
    return [COLUMNS.id == request_id, COLUMNS.attempt == attempt, COLUMNS.status == "running"]


def finish(
    connection: sa.Connection,
    request_id: str,
    attempt: int,
    outcome: Outcome,
    now: float,
    rules: Rules,
) -> bool:
    """End a request that this attempt holds; False when it is not this attempt's any more."""
    return bool(_end(connection, _held(request_id, attempt), outcome, now, rules))


def release(connection: sa.Connection, request_id: str, attempt: int) -> bool:
    """Put a request back where it stood in the queue; no loss is counted."""
    released = connection.execute(
        requests.update()
        .where(*_held(request_id, attempt))
        .values(status="queued", lease_until=None, worker=None)
    )
    return released.rowcount == 1


def cancel(connection: sa.Connection, request_id: str, now: float, rules: Rules) -> Cancellation:
    """End a waiting request; ask a running one to stop."""
    waits = [COLUMNS.id == request_id, COLUMNS.status == "queued"]
    if _end(connection, waits, CANCELLED, now, rules):
        return Cancellation.REMOVED
    asked = connection.execute(
        requests.update()
        .where(COLUMNS.id == request_id, COLUMNS.status == "running")
        .values(cancel_requested=True)
    )
    if asked.rowcount:
        return Cancellation.REQUESTED
    known = connection.execute(sa.select(COLUMNS.id).where(COLUMNS.id == request_id)).first()
    return Cancellation.ALREADY_DONE if known else Cancellation.NOT_FOUND


@dataclass(frozen=True, slots=True)
class Reaped:
    """What a reaping found."""

    #: Requests that went back to the queue.
    requeued: tuple[str, ...]
    #: Requests that ended.
    ended: tuple[str, ...]


def reap(connection: sa.Connection, now: float, rules: Rules) -> Reaped:
    """Deal with lost workers and with requests that were not started in time."""
    late = [COLUMNS.status == "queued", COLUMNS.start_by <= now]
    lost = [COLUMNS.status == "running", COLUMNS.lease_until < now]
    hopeless = sa.or_(COLUMNS.no_retry, COLUMNS.losses + 1 >= MOST_ATTEMPTS)
    ended = [
        *_end(connection, late, NOT_STARTED, now, rules),
        *_end(connection, [*lost, COLUMNS.cancel_requested], CANCELLED, now, rules),
        *_end(connection, [*lost, hopeless], DISCONNECTED, now, rules),
    ]
    requeued = connection.execute(
        requests.update()
        .where(*lost)
        .values(status="queued", losses=COLUMNS.losses + 1, lease_until=None, worker=None)
        .returning(COLUMNS.id)
    ).scalars()
    return Reaped(requeued=tuple(requeued), ended=tuple(ended))


def _end(
    connection: sa.Connection,
    where: Sequence[sa.ColumnElement[bool]],
    outcome: Outcome,
    now: float,
    rules: Rules,
) -> list[str]:
    """Give every request that matches its one outcome; their ids."""
    life = sa.case((COLUMNS.store_io, rules.retention), else_=min(UNSTORED_LIFE, rules.retention))
    rows = connection.execute(
        requests.update()
        .where(*where)
        .values(
            **outcome_values(outcome),
            status="done",
            finished_at=now,
            lease_until=None,
            input=sa.case((COLUMNS.store_io, COLUMNS.input), else_=None),
            forget_at=now + life,
        )
        .returning(COLUMNS.id, COLUMNS.key_id, COLUMNS.webhook_url)
    ).all()
    for row in rows:
        if row.webhook_url is not None:
            owed = outbox.Owed(row.id, row.key_id, row.webhook_url)
            outbox.owe(connection, owed, outcome, now, now + rules.retention)
    return [row.id for row in rows]
