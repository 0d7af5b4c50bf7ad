"""Whole jobs through Limner with an engine that does nothing: how long, how many, whose CPU.

``python -m bench.ledger grid``: SQLite and PostgreSQL, 1 to 64 clients, 1 to 8 workers, and with
1,000 and 1,000,000 other requests waiting. ``python -m bench.ledger peers [FOLDER]``: side by side
with servers of models that others made, which keep nothing; their environments are in FOLDER.

A job is one call of ``fal.run``, answered when its outcome is on the disk: SQLite with
``synchronous=FULL``, PostgreSQL with fsync and ``synchronous_commit``. Every round starts every
server anew and measures all of them in turns, because the machine's speed drifts; what is told is
the median round. Knows servers from outside; the ledger itself against the disk is ``bench.disk``,
a long queue's cost ``bench.depth``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table
from tests.rig.postgres import DURABLE, Postgres

from bench import depth
from bench.load import ROOT, Load, load
from bench.peers import PLAIN, install, peers
from bench.servers import Running, Served, running
from limner.requests.ledger import Ledger

#: Seconds of a measurement, and of the one before it that is not told.
SECONDS, WARM = 3.0, 1.0

ROUNDS = 3

#: Requests that a worker draws at once: as many as there are clients in the comparison.
SLOTS = 32

ALONE, MANY = 1, 32


@dataclass(frozen=True, slots=True)
class Cell:
    """One server under one number of clients. CPU in seconds for one job, memory in bytes."""

    load: Load
    #: The server's own process, and all that it started.
    server_cpu: float
    others_cpu: float
    server_bytes: int
    all_bytes: int
    machine_load: float


#: What is told of one server: its name, and clients → round → cell.
Told = dict[str, dict[int, list[Cell]]]


def limner(home: Path, workers: int = 1, database: str | None = None, name: str = "") -> Served:
    """Limner with the no-op endpoint alone, in a fresh home."""
    env = {
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
        "LIMNER_HOME": str(home),
        "LIMNER_WORKERS": str(workers),
        "LIMNER_SLOTS": str(SLOTS),
        "LIMNER_LOG_LEVEL": "warning",
    }
    if database is not None:
        env["LIMNER_DATABASE_URL"] = database
    command = (sys.executable, "-m", "bench.noop", "serve", "{port}")
    path = "/fal.run/limner/noop"
    return Served(name, command, path, PLAIN, "/ready", "ready", env, ROOT)


def measure(served: Served, up: Running, clients: int) -> Cell:
    """Let so many clients at it."""
    url = up.base + served.path
    load(url, served.body, clients, WARM)
    before = up.cpu_seconds()
    seen = load(url, served.body, clients, SECONDS)
    after = up.cpu_seconds()
    used = {pid: after[pid] - before.get(pid, 0.0) for pid in after}
    held = up.resident_bytes()
    return Cell(
        load=seen,
        server_cpu=used[up.pid] / seen.jobs,
        others_cpu=(sum(used.values()) - used[up.pid]) / seen.jobs,
        server_bytes=held[up.pid],
        all_bytes=sum(held.values()),
        machine_load=os.getloadavg()[0],
    )


def into(told: Told, served: Served, clients: Sequence[int]) -> None:
    """Start a server, measure it, and end it; what cannot be started is told as such."""
    cells = told.setdefault(served.name, {})
    try:
        with running(served) as up:
            for _ in range(3):  # workers may still be importing
                up.ask(served)
            for number in clients:
                cells.setdefault(number, []).append(measure(served, up, number))
    except (RuntimeError, OSError) as fault:
        print(f"{served.name}: {fault}", file=sys.stderr)


def table(title: str, told: Told, against: str | None = None) -> Table:
    """A row a server and number of clients: the median of its rounds."""
    shown = Table(title=title, title_justify="left")
    shown.add_column("server")
    for heading in (
        *("clients", "jobs/s", "p50 ms", "p99 ms"),
        *("CPU ms: server", "others", "client", "MB: server", "all", "load"),
        *(["Limner's jobs/s are ×"] if against else []),
    ):
        shown.add_column(heading, justify="right")
    for name, by_clients in told.items():
        for clients, cells in by_clients.items():
            row = [
                f"{_mid(cells, lambda c: c.load.rate):.0f}",
                f"{_mid(cells, lambda c: 1e3 * c.load.p50):.1f}",
                f"{_mid(cells, lambda c: 1e3 * c.load.p99):.0f}",
                f"{_mid(cells, lambda c: 1e3 * c.server_cpu):.2f}",
                f"{_mid(cells, lambda c: 1e3 * c.others_cpu):.2f}",
                f"{_mid(cells, lambda c: 1e3 * c.load.cpu):.2f}",
                f"{_mid(cells, lambda c: c.server_bytes / 1e6):.0f}",
                f"{_mid(cells, lambda c: c.all_bytes / 1e6):.0f}",
                f"{_mid(cells, lambda c: c.machine_load):.0f}",
            ]
            if against:
                ours = told[against].get(clients, [])
                ratios = [a.load.rate / b.load.rate for a, b in zip(ours, cells, strict=False)]
                low, high = (min(ratios), max(ratios)) if ratios else (0, 0)
                row.append(f"{median(ratios):.2f} ({low:.2f}–{high:.2f})" if ratios else "")
            shown.add_row(name, str(clients), *row)
        if not by_clients:
            shown.add_row(name, "", "did not start")
    return shown


def _mid(cells: Sequence[Cell], of: Callable[[Cell], float]) -> float:
    return median(of(cell) for cell in cells)


@contextmanager
def new_home() -> Generator[Path]:
    """A folder on the disk that the ledger is on, for one server."""
    with tempfile.TemporaryDirectory(prefix="limner-bench-", ignore_cleanup_errors=True) as home:
        yield Path(home)


def side_by_side(folder: Path, postgres: Postgres, rounds: int) -> Table:
    """Limner on both databases and every peer, in turns."""
    all_peers = peers(folder)
    for name, peer in all_peers.items():
        install(folder, name, peer.requirement)
    told: Told = {}
    ours = "Limner, SQLite, durable"
    for _ in range(rounds):
        with new_home() as home:
            into(told, limner(home, name=ours), (ALONE, MANY))
        with new_home() as home:
            database = postgres.new_database()
            name = "Limner, PostgreSQL, durable"
            into(told, limner(home, 1, database, name), (ALONE, MANY))
        for peer in all_peers.values():
            for served in peer.served:
                into(told, served, (ALONE, MANY))
    return table("Whole jobs of a model that does nothing", told, ours)


def grid(postgres: Postgres) -> Generator[Table]:
    """Clients, workers and waiting requests, one table each."""
    told: Told = {}
    for engine in ("SQLite", "PostgreSQL"):
        for workers in (1, 2, 4, 8):
            with new_home() as home:
                database = postgres.new_database() if engine == "PostgreSQL" else None
                name = f"{engine}, {workers} worker{'s' if workers > 1 else ''}"
                clients = (1, 8, 32, 64) if workers == 1 else (1, 32)
                into(told, limner(home, workers, database, name), clients)
    yield table("Clients and workers", told)
    told = {}
    for engine in ("SQLite", "PostgreSQL"):
        for waiting in (1_000, 1_000_000):
            with new_home() as home:
                database = postgres.new_database() if engine == "PostgreSQL" else None
                with Ledger(database or f"sqlite:///{home / 'ledger.db'}") as ledger:
                    depth.fill(ledger, 0, waiting)
                name = f"{engine}, {waiting:,} others waiting"
                into(told, limner(home, 1, database, name), (ALONE, MANY))
    yield table("A long queue", told)


def main() -> None:
    """What is asked for, and on what it was measured."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("what", nargs="?", choices=("peers", "grid"), default="peers")
    parser.add_argument(
        "folder", nargs="?", default="~/.cache/limner-bench", help="the peers' environments"
    )
    told = parser.parse_args()
    what, folder = str(told.what), str(told.folder)
    console = Console(width=170)
    console.print(
        f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, {os.uname().machine}"
    )
    postgres = Postgres(DURABLE)
    try:
        if what == "grid":
            for each in grid(postgres):
                console.print(each)
        else:
            console.print(side_by_side(Path(folder).expanduser(), postgres, ROUNDS))
    finally:
        postgres.stop()


if __name__ == "__main__":
    main()
