"""One clock for all machines: leases are given on one and judged on another.

PostgreSQL's clock is asked now and then; between two answers this machine's steady clock counts
on, so that setting a machine's time moves no lease. Knows seconds; knows no lease.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import sqlalchemy as sa

from limner.requests.database import Database

#: Seconds after which the database is asked again; quartz drifts by some 100 µs in that time.
ASK_EVERY = 60.0

_NOW = sa.select(sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Float(53)))


class SharedClock:
    """Unix seconds by the database's clock."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._asked_at = time.monotonic()
        self._ahead = self._ask().result() - time.monotonic()

    def __call__(self) -> float:
        """The time now; never waits for the database."""
        now = time.monotonic()
        with self._lock:
            due = now - self._asked_at > ASK_EVERY
            if due:
                self._asked_at = now
        if due:
            self._ask().add_done_callback(self._set)
        return now + self._ahead

    def _ask(self) -> Future[float]:
        return self._database.read(lambda connection: connection.execute(_NOW).scalar_one())

    def _set(self, answer: Future[float]) -> None:
        if answer.exception() is None:
            self._ahead = answer.result() - time.monotonic()


#: Anything that tells unix seconds.
Clock = Callable[[], float]
