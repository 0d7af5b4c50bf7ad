"""Threads that run operations on a database, several to a transaction, as they were asked.

Where one of several fails, all are run once more, each in a savepoint, so that it fails alone. A
database that is gone is waited for; an operation whose transaction was lost before its commit is
run again, and one that was lost in its commit is told so, because nobody can know.

A commit is kept as its tasks ask (:class:`Keep`). What only whoever asked will look for need not
wait for the disk in its turn: its lane goes on, and an acknowledger tells it when it is there.
Knows transactions; knows no schema.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError, OperationalError

from limner.errors import OurFault, whereabouts
from limner.requests.acknowledging import Acknowledger, Answer
from limner.requests.connections import (
    Unreachable,
    Unwritable,
    commit_waits,
    has_no_room,
    is_broken,
    is_lost,
    was_undone,
)
from limner.requests.journal import Journal

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
Operation = Callable[[sa.Connection], Result]

#: Told the topics of what was committed.
Ring = Callable[[Sequence[str]], None]

#: Seconds an operation waits for a database that is gone, and between two looks for it.
PATIENCE, LOOK_EVERY = 10.0, 0.2


class Closed(OurFault):
    """The database was closed before it could be asked."""


class Keep(IntEnum):
    """From when on a commit outlives the machine's fall; every process it outlives at once."""

    NEVER = 0
    #: Others may see it a little earlier than it is on the disk; whoever asked is told after that.
    TOLD = 1
    #: Nobody sees it before it is on the disk.
    SEEN = 2


@dataclass(frozen=True, slots=True)
class Task(Generic[Result]):
    operation: Operation[Result]
    future: Future[Result]
    #: Called with the result once it is committed; topics to ring.
    committed: Callable[[Result], Sequence[str]] | None
    keep: Keep = Keep.SEEN
    asked_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Way:
    """How a lane's transactions are made."""

    engine: sa.Engine
    #: Operations in one transaction.
    at_once: int
    #: May the database go and come back while we live?
    comes_back: bool
    #: Held by one writer at a time, in whatever process.
    turn: AbstractContextManager[None] = field(default_factory=nullcontext)
    #: Brings commits to the disk that did not wait for it; None where every commit waits.
    journal: Journal | None = None


class Lane:
    """A thread that runs tasks on one connection, several to a transaction."""

    def __init__(self, name: str, way: Way, ring: Ring) -> None:
        self._way = way
        self._ring = ring
        self._acknowledger = way.journal and Acknowledger(f"{name}-sync", way.journal)
        self._tasks: queue.SimpleQueue[Task[Any] | None] = queue.SimpleQueue()
        #: Guards that nothing is put behind the end, where nobody would ever take it up.
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, task: Task[Any]) -> None:
        with self._closing:
            if not self._closed:
                self._tasks.put(task)
                return
        task.future.set_exception(Closed("the database is closed"))

    def close(self) -> None:
        """Finish what was asked, then stop."""
        with self._closing:
            self._closed = True
            self._tasks.put(None)
        self._thread.join()
        if self._acknowledger is not None:
            self._acknowledger.close()

    def _run(self) -> None:
        while (first := self._tasks.get()) is not None:
            batch = [first]
            while len(batch) < self._way.at_once:
                try:
                    following = self._tasks.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    self._tasks.put(None)
                    break
                batch.append(following)
            self._commit([task for task in batch if task.future.set_running_or_notify_cancel()])

    def _commit(self, batch: list[Task[Any]]) -> None:
        """One transaction; a task's future is resolved when it is kept as its task asks."""
        try:
            done = self._persist(batch)
        except Exception as fault:  # noqa: BLE001 - told to everyone who waits for it
            for task in batch:
                if not task.future.done():
                    task.future.set_exception(fault)
            return
        try:
            # Once for all of them: whoever hears it looks at what it is about.
            told = [task.committed(result) for task, result in done if task.committed is not None]
            if topics := dict.fromkeys(chain.from_iterable(told)):
                self._ring(list(topics))
        except Exception as fault:  # noqa: BLE001 - it is durable; only the bell is silent
            log.error("bell_failed", fault=whereabouts(fault))
        on_its_way: list[Answer] = []
        kept = self._acknowledger is None or _is_seen(batch)
        for task, result in done:
            if kept or task.keep is Keep.NEVER:
                task.future.set_result(result)
            else:
                on_its_way.append((task.future, result))
        if on_its_way and self._acknowledger is not None:
            self._acknowledger.put(on_its_way)

    def _persist(self, batch: list[Task[Any]]) -> list[tuple[Task[Any], Any]]:
        """Transact, again and again while the database is away and nobody has waited too long."""
        while batch:
            try:
                return self._transact(batch)
            except _Again:
                if time.monotonic() - batch[0].asked_at > PATIENCE:
                    raise Unreachable("The database cannot be reached") from None
                time.sleep(LOOK_EVERY)
        return []

    def _transact(self, batch: list[Task[Any]]) -> list[tuple[Task[Any], Any]]:
        """One try. Raises _Again when nothing of it was kept and it may be tried again."""
        journal = self._way.journal
        if journal is not None and any(task.keep for task in batch) and not journal.is_sound():
            raise Unreachable("The database's disk failed, and its log is in doubt still")
        try:
            return self._in_one(batch, apart=False)
        except _Apart:
            return self._in_one(batch, apart=True)

    def _in_one(self, batch: list[Task[Any]], *, apart: bool) -> list[tuple[Task[Any], Any]]:
        """All in one transaction; where one fails, raises _Apart unless they are ``apart``."""
        done: list[tuple[Task[Any], Any]] = []
        committing = False
        way = self._way
        try:
            with way.turn, way.engine.connect() as connection:
                if way.journal is not None:
                    commit_waits(connection, for_disk=_is_seen(batch))
                transaction = connection.begin()
                for task in batch:
                    try:
                        with connection.begin_nested() if apart else nullcontext():
                            done.append((task, task.operation(connection)))
                    except Exception as fault:
                        if not apart and len(batch) > 1:
                            raise _Apart from fault
                        # A full disk or a broken one makes SQLite undo the whole transaction,
                        # without a word to those whose part of it had succeeded.
                        if not apart or isinstance(fault, OperationalError):
                            raise
                        task.future.set_exception(fault)
                committing = True
                transaction.commit()
        except DBAPIError as fault:
            if was_undone(fault) or (self._way.comes_back and not committing and _is_away(fault)):
                raise _Again from fault
            if committing and is_lost(fault):
                raise Unreachable("The database was lost while it committed") from fault
            if has_no_room(fault) or (is_broken(fault) and not committing):
                raise Unwritable("The database cannot be written: nothing was kept") from fault
            if is_broken(fault):
                if way.journal is not None:
                    way.journal.doubt()
                raise Unreachable("The database's disk failed while it committed") from fault
            raise
        return done


def _is_seen(batch: Sequence[Task[Any]]) -> bool:
    return any(task.keep is Keep.SEEN for task in batch)


class _Apart(Exception):
    """One of several failed and nothing was kept; run them so that it fails alone."""


class _Again(Exception):
    """Nothing was kept; the same may be tried again."""


def _is_away(fault: DBAPIError) -> bool:
    """Was the connection lost, or could none be made?"""
    return is_lost(fault) or (isinstance(fault, OperationalError) and fault.statement is None)
