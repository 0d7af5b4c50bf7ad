"""Looking through the ledger, newest first, without the payloads: for people who keep an eye on it.

Functions of a connection. Knows columns; changes nothing, and never reads a prompt or a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from limner.requests.request import Status
from limner.requests.tables import requests
from limner.requests.tally import waiting_by_endpoint

COLUMNS = requests.c

#: How a request stands in the register: what it waits for, or how it ended.
STATES = ("queued", "running", "done", "failed", "cancelled")

_CANCELLED = sa.func.coalesce(COLUMNS.error_type, "") == "client_cancelled"
_OK = COLUMNS.http_status.between(200, 299)

_CONDITIONS: dict[str, sa.ColumnElement[bool]] = {
    "queued": COLUMNS.status == Status.QUEUED.value,
    "running": COLUMNS.status == Status.RUNNING.value,
    "done": (COLUMNS.status == Status.DONE.value) & _OK,
    "cancelled": (COLUMNS.status == Status.DONE.value) & _CANCELLED,
    "failed": (COLUMNS.status == Status.DONE.value) & ~_OK & ~_CANCELLED,
}

#: Never the input, the answer or the log.
_SHOWN: list[sa.ColumnElement[Any]] = [
    COLUMNS.seq,
    COLUMNS.id,
    COLUMNS.endpoint,
    COLUMNS.key_id,
    COLUMNS.status,
    COLUMNS.progress,
    COLUMNS.attempt,
    COLUMNS.engine,
    COLUMNS.http_status,
    COLUMNS.error_type,
    COLUMNS.created_at,
    COLUMNS.started_at,
    COLUMNS.finished_at,
    COLUMNS.forget_at,
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for; None and the empty text match everything."""

    key_id: str | None = None
    #: One of STATES.
    state: str | None = None
    #: A part of the id or of the endpoint.
    text: str = ""
    #: Only what arrived before this place in the register.
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """A request as the register shows it. Times are unix seconds."""

    place: int
    id: str
    endpoint: str
    key_id: str
    state: str
    progress: float
    attempt: int
    engine: str | None
    http_status: int | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    forget_at: float | None


def search(connection: sa.Connection, wanted: Wanted) -> list[Entry]:
    """The newest requests that match, at most ``limit``."""
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.key_id is not None:
        conditions.append(COLUMNS.key_id == wanted.key_id)
    if wanted.state is not None:
        conditions.append(_CONDITIONS[wanted.state])
    if wanted.text:
        conditions.append(
            COLUMNS.id.contains(wanted.text, autoescape=True)
            | COLUMNS.endpoint.contains(wanted.text, autoescape=True)
        )
    if wanted.before is not None:
        conditions.append(COLUMNS.seq < wanted.before)
    rows = connection.execute(
        sa.select(*_SHOWN).where(*conditions).order_by(COLUMNS.seq.desc()).limit(wanted.limit)
    )
    return [_entry(row) for row in rows]


def census(connection: sa.Connection) -> dict[str, dict[str, int]]:
    """How many requests of each endpoint wait and run."""
    counts: dict[str, dict[str, int]] = {}
    for endpoint, number in waiting_by_endpoint(connection).items():
        counts.setdefault(endpoint, {})[Status.QUEUED.value] = number
    running = connection.execute(
        sa.select(COLUMNS.endpoint, sa.func.count())
        .where(COLUMNS.status == sa.literal_column("'running'"))
        .group_by(COLUMNS.endpoint)
    )
    for endpoint, number in running:
        counts.setdefault(endpoint, {})[Status.RUNNING.value] = number
    return counts


def _entry(row: sa.Row[Any]) -> Entry:
    state: str = row.status
    if state == Status.DONE.value:
        if row.error_type == "client_cancelled":
            state = "cancelled"
        elif not 200 <= row.http_status < 300:
            state = "failed"
    return Entry(
        place=row.seq,
        id=row.id,
        endpoint=row.endpoint,
        key_id=row.key_id,
        state=state,
        progress=row.progress,
        attempt=row.attempt,
        engine=row.engine,
        http_status=row.http_status,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        forget_at=row.forget_at,
    )
