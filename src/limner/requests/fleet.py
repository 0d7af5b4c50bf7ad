"""The workers that are there: what they draw on, what they draw, what they have in memory.

A worker announces itself within every lease; one that does not is gone. Functions of a
connection. Knows workers by what they say; knows no process.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from limner.requests.lifecycle import Rules
from limner.requests.rows import to_json
from limner.requests.tables import requests, residents, workers


@dataclass(frozen=True, slots=True)
class Pace:
    """What the running batch of a worker's diffusion engine has done since it began."""

    steps: int
    #: Seconds that the steps took in all.
    seconds: float
    #: Rows of the network that were computed for requests, and places that there were for them.
    rows: int
    places: int


@dataclass(frozen=True, slots=True)
class Presence:
    """What a worker says of itself."""

    #: host:process
    name: str
    #: As its runtime calls it: ``cpu``, ``cuda:0`` …
    device: str
    endpoints: tuple[str, ...]
    #: Requests drawn at once.
    slots: int
    #: Memory of the device in bytes; None when it cannot be told.
    free_bytes: int | None = None
    total_bytes: int | None = None
    #: Hints of the requests that it drew last, whose weights it has in memory.
    resident: tuple[str, ...] = ()
    #: None where no running batch is open.
    pace: Pace | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker that is there, and how many requests it holds. Times are unix seconds."""

    presence: Presence
    started_at: float
    running: int


#: A field of Pace → its column.
_PACE = {
    "steps": "steps",
    "seconds": "step_seconds",
    "rows": "step_rows",
    "places": "step_places",
}


def announce(connection: sa.Connection, presence: Presence, now: float, rules: Rules) -> None:
    """Write down what a worker says of itself, good for three leases."""
    said: dict[str, Any] = {
        "device": presence.device,
        "endpoints": to_json(presence.endpoints),
        "slots": presence.slots,
        "free_bytes": presence.free_bytes,
        "total_bytes": presence.total_bytes,
        "until": now + 3 * rules.lease,
    }
    if presence.pace is not None:
        said |= {_PACE[name]: value for name, value in asdict(presence.pace).items()}
    known = connection.execute(
        workers.update().where(workers.c.name == presence.name).values(**said)
    )
    if not known.rowcount:
        connection.execute(workers.insert().values(name=presence.name, started_at=now, **said))
        _sweep(connection, now)
    mine = residents.c.worker == presence.name
    written = set(connection.execute(sa.select(residents.c.hint).where(mine)).scalars())
    wanted = set(presence.resident)
    if gone := written - wanted:
        connection.execute(residents.delete().where(mine, residents.c.hint.in_(gone)))
    if new := sorted(wanted - written):
        connection.execute(
            residents.insert(), [{"hint": hint, "worker": presence.name} for hint in new]
        )


def leave(connection: sa.Connection, worker: str) -> None:
    """Forget a worker that is going."""
    connection.execute(workers.delete().where(workers.c.name == worker))
    connection.execute(residents.delete().where(residents.c.worker == worker))


def present(connection: sa.Connection, now: float) -> list[Seen]:
    """The workers that are there, by name."""
    hints: dict[str, list[str]] = {}
    for row in connection.execute(sa.select(residents).order_by(residents.c.hint)):
        hints.setdefault(row.worker, []).append(row.hint)
    running = sa.select(sa.func.count()).where(
        requests.c.status == sa.literal_column("'running'"), requests.c.worker == workers.c.name
    )
    rows = connection.execute(
        sa.select(workers, running.correlate(workers).scalar_subquery().label("running"))
        .where(workers.c.until > now)
        .order_by(workers.c.name)
    )
    return [_seen(row, tuple(hints.get(row.name, ()))) for row in rows]


def _sweep(connection: sa.Connection, now: float) -> None:
    """Forget workers that were lost, whenever a new one comes."""
    lost = sa.select(workers.c.name).where(workers.c.until <= now)
    connection.execute(residents.delete().where(residents.c.worker.in_(lost)))
    connection.execute(workers.delete().where(workers.c.until <= now))


def _seen(row: sa.Row[Any], resident: tuple[str, ...]) -> Seen:
    return Seen(
        Presence(
            name=row.name,
            device=row.device,
            endpoints=tuple(json.loads(row.endpoints)),
            slots=row.slots,
            free_bytes=row.free_bytes,
            total_bytes=row.total_bytes,
            resident=resident,
            pace=None
            if row.steps is None
            else Pace(row.steps, row.step_seconds, row.step_rows, row.step_places),
        ),
        started_at=row.started_at,
        running=row.running,
    )
