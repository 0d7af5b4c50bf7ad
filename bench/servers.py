"""Servers measured from outside: started, waited for, weighed, and ended with all they started.

Knows processes by what Linux tells of them; knows of a server which path says that it is up.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

#: Seconds a server gets to be up: Ray Serve takes a minute on a busy machine.
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Served:
    """How to start a server, and how to give it a job."""

    name: str
    #: ``{port}`` stands for the port.
    command: Sequence[str]
    #: Path and JSON body of one whole job.
    path: str
    body: str
    #: Answers 200 with this text in it as soon as jobs can be given.
    up: str
    up_says: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is up."""

    pid: int
    base: str

    def ask(self, served: Served) -> None:
        """One job, waited for."""
        headers = {"content-type": "application/json"}
        call = urllib.request.Request(self.base + served.path, served.body.encode(), headers)
        with urllib.request.urlopen(call, timeout=PATIENCE) as answer:
            answer.read()

    def cpu_seconds(self) -> dict[int, float]:
        """CPU seconds until now of each process, its own first."""
        tick = os.sysconf("SC_CLK_TCK")
        used: dict[int, float] = {}
        for pid in family(self.pid):
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                used[pid] = (int(fields[11]) + int(fields[12])) / tick
        return used

    def resident_bytes(self) -> dict[int, int]:
        """Resident memory of each process, its own first."""
        held: dict[int, int] = {}
        for pid in family(self.pid):
            with suppress(OSError):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                held[pid] = pages * os.sysconf("SC_PAGE_SIZE")
        return held


def family(pid: int) -> list[int]:
    """A process and all that it started, directly or not, and that live."""
    found = [pid]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            with suppress(OSError):
                found += [int(child) for child in children.read_text().split()]
    return found


@contextmanager
def running(served: Served) -> Generator[Running]:
    """The server, up; gone with all that it started. Raises RuntimeError with what it said."""
    port = _free_port()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [part.format(port=port) for part in served.command],
            cwd=served.folder,
            env={**os.environ, **{k: v.format(port=port) for k, v in served.env.items()}},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        here = Running(process.pid, f"http://127.0.0.1:{port}")
        try:
            deadline = time.monotonic() + PATIENCE
            while not _is_up(here.base + served.up, served.up_says):
                if process.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    raise RuntimeError(said.read().decode(errors="replace")[-2000:])
                time.sleep(0.1)
            yield here
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    all_of_it = family(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(15)
    for pid in all_of_it:  # some leave their workers behind
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _is_up(url: str, says: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200 and says in answer.read().decode(errors="replace")
    except (OSError, ValueError):
        return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
