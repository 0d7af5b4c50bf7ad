"""Running operations in transactions, off the caller's thread.

Every operation is a function of a connection and answers a ``Future``: a worker's thread calls
``.result()``, the asynchronous server awaits ``asyncio.wrap_future``; there are no twins.

SQLite has one writing thread that commits many operations with one fsync, and one reading thread
that takes no write lock. Where one of several fails, all are run once more, each in a savepoint, so
that it fails alone. What only a living worker cares for (a claim, a step, a lease) is committed
without an fsync: it outlives every process, and the machine's own fall ends the worker too.
PostgreSQL groups commits itself: a few threads, a transaction each. When it is gone, operations
wait for it a while; one whose transaction was lost before its commit is run again, and one that
was lost in its commit is told so, because nobody can know.

Knows transactions; knows no table but the schema's version.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError, OperationalError

from limner.errors import OurFault, whereabouts
from limner.requests.connections import (
    Turn,
    empty_wal,
    has_no_room,
    is_broken,
    is_lost,
    is_sqlite,
    postgresql_engine,
    sqlite_engine,
    was_undone,
)
from limner.requests.migrations import create, upgrade
from limner.requests.tables import SCHEMA_VERSION, schema

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
Operation = Callable[[sa.Connection], Result]

#: Told the topics of what was committed.
Ring = Callable[[Sequence[str]], None]

#: Operations committed with one fsync.
MOST_AT_ONCE = 64

#: Threads, each way, of a database that locks rows rather than everything.
LANES = 8

#: Seconds an operation waits for a database that is gone, and between two looks for it.
PATIENCE, LOOK_EVERY = 10.0, 0.2

#: PostgreSQL's advisory lock under which a schema is made or changed.
_SCHEMA_LOCK = 0x4C494D4E


class Closed(OurFault):
    """The database was closed before it could be asked."""


class Unreachable(OurFault):
    """The database is gone, or was lost before it said whether it kept what it was told."""


class Unwritable(Unreachable):
    """The database's disk is full or may only be read: surely nothing was kept."""


class SchemaTooNew(OurFault):
    """The database was written by a newer Limner; update, or use another LIMNER_HOME."""


@dataclass(frozen=True, slots=True)
class _Task(Generic[Result]):
    operation: Operation[Result]
    future: Future[Result]
    #: Called with the result once it is committed; topics to ring.
    committed: Callable[[Result], Sequence[str]] | None
    #: Must it outlive the machine's fall, rather than only every process?
    lasting: bool = True
    asked_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class _Way:
    """How a lane's transactions are made."""

    #: Whose commits outlive the machine's fall, and whose need not.
    lasting: sa.Engine
    passing: sa.Engine
    #: Operations in one transaction.
    at_once: int
    #: May the database go and come back while we live?
    comes_back: bool
    #: Held by one writer at a time, in whatever process.
    turn: AbstractContextManager[None] = field(default_factory=nullcontext)


class _Lane:
    """A thread that runs tasks on one connection, several to a transaction."""

    def __init__(self, name: str, way: _Way, ring: Ring) -> None:
        self._way = way
        self._ring = ring
        self._tasks: queue.SimpleQueue[_Task[Any] | None] = queue.SimpleQueue()
        #: Guards that nothing is put behind the end, where nobody would ever take it up.
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, task: _Task[Any]) -> None:
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

    def _commit(self, batch: list[_Task[Any]]) -> None:
        """One transaction; a task's future is resolved only when it is durable."""
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
        for task, result in done:
            task.future.set_result(result)

    def _persist(self, batch: list[_Task[Any]]) -> list[tuple[_Task[Any], Any]]:
        """Transact, again and again while the database is away and nobody has waited too long."""
        while batch:
            try:
                return self._transact(batch)
            except _Again:
                if time.monotonic() - batch[0].asked_at > PATIENCE:
                    raise Unreachable("The database cannot be reached") from None
                time.sleep(LOOK_EVERY)
        return []

    def _transact(self, batch: list[_Task[Any]]) -> list[tuple[_Task[Any], Any]]:
        """One try. Raises _Again when nothing of it was kept and it may be tried again."""
        try:
            return self._in_one(batch, apart=False)
        except _Apart:
            return self._in_one(batch, apart=True)

    def _in_one(self, batch: list[_Task[Any]], *, apart: bool) -> list[tuple[_Task[Any], Any]]:
        """All in one transaction; where one fails, raises _Apart unless they are ``apart``."""
        done: list[tuple[_Task[Any], Any]] = []
        committing = False
        way = self._way
        engine = way.lasting if any(task.lasting for task in batch) else way.passing
        try:
            with way.turn, engine.connect() as connection:
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
                raise Unreachable("The database's disk failed while it committed") from fault
            raise
        return done


