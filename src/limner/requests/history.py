"""Requests that have ended, with their payloads, as fal's platform API lists them.

Functions of a connection. Knows the tables; knows no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from limner.requests.request import Request
from limner.requests.rows import request_from
from limner.requests.tables import requests

COLUMNS = requests.c


class Ending(StrEnum):
    """fal's words for how a request ended."""

    SUCCESS = "success"
    ERROR = "error"  #: Ours, 5xx.
    USER_ERROR = "user_error"  #: The caller's, 4xx.


class SortBy(StrEnum):
    """fal's orders; both put the largest first."""

    ENDED_AT = "ended_at"
    DURATION = "duration"


@dataclass(frozen=True, slots=True)
class Sought:
    """What to look for; None matches everything. Times are unix seconds."""

    endpoint: str
    #: Only requests of this key.
    key_id: str | None = None
    request_id: str | None = None
    ended_from: float | None = None
    ended_before: float | None = None
    ending: Ending | None = None
    sort_by: SortBy = SortBy.ENDED_AT
    offset: int = 0
    limit: int = 50


_STATUS = {
    Ending.SUCCESS: COLUMNS.http_status < 300,
    Ending.USER_ERROR: COLUMNS.http_status.between(300, 499),
    Ending.ERROR: COLUMNS.http_status >= 500,
}

_ORDER: dict[SortBy, sa.ColumnElement[float]] = {
    SortBy.ENDED_AT: COLUMNS.finished_at,
    SortBy.DURATION: COLUMNS.finished_at - sa.func.coalesce(COLUMNS.started_at, COLUMNS.created_at),
}


def ended(connection: sa.Connection, sought: Sought) -> list[Request]:
    """The ended requests that match, at most ``limit`` of them."""
    conditions: list[sa.ColumnElement[bool]] = [
        COLUMNS.status == "done",
        COLUMNS.endpoint == sought.endpoint,
    ]
    if sought.key_id is not None:
        conditions.append(COLUMNS.key_id == sought.key_id)
    if sought.request_id is not None:
        conditions.append(COLUMNS.id == sought.request_id)
    if sought.ended_from is not None:
        conditions.append(COLUMNS.finished_at >= sought.ended_from)
    if sought.ended_before is not None:
        conditions.append(COLUMNS.finished_at < sought.ended_before)
    if sought.ending is not None:
        conditions.append(_STATUS[sought.ending])
    rows = connection.execute(
        sa.select(requests)
        .where(*conditions)
        .order_by(_ORDER[sought.sort_by].desc(), COLUMNS.seq.desc())
        .offset(sought.offset)
        .limit(sought.limit)
    )
    return [request_from(row) for row in rows]
