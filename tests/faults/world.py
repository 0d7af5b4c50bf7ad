"""What a round runs: a server and its workers, its database, its bucket, and the lines between.

    clients ── front ── server, workers ── wire ── PostgreSQL
                                        └─ road ── S3

Knows how to start, kill and reach each of them; knows no client, and not what is a fault.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from limner.requests.connections import is_sqlite, postgresql_url
from tests.faults.line import Line
from tests.faults.machine import Disk, WallClock
from tests.rig.postgres import SMALL, Postgres
from tests.rig.process import Server, eventually
from tests.rig.s3 import S3

WORKERS, SLOTS = 2, 2

#: Seconds: long enough that a busy machine keeps it, short enough to end many times in a round.
LEASE = 1.5

ENV = {
    "LIMNER_WORKERS": str(WORKERS),
    "LIMNER_SLOTS": str(SLOTS),
    "LIMNER_LEASE": str(LEASE),
    "LIMNER_LOG_LEVEL": "warning",
    # A day, because clocks jump by hours here, and what is past its time is rightly forgotten.
    "LIMNER_RETENTION": "86400",
}

PREFIX = "pictures"

#: Bytes of PostgreSQL's disk: an empty cluster, its log, and some tens of megabytes.
SHELF = 128 << 20


@dataclass(frozen=True, slots=True)
class Plan:
    """Which world."""

    home: Path
    #: sqlite or postgresql.
    ledger: str = "sqlite"
    #: disk or s3.
    files: str = "disk"
    #: What can be spoilt besides processes: lines, disk, clock.
    spoilt: Sequence[str] = ()


class World:
    """Everything of a round but its clients; close it."""

    def __init__(self, plan: Plan, chance: random.Random) -> None:
        self.plan = plan
        #: Process groups of every server there was, and its workers.
        self.groups: list[int] = []
        self._seen: set[int] = set()
        self._port, port_is_mine = free_port(chance)
        self.front: Line | None = None
        self.wire: Line | None = None
        self.road: Line | None = None
        self.disk: Disk | None = None
        #: What PostgreSQL lies on.
        self.shelf: Disk | None = None
        self.clock: WallClock | None = None
        self.postgres: Postgres | None = None
        self._s3: S3 | None = None
        self._bucket = ""
        self._env: dict[str, str] = dict(ENV)
        with ExitStack() as opened:
            opened.callback(port_is_mine.close)
            self._build(opened)
            opened.callback(self._end)
            self.start()
            self._opened = opened.pop_all()

    def _build(self, opened: ExitStack) -> None:
        plan = self.plan
        plan.home.mkdir(parents=True, exist_ok=True)
        if plan.ledger == "postgresql":
            if "disk" in plan.spoilt:
                # Not in our home: PostgreSQL is nobody's, who may not go there.
                shelf = Path(tempfile.mkdtemp(prefix="limner-shelf-"))
                opened.callback(shelf.rmdir)
                self.shelf = Disk(shelf, SHELF)
                opened.callback(self.shelf.close)
                shelf.chmod(0o755)
                self.postgres = Postgres(SMALL, on=shelf)
            else:
                self.postgres = Postgres()
            opened.callback(self.postgres.stop)
            url, port = self.postgres.new_database(), self.postgres.port
            if "lines" in plan.spoilt:
                self.wire = Line(port)
                opened.callback(self.wire.close)
                url = url.replace(f":{port}/", f":{self.wire.port}/")
            self._env["LIMNER_DATABASE_URL"] = url
        if plan.files == "s3":
            self._s3 = S3()
            opened.callback(self._s3.stop)
            self._bucket = self._s3.new_bucket()
            self._env |= self._s3.environment
            self._env["LIMNER_FILES_URL"] = f"s3://{self._bucket}/{PREFIX}"
            if "lines" in plan.spoilt:
                self.road = Line(self._s3.port)
                opened.callback(self.road.close)
                self._env["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{self.road.port}"
        if "lines" in plan.spoilt:
            self.front = Line(self._port)
            opened.callback(self.front.close)
        if "disk" in plan.spoilt and not (self.postgres and self._s3):
            self.disk = Disk(plan.home / "disk")
            opened.callback(self.disk.close)
        if "clock" in plan.spoilt:
            self.clock = WallClock(plan.home)
            self._env |= self.clock.env

    @property
    def address(self) -> int:
        """The port that clients call."""
        return self._port if self.front is None else self.front.port

    def start(self) -> None:
        """Start the server, which starts its workers."""
        home = self.plan.home if self.disk is None else self.plan.home / "disk"
        self.server = Server(home, env=self._env, port=self._port, hasty=True)
        self.groups.append(self.server.process.pid)

    def workers(self) -> frozenset[int]:
        """Process ids of the workers there are now."""
        found = frozenset(self.server.workers())
        self._seen |= found
        return found

    def a_worker(self, chance: random.Random) -> int:
        """One of them."""
        return chance.choice(sorted(eventually(self.workers)))

    def kill_server(self) -> frozenset[int]:
        """kill -9 of the server alone; whom it killed."""
        self.workers()
        self.server.kill()
        return frozenset({self.server.process.pid})

    def kill_everything(self) -> frozenset[int]:
        """kill -9 of the server and its workers at one instant; whom it killed."""
        killed = self.workers() | {self.server.process.pid}
        os.killpg(self.server.process.pid, signal.SIGKILL)
        self.server.process.wait()
        # A worker that was being started when its siblings were looked for is dead as well.
        eventually(lambda: not any(alive(pid) for pid in killed))
        return killed

    def strays(self) -> set[int]:
        """Workers that outlive their server."""
        return {pid for pid in self._seen - self.workers() if alive(pid)}

    def kept(self) -> Mapping[str, bytes]:
        """By name: every file that is kept (the layouts are those of files/disk.py and s3.py)."""
        if self._s3 is not None:
            return in_bucket(self._s3.objects(self._bucket))
        return on_disk(self.server.home / "files")

    def ask_ledger(self, query: str) -> int:
        """The one number that a query answers."""
        url = self._env.get("LIMNER_DATABASE_URL", f"sqlite:///{self.server.home / 'limner.db'}")
        engine = sa.create_engine(url if is_sqlite(url) else postgresql_url(url))
        with engine.connect() as connection:
            answer = connection.exec_driver_sql(query).scalar_one()
        engine.dispose()
        return int(answer)

    def close(self) -> None:
        """Leave no process and no disk behind; what lay on the disk is kept for whoever looks."""
        if self.disk is not None:
            left = self.plan.home / "left"
            with suppress(OSError):
                shutil.copytree(self.server.home, left, symlinks=True, dirs_exist_ok=True)
        self._opened.close()

    def _end(self) -> None:
        for group in self.groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        with suppress(AttributeError):
            self.server.process.wait()
        with suppress(AssertionError):
            eventually(lambda: not any(alive(pid) for pid in self._seen), within=10)


def alive(pid: int) -> bool:
    """Is there such a process, and is it one of ours?"""
    try:
        return b"tests.rig" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def free_port(chance: random.Random) -> tuple[int, socket.socket]:
    """A port that no outgoing call is given while no server listens on it, and no other world, as
    long as what comes with it is open."""
    while True:
        port = chance.randrange(20_000, 30_000)
        mine = socket.socket(socket.AF_UNIX)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            mine.bind(f"\0limner-mayhem-{port}")
            return port, mine
        mine.close()


def on_disk(root: Path) -> dict[str, bytes]:
    """By name: every file of a disk store."""
    return {path.parent.name: path.read_bytes() for path in root.glob("*/*/content")}


def in_bucket(objects: Mapping[str, bytes]) -> dict[str, bytes]:
    """By name: every file of a bucket's store. Content that nothing names is none."""
    abouts = {
        key.rpartition("/")[2]: json.loads(value)
        for key, value in objects.items()
        if key.startswith(f"{PREFIX}/about/")
    }
    return {name: objects[f"{PREFIX}/{said['content']}"] for name, said in abouts.items()}
