"""Running operations in transactions, off the caller's thread.

Every operation is a function of a connection and answers a ``Future``: a worker's thread calls
``.result()``, the asynchronous server awaits ``asyncio.wrap_future``; there are no twins.

SQLite (WAL, ``synchronous=FULL``) has one writing thread that commits many operations with one
fsync, each in its own savepoint so that a failing one fails alone, and one reading thread that
takes no write lock. PostgreSQL groups commits itself: a few threads, a transaction each.

Knows transactions; knows no table but the schema's version.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import StaticPool

from limner.errors import OurFault, whereabouts
from limner.requests.migrations import upgrade
from limner.requests.tables import SCHEMA_VERSION, metadata, schema

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
Operation = Callable[[sa.Connection], Result]

#: Operations committed with one fsync.
MOST_AT_ONCE = 64

#: Threads of a database that locks rows rather than everything.
LANES = 8

#: Milliseconds SQLite waits for another process's transaction.
BUSY_TIMEOUT = 30_000


class Closed(OurFault):
    """The database was closed before it could be asked."""


class SchemaTooNew(OurFault):
    """The database was written by a newer Limner; update, or use another LIMNER_HOME."""


@dataclass(frozen=True, slots=True)
class _Task(Generic[Result]):
    operation: Operation[Result]
    future: Future[Result]
    #: Called with the result once it is durable.
    committed: Callable[[Result], None] | None


class _Lane:
    """A thread that runs tasks on one connection, several to a transaction."""

    def __init__(self, engine: sa.Engine, name: str, at_once: int) -> None:
        self._engine = engine
        self._at_once = at_once
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
            while len(batch) < self._at_once:
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
        done: list[tuple[_Task[Any], Any]] = []
        try:
            with self._engine.begin() as connection:
                alone = len(batch) == 1
                for task in batch:
                    try:
                        with nullcontext() if alone else connection.begin_nested():
                            done.append((task, task.operation(connection)))
                    except Exception as fault:
                        # A full disk or a broken one makes SQLite undo the whole transaction,
                        # without a word to those whose part of it had succeeded.
                        if alone or isinstance(fault, OperationalError):
                            raise
                        task.future.set_exception(fault)
        except Exception as fault:  # noqa: BLE001 - told to everyone who waits for it
            for task in batch:
                if not task.future.done():
                    task.future.set_exception(fault)
            return
        for task, result in done:
            if task.committed is not None:
                try:
                    task.committed(result)
                except Exception as fault:  # noqa: BLE001 - it is durable; only the bell is silent
                    log.error("bell_failed", fault=whereabouts(fault))
            task.future.set_result(result)


class Database:
    """An open database; close it."""

    def __init__(self, url: str) -> None:
        """``url``: SQLAlchemy's. Raises SchemaTooNew."""
        self._engines = self._open(url)
        self._prepare(self._engines[0])
        if len(self._engines) == 2:
            self._writers = [_Lane(self._engines[0], "ledger-write", MOST_AT_ONCE)]
            self._readers = [_Lane(self._engines[1], "ledger-read", MOST_AT_ONCE)]
        else:
            self._writers = [_Lane(self._engines[0], f"ledger-{n}", 1) for n in range(LANES)]
            self._readers = self._writers
        self._turn = 0

    def write(
        self, operation: Operation[Result], committed: Callable[[Result], None] | None = None
    ) -> Future[Result]:
        """Run an operation that changes something; ``committed`` hears the durable result."""
        return self._put(self._writers, operation, committed)

    def read(self, operation: Operation[Result]) -> Future[Result]:
        """Run an operation that only looks."""
        return self._put(self._readers, operation, None)

    def close(self) -> None:
        """Finish what was asked and close every connection."""
        lanes = {id(lane): lane for lane in [*self._writers, *self._readers]}
        for lane in lanes.values():
            lane.close()
        for engine in self._engines:
            engine.dispose()

    def _put(
        self,
        lanes: list[_Lane],
        operation: Operation[Result],
        committed: Callable[[Result], None] | None,
    ) -> Future[Result]:
        future: Future[Result] = Future()
        self._turn = (self._turn + 1) % len(lanes)
        lanes[self._turn].put(_Task(operation, future, committed))
        return future

    def _open(self, url: str) -> list[sa.Engine]:
        if not url.startswith("sqlite"):
            return [sa.create_engine(url, pool_size=LANES, pool_pre_ping=True)]
        return [_sqlite(url, "BEGIN IMMEDIATE"), _sqlite(url, "BEGIN")]

    def _prepare(self, engine: sa.Engine) -> None:
        with engine.begin() as connection:
            metadata.create_all(connection)
            version = connection.execute(sa.select(schema.c.version)).scalar()
            if version is None:
                connection.execute(schema.insert().values(version=SCHEMA_VERSION))
            elif version > SCHEMA_VERSION:
                raise SchemaTooNew(
                    f"The database has schema {version}, this Limner knows {SCHEMA_VERSION}"
                )
            elif version < SCHEMA_VERSION:
                upgrade(connection, version)


def _sqlite(url: str, begin: str) -> sa.Engine:
    """An engine of one connection whose transactions begin as told."""
    engine = sa.create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        # The driver must not open transactions of its own; ours begin below.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT}",
            "journal_mode=WAL",
            "synchronous=FULL",
            # Deleting deletes: freed pages are overwritten, not left to be read.
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.exec_driver_sql(begin)

    return engine
