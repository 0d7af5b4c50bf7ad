"""The bell between machines: PostgreSQL's NOTIFY and LISTEN.

Topics are rung after their transaction, on a connection of their own: a NOTIFY inside it would make
PostgreSQL commit one transaction after the other. Whoever cannot be heard is not waited for: as
with every bell (``bell.py``), listeners look again after half a second anyway.
Knows PostgreSQL; knows no request.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import structlog

from limner.errors import whereabouts
from limner.requests.connections import listen_connection

if TYPE_CHECKING:
    from psycopg import Connection

log = structlog.get_logger(__name__)

CHANNEL = "limner"

#: Largest payload of a NOTIFY, bytes (PostgreSQL's limit is 8,000).
MOST_BYTES = 7_900

#: Seconds between tries to reach the database, and between looks whether to stop.
PAUSE, LOOK_EVERY = 0.5, 5.0


class NoticeBell:
    """Rings for everybody who has the same PostgreSQL database open."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._topics: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._ringer: threading.Thread | None = None
        self._starting = threading.Lock()

    def ring(self, topics: Iterable[str]) -> None:
        """Tell every listener; never waits, never fails."""
        for topic in topics:
            self._topics.put(topic)
        with self._starting:
            if self._ringer is None:
                # Only now: a command that looks and ends needs no second connection.
                self._ringer = threading.Thread(target=self._ring_on, name="bell", daemon=True)
                self._ringer.start()

    @contextmanager
    def hear(self, heard: Callable[[str], None]) -> Generator[None]:
        """Call ``heard`` with each topic, on a thread of its own, while the block lasts."""
        listening, stop = threading.Event(), threading.Event()
        ending = f"end:{os.urandom(8).hex()}"
        ear = threading.Thread(
            target=self._listen, args=(heard, listening, stop), name="ear", daemon=True
        )
        ear.start()
        listening.wait(LOOK_EVERY)
        try:
            yield
        finally:
            stop.set()
            self.ring([ending])  # wakes the ear
            ear.join(2 * LOOK_EVERY)

    def close(self) -> None:
        """Ring what is to be rung, then no more."""
        self._topics.put(None)
        if self._ringer is not None:
            self._ringer.join(LOOK_EVERY)

    def _ring_on(self) -> None:
        connection: Connection[Any] | None = None
        last = False
        while not last:
            topics, last = _gathered(self._topics)
            try:
                connection = connection or listen_connection(self._url)
                for message in _messages(topics):
                    connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, message))
            except Exception as fault:  # noqa: BLE001 - unheard; everybody looks by themselves
                log.debug("bell_unheard", fault=whereabouts(fault))
                if connection is not None:
                    connection.close()
                connection = None
                time.sleep(0 if last else PAUSE)
        if connection is not None:
            connection.close()

    def _listen(
        self, heard: Callable[[str], None], listening: threading.Event, stop: threading.Event
    ) -> None:
        while not stop.is_set():
            try:
                with listen_connection(self._url) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    listening.set()
                    while not stop.is_set():
                        for notice in connection.notifies(timeout=LOOK_EVERY, stop_after=1):
                            for topic in notice.payload.split("\n"):
                                heard(topic)
            except Exception as fault:  # noqa: BLE001 - the database is away; listen again
                log.debug("bell_deaf", fault=whereabouts(fault))
                stop.wait(PAUSE)


def _gathered(topics: queue.SimpleQueue[str | None]) -> tuple[list[str], bool]:
    """What waits to be rung, once each, and whether it is the last."""
    found = [topics.get()]
    with suppress(queue.Empty):
        while found[-1] is not None:
            found.append(topics.get_nowait())
    return list(dict.fromkeys(t for t in found if t is not None)), found[-1] is None


def _messages(topics: Iterable[str]) -> Iterator[str]:
    """The topics as payloads, as few as may be."""
    message = ""
    for topic in topics:
        if message and len(message) + len(topic) >= MOST_BYTES:
            yield message
            message = ""
        message = f"{message}\n{topic}" if message else topic
    if message:
        yield message
