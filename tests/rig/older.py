"""Databases as an older Limner left them, with requests in them.

``schemas/N.ENGINE.sql`` is what Limner made of an empty database when its schema was N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from limner.requests.connections import is_sqlite, postgresql_url

SCHEMAS = Path(__file__).parent / "schemas"

#: Those there were before this one.
VERSIONS = (1, 2, 3, 4)

_ROW = sa.text(
    "INSERT INTO requests (id, endpoint, path, key_id, priority, status, attempt, losses,"
    " cancel_requested, progress, input, webhook_url, no_retry, store_io, files_base, created_at,"
    " lease_until, finished_at, http_status, body, headers, files)"
    " VALUES (:id, :endpoint, '', :key, :priority,"
    " :status, :attempt, 0, false, 0, :input, :webhook, false, true, :base, 1000, :until,"
    " :ended, :code, :body, :headers, :files)"
)


@dataclass(frozen=True, slots=True)
class Left:
    """One request that an older Limner left."""

    id: str
    key: str = ""
    #: 0 normal, 1 low.
    priority: int = 0
    #: queued, running until unix second 1010, or done with 200.
    status: str = "queued"
    endpoint: str = "a/one"
    input: str = '{"n":1}'
    webhook: str | None = "http://example.com/hook"
    #: What its files' addresses begin with.
    base: str = "http://h"


def opened(url: str) -> sa.Engine:
    """A plain engine for either kind of address."""
    return sa.create_engine(url if is_sqlite(url) else postgresql_url(url))


def make_older(url: str, version: int, left: Sequence[Left]) -> None:
    """Make of an empty database what a Limner of that schema left."""
    engine = opened(url)
    since = version if version > 2 else 1
    ddl = (SCHEMAS / f"{since}.{engine.dialect.name}.sql").read_text()
    with engine.begin() as connection:
        for statement in ddl.split(";\n\n" if since >= 3 else ";\n"):
            connection.exec_driver_sql(statement)
        if version == 2:  # it had one column more
            kind = "BLOB" if is_sqlite(url) else "BYTEA"
            connection.exec_driver_sql(f"ALTER TABLE requests ADD COLUMN preview {kind}")
        connection.exec_driver_sql(f"INSERT INTO schema_version VALUES ({version})")
        for each in left:
            running, done = each.status == "running", each.status == "done"
            connection.execute(
                _ROW,
                {
                    "id": each.id, "endpoint": each.endpoint, "key": each.key,
                    "priority": each.priority, "status": each.status, "input": each.input,
                    "attempt": int(running or done), "until": 1010 if running else None,
                    "webhook": each.webhook, "base": each.base, "ended": 1005 if done else None,
                    "code": 200 if done else None, "body": '{"old":true}' if done else None,
                    "headers": "{}" if done else None, "files": "[]" if done else None,
                },
            )  # fmt: skip
        connection.exec_driver_sql("INSERT INTO secrets VALUES ('token key', '0123')")
    engine.dispose()
