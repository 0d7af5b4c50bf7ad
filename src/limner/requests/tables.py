"""The ledger's tables, in SQLAlchemy Core, the same for SQLite and PostgreSQL.

Knows columns and indexes; knows no operation.
"""

from __future__ import annotations

import sqlalchemy as sa

#: Grows with every change of the tables; a database with a higher one is not opened.
SCHEMA_VERSION = 5

metadata = sa.MetaData()

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_SECONDS = sa.Float(53)

requests = sa.Table(
    "requests",
    metadata,
    #: The order of arrival.
    sa.Column("seq", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    #: 0 normal, 1 low: the lower goes first.
    sa.Column("priority", sa.SmallInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    #: The fence: grows with every claim, and only the current attempt may end the request.
    sa.Column("attempt", sa.Integer, nullable=False),
    #: How often a worker was lost with it.
    sa.Column("losses", sa.Integer, nullable=False),
    sa.Column("worker", sa.Text),
    sa.Column("lease_until", _SECONDS),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("progress", sa.Float, nullable=False),
    sa.Column("engine", sa.Text),
    #: A running request's latest small WebP; null as soon as it runs no more (since version 2).
    sa.Column("preview", sa.LargeBinary),
    #: Compact JSON; null once forgotten.
    sa.Column("input", sa.Text),
    sa.Column("webhook_url", sa.Text),
    sa.Column("start_by", _SECONDS),
    sa.Column("no_retry", sa.Boolean, nullable=False),
    sa.Column("store_io", sa.Boolean, nullable=False),
    sa.Column("file_lifetime", _SECONDS),
    sa.Column("files_base", sa.Text, nullable=False),
    sa.Column("idempotency_key", sa.Text),
    sa.Column("created_at", _SECONDS, nullable=False),
    sa.Column("started_at", _SECONDS),
    sa.Column("finished_at", _SECONDS),
    #: The outcome; http_status is null until there is one.
    sa.Column("http_status", sa.SmallInteger),
    sa.Column("body", sa.Text),
    sa.Column("headers", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("error_type", sa.Text),
    #: JSON list of names in the file store (rows.py).
    sa.Column("files", sa.Text),
    #: When the whole row goes.
    sa.Column("forget_at", _SECONDS),
    #: When it is its key's turn among the keys that wait (turns.py); the lower goes first.
    sa.Column("turn", sa.BigInteger, nullable=False, server_default="0"),
    #: What a worker had better have in memory to draw it; null for nothing in particular.
    sa.Column("hint", sa.Text),
    #: The type of the first entry of the outcome's ``detail``; null where it has none.
    sa.Column("fault", sa.Text),
    #: W3C traceparent of the span in which it was taken in; null where nobody traces.
    sa.Column("trace", sa.Text),
)

_waiting = requests.c.status == "queued"
_running = requests.c.status == "running"


def _partial(name: str, *columns: sa.Column[object], where: sa.ColumnElement[bool]) -> sa.Index:
    return sa.Index(name, *columns, sqlite_where=where, postgresql_where=where)


#: The queue, in its order.
_partial(
    "requests_order",
    requests.c.endpoint,
    requests.c.priority,
    requests.c.turn,
    requests.c.seq,
    where=_waiting,
)
#: A key's last turn.
_partial(
    "requests_turns",
    requests.c.endpoint,
    requests.c.priority,
    requests.c.key_id,
    requests.c.turn,
    where=_waiting,
)
#: Few rows. Without lease_until, so that PostgreSQL need not touch an index for a heartbeat.
_partial("requests_running", requests.c.worker, requests.c.key_id, where=_running)
_partial(
    "requests_start_by", requests.c.start_by, where=_waiting & requests.c.start_by.is_not(None)
)
_partial("requests_forget_at", requests.c.forget_at, where=requests.c.forget_at.is_not(None))
sa.Index(
    "requests_idempotency",
    requests.c.key_id,
    requests.c.idempotency_key,
    unique=True,
    sqlite_where=requests.c.idempotency_key.is_not(None),
    postgresql_where=requests.c.idempotency_key.is_not(None),
)

logs = sa.Table(
    "logs",
    metadata,
    sa.Column("seq", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("request_id", sa.Text, nullable=False, index=True),
    sa.Column("at", _SECONDS, nullable=False),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("progress", sa.Float),
)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("request_id", sa.Text, nullable=False, index=True),
    #: The public part of the key that submitted; fal calls it the user.
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    #: The exact bytes that are signed and sent.
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    #: When to send it (again); null when it was delivered or given up.
    sa.Column("due_at", _SECONDS),
    sa.Column("last_status", sa.SmallInteger),
    sa.Column("last_error", sa.Text),
    sa.Column("delivered_at", _SECONDS),
    sa.Column("forget_at", _SECONDS, nullable=False),
)
_partial("webhooks_due", webhooks.c.due_at, where=webhooks.c.due_at.is_not(None))

#: Files of forgotten requests that the store has not let go of yet (since version 5).
leaving = sa.Table(
    "leaving",
    metadata,
    sa.Column("id", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("name", sa.Text, nullable=False, index=True),
    #: The public part of the key whose file it may be.
    sa.Column("owner", sa.Text, nullable=False),
    #: When to try (again).
    sa.Column("due_at", _SECONDS, nullable=False, index=True),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("created_at", _SECONDS, nullable=False),
    sa.Column("revoked_at", _SECONDS),
    #: Requests of this key that may run at once; null for any number.
    sa.Column("concurrency", sa.Integer),
)

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)

#: How many requests wait, by blocks of turns: rows that add up, written by triggers (tally.py).
tallies = sa.Table(
    "tallies",
    metadata,
    sa.Column("id", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("priority", sa.SmallInteger, nullable=False),
    sa.Column("block", sa.BigInteger, nullable=False),
    sa.Column("change", sa.Integer, nullable=False),
)
sa.Index("tallies_sums", tallies.c.endpoint, tallies.c.priority, tallies.c.block, tallies.c.change)

#: What has ended, by kind: rows that add up, written by a trigger (figures.py).
outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("id", _SEQUENCE, primary_key=True, autoincrement=True),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("waited", _SECONDS, nullable=False),
    sa.Column("ran", _SECONDS, nullable=False),
)

workers = sa.Table(
    "workers",
    metadata,
    #: host:process
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("device", sa.Text, nullable=False),
    #: JSON list of endpoint ids.
    sa.Column("endpoints", sa.Text, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    #: Memory of the device, bytes; null when it cannot be told.
    sa.Column("free_bytes", sa.BigInteger),
    sa.Column("total_bytes", sa.BigInteger),
    sa.Column("started_at", _SECONDS, nullable=False),
    #: Unless it says so again, it is gone by then.
    sa.Column("until", _SECONDS, nullable=False),
    #: Of its running batch since it began; null where there is none.
    sa.Column("steps", sa.BigInteger),
    sa.Column("step_seconds", _SECONDS),
    sa.Column("step_rows", sa.BigInteger),
    sa.Column("step_places", sa.BigInteger),
)

#: What a worker has in memory: the hints of the requests that it drew last.
residents = sa.Table(
    "residents",
    metadata,
    sa.Column("hint", sa.Text, primary_key=True),
    sa.Column("worker", sa.Text, primary_key=True),
)

schema = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, nullable=False))
