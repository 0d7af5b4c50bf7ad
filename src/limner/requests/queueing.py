"""The caller's side of a request: submit it, look at it, cancel it. Functions of a connection.

Knows the order of the queue, which is priority, then arrival; knows no worker, HTTP or clock.
"""

from __future__ import annotations

import sqlalchemy as sa

from limner.errors import Refused
from limner.requests.lifecycle import CANCELLED, Cancellation, Rules, end
from limner.requests.request import LogLine, Outcome, Request, Submission, new_id
from limner.requests.rows import log_line_from, request_from, submission_values
from limner.requests.tables import logs, requests

COLUMNS = requests.c


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
        # Values beside the statement rather than in it: SQLAlchemy takes these much faster.
        requests.insert().returning(requests),
        {
            **submission_values(submission),
            "id": new_id(),
            "status": "queued",
            "attempt": 0,
            "losses": 0,
            "cancel_requested": False,
            "progress": 0.0,
            "created_at": now,
        },
    ).one()
    if ended is not None:
        end(connection, [COLUMNS.id == row.id], ended, now, rules)
        row = connection.execute(sa.select(requests).where(COLUMNS.id == row.id)).one()
    return request_from(row)


def get(connection: sa.Connection, request_id: str) -> Request | None:
    """A request, or None."""
    row = connection.execute(sa.select(requests).where(COLUMNS.id == request_id)).first()
    return request_from(row) if row is not None else None


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
    # Two counts, because an OR would walk the whole queue: each is one range of the index
    # requests_waiting, so the head of a long queue is as cheap as that of a short one.
    same = sa.select(sa.func.count()).where(
        COLUMNS.status == "queued", COLUMNS.endpoint == here.endpoint
    )
    before = same.where(COLUMNS.priority < here.priority).scalar_subquery()
    earlier = same.where(
        COLUMNS.priority == here.priority, COLUMNS.seq < here.seq
    ).scalar_subquery()
    return connection.execute(sa.select(before + earlier)).scalar_one()


def log_lines(connection: sa.Connection, request_id: str, after: int) -> list[LogLine]:
    """The lines with a number above ``after``, in order."""
    rows = connection.execute(
        sa.select(logs)
        .where(logs.c.request_id == request_id, logs.c.seq > after)
        .order_by(logs.c.seq)
    )
    return [log_line_from(row) for row in rows]


def cancel(connection: sa.Connection, request_id: str, now: float, rules: Rules) -> Cancellation:
    """End a waiting request; ask a running one to stop."""
    waits = [COLUMNS.id == request_id, COLUMNS.status == "queued"]
    if end(connection, waits, CANCELLED, now, rules):
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
