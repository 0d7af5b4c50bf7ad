"""What is owed: the ledger's part that keeps webhooks until they have arrived.

Each operation is a transaction and answers a Future. Knows the outbox; knows no HTTP.
"""

from __future__ import annotations

from concurrent.futures import Future

import sqlalchemy as sa

from limner.requests import outbox
from limner.requests.clock import Clock
from limner.requests.database import Database
from limner.requests.outbox import Delivery, Owing


class Owed:
    """Webhooks in an open database."""

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

        def failed(connection: sa.Connection) -> None:
            now = self._clock()
            retry_at = None if pause is None else now + pause
            outbox.failed(connection, delivery_id, status, error, retry_at, now)

        return self._database.write(failed)

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
