"""Who keeps an eye on it: the ledger's part that lists, counts and searches.

Each operation only looks, and answers a Future. Knows where to look; changes nothing.
"""

from __future__ import annotations

from concurrent.futures import Future

from limner.requests import figures, history, register
from limner.requests.clock import Clock
from limner.requests.database import Database
from limner.requests.history import Sought
from limner.requests.register import Entry, Wanted
from limner.requests.request import Request


class Overview:
    """What an open database has, for people and for figures."""

    _database: Database
    _clock: Clock

    def ended(self, sought: Sought) -> Future[list[Request]]:
        """Requests that have ended, with their payloads."""
        return self._database.read(lambda connection: history.ended(connection, sought))

    def search(self, wanted: Wanted) -> Future[list[Entry]]:
        """The newest requests that match."""
        return self._database.read(lambda connection: register.search(connection, wanted))

    def census(self) -> Future[dict[str, dict[str, int]]]:
        """How many requests of each endpoint wait and run."""
        return self._database.read(register.census)

    def figures(self) -> Future[figures.Figures]:
        """How everything stands now, in figures."""
        return self._database.read(lambda connection: figures.figures(connection, self._clock()))
