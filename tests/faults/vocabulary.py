"""What can be done to a world: each fault by its name, how often it comes, and what it excuses.

A fault excuses an outcome only where nothing else can be done: a picture that no disk takes. That a
request is lost, ends twice or holds another's picture, nothing excuses. Knows worlds; knows no
client.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from tests.faults.line import Line, Trouble
from tests.faults.world import LEASE, World
from tests.rig.postgres import Postgres

#: Does it, and answers with the processes that it killed.
Deed = Callable[[World, random.Random], frozenset[int]]

NOBODY: frozenset[int] = frozenset()

#: Seconds that clocks are set ahead or back, at most: longer than any pause between webhooks.
JUMP = 7200

XML = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>no</Message></Error>"


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault of the vocabulary."""

    group: str
    do: Deed
    #: How often it comes, beside the others.
    weight: int
    #: Outcomes that requests may get by it.
    excuses: frozenset[int] = frozenset()
    #: May it leave a picture behind that no outcome names?
    strands: bool = False

    @property
    def name(self) -> str:
        """As it is told."""
        return self.do.__name__


def kill_a_worker(world: World, chance: random.Random) -> frozenset[int]:
    """kill -9: the supervisor starts another."""
    worker = world.a_worker(chance)
    os.kill(worker, signal.SIGKILL)
    return frozenset({worker})


def pause_a_worker(world: World, chance: random.Random) -> frozenset[int]:
    """SIGSTOP, for less than a lease or for more, and SIGCONT."""
    worker = world.a_worker(chance)
    os.kill(worker, signal.SIGSTOP)
    try:
        time.sleep(chance.uniform(0.2, 2.5 * LEASE))
    finally:
        os.kill(worker, signal.SIGCONT)
    return NOBODY


def kill_a_paused_worker(world: World, chance: random.Random) -> frozenset[int]:
    """One that hangs, and is ended by whoever sees it."""
    worker = world.a_worker(chance)
    os.kill(worker, signal.SIGSTOP)
    time.sleep(chance.uniform(0.2, 1.5 * LEASE))
    os.kill(worker, signal.SIGKILL)
    return frozenset({worker})


def kill_the_server(world: World, chance: random.Random) -> frozenset[int]:
    """kill -9 of the server alone; its workers see that it is gone, while the next starts."""
    killed = world.kill_server()
    time.sleep(chance.uniform(0, 0.5))
    world.start()
    return killed


def kill_everything(world: World, chance: random.Random) -> frozenset[int]:
    """kill -9 of server and workers at one instant, as a power cut would."""
    killed = world.kill_everything()
    time.sleep(chance.uniform(0, 0.5))
    world.start()
    return killed


def pause_the_server(world: World, chance: random.Random) -> frozenset[int]:
    """SIGSTOP of the server, for less than a lease or for more, and SIGCONT."""
    os.kill(world.server.process.pid, signal.SIGSTOP)
    try:
        time.sleep(chance.uniform(0.2, 2 * LEASE))
    finally:
        os.kill(world.server.process.pid, signal.SIGCONT)
    return NOBODY


def stop_and_start(world: World, chance: random.Random) -> frozenset[int]:
    """SIGTERM: what is being drawn is finished or handed back, and the next server goes on."""
    world.workers()
    world.server.stop()  # raises when it takes longer than half a minute
    time.sleep(chance.uniform(0, 0.5))
    world.start()
    return NOBODY


def kill_the_database(world: World, chance: random.Random) -> frozenset[int]:
    """kill -9 of PostgreSQL and all its processes; it is started again and recovers."""
    assert world.postgres is not None
    pid = world.postgres.process.pid
    world.postgres.kill()
    time.sleep(chance.uniform(0, 2))
    world.postgres.start()
    return frozenset({pid})


def pause_the_database(world: World, chance: random.Random) -> frozenset[int]:
    """SIGSTOP of PostgreSQL and all its processes, and SIGCONT."""
    assert world.postgres is not None
    os.killpg(world.postgres.process.pid, signal.SIGSTOP)
    try:
        time.sleep(chance.uniform(0.2, 2 * LEASE))
    finally:
        os.killpg(world.postgres.process.pid, signal.SIGCONT)
    return NOBODY


def fill_the_disk(world: World, chance: random.Random) -> frozenset[int]:
    """No room for a while: on a real, small ext4."""
    assert world.disk is not None
    with world.disk.full():
        time.sleep(chance.uniform(0.3, 3))
    return NOBODY


def fill_the_databases_disk(world: World, chance: random.Random) -> frozenset[int]:
    """No room for PostgreSQL's tables, or not even for its log: then it ends."""
    assert world.shelf is not None
    assert world.postgres is not None
    with world.shelf.full():
        if chance.random() < 0.5:
            swell_the_log(world.postgres)
        time.sleep(chance.uniform(0.3, 3))
    world.postgres.insist()
    return NOBODY


