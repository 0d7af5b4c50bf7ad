"""What is owed: the ledger's part that keeps webhooks until they have arrived, and the names of
files until they are gone.

Each operation is a transaction and answers a Future. Knows the outbox; knows no HTTP and no store.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from limner.requests import leaving, outbox
from limner.requests.clock import Clock
from limner.requests.database import Database
from limner.requests.leaving import Leaving
from limner.requests.outbox import Delivery, Owing


class Owed:
    """Webhooks and deletions in an open database."""

    _database: Database
    _clock: Clock

    def due(self, *, limit: int, lease: float) -> Future[list[Delivery]]:
        """Take up webhooks that are due; nobody else gets them for ``lease`` seconds."""
        return self._database.write(
            lambda connection: outbox.due(connection, self._clock(), limit, lease)
        )

    def delivered(self, delivery_id: int, status: int) -> Future[None]:
        """The receiver has it."""
        return self._database.write(
            lambda connection: outbox.delivered(connection, delivery_id, status, self._clock())
        )

    def failed(
        self, delivery_id: int, status: int | None, error: str, *, pause: float | None
    ) -> Future[None]:
        """It did not arrive; try again after ``pause`` seconds, or never."""
        retry_at = None if pause is None else self._clock() + pause
        return self._database.write(
            lambda connection: outbox.failed(connection, delivery_id, status, error, retry_at)
        )

    def deliveries(self, request_id: str) -> Future[list[Delivery]]:
        """Every delivery of a request, oldest first."""
        return self._database.read(lambda connection: outbox.deliveries(connection, request_id))

    def redeliver(self, request_id: str) -> Future[int]:
        """Send a request's webhooks again; how many there are."""
        return self._database.write(
            lambda connection: outbox.redeliver(connection, request_id, self._clock()),
            lambda _: ["outbox"],
        )

    def all_deliveries(self, sought: Owing) -> Future[list[Delivery]]:
        """The newest deliveries that match, of every request."""
        return self._database.read(lambda connection: outbox.search(connection, sought))

    def leaving(self, *, limit: int) -> Future[list[Leaving]]:
        """Files that are to be deleted now; several may be told of the same."""
        return self._database.read(lambda connection: leaving.due(connection, self._clock(), limit))

    def left(self, files: Sequence[Leaving]) -> Future[None]:
        """They are gone."""
        return self._database.write(lambda connection: leaving.gone(connection, files))

    def put_off(self, files: Sequence[Leaving], *, pause: float) -> Future[None]:
        """They could not be deleted; try again after ``pause`` seconds."""
        return self._database.write(
            lambda connection: leaving.put_off(connection, files, self._clock() + pause)
        )
