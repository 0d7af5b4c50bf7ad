"""Bringing a database that an older Limner made up to this one's schema, step by step.

A version is made of the one before by adding: columns, tables, indexes, triggers. The statements
are text, because the tables of this Limner are not those of the one that a step leads to.
Knows each version's change; knows no operation.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from limner.requests.tables import SCHEMA_VERSION, metadata, schema
from limner.requests.tally import recount, triggers

#: How a type is called where the two engines differ.
_TYPES = {
    "sqlite": {"sequence": "INTEGER", "seconds": "FLOAT", "bytes": "BLOB"},
    "postgresql": {"sequence": "BIGSERIAL", "seconds": "DOUBLE PRECISION", "bytes": "BYTEA"},
}

_PREVIEWS = ("ALTER TABLE requests ADD COLUMN preview {bytes}",)

_MANY_MACHINES = (
    "ALTER TABLE requests ADD COLUMN turn BIGINT DEFAULT '0' NOT NULL",
    "ALTER TABLE requests ADD COLUMN hint TEXT",
    "ALTER TABLE keys ADD COLUMN concurrency INTEGER",
    # Who waits keeps the order of arrival.
    "UPDATE requests SET turn = seq WHERE status = 'queued'",
    "DROP INDEX requests_waiting",
    "DROP INDEX requests_leases",
    "CREATE INDEX requests_order ON requests (endpoint, priority, turn, seq)"
    " WHERE status = 'queued'",
    "CREATE INDEX requests_turns ON requests (endpoint, priority, key_id, turn)"
    " WHERE status = 'queued'",
    "CREATE INDEX requests_running ON requests (worker, key_id) WHERE status = 'running'",
    "CREATE TABLE tallies (id {sequence} NOT NULL, endpoint TEXT NOT NULL,"
    " priority SMALLINT NOT NULL, block BIGINT NOT NULL, change INTEGER NOT NULL,"
    " PRIMARY KEY (id))",
    "CREATE INDEX tallies_sums ON tallies (endpoint, priority, block, change)",
    "INSERT INTO tallies (endpoint, priority, block, change)"
    " SELECT endpoint, priority, turn >> 8, count(*) FROM requests WHERE status = 'queued'"
    " GROUP BY endpoint, priority, turn >> 8",
    "CREATE TABLE outcomes (id {sequence} NOT NULL, endpoint TEXT NOT NULL, outcome TEXT NOT NULL,"
    " number INTEGER NOT NULL, waited {seconds} NOT NULL, ran {seconds} NOT NULL,"
    " PRIMARY KEY (id))",
    "CREATE TABLE workers (name TEXT NOT NULL, device TEXT NOT NULL, endpoints TEXT NOT NULL,"
    " slots INTEGER NOT NULL, free_bytes BIGINT, total_bytes BIGINT,"
    " started_at {seconds} NOT NULL, until {seconds} NOT NULL, PRIMARY KEY (name))",
    "CREATE TABLE residents (hint TEXT NOT NULL, worker TEXT NOT NULL, PRIMARY KEY (hint, worker))",
)

#: Columns that hold what callers said or were told.
_SAID = {
    "requests": (
        *("path", "input", "preview", "webhook_url", "files_base", "idempotency_key", "hint"),
        *("body", "headers", "error", "files"),
    ),
    "logs": ("message",),
    "webhooks": ("url", "body", "last_error"),
    "residents": ("hint",),
    "leaving": ("name",),
}
_FIGURES = (
    "ALTER TABLE requests ADD COLUMN fault TEXT",
    "ALTER TABLE requests ADD COLUMN trace TEXT",
    "ALTER TABLE workers ADD COLUMN steps BIGINT",
    "ALTER TABLE workers ADD COLUMN step_seconds {seconds}",
    "ALTER TABLE workers ADD COLUMN step_rows BIGINT",
    "ALTER TABLE workers ADD COLUMN step_places BIGINT",
)

_OWED_DELETIONS = (
    "CREATE TABLE leaving (id {sequence} NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL,"
    " due_at {seconds} NOT NULL, PRIMARY KEY (id))",
    "CREATE INDEX ix_leaving_name ON leaving (name)",
    "CREATE INDEX ix_leaving_due_at ON leaving (due_at)",
)

#: What makes each version of the one before.
STEPS: Sequence[tuple[int, Sequence[str]]] = (
    (2, _PREVIEWS),
    (3, _MANY_MACHINES),
    (4, _FIGURES),
    (5, _OWED_DELETIONS),
)


def create(connection: sa.Connection) -> None:
    """Make the whole schema in an empty database."""
    metadata.create_all(connection)
    connection.execute(schema.insert().values(version=SCHEMA_VERSION))
    _finish(connection)


def upgrade(connection: sa.Connection, version: int) -> None:
    """From ``version``, which is below SCHEMA_VERSION, to it, in the caller's transaction."""
    types = _TYPES[connection.dialect.name]
    for reached, statements in STEPS:
        if reached > version:
            for statement in statements:
                connection.exec_driver_sql(statement.format(**types))
    if version < 3:
        _finish(connection)
    else:
        if version < 4:
            for statement in recount(connection.dialect.name):
                connection.exec_driver_sql(statement)
        if connection.dialect.name == "postgresql":
            _unsample(connection)
    connection.execute(schema.update().values(version=SCHEMA_VERSION))


def _finish(connection: sa.Connection) -> None:
    """What SQLAlchemy's tables cannot say."""
    dialect = connection.dialect.name
    for statement in triggers(dialect):
        connection.exec_driver_sql(statement)
    if dialect == "postgresql":
        # A queue's table changes all the time: room for that in every page, and a vacuum after
        # thousands of changes rather than after a fifth of the table.
        connection.exec_driver_sql(
            "ALTER TABLE requests SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01,"
            " autovacuum_vacuum_threshold = 1000)"
        )
        _unsample(connection)


def _unsample(connection: sa.Connection) -> None:
    """PostgreSQL's statistics keep samples of values, long after their rows are deleted."""
    for table, columns in _SAID.items():
        unsampled = ", ".join(f"ALTER COLUMN {name} SET STATISTICS 0" for name in columns)
        connection.exec_driver_sql(f"ALTER TABLE {table} {unsampled}")
