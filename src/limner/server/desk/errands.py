"""Long work for an operator, one after the other in the background: fetching and verifying models.

What became of each is kept as long as the server runs, so a page that is loaded again finds its
progress. An errand that is cut off by the server's end leaves nothing broken: whole files stay, a
half one goes. Knows callables; knows no model.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from limner.errors import LimnerError, Refused, whereabouts

log = structlog.get_logger(__name__)

#: Called with (bytes so far, bytes in all; 0 while not known). Raises Stopped.
Told = Callable[[int, int], None]


#: The work itself; what it returns, if anything, is worth telling though nothing went wrong.
Run = Callable[[Told], str | None]


class Stopped(Exception):
    """The operator does not want it any more."""


class State(StrEnum):
    """How an errand stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


OPEN = (State.WAITING, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Errand:
    """One piece of work and how it stands. Times are unix seconds, amounts bytes."""

    #: Whose it is: a model's name.
    name: str
    what: str
    state: State
    done: int = 0
    total: int = 0
    #: What went wrong, or what else is to be told, for the operator.
    why: str = ""
    began_at: float | None = None
    ended_at: float | None = None


class Errands:
    """The last errand of each name, and one thread that runs them in order."""

    def __init__(self) -> None:
        self._last: dict[str, Errand] = {}
        self._unwanted: set[str] = set()
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[str, Run]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def last(self, name: str) -> Errand | None:
        """The errand that runs, waits or ended last under a name."""
        return self._last.get(name)

    def begin(self, name: str, what: str, run: Run) -> Errand:
        """Queue an errand. Raises Refused 409 while one of that name is open."""
        with self._lock:
            before = self._last.get(name)
            if before is not None and before.state in OPEN:
                raise Refused(409, f"{name}: {before.what} is under way already")
            self._unwanted.discard(name)
            errand = self._last[name] = Errand(name, what, State.WAITING)
            if self._thread is None:
                # A daemon: the server's end does not wait for gigabytes.
                self._thread = threading.Thread(target=self._work, name="errands", daemon=True)
                self._thread.start()
        self._queue.put((name, run))
        return errand

    def stop(self, name: str) -> bool:
        """Stop an errand at its next byte; False when none is open."""
        with self._lock:
            errand = self._last.get(name)
            if errand is None or errand.state not in OPEN:
                return False
            self._unwanted.add(name)
            if errand.state is State.WAITING:
                self._last[name] = replace(errand, state=State.STOPPED, ended_at=time.time())
            return True

    def _work(self) -> None:
        while True:
            name, run = self._queue.get()
            if self._take_up(name):
                self._run(name, run)

    def _take_up(self, name: str) -> bool:
        with self._lock:
            errand = self._last[name]
            if errand.state is not State.WAITING:
                return False
            self._last[name] = replace(errand, state=State.RUNNING, began_at=time.time())
            return True

    def _run(self, name: str, run: Run) -> None:
        def told(done: int, total: int) -> None:
            if name in self._unwanted:
                raise Stopped
            self._last[name] = replace(self._last[name], done=done, total=total)

        state, why = State.DONE, ""
        try:
            why = run(told) or ""
        except Stopped:
            state = State.STOPPED
        except LimnerError as fault:
            state, why = State.FAILED, str(fault)
        except Exception as fault:  # noqa: BLE001 - the next errand must still be run
            state, why = State.FAILED, f"{type(fault).__name__}; the server's log says where"
            log.error("errand_failed", name=name, fault=whereabouts(fault))
        self._last[name] = replace(self._last[name], state=state, why=why, ended_at=time.time())
