"""SQLite's write-ahead log: whose turn it is to write it, when it is on the disk, and emptying it.

A commit with ``synchronous=NORMAL`` is in the log and seen by everybody, but not on the disk yet:
:meth:`Journal.sync` brings it there without holding up whoever writes next (decision 0061).
Knows SQLite's files; knows no table and no transaction.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from limner.requests.connections import BUSY_TIMEOUT

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None

#: Milliseconds that emptying the log waits for those who read in it, while nobody can write.
_EMPTYING = 500

#: Brings a file's content to the disk; macOS and Windows have only the one for all of the file.
_to_disk = getattr(os, "fdatasync", os.fsync)


class Turn:
    """Whose turn it is to write to a file of SQLite's, among all processes; a ``with`` block.

    SQLite lets whoever finds the database locked sleep for up to 0.1 s and look again; here they
    look every millisecond. Whoever does not take a turn, or has waited for it as long as SQLite
    would, is held off by SQLite itself, as are all where there are no such locks.
    """

    def __init__(self, url: str) -> None:
        file = sa.make_url(url).database
        self._lock: int | None = None
        if fcntl is not None and file and file != ":memory:":
            self._lock = os.open(f"{file}-turn", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        if fcntl is None or self._lock is None:
            return
        pause, waited = 0.0002, 0.0
        while waited < BUSY_TIMEOUT / 1e3:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(pause)
                waited += pause
                pause = min(2 * pause, 0.001)
            else:
                return

    def __exit__(self, *_: object) -> None:
        if fcntl is not None and self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Take no more turns."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class Journal:
    """The log beside one database. Close it."""

    def __init__(self, url: str) -> None:
        self._url = url
        # As SQLite finds it, which follows links.
        self._path = Path(os.path.realpath(sa.make_url(url).database or "") + "-wal")
        self._file: int | None = None
        self._doubtful = False

    def sync(self) -> None:
        """Bring every commit that was made to the disk. Raises OSError: some may not be there."""
        if self._doubtful:
            raise OSError("The log is in doubt, and was not emptied since")
        try:
            _to_disk(self._opened())
        except FileNotFoundError:
            return  # whoever closed it last has brought all of it into the database
        except OSError:
            self.doubt()
            raise

    def doubt(self) -> None:
        """Something in it may not be on the disk, and what comes after that would be lost with it.

        Linux says so once only: the next sync would succeed.
        """
        self._doubtful = True

    def is_sound(self) -> bool:
        """May more be promised? What is in doubt is emptied first, if the disk lets us."""
        return not self._doubtful or self.empty()

    def empty(self) -> bool:
        """Bring all of it into the database and cut it to nothing, after which nothing is in doubt.

        It holds pages as they were before a delete. False when somebody reads in it just now, or
        the disk fails.
        """
        try:
            # In a turn: before 3.51.3 SQLite may lose a commit to a checkpoint beside it.
            with closing(Turn(self._url)) as turn, turn:
                emptied = _checkpoint(self._url)
        except OSError:
            return False  # of a disk that has failed not even the turn's file can be opened
        if emptied:
            self._doubtful = False
        return emptied

    def close(self) -> None:
        """Sync no more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        """The log's file: SQLite makes another when all of its connections were closed once."""
        if self._file is not None:
            if os.path.samestat(self._path.stat(), os.fstat(self._file)):
                return self._file
            self.close()
        self._file = os.open(self._path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        return self._file


def _checkpoint(url: str) -> bool:
    with closing(sqlite3.connect(sa.make_url(url).database or "", isolation_level=None)) as own:
        own.execute(f"PRAGMA busy_timeout={_EMPTYING}")
        try:
            (busy, _, _) = own.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return False  # somebody else is at it, or the disk fails
    return not busy
