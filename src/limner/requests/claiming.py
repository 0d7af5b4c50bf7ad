"""A worker takes the next requests: in order, but for three rules that let one step over another.

A key with a limit has no more of its requests running than that. A request with a hint is left,
for a moment, to the worker that is best placed for it: the one that draws the fewest, where opening
what is hinted at counts as OPENING of them (decision 0056). Of requests that lost a worker before,
a worker holds one at a time: should one of them be what ends its workers, the others are not lost
with it again and again.
Functions of a connection. Knows the queue's order; knows no caller, process or clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningUpdate

from limner.requests.lifecycle import Rules
from limner.requests.prepared import Prepared
from limner.requests.request import Request
from limner.requests.rows import RANK, request_from
from limner.requests.tables import keys, requests, residents, workers
from limner.requests.tally import WAITING
from limner.requests.turns import RETURNED

COLUMNS = requests.c

#: Seconds a request is left to a worker that is better placed for it; opening weights takes longer.
HINT_PATIENCE = 0.4

#: Requests in one running batch that cost as much as opening weights (``bench.fleet``).
OPENING = 3

#: How far into a queue is looked for a request whose key is below its limit. Turns put the first
#: of every key among the first few.
WINDOW = 1024

#: PostgreSQL's advisory lock under which the limits of keys are kept to.
_LIMITS = 0x4C494D51

_ORDER = (COLUMNS.priority, COLUMNS.turn, COLUMNS.seq)

_RUNNING = COLUMNS.status == sa.literal_column("'running'")


#: How often a race for the next request is run again before it is left to the next look.
TRIES = 3

#: Who claims, and when.
_BY = sa.bindparam("by", type_=sa.Text)
_NOW = sa.bindparam("now", type_=sa.Float(53))

#: A lease from now.
_UNTIL = sa.bindparam("until", type_=sa.Float(53))


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a worker was given, in order."""

    requests: list[Request]
    #: May it be given more as soon as one of its requests ends? Else it waits for the bell.
    more: bool


#: Around a name in the JSON list of a worker's endpoints.
_QUOTE = sa.bindparam("quote", '"', type_=sa.Text)


def claim(
    connection: sa.Connection,
    worker: str,
    endpoints: Sequence[str],
    limit: int,
    now: float,
    rules: Rules,
) -> Claimed:
    """Give a worker the next requests, in order, for the length of a lease."""
    names = {f"endpoint_{number}": each for number, each in enumerate(endpoints)}
    said: dict[str, Any] = {"by": worker, "now": now, "until": now + rules.lease}
    claimed: list[Any] = []
    lost_races = 0
    rare = _rare(len(endpoints)).all(connection, names)[0]
    limited = rare.limited
    if limited and connection.dialect.name == "postgresql":
        # Claims go one after the other, so that no limit is overrun.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LIMITS)))
    # Of two that one statement takes, neither sees the other.
    one_by_one = limited or rare.lost or rare.hinted
    # Nobody else writes to SQLite meanwhile: what was not taken was not there.
    alone = len(endpoints) == 1 and connection.dialect.name == "sqlite"
    while len(claimed) < limit and lost_races < TRIES:
        if limited:
            said["full"] = _full_keys(connection)
        most = 1 if one_by_one else limit - len(claimed)
        planned = _planned(connection, endpoints, said, most)
        taken = [
            row
            for endpoint, number in planned.items()
            for row in _taken(connection, limited, {**said, "endpoint_0": endpoint, "most": number})
        ]
        claimed += taken
        if not planned or (not one_by_one and (len(taken) == planned.total() or alone)):
            break
        if not taken:
            if len(endpoints) == 1:
                break  # there was no plan to fail
            lost_races += 1
    ordered = sorted(claimed, key=lambda row: (row.priority, row.turn, row.seq))
    return Claimed(
        [request_from(row) for row in ordered],
        more=len(claimed) == limit or one_by_one or lost_races > 0,
    )


def _planned(
    connection: sa.Connection, endpoints: Sequence[str], said: dict[str, Any], most: int
) -> Counter[str]:
    """How many to take of each endpoint: class first, then whose first one came first.

    One look at the head of each endpoint's queue, because an order across endpoints would be no
    index's, and sort all that wait.
    """
    if len(endpoints) == 1:
        return Counter({endpoints[0]: most})
    queues: dict[str, list[tuple[int, int]]] = {}
    if endpoints:
        names = {f"endpoint_{number}": each for number, each in enumerate(endpoints)}
        heads = _heads(len(endpoints), "full" in said)
        for row in connection.execute(heads, {**said, **names, "most": most}):
            queues.setdefault(row.endpoint, []).append((row.priority, row.seq))
    planned: Counter[str] = Counter()
    while queues and planned.total() < most:
        first = min(queues, key=lambda each: queues[each][0])
        planned[first] += 1
        queues[first].pop(0)
        if not queues[first]:
            del queues[first]
    return planned


@cache
def _heads(number: int, limited: bool) -> sa.CompoundSelect[*tuple[Any, ...]]:
    """The first ``most`` of each of so many endpoints."""
    return sa.union_all(*(sa.select(_first(n, limited).subquery()) for n in range(number)))


