"""Keys that callers use, and the server's own secrets. Functions of a connection.

A key's secret is 256 random bits, so one SHA-256 is the right hash: there is nothing to guess that
a slow hash would slow down. Knows no HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets as entropy
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from limner.requests.prepared import Prepared
from limner.requests.tables import keys, secrets


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret."""

    id: str
    #: ``api`` calls endpoints; ``admin`` sees everybody's requests too.
    scope: str
    created_at: float
    #: Unix seconds; None while it is good.
    revoked_at: float | None
    #: How many of its requests may run at once; None for any number.
    concurrency: int | None = None


class Secret(StrEnum):
    """The server's own secrets, as the database names them."""

    SEALS = "seal key"  #: Of the addresses of files.
    TOKENS = "token key"  #: Of browsers' tokens.
    UPLOADS = "upload key"  #: Of tickets for uploads.
    WEBHOOKS = "webhook signing key"


# Asked with every call.

_ANY = Prepared(sa.select(keys.c.id).limit(1))

_THIS = keys.c.id == sa.bindparam("this", type_=sa.Text)

_FIND = Prepared(sa.select(keys).where(_THIS))

_GOOD = Prepared(sa.select(keys.c.id).where(_THIS, keys.c.revoked_at.is_(None)))


def create_key(
    connection: sa.Connection, scope: str, concurrency: int | None, now: float
) -> tuple[str, str]:
    """A new key as (id, secret); the secret is told this once."""
    key_id, secret = entropy.token_hex(16), entropy.token_hex(32)
    connection.execute(
        keys.insert().values(
            id=key_id,
            secret_hash=_hash(secret),
            scope=scope,
            created_at=now,
            concurrency=concurrency,
        )
    )
    return key_id, secret


def find_key(connection: sa.Connection, key_id: str, secret: str) -> Key | None:
    """The key, when it exists, is not revoked, and the secret is right."""
    row = _FIND.first(connection, {"this": key_id})
    # Compare also when there is no such key, so that time tells nothing.
    right = hmac.compare_digest(row.secret_hash if row else bytes(32), _hash(secret))
    if row is None or not right or row.revoked_at is not None:
        return None
    return _key(row)


def list_keys(connection: sa.Connection) -> list[Key]:
    """Every key there was, oldest first."""
    rows = connection.execute(sa.select(keys).order_by(keys.c.created_at))
    return [_key(row) for row in rows]


def revoke_key(connection: sa.Connection, key_id: str, now: float) -> bool:
    """Make a key useless; False when there is no such key or it already is."""
    revoked = connection.execute(
        keys.update().where(keys.c.id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    return revoked.rowcount == 1


def any_keys(connection: sa.Connection) -> bool:
    """Was a key ever made? Revoking the last one does not open the door again."""
    return _ANY.first(connection, {}) is not None


def is_good_key(connection: sa.Connection, key_id: str) -> bool:
    """May this key still be used? The empty id is good as long as no key was made."""
    if not key_id:
        return not any_keys(connection)
    return _GOOD.first(connection, {"this": key_id}) is not None


def secret(connection: sa.Connection, which: Secret, size: int) -> bytes:
    """A secret, made of ``size`` random bytes when first asked for."""
    query = sa.select(secrets.c.value).where(secrets.c.name == which.value)
    found = connection.execute(query).scalar()
    if found is None:
        # Another server may be making it at this moment: the first one's is everybody's.
        engine = postgresql if connection.dialect.name == "postgresql" else sqlite
        made = engine.insert(secrets).values(name=which.value, value=entropy.token_bytes(size))
        connection.execute(made.on_conflict_do_nothing())
        found = connection.execute(query).scalar_one()
    return found


def forget_secrets(connection: sa.Connection, which: Collection[Secret]) -> int:
    """Throw secrets away, which are made anew when they are asked for; how many there were."""
    names = [each.value for each in which]
    return connection.execute(secrets.delete().where(secrets.c.name.in_(names))).rowcount


def _key(row: Any) -> Key:
    return Key(row.id, row.scope, row.created_at, row.revoked_at, row.concurrency)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
