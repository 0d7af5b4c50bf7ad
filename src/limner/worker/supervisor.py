"""Keeps worker processes alive beside a server: replaces the dead, waits for the stopping.

Knows processes; knows no request.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence

import structlog

from limner.errors import whereabouts

log = structlog.get_logger(__name__)

#: Seconds between looks at the processes.
LOOK_EVERY = 0.2

#: A process that dies younger than this is replaced after a pause that doubles, up to LONGEST.
YOUNG, LONGEST = 5.0, 30.0

#: Seconds a worker gets to finish or give back what it holds before it is killed.
PATIENCE = 15.0


class Supervisor:
    """Runs ``count`` copies of ``command`` until stopped.

    Each child's standard input is a pipe from us: when we die, however we die, it ends and the
    child stops by itself.
    """

    def __init__(self, command: Sequence[str], count: int) -> None:
        self._command = list(command)
        self._slots: list[subprocess.Popen[bytes] | None] = [None] * count
        self._born = [0.0] * count
        self._pause = [0.0] * count
        self._leaving: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the processes and the thread that watches them."""
        self._thread.start()

    @property
    def wanted(self) -> int:
        """How many workers it keeps alive."""
        return len(self._slots)

    def alive(self) -> int:
        """How many workers are running now."""
        return sum(child is not None and child.poll() is None for child in self._slots)

    def renew(self) -> None:
        """Have every worker end politely and another take its place, which chooses anew."""
        for child in self._slots:
            if child is not None and child.poll() is None:
                self._leaving.add(child.pid)
                child.terminate()

    def stop(self) -> None:
        """Ask the workers to stop, wait, and kill those that do not."""
        self._stop.set()
        self._thread.join()
        children = [child for child in self._slots if child is not None]
        for child in children:
            child.terminate()
        deadline = time.monotonic() + PATIENCE
        for child in children:
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdin is not None:
                child.stdin.close()

    def _watch(self) -> None:
        while not self._stop.is_set():
            for index, child in enumerate(self._slots):
                if child is None or child.poll() is not None:
                    self._replace(index, child)
            self._stop.wait(LOOK_EVERY)

    def _replace(self, index: int, dead: subprocess.Popen[bytes] | None) -> None:
        age = time.monotonic() - self._born[index]
        if dead is not None:
            if dead.pid in self._leaving:
                self._leaving.remove(dead.pid)
                self._pause[index] = 0
            elif self._pause[index] == 0 or age > YOUNG:
                self._pause[index] = LOOK_EVERY
                log.warning("worker_died", code=dead.returncode, age=round(age, 1))
            if age < self._pause[index]:
                return
            if dead.stdin is not None:
                dead.stdin.close()
            self._pause[index] = min(self._pause[index] * 2, LONGEST)
        try:
            self._slots[index] = subprocess.Popen(self._command, stdin=subprocess.PIPE)
        except OSError as fault:  # no memory or no process to be had now; look again
            log.error("worker_not_started", fault=whereabouts(fault))
        self._born[index] = time.monotonic()
