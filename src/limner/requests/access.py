"""Who may call: the ledger's part that keeps keys and the server's own secrets.

Each operation is a transaction and answers a Future. Knows the keyring; knows no request.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future

from limner.requests import keyring
from limner.requests.clock import Clock
from limner.requests.database import Database
from limner.requests.keyring import Key, Secret


class Access:
    """Keys and secrets in an open database."""

    _database: Database
    _clock: Clock

    def create_key(self, scope: str, concurrency: int | None = None) -> Future[tuple[str, str]]:
        """A new key as (id, secret); the secret is told this once.

        ``concurrency``: how many of its requests may run at once; None for any number.
        """
        return self._database.write(
            lambda connection: keyring.create_key(connection, scope, concurrency, self._clock())
        )

    def find_key(self, key_id: str, secret: str) -> Future[Key | None]:
        """The key, when it exists, is not revoked, and the secret is right."""
        return self._database.read(lambda connection: keyring.find_key(connection, key_id, secret))

    def list_keys(self) -> Future[list[Key]]:
        """Every key there was, oldest first."""
        return self._database.read(keyring.list_keys)

    def revoke_key(self, key_id: str) -> Future[bool]:
        """Make a key useless; False when there is no such key or it already is."""
        return self._database.write(
            lambda connection: keyring.revoke_key(connection, key_id, self._clock())
        )

    def is_good_key(self, key_id: str) -> Future[bool]:
        """May tokens that this key made still be used?"""
        return self._database.read(lambda connection: keyring.is_good_key(connection, key_id))

    def any_keys(self) -> Future[bool]:
        """Was a key ever made?"""
        return self._database.read(keyring.any_keys)

    def secret(self, which: Secret, size: int = 32) -> Future[bytes]:
        """One of the server's own secrets, made when first asked for."""
        return self._database.write(lambda connection: keyring.secret(connection, which, size))

    def forget_secrets(self, which: Collection[Secret]) -> Future[int]:
        """Have those secrets made anew by whoever asks for them next; how many there were."""
        return self._database.write(lambda connection: keyring.forget_secrets(connection, which))