def _taken(connection: sa.Connection, limited: bool, said: Mapping[str, Any]) -> Sequence[Any]:
    """Claim the first ``most`` of an endpoint that nobody else is claiming."""
    if limited:  # the keys that are full are written out
        return connection.execute(_take(limited=True), said).all()
    return _take_prepared().all(connection, said)


@cache
def _take_prepared() -> Prepared:
    return Prepared(_take(limited=False))


@cache
def _take(limited: bool) -> ReturningUpdate[*tuple[Any, ...]]:
    # A CTE, because PostgreSQL may run IN (SELECT … LIMIT n FOR UPDATE SKIP LOCKED) again and
    # then claim more than n rows. SQLite leaves FOR UPDATE out.
    pick = _first(0, limited).with_for_update(skip_locked=True, of=requests).cte("pick")
    return (
        requests.update()
        .where(COLUMNS.seq.in_(sa.select(pick.c.seq)), WAITING)
        .values(
            status="running",
            attempt=COLUMNS.attempt + 1,
            worker=_BY,
            lease_until=_UNTIL,
            started_at=_NOW,
            progress=0.0,
            preview=None,
        )
        .returning(requests)
    )


def _first(number: int, limited: bool) -> sa.Select[*tuple[Any, ...]]:
    """The first ``most`` that the worker may take of the endpoint of that number, in order."""
    here = (WAITING, COLUMNS.endpoint == sa.bindparam(f"endpoint_{number}", type_=sa.Text))
    chosen = sa.select(COLUMNS.seq, COLUMNS.priority, COLUMNS.endpoint).where(
        *here,
        sa.or_(COLUMNS.start_by.is_(None), COLUMNS.start_by > _NOW),
        sa.or_(COLUMNS.losses == 0, _is_alone()),
        _is_for_worker(),
    )
    if limited:
        window = sa.select(COLUMNS.seq).where(*here).order_by(*_ORDER).limit(WINDOW)
        full = sa.bindparam("full", expanding=True, type_=sa.Text)
        chosen = chosen.where(COLUMNS.seq.in_(window), COLUMNS.key_id.not_in(full))
    return chosen.order_by(*_ORDER).limit(sa.bindparam("most", type_=sa.Integer))


def _is_for_worker() -> sa.ColumnElement[bool]:
    """Is no other worker better placed for a request, or has it waited too long for that one?"""
    held = sa.select(sa.func.count()).where(_RUNNING)
    mine = held.where(COLUMNS.worker == _BY).correlate(None).scalar_subquery()
    theirs = held.where(COLUMNS.worker == workers.c.name).correlate(workers).scalar_subquery()
    having = sa.select(sa.literal(1)).where(residents.c.hint == COLUMNS.hint)
    i_have = having.where(residents.c.worker == _BY).correlate(requests).exists()
    cost = mine + sa.case((i_have, 0), else_=OPENING)
    free = (
        workers.c.name != _BY,
        # It said so in the last two leases, and by this clock.
        workers.c.until.between(_UNTIL, _NOW + 4 * (_UNTIL - _NOW)),
        workers.c.slots > theirs,
    )
    # Apart, because few have what is hinted at, and are found by an index.
    has = having.where(residents.c.worker == workers.c.name, *free, theirs < cost)
    opens = sa.select(sa.literal(1)).where(
        workers.c.endpoints.contains(_QUOTE + COLUMNS.endpoint + _QUOTE),
        *free,
        theirs + OPENING < cost,
    )
    return sa.or_(
        COLUMNS.hint.is_(None),
        ~COLUMNS.created_at.between(_NOW - HINT_PATIENCE, _NOW + HINT_PATIENCE),
        sa.and_(
            ~has.correlate(requests).exists(),
            sa.or_(cost <= OPENING, ~opens.correlate(requests).exists()),
        ),
    )


def _is_alone() -> sa.ColumnElement[bool]:
    """Does the worker hold no request that lost a worker before?"""
    held = requests.alias("held")
    holding = sa.select(sa.literal(1)).where(
        held.c.status == sa.literal_column("'running'"), held.c.worker == _BY, held.c.losses > 0
    )
    return ~holding.exists()


@cache
def _rare(number: int) -> Prepared:
    """What is not always so, and costs a claim of so many endpoints more: limits, losses, hints."""
    limit = sa.select(keys.c.id).where(keys.c.concurrency.is_not(None))
    # One that lost a worker before is among the few that were given back.
    lost = sa.select(COLUMNS.seq).where(
        WAITING,
        COLUMNS.endpoint.in_([sa.bindparam(f"endpoint_{n}", type_=sa.Text) for n in range(number)]),
        COLUMNS.priority.in_([sa.literal_column(str(rank)) for rank in sorted(RANK.values())]),
        COLUMNS.turn == RETURNED,
        COLUMNS.losses > 0,
    )
    seen = {"limited": limit, "lost": lost, "hinted": sa.select(residents.c.hint)}
    return Prepared(sa.select(*(each.exists().label(name) for name, each in seen.items())))


def _full_keys(connection: sa.Connection) -> Sequence[str]:
    """The keys that run as many requests as they may."""
    running = sa.select(sa.func.count()).where(_RUNNING, COLUMNS.key_id == keys.c.id)
    query = sa.select(keys.c.id).where(
        keys.c.concurrency <= running.correlate(keys).scalar_subquery()
    )
    return connection.execute(query).scalars().all()
