"""How many requests wait, without counting them: a long queue costs no more than a short one.

Triggers write a row of ``tallies`` whenever a request begins or ceases to wait: its endpoint, its
class, its block of BLOCK turns, and +1 or -1. The sum of a block's rows is how many of it wait, so
a position is the sum of the blocks before it and a count within its own. Rows are added, never
changed: no two transactions wait for each other's. A sweep adds up what has gathered
(:func:`compact`).

Knows the queue's order; knows no operation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from limner.requests.tables import requests, tallies

#: Turns in a block, as a power of two: with one key, a million waiting are 3,907 blocks.
SHIFT = 8

#: Blocks added up in one transaction, so that a sweep never holds the database for long.
AT_ONCE = 500

COLUMNS = requests.c

#: Written out rather than bound, so that every planner sees that the partial indexes will do.
WAITING = COLUMNS.status == sa.literal_column("'queued'")

_SQLITE = """
CREATE TRIGGER {name} AFTER {event} ON requests WHEN {when} BEGIN
  INSERT INTO tallies (endpoint, priority, block, change)
  VALUES ({row}.endpoint, {row}.priority, {row}.turn >> {shift}, {change});
END"""

_POSTGRESQL = """
CREATE TRIGGER {name} AFTER {event} ON requests FOR EACH ROW WHEN ({when})
EXECUTE FUNCTION limner_tally('{change}')"""

_FUNCTION = f"""
CREATE FUNCTION limner_tally() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_ARGV[0] = '1' THEN
    INSERT INTO tallies (endpoint, priority, block, change)
    VALUES (NEW.endpoint, NEW.priority, NEW.turn >> {SHIFT}, 1);
  ELSE
    INSERT INTO tallies (endpoint, priority, block, change)
    VALUES (OLD.endpoint, OLD.priority, OLD.turn >> {SHIFT}, -1);
  END IF;
  RETURN NULL;
END $$"""

#: What is added when a request ends, for figures.py.
_COUNTED = """
INSERT INTO outcomes (endpoint, outcome, number, waited, ran) VALUES (NEW.endpoint,
  CASE WHEN NEW.http_status < 300 THEN 'ok' WHEN NEW.error_type IS NOT NULL THEN NEW.error_type
    WHEN NEW.fault IS NOT NULL THEN NEW.fault WHEN NEW.http_status < 500 THEN 'user_error'
    ELSE 'error' END,
  1, coalesce(NEW.started_at, NEW.finished_at) - NEW.created_at,
  NEW.finished_at - coalesce(NEW.started_at, NEW.finished_at));"""

_ENDED = "NEW.status = 'done' AND OLD.status <> 'done'"

#: The triggers that count what has ended.
_COUNTING = {
    "sqlite": [
        f"CREATE TRIGGER count_ended AFTER UPDATE ON requests WHEN {_ENDED} BEGIN {_COUNTED} END"
    ],
    "postgresql": [
        "CREATE FUNCTION limner_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" {_COUNTED} RETURN NULL; END $$",
        "CREATE TRIGGER count_ended AFTER UPDATE ON requests FOR EACH ROW"
        f" WHEN ({_ENDED}) EXECUTE FUNCTION limner_count()",
    ],
}

_MOVED = "(OLD.status <> NEW.status OR OLD.turn <> NEW.turn)"

#: Name, event, when, which row, and what it adds.
_TRIGGERS = (
    ("tally_submitted", "INSERT", "NEW.status = 'queued'", "NEW", 1),
    ("tally_returned", "UPDATE", f"NEW.status = 'queued' AND {_MOVED}", "NEW", 1),
    ("tally_taken", "UPDATE", f"OLD.status = 'queued' AND {_MOVED}", "OLD", -1),
    ("tally_removed", "DELETE", "OLD.status = 'queued'", "OLD", -1),
)


def triggers(dialect: str) -> list[str]:
    """The statements that make the triggers, for ``sqlite`` or ``postgresql``."""
    template, before = (_POSTGRESQL, [_FUNCTION]) if dialect == "postgresql" else (_SQLITE, [])
    return (
        before
        + [
            template.format(name=name, event=event, when=when, row=row, change=change, shift=SHIFT)
            for name, event, when, row, change in _TRIGGERS
        ]
        + _COUNTING[dialect]
    )


def recount(dialect: str) -> list[str]:
    """The statements that put today's counting of ends in the place of an older one's."""
    if dialect == "postgresql":
        gone = ["DROP TRIGGER count_ended ON requests", "DROP FUNCTION limner_count()"]
    else:
        gone = ["DROP TRIGGER count_ended"]
    return gone + _COUNTING[dialect]


def waiting(connection: sa.Connection, endpoint: str) -> int:
    """How many requests of an endpoint wait."""
    return connection.execute(sa.select(_sum()).where(tallies.c.endpoint == endpoint)).scalar_one()


def waiting_by_endpoint(connection: sa.Connection) -> dict[str, int]:
    """How many requests of each endpoint wait; endpoints without any are left out."""
    rows = connection.execute(
        sa.select(tallies.c.endpoint, _sum().label("waiting")).group_by(tallies.c.endpoint)
    )
    return {row.endpoint: row.waiting for row in rows if row.waiting}


def position(connection: sa.Connection, request_id: str) -> int | None:
    """How many waiting requests go before this one; None when it does not wait."""
    here = connection.execute(
        sa.select(COLUMNS.endpoint, COLUMNS.priority, COLUMNS.turn, COLUMNS.seq).where(
            COLUMNS.id == request_id, WAITING
        )
    ).first()
    if here is None:
        return None
    block = here.turn >> SHIFT
    blocks = sa.select(_sum()).where(tallies.c.endpoint == here.endpoint)
    rows = sa.select(sa.func.count()).where(
        WAITING, COLUMNS.endpoint == here.endpoint, COLUMNS.priority == here.priority
    )
    # One statement, so that all of it is seen at one instant.
    parts = [
        blocks.where(tallies.c.priority < here.priority),
        blocks.where(tallies.c.priority == here.priority, tallies.c.block < block),
        rows.where(COLUMNS.turn >= block << SHIFT, COLUMNS.turn < here.turn),
        rows.where(COLUMNS.turn == here.turn, COLUMNS.seq < here.seq),
    ]
    counts = connection.execute(sa.select(*(part.scalar_subquery() for part in parts))).one()
    return sum(counts)


def compact(connection: sa.Connection) -> int:
    """Make one row of every block that has several, and none of an empty one; rows saved."""
    key = (tallies.c.endpoint, tallies.c.priority, tallies.c.block)
    many = connection.execute(
        sa.select(*key).group_by(*key).having(sa.func.count() > 1).limit(AT_ONCE)
    ).all()
    if not many:
        return 0
    # Exactly the rows that this statement took away are added up: others may come meanwhile.
    gone = connection.execute(
        tallies.delete()
        .where(sa.tuple_(*key).in_([tuple(row) for row in many]))
        .returning(*key, tallies.c.change)
    ).all()
    sums = _added_up(gone)
    if sums:
        connection.execute(tallies.insert(), sums)
    return len(gone) - len(sums)


def _sum() -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(tallies.c.change), 0)


def _added_up(rows: Sequence[sa.Row[*tuple[Any, ...]]]) -> list[dict[str, Any]]:
    sums: dict[tuple[str, int, int], int] = defaultdict(int)
    for row in rows:
        sums[row.endpoint, row.priority, row.block] += row.change
    return [
        {"endpoint": endpoint, "priority": priority, "block": block, "change": change}
        for (endpoint, priority, block), change in sums.items()
        if change
    ]
