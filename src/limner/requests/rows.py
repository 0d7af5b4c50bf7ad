"""From a row of the ledger to a Request and back. Knows columns and JSON; runs no statement."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa

from limner.requests.request import (
    LogLine,
    Outcome,
    Priority,
    Request,
    Status,
    Submission,
    as_datetime,
)
from limner.requests.tables import requests

#: Priorities as they sort: the lower goes first.
RANK = {Priority.NORMAL: 0, Priority.LOW: 1}
_PRIORITY = {rank: priority for priority, rank in RANK.items()}


#: Before a name in ``files``: not made by the request but given to it, and to go with it.
GIVEN = "given:"


#: Longest idempotency key in characters that is kept as it was said.
LONGEST_KEY = 255


#: Made once: ``json.dumps`` makes one for every value that is not written as it would by itself.
_COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def to_json(value: Any) -> str:
    """Compact JSON; numbers keep their exact value (Python writes floats so)."""
    return _COMPACT.encode(value)


def kept_key(said: str | None) -> str | None:
    """An idempotency key as it is kept: a long one by its hash, for an index takes no long text."""
    if said is None or len(said) <= LONGEST_KEY:
        return said
    return hashlib.sha256(said.encode()).hexdigest()


def submission_values(submission: Submission) -> dict[str, Any]:
    """A Submission as columns."""
    return {
        "endpoint": submission.endpoint,
        "path": submission.path,
        "key_id": submission.key_id,
        "priority": RANK[submission.priority],
        "input": to_json(submission.input),
        "webhook_url": submission.webhook_url,
        "start_by": submission.start_by,
        "no_retry": submission.no_retry,
        "store_io": submission.store_io,
        "file_lifetime": submission.file_lifetime,
        "files_base": submission.files_base,
        "hint": submission.hint,
        "idempotency_key": kept_key(submission.idempotency_key),
        # Where nothing is to be stored, what was given goes with what is made (forgetting.py).
        "files": None
        if submission.store_io
        else to_json([GIVEN + name for name in submission.files_given]),
        "trace": submission.trace,
    }


def outcome_values(outcome: Outcome) -> dict[str, Any]:
    """An Outcome as columns."""
    return {
        "http_status": outcome.http_status,
        "body": to_json(outcome.body),
        "headers": to_json(dict(outcome.headers)),
        "error": outcome.error,
        "error_type": outcome.error_type,
        "fault": outcome.fault,
        "files": to_json(outcome.files),
    }


def made_by(files: str) -> list[str]:
    """The column ``files`` as names of what the request made."""
    return [name for name in json.loads(files) if not name.startswith(GIVEN)]


def given_of(files: str) -> list[str]:
    """The column ``files`` as names of what the request was given and takes along."""
    return [name.removeprefix(GIVEN) for name in json.loads(files) if name.startswith(GIVEN)]


def joined(made: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """The column ``files`` with the list ``made``, as JSON, after what the request was given."""
    given = requests.c.files
    # Without the bracket that ends the one list and the one that begins the other.
    both = sa.func.substr(given, 1, sa.func.length(given) - 1) + "," + sa.func.substr(made, 2)
    alone = sa.or_(given.is_(None), given == "[]")
    return sa.case((alone, made), (made == "[]", given), else_=both)


def request_from(row: Any) -> Request:
    """A whole row of ``requests`` as a Request."""
    outcome = None
    if row.http_status is not None:
        outcome = Outcome(
            http_status=row.http_status,
            body=json.loads(row.body),
            headers=json.loads(row.headers),
            error=row.error,
            error_type=row.error_type,
            files=tuple(made_by(row.files)),
        )
    return Request(
        id=row.id,
        submission=Submission(
            endpoint=row.endpoint,
            input=json.loads(row.input) if row.input is not None else {},
            path=row.path,
            key_id=row.key_id,
            priority=_PRIORITY[row.priority],
            webhook_url=row.webhook_url,
            start_by=row.start_by,
            no_retry=row.no_retry,
            store_io=row.store_io,
            file_lifetime=row.file_lifetime,
            files_base=row.files_base,
            hint=row.hint,
            idempotency_key=row.idempotency_key,
            trace=row.trace,
        ),
        status=Status(row.status),
        attempt=row.attempt,
        cancel_requested=row.cancel_requested,
        progress=row.progress,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        engine=row.engine,
        outcome=outcome,
        has_input=row.input is not None,
        preview=row.preview,
    )


def log_line_from(row: Any) -> LogLine:
    """A row of ``logs`` as a LogLine."""
    return LogLine(
        seq=row.seq,
        at=as_datetime(row.at),
        level=row.level,
        message=row.message,
        progress=row.progress,
    )
