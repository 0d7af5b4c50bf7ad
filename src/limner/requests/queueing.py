"""The caller's side of a request: submit it, look at it, cancel it. Functions of a connection.

Knows what a caller may say and ask; knows no worker, HTTP or clock.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from limner.errors import Refused
from limner.requests import keyring, turns
from limner.requests.lifecycle import CANCELLED, Cancellation, Rules, end, ending
from limner.requests.prepared import Prepared
from limner.requests.request import LogLine, Outcome, Request, Submission, new_id
from limner.requests.rows import kept_key, log_line_from, request_from, submission_values
from limner.requests.tables import logs, requests
from limner.requests.tally import waiting

COLUMNS = requests.c

_KEYLESS = "A key is needed since one was made: Authentication is required"

_INSERT = Prepared(requests.insert().inline().values(turn=turns.NEXT))

_THIS = COLUMNS.id == sa.bindparam("this", type_=sa.Text)

_GET = Prepared(sa.select(requests).where(_THIS))

_LINES = Prepared(
    sa.select(logs)
    .where(
        logs.c.request_id == sa.bindparam("this", type_=sa.Text),
        logs.c.seq > sa.bindparam("after", type_=sa.BigInteger),
    )
    .order_by(logs.c.seq)
)

_HOLD = sa.select(COLUMNS.seq).where(_THIS).with_for_update()

_END = ending(_THIS)

_END_WAITING = ending(_THIS, COLUMNS.status == "queued")


def submit(
    connection: sa.Connection,
    submission: Submission,
    max_waiting: int | None,
    ended: Outcome | None,
    now: float,
    rules: Rules,
    *,
    keyed: bool = False,
) -> Request:
    """Accept a request, or end it at once with ``ended``. Raises Refused 401, 429.

    ``keyed``: only if its key is good at this instant, whatever was known of it before.
    """
    if keyed and not keyring.is_good_key(connection, submission.key_id):
        raise Refused(401, "No user found for Key ID and Secret" if submission.key_id else _KEYLESS)
    if submission.idempotency_key is not None:
        again = _same(connection, submission)
        if again is not None:
            return again
    if max_waiting is not None and waiting(connection, submission.endpoint) > max_waiting:
        raise Refused(
            429, "The queue is longer than fal_max_queue_length", headers={"retry-after": "5"}
        )
    request = Request(new_id(), submission, created_at=now)
    _INSERT.all(
        connection,
        {
            **submission_values(submission),
            **turns.of(submission),
            "id": request.id,
            "status": request.status.value,
            "attempt": request.attempt,
            "losses": 0,
            "cancel_requested": request.cancel_requested,
            "progress": request.progress,
            "created_at": now,
        },
    )
    if ended is None:
        return request
    end(connection, _END, ended, now, rules, {"this": request.id})
    return request_from(_GET.first(connection, {"this": request.id}))


def _same(connection: sa.Connection, submission: Submission) -> Request | None:
    """The request that was submitted with the same idempotency key."""
    if connection.dialect.name == "postgresql":
        # Of two that come at once, the second waits here for the first, and then sees it.
        said = f"{submission.key_id}\n{submission.idempotency_key}"
        lock = sa.func.hashtextextended(said, 0)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))
    row = connection.execute(
        sa.select(requests).where(
            COLUMNS.key_id == submission.key_id,
            COLUMNS.idempotency_key == kept_key(submission.idempotency_key),
        )
    ).first()
    return request_from(row) if row is not None else None


def get(connection: sa.Connection, request_id: str) -> Request | None:
    """A request, or None."""
    row = _GET.first(connection, {"this": request_id})
    return request_from(row) if row is not None else None


def get_all(connection: sa.Connection, ids: Sequence[str]) -> list[Request | None]:
    """Each of several requests, or None."""
    if connection.dialect.name == "sqlite" or len(ids) == 1:
        return [get(connection, each) for each in ids]
    # To a database that is elsewhere, one way for all of them.
    rows = connection.execute(sa.select(requests).where(COLUMNS.id.in_(ids)))
    found = {row.id: request_from(row) for row in rows}
    return [found.get(each) for each in ids]


def log_lines(connection: sa.Connection, request_id: str, after: int) -> list[LogLine]:
    """The lines with a number above ``after``, in order."""
    rows = _LINES.all(connection, {"this": request_id, "after": after})
    return [log_line_from(row) for row in rows]


def cancel(connection: sa.Connection, request_id: str, now: float, rules: Rules) -> Cancellation:
    """End a waiting request; ask a running one to stop."""
    # Held still, because PostgreSQL lets it be claimed or given back between two statements.
    connection.execute(_HOLD, {"this": request_id})
    if end(connection, _END_WAITING, CANCELLED, now, rules, {"this": request_id}):
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
