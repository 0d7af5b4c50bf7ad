"""What can become of a request: the words for it, and the one way to end.

Whatever ends a request goes through :func:`end`, with a statement that was made once: the outcome,
the webhook owed and the time of forgetting are written in one transaction, and only where the
request has not ended yet.
Knows the tables; knows no caller, worker, thread or clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from limner.requests import outbox
from limner.requests.prepared import Prepared
from limner.requests.request import Outcome
from limner.requests.rows import joined, outcome_values
from limner.requests.tables import requests

COLUMNS = requests.c

#: Seconds a result stays when the caller wants no payload stored: long enough to fetch it once.
UNSTORED_LIFE = 60.0

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
    headers={
        "x-fal-error-type": "runner_disconnected",
        "x-fal-retryable": "true",
        "retry-after": "5",
    },
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


@dataclass(frozen=True, slots=True)
class StepTaken:
    """What a worker says of a step."""

    message: str
    level: str = "INFO"
    progress: float | None = None
    engine: str | None = None
    #: A small WebP of the picture so far; None leaves the one before.
    preview: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reaped:
    """What a reaping found."""

    #: Requests that went back to the queue.
    requeued: tuple[str, ...]
    #: Requests that ended.
    ended: tuple[Ended, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A request that has just ended."""

    request_id: str
    #: Was a webhook written that is to be sent?
    owes: bool


def ending(*where: sa.ColumnElement[bool]) -> Prepared:
    """The statement that ends every request that matches; :func:`end` runs it."""
    said: dict[str, sa.ColumnElement[Any]] = {
        column.name: sa.bindparam(f"its_{column.name}", type_=column.type)
        for column in (
            COLUMNS.http_status,
            COLUMNS.body,
            COLUMNS.headers,
            COLUMNS.error,
            COLUMNS.error_type,
            COLUMNS.fault,
            COLUMNS.files,
        )
    }
    said["files"] = joined(said["files"])
    kept, unstored = (sa.bindparam(name, type_=sa.Float(53)) for name in ("forget", "forget_soon"))
    return Prepared(
        requests.update()
        .where(*where)
        .values(
            **said,
            status="done",
            finished_at=sa.bindparam("ended_at", type_=sa.Float(53)),
            lease_until=None,
            preview=None,
            input=sa.case((COLUMNS.store_io, COLUMNS.input), else_=None),
            forget_at=sa.case((COLUMNS.store_io, kept), else_=unstored),
        )
        .returning(COLUMNS.id, COLUMNS.key_id, COLUMNS.webhook_url)
    )


def end(
    connection: sa.Connection,
    statement: Prepared,
    outcome: Outcome,
    now: float,
    rules: Rules,
    which: Mapping[str, Any],
) -> list[Ended]:
    """Give every request that ``statement``, of :func:`ending`, matches its one outcome.

    ``which``: what the statement's own conditions are bound to.
    """
    said = {f"its_{name}": value for name, value in outcome_values(outcome).items()}
    times = {
        "ended_at": now,
        "forget": now + rules.retention,
        "forget_soon": now + min(UNSTORED_LIFE, rules.retention),
    }
    rows = statement.all(connection, {**said, **times, **which})
    for row in rows:
        if row.webhook_url is not None:
            owed = outbox.Owed(row.id, row.key_id, row.webhook_url)
            outbox.owe(connection, owed, outcome, now, now + rules.retention)
    return [Ended(row.id, row.webhook_url is not None) for row in rows]