class _Apart(Exception):
    """One of several failed and nothing was kept; run them so that it fails alone."""


class _Again(Exception):
    """Nothing was kept; the same may be tried again."""


def _is_away(fault: DBAPIError) -> bool:
    """Was the connection lost, or could none be made?"""
    return is_lost(fault) or (isinstance(fault, OperationalError) and fault.statement is None)


class Database:
    """An open database; close it."""

    def __init__(self, url: str, ring: Ring = lambda _: None) -> None:
        """``url``: SQLAlchemy's; ``ring`` is told the topics of what was committed.

        Raises SchemaTooNew, Unreachable, BadDatabaseUrl.
        """
        self._file = url if is_sqlite(url) else None
        if is_sqlite(url):
            lasting, passing, reading = (
                sqlite_engine(url, "BEGIN IMMEDIATE"),
                sqlite_engine(url, "BEGIN IMMEDIATE", lasting=False),
                sqlite_engine(url, "BEGIN"),
            )
            self._sharing = Turn(url)
            writing = _Way(lasting, passing, MOST_AT_ONCE, comes_back=False, turn=self._sharing)
            looking = _Way(reading, reading, MOST_AT_ONCE, comes_back=False)
            lanes = 1
        else:
            lasting = passing = postgresql_engine(url, LANES, transactions=True)
            reading = postgresql_engine(url, LANES, transactions=False)
            self._sharing = None
            writing = _Way(lasting, passing, 1, comes_back=True)
            looking = _Way(reading, reading, 1, comes_back=True)
            lanes = LANES
        self._engines = {lasting, passing, reading}
        self._writers = [_Lane(f"ledger-write-{n}", writing, ring) for n in range(lanes)]
        self._readers = [_Lane(f"ledger-read-{n}", looking, ring) for n in range(lanes)]
        self._turn = 0
        try:
            self.write(_prepare).result()
        except BaseException:
            self.close()
            raise

    def write(
        self,
        operation: Operation[Result],
        committed: Callable[[Result], Sequence[str]] | None = None,
        *,
        lasting: bool = True,
        about: str | None = None,
    ) -> Future[Result]:
        """Run an operation that changes something; ``committed`` names the topics to ring then.

        ``lasting``: keep it also when the machine falls. What is ``about`` the same thing is done
        in the order in which it was asked.
        """
        task = _Task(operation, Future(), committed, lasting)
        return self._put(self._writers, task, None if about is None else hash(about))

    def read(self, operation: Operation[Result]) -> Future[Result]:
        """Run an operation that only looks."""
        return self._put(self._readers, _Task(operation, Future(), None))

    def scrub(self) -> bool:
        """Take what was deleted out of the database's own journal too, as far as it lets us.

        SQLite's is emptied, False when it is read just now; PostgreSQL's is its operator's.
        """
        return self._file is None or empty_wal(self._file)

    def close(self) -> None:
        """Finish what was asked and close every connection."""
        for lane in (*self._writers, *self._readers):
            lane.close()
        for engine in self._engines:
            engine.dispose()
        if self._sharing is not None:
            self._sharing.close()

    def _put(
        self, lanes: Sequence[_Lane], task: _Task[Result], turn: int | None = None
    ) -> Future[Result]:
        if turn is None:
            turn = self._turn = self._turn + 1
        lanes[turn % len(lanes)].put(task)
        return task.future


def _prepare(connection: sa.Connection) -> None:
    """Make the schema, or bring it up to this Limner's. Raises SchemaTooNew."""
    if connection.dialect.name == "postgresql":
        # Servers that are started together make it once.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
    if not sa.inspect(connection).has_table(schema.name):
        create(connection)
        return
    version = connection.execute(sa.select(schema.c.version)).scalar_one()
    if version > SCHEMA_VERSION:
        raise SchemaTooNew(f"The database has schema {version}, this Limner knows {SCHEMA_VERSION}")
    if version < SCHEMA_VERSION:
        upgrade(connection, version)
