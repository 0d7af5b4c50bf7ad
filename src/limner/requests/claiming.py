"""A worker takes the next requests: in order, but for two rules that let one step over another.

A key with a limit has no more of its requests running than that. A request with a hint is left,
for a moment, to a worker that has what it hints at in memory and has a slot free.
Functions of a connection. Knows the queue's order; knows no caller, process or clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from limner.requests.lifecycle import Rules
from limner.requests.request import Request
from limner.requests.rows import request_from
from limner.requests.tables import keys, requests, residents, workers
from limner.requests.tally import WAITING

COLUMNS = requests.c

#: Seconds a request is left to a worker that has its weights; opening them takes longer.
HINT_PATIENCE = 0.4

#: How far into a queue is looked for a request whose key is below its limit. Turns put the first
#: of every key among the first few.
WINDOW = 1024

#: PostgreSQL's advisory lock under which the limits of keys are kept to.
_LIMITS = 0x4C494D51

_ORDER = (COLUMNS.priority, COLUMNS.turn, COLUMNS.seq)

_RUNNING = COLUMNS.status == sa.literal_column("'running'")


#: How often a race for the next request is run again before it is left to the next look.
TRIES = 3


@dataclass(frozen=True, slots=True)
class _Choice:
    """What a worker may take now."""

    endpoints: Sequence[str]
    conditions: Sequence[sa.ColumnElement[bool]]
    #: Keys at their limit: nothing of theirs may be taken.
    full: Collection[str]

    def of(self, endpoint: str, most: int) -> sa.Select[*tuple[Any, ...]]:
        """The first ``most`` of an endpoint's, in order."""
        queue = sa.select(COLUMNS.seq).where(WAITING, COLUMNS.endpoint == endpoint)
        chosen = sa.select(COLUMNS.seq, COLUMNS.priority, COLUMNS.endpoint).where(
            WAITING, COLUMNS.endpoint == endpoint, *self.conditions
        )
        if self.full:
            window = queue.order_by(*_ORDER).limit(WINDOW)
            chosen = chosen.where(COLUMNS.seq.in_(window), COLUMNS.key_id.not_in(self.full))
        return chosen.order_by(*_ORDER).limit(most)


def claim(
    connection: sa.Connection,
    worker: str,
    endpoints: Sequence[str],
    limit: int,
    now: float,
    rules: Rules,
) -> list[Request]:
    """Give a worker the next requests, in order, for the length of a lease."""
    taking: dict[str, Any] = {
        "status": "running",
        "attempt": COLUMNS.attempt + 1,
        "worker": worker,
        "lease_until": now + rules.lease,
        "started_at": now,
        "progress": 0.0,
        "preview": None,
    }
    conditions = [
        sa.or_(COLUMNS.start_by.is_(None), COLUMNS.start_by > now),
        _is_for(worker, now),
    ]
    claimed: list[sa.Row[Any]] = []
    lost_races = 0
    limited = _any_limits(connection)
    while len(claimed) < limit and lost_races < TRIES:
        choice = _Choice(endpoints, conditions, _full_keys(connection) if limited else ())
        planned = _planned(connection, choice, 1 if limited else limit - len(claimed))
        taken = [
            row
            for endpoint, number in planned.items()
            for row in _take(connection, choice.of(endpoint, number), taking)
        ]
        claimed += taken
        if not planned or (not limited and len(taken) == planned.total()):
            break
        if not taken:
            if len(endpoints) == 1:
                break  # there was no plan to fail
            lost_races += 1
    ordered = sorted(claimed, key=lambda row: (row.priority, row.turn, row.seq))
    return [request_from(row) for row in ordered]


def _planned(connection: sa.Connection, choice: _Choice, most: int) -> Counter[str]:
    """How many to take of each endpoint: class first, then whose first one came first.

    One look at the head of each endpoint's queue, because an order across endpoints would be no
    index's, and sort all that wait.
    """
    if len(choice.endpoints) == 1:
        return Counter({choice.endpoints[0]: most})
    heads = [sa.select(choice.of(each, most).subquery()) for each in choice.endpoints]
    queues: dict[str, list[tuple[int, int]]] = {}
    for row in connection.execute(sa.union_all(*heads)) if heads else ():
        queues.setdefault(row.endpoint, []).append((row.priority, row.seq))
    planned: Counter[str] = Counter()
    while queues and planned.total() < most:
        first = min(queues, key=lambda each: queues[each][0])
        planned[first] += 1
        queues[first].pop(0)
        if not queues[first]:
            del queues[first]
    return planned


def _take(
    connection: sa.Connection, chosen: sa.Select[*tuple[Any, ...]], values: dict[str, Any]
) -> Sequence[sa.Row[Any]]:
    """Claim what was chosen and nobody else is claiming."""
    # A CTE, because PostgreSQL may run IN (SELECT … LIMIT n FOR UPDATE SKIP LOCKED) again and
    # then claim more than n rows. SQLite leaves FOR UPDATE out.
    pick = chosen.with_for_update(skip_locked=True, of=requests).cte("pick")
    return connection.execute(
        requests.update()
        .where(COLUMNS.seq.in_(sa.select(pick.c.seq)), WAITING)
        .values(**values)
        .returning(requests)
    ).all()


def _is_for(worker: str, now: float) -> sa.ColumnElement[bool]:
    """Is a request not better left to another worker?"""
    held = sa.select(sa.func.count()).where(_RUNNING, COLUMNS.worker == workers.c.name)
    having = sa.select(sa.literal(1)).where(residents.c.hint == COLUMNS.hint)
    elsewhere = having.where(
        residents.c.worker == workers.c.name,
        workers.c.until > now,
        workers.c.slots > held.correlate(workers).scalar_subquery(),
    )
    return sa.or_(
        COLUMNS.hint.is_(None),
        COLUMNS.created_at < now - HINT_PATIENCE,
        having.where(residents.c.worker == worker).correlate(requests).exists(),
        ~elsewhere.correlate(requests).exists(),
    )


def _any_limits(connection: sa.Connection) -> bool:
    """Has any key a limit? Then claims go one after the other, so that none is overrun."""
    query = sa.select(keys.c.id).where(keys.c.concurrency.is_not(None)).limit(1)
    if connection.execute(query).first() is None:
        return False
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LIMITS)))
    return True


def _full_keys(connection: sa.Connection) -> Sequence[str]:
    """The keys that run as many requests as they may."""
    running = sa.select(sa.func.count()).where(_RUNNING, COLUMNS.key_id == keys.c.id)
    query = sa.select(keys.c.id).where(
        keys.c.concurrency <= running.correlate(keys).scalar_subquery()
    )
    return connection.execute(query).scalars().all()
