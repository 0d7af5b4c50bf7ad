"""Running operations in transactions, off the caller's thread.

Every operation is a function of a connection and answers a ``Future``: a worker's thread calls
``.result()``, the asynchronous server awaits ``asyncio.wrap_future``; there are no twins.

SQLite has one writing thread that commits many operations at once, and one reading thread that
takes no write lock. What only a living worker cares for (a claim, a step, a lease) is committed
without an fsync: it outlives every process, and the machine's fall ends the worker too. What only
whoever asked for it will look for (a new request) is brought to the disk beside the next commits.
PostgreSQL groups commits itself: a few threads, a transaction each. What becomes of operations that
fail, and of those that a database takes with it when it goes, is the threads' (``lanes``).

Knows engines; knows no table but the schema's version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace

import sqlalchemy as sa

from limner.errors import OurFault
from limner.requests.connections import (
    is_sqlite,
    postgresql_engine,
    sqlite_engine,
)
from limner.requests.journal import Journal, Turn
from limner.requests.lanes import Keep, Lane, Operation, Result, Ring, Task, Way
from limner.requests.migrations import create, upgrade
from limner.requests.tables import SCHEMA_VERSION, schema

#: Operations committed with one fsync.
MOST_AT_ONCE = 64

#: Threads, each way, of a database that locks rows rather than everything.
LANES = 8

#: PostgreSQL's advisory lock under which a schema is made or changed.
_SCHEMA_LOCK = 0x4C494D4E


class SchemaTooNew(OurFault):
    """The database was written by a newer Limner; update, or use another LIMNER_HOME."""


class Database:
    """An open database; close it."""

    def __init__(self, url: str, ring: Ring = lambda _: None) -> None:
        """``url``: SQLAlchemy's; ``ring`` is told the topics of what was committed.

        Raises SchemaTooNew, Unreachable, BadDatabaseUrl.
        """
        self._journal: Journal | None = None
        if is_sqlite(url):
            engines = sqlite_engine(url, writes=True), sqlite_engine(url, writes=False)
            self._sharing = Turn(url)
            self._journal = Journal(url)
            alone = Way(engines[0], MOST_AT_ONCE, comes_back=False)
            writing = replace(alone, turn=self._sharing, journal=self._journal)
            looking = replace(alone, engine=engines[1])
            lanes = 1
        else:
            engines = (
                postgresql_engine(url, LANES, transactions=True),
                postgresql_engine(url, LANES, transactions=False),
            )
            self._sharing = None
            writing, looking = (Way(engine, 1, comes_back=True) for engine in engines)
            lanes = LANES
        self._engines = engines
        self._writers = [Lane(f"ledger-write-{n}", writing, ring) for n in range(lanes)]
        self._readers = [Lane(f"ledger-read-{n}", looking, ring) for n in range(lanes)]
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
        keep: Keep = Keep.SEEN,
        about: str | None = None,
    ) -> Future[Result]:
        """Run an operation that changes something; ``committed`` names the topics to ring then.

        ``keep``: also when the machine falls, and from when on. What is ``about`` the same thing is
        done in the order in which it was asked.
        """
        task = Task(operation, Future(), committed, keep)
        return self._put(self._writers, task, None if about is None else hash(about))

    def read(self, operation: Operation[Result]) -> Future[Result]:
        """Run an operation that only looks."""
        return self._put(self._readers, Task(operation, Future(), None))

    def scrub(self) -> bool:
        """Take what was deleted out of the database's own journal too, as far as it lets us.

        SQLite's is emptied, False when it is read just now; PostgreSQL's is its operator's.
        """
        return self._journal is None or self._journal.empty()

    def close(self) -> None:
        """Finish what was asked and close every connection."""
        for lane in (*self._writers, *self._readers):
            lane.close()
        for engine in self._engines:
            engine.dispose()
        for part in (self._journal, self._sharing):
            if part is not None:
                part.close()

    def _put(
        self, lanes: Sequence[Lane], task: Task[Result], turn: int | None = None
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