def swell_the_log(postgres: Postgres) -> None:
    """Write to PostgreSQL's log until it can be written no more."""
    with (
        suppress(psycopg.Error),
        psycopg.connect(postgres.url("postgres"), autocommit=True) as connection,
    ):
        for _ in range(100):
            connection.execute("SELECT pg_logical_emit_message(false, '', repeat(' ', 1000000))")


def spoil_the_disk(world: World, chance: random.Random) -> frozenset[int]:
    """The kernel makes it read-only under the running server; only a restart helps."""
    assert world.disk is not None
    world.disk.spoil(world.groups)
    time.sleep(chance.uniform(0.3, 2))
    killed = world.kill_everything() | frozenset(world.strays())
    for pid in killed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    world.disk.mend()
    world.start()
    return killed


def set_the_clock(world: World, chance: random.Random) -> frozenset[int]:
    """The machine's time jumps, ahead or back."""
    assert world.clock is not None
    world.clock.set(chance.randint(-JUMP, JUMP))
    return NOBODY


def trouble_the_front(world: World, chance: random.Random) -> frozenset[int]:
    """Clients do not get through, or slowly, or are cut off."""
    assert world.front is not None
    trouble(world.front, chance)
    return NOBODY


def trouble_the_wire(world: World, chance: random.Random) -> frozenset[int]:
    """Server and workers do not get through to PostgreSQL, or slowly, or are cut off."""
    assert world.wire is not None
    trouble(world.wire, chance)
    return NOBODY


def trouble_the_road(world: World, chance: random.Random) -> frozenset[int]:
    """S3 does not answer, or slowly, or with half an answer, or with 500 and 503, having done what
    it was asked or not."""
    assert world.road is not None
    if chance.random() < 0.5:
        trouble(world.road, chance)
        return NOBODY
    status, code = chance.choice(
        [(b"500 Internal Server Error", b"InternalError"), (b"503 Slow Down", b"SlowDown")]
    )
    said = XML % code
    head = b"HTTP/1.1 %s\r\ncontent-type: application/xml\r\ncontent-length: %d\r\n" % (
        status,
        len(said),
    )
    told = head + b"connection: close\r\n\r\n" + said
    kinds = (Trouble(answer=told), Trouble(instead=told))
    with world.road.troubled(chance.choice(kinds)):
        world.road.drop()
        time.sleep(chance.uniform(0.2, 3))
    return NOBODY


def trouble(line: Line, chance: random.Random) -> None:
    """One of the troubles that any line can have."""
    kinds = (
        Trouble(), Trouble(refuse=True), Trouble(delay=chance.uniform(0.01, 0.15)),
        Trouble(stuck=True), Trouble(cut_after=chance.randint(1, 400)),
    )  # fmt: skip
    chosen = chance.choice(kinds)
    with line.troubled(chosen):
        if chosen.delay == 0 and not chosen.stuck:
            line.drop()
        time.sleep(chance.uniform(0.2, 3))
    if chosen.stuck and chance.random() < 0.5:
        line.drop()  # and what was under way is lost


_UNWRITTEN = frozenset({500})

KINDS = (
    Kind("kills", kill_a_worker, 6),
    Kind("kills", pause_a_worker, 4),
    Kind("kills", kill_a_paused_worker, 2),
    Kind("kills", kill_the_server, 2),
    Kind("kills", kill_everything, 1),
    Kind("stops", pause_the_server, 2),
    Kind("stops", stop_and_start, 2),
    # Whose commit was lost with the database cannot know whether to keep its picture.
    Kind("database", kill_the_database, 3, strands=True),
    Kind("database", pause_the_database, 2, strands=True),
    Kind("disk", fill_the_disk, 3, _UNWRITTEN),
    Kind("disk", spoil_the_disk, 2, _UNWRITTEN),
    Kind("disk", fill_the_databases_disk, 3, strands=True),
    Kind("clock", set_the_clock, 3),
    Kind("lines", trouble_the_front, 2),
    Kind("lines", trouble_the_wire, 3, strands=True),
    Kind("lines", trouble_the_road, 3, _UNWRITTEN, strands=True),
)

GROUPS = tuple(dict.fromkeys(kind.group for kind in KINDS))


def possible(world: World, groups: Sequence[str]) -> list[Kind]:
    """The faults of those groups that this world can have."""
    needs: dict[Deed, object] = {
        kill_the_database: world.postgres,
        pause_the_database: world.postgres,
        fill_the_disk: world.disk,
        spoil_the_disk: world.disk,
        fill_the_databases_disk: world.shelf,
        set_the_clock: world.clock,
        trouble_the_front: world.front,
        trouble_the_wire: world.wire,
        trouble_the_road: world.road,
    }
    return [
        kind for kind in KINDS if kind.group in groups and needs.get(kind.do, world) is not None
    ]
