"""Connections to the two databases, and what their faults mean.

SQLite: one connection that writes and one that reads, to a file (WAL, ``synchronous=FULL``).
PostgreSQL: a pool that writes in transactions and a pool that reads without, through psycopg.
Knows drivers, pragmas and error codes; knows no table and no operation.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import StaticPool

from limner.errors import OurFault

if TYPE_CHECKING:
    from psycopg import Connection as PsycopgConnection

#: Milliseconds SQLite waits for another process's transaction.
BUSY_TIMEOUT = 30_000

#: What is kept with a connection of SQLite's: are its next commits to wait for the disk, and do
#: they as it was last told?
_WAITS, _TOLD = "commits wait for the disk", "told that commits wait for the disk"

#: How a silent PostgreSQL is noticed: seconds to connect, to probe an idle line, and milliseconds
#: that sent bytes may go unacknowledged.
_PATIENCE: dict[str, Any] = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}

#: PostgreSQL undid the transaction for its own reasons: serialization failure, deadlock.
_UNDONE = frozenset({"40001", "40P01"})


class NoDatabaseDriver(OurFault):
    """PostgreSQL is asked for and psycopg is not installed."""


class BadDatabaseUrl(OurFault):
    """The address of the database is not one that can be used."""


class Unreachable(OurFault):
    """The database is gone, or was lost before it said whether it kept what it was told."""


class Unwritable(Unreachable):
    """The database's disk is full or may only be read: surely nothing was kept."""


def is_sqlite(url: str) -> bool:
    """Does ``url`` lead to a file of SQLite's?"""
    return url.startswith("sqlite:")


def postgresql_url(url: str) -> sa.URL:
    """``postgresql://…`` or ``postgres://…`` as SQLAlchemy's, for psycopg.

    Raises BadDatabaseUrl, which does not repeat it: it may hold a password.
    """
    try:
        made = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise BadDatabaseUrl("LIMNER_DATABASE_URL is not a URL") from None
    if made.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise BadDatabaseUrl(
            f"LIMNER_DATABASE_URL begins with {made.drivername!r}; it must be postgresql://"
        )
    return made.set(drivername="postgresql+psycopg")


def sqlite_engine(url: str, *, writes: bool) -> sa.Engine:
    """An engine of one connection; one that ``writes`` holds all others off who do.

    What it commits is on the disk before it is seen, but for :func:`commit_waits`.
    """
    engine = sa.create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        # The driver must not open transactions of its own; ours begin below.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT}",
            "journal_mode=WAL",
            # Deleting deletes: freed pages are overwritten, not left to be read.
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        if writes:
            full = connection.info.get(_WAITS, True)
            if connection.info.get(_TOLD) is not full:
                connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")
                connection.info[_TOLD] = full
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def commit_waits(connection: sa.Connection, *, for_disk: bool) -> None:
    """Are SQLite's commits on the disk before they are seen? From the next transaction on."""
    connection.info[_WAITS] = for_disk


def postgresql_engine(url: str, lanes: int, *, transactions: bool) -> sa.Engine:
    """An engine of up to ``lanes`` connections; without ``transactions`` each statement is its own.

    Raises BadDatabaseUrl, NoDatabaseDriver.
    """
    address = postgresql_url(url)
    plain = _without_nul()
    engine = sa.create_engine(
        address,
        pool_size=lanes,
        max_overflow=0,
        isolation_level="READ COMMITTED" if transactions else "AUTOCOMMIT",
        connect_args={**_PATIENCE, "application_name": "limner"},
        # What a caller said must not get into a log by way of a fault's text.
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.adapters.register_dumper(str, plain)

    return engine


def listen_connection(url: str) -> PsycopgConnection[Any]:
    """A bare connection for LISTEN and NOTIFY. Raises psycopg.OperationalError."""
    import psycopg

    conninfo = postgresql_url(url).set(drivername="postgresql").render_as_string(False)
    return psycopg.connect(conninfo, autocommit=True, application_name="limner bell", **_PATIENCE)


def is_lost(fault: BaseException) -> bool:
    """Was the connection lost, rather than a statement refused?"""
    return isinstance(fault, DBAPIError) and fault.connection_invalidated


def was_undone(fault: BaseException) -> bool:
    """Did the database undo the whole transaction, so that it can be tried again?"""
    return isinstance(fault, DBAPIError) and getattr(fault.orig, "sqlstate", None) in _UNDONE


def has_no_room(fault: BaseException) -> bool:
    """Is the disk full, or may it only be read? Then nothing was kept."""
    return any(
        code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, "53100", "25006")
        for code in _codes(fault)
    )


def is_broken(fault: BaseException) -> bool:
    """Does the disk fail? What SQLite could not sync in its commit may be there all the same."""
    return any(code in (sqlite3.SQLITE_IOERR, "58030") for code in _codes(fault))


def _codes(fault: BaseException) -> Iterator[int | str]:
    """What SQLite and PostgreSQL called a fault and those before it, because of which it came.

    On a full disk SQLite undoes the whole transaction, and going back to a savepoint fails as well.
    """
    found: BaseException | None = fault
    while found is not None:
        if isinstance(found, DBAPIError) and found.orig is not None:
            found = found.orig
        code = getattr(found, "sqlite_errorcode", None)
        if code is not None:
            yield code & 0xFF
        if (state := getattr(found, "sqlstate", None)) is not None:
            yield state
        found = found.__context__


def _without_nul() -> type[Any]:
    """A dumper of texts for psycopg. PostgreSQL keeps every character but U+0000, which nobody
    means who sends it: it is kept as U+FFFD."""
    try:
        from psycopg.types.string import StrDumper
    except ImportError:
        raise NoDatabaseDriver("PostgreSQL needs psycopg: pip install 'limner[scale]'") from None

    class PlainDumper(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\ufffd"))

    return PlainDumper
