"""Whose turn it is: keys that wait share the workers fairly, and each key's requests keep order.

Start-time fair queueing (Goyal, Vin and Cheng, 1996) with requests of equal size: a request's turn
is one more than the last of its key that waits, or, when none of its key waits, that of the queue's
head. Turns are given at submit and never change while a request waits, so the order is fixed, a
position can be told exactly, and the next request is the first row of an index. With one key this
is first in, first out; with several, one each.

Each endpoint and class has turns of its own. Knows the queue's order; knows no worker.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from limner.requests.request import Submission
from limner.requests.rows import RANK
from limner.requests.tables import requests
from limner.requests.tally import WAITING

COLUMNS = requests.c

#: The turn of what goes back to the queue: before everybody's, by arrival among its like.
RETURNED = -1

_CLASS = [
    WAITING,
    COLUMNS.endpoint == sa.bindparam("turn_endpoint", type_=sa.Text),
    COLUMNS.priority == sa.bindparam("turn_priority", type_=sa.SmallInteger),
    COLUMNS.turn >= 0,
]

_LAST_OF_KEY = (
    sa.select(COLUMNS.turn + 1)
    .where(*_CLASS, COLUMNS.key_id == sa.bindparam("turn_key", type_=sa.Text))
    .order_by(COLUMNS.turn.desc())
    .limit(1)
    .scalar_subquery()
)

_HEAD = sa.select(COLUMNS.turn).where(*_CLASS).order_by(COLUMNS.turn).limit(1).scalar_subquery()

#: The turn of a new request, as part of the statement that inserts it.
NEXT: sa.ColumnElement[int] = sa.func.coalesce(_LAST_OF_KEY, _HEAD, 0)


def of(submission: Submission) -> dict[str, Any]:
    """What :data:`NEXT` is bound to."""
    return {
        "turn_endpoint": submission.endpoint,
        "turn_priority": RANK[submission.priority],
        "turn_key": submission.key_id,
    }
