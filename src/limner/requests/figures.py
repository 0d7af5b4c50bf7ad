"""The ledger in figures, for whoever watches over it: the same by every server that is asked.

What has ended is counted by a trigger, in rows that add up and outlive the requests themselves.
Functions of a connection. Knows columns; never reads a prompt or a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from limner.requests.fleet import Seen, present
from limner.requests.register import census
from limner.requests.tables import outcomes, requests, webhooks
from limner.requests.tally import WAITING


@dataclass(frozen=True, slots=True)
class Ended:
    """Requests of an endpoint that ended in one way since the database was made."""

    endpoint: str
    #: ``ok``, fal's type of what went wrong, or, where it has none, ``user_error`` or ``error``.
    outcome: str
    number: int
    #: Seconds in all: in the queue, and in work.
    waited: float
    ran: float


@dataclass(frozen=True, slots=True)
class Figures:
    """How everything stands now. Times are seconds."""

    #: Endpoint → status → how many.
    census: Mapping[str, Mapping[str, int]]
    #: Endpoint → how long its longest waiting request has waited.
    longest_wait: Mapping[str, float]
    ended: tuple[Ended, ...]
    #: Webhooks that are owed, and how late the latest of them is.
    webhooks_owed: int
    webhooks_late: float
    workers: tuple[Seen, ...]
    #: Of the whole database.
    bytes: int


def figures(connection: sa.Connection, now: float) -> Figures:
    """Look everything up."""
    counts = census(connection)
    return Figures(
        census=counts,
        longest_wait={each: _longest_wait(connection, each, now) for each in counts},
        ended=_ended(connection),
        workers=tuple(present(connection, now)),
        webhooks_owed=connection.execute(
            sa.select(sa.func.count()).where(webhooks.c.due_at.is_not(None))
        ).scalar_one(),
        webhooks_late=_late(
            connection.execute(
                sa.select(sa.func.min(webhooks.c.due_at)).where(webhooks.c.due_at.is_not(None))
            ).scalar(),
            now,
        ),
        bytes=connection.execute(sa.text(_SIZE[connection.dialect.name])).scalar_one(),
    )


_SIZE = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}


def compact(connection: sa.Connection) -> None:
    """Add up what has gathered of each kind."""
    kind = (outcomes.c.endpoint, outcomes.c.outcome)
    if connection.execute(sa.select(sa.func.count()).select_from(outcomes)).scalar_one() < 500:
        return
    # Exactly the rows that this statement took away are added up: others may come meanwhile.
    gone = connection.execute(outcomes.delete().returning(*kind, *_SUMMED)).all()
    sums: dict[tuple[str, str], list[float]] = {}
    for row in gone:
        one = sums.setdefault((row.endpoint, row.outcome), [0, 0, 0])
        for place, value in enumerate((row.number, row.waited, row.ran)):
            one[place] += value
    if sums:
        connection.execute(
            outcomes.insert(),
            [
                {"endpoint": e, "outcome": o, "number": n, "waited": waited, "ran": ran}
                for (e, o), (n, waited, ran) in sums.items()
            ],
        )


_SUMMED = (outcomes.c.number, outcomes.c.waited, outcomes.c.ran)


def _ended(connection: sa.Connection) -> tuple[Ended, ...]:
    kind = (outcomes.c.endpoint, outcomes.c.outcome)
    summed = [sa.func.sum(column).label(column.name) for column in _SUMMED]
    rows = connection.execute(sa.select(*kind, *summed).group_by(*kind).order_by(*kind))
    return tuple(
        Ended(row.endpoint, row.outcome, int(row.number), row.waited, row.ran) for row in rows
    )


def _longest_wait(connection: sa.Connection, endpoint: str, now: float) -> float:
    """By the heads of the classes: in each, the first of the queue is about the oldest."""
    oldest = connection.execute(
        sa.select(requests.c.created_at)
        .where(WAITING, requests.c.endpoint == endpoint)
        .order_by(requests.c.priority, requests.c.turn, requests.c.seq)
        .limit(1)
    ).scalar()
    return _late(oldest, now)


def _late(since: float | None, now: float) -> float:
    return 0.0 if since is None else max(0.0, now - since)
