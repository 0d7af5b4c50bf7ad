"""Bringing a database that an older Limner made up to this one's schema, step by step.

``create_all`` makes what is missing as a whole; a table that is there already is changed here.
Knows each version's change; knows no operation.
"""

from __future__ import annotations

import sqlalchemy as sa

from limner.requests.tables import SCHEMA_VERSION, requests, schema


def upgrade(connection: sa.Connection, version: int) -> None:
    """From ``version``, which is below SCHEMA_VERSION, to it, in the caller's transaction."""
    for reached in range(version + 1, SCHEMA_VERSION + 1):
        _CHANGES[reached](connection)
    connection.execute(schema.update().values(version=SCHEMA_VERSION))


def _add_previews(connection: sa.Connection) -> None:
    kind = requests.c.preview.type.compile(connection.dialect)
    connection.execute(sa.DDL(f"ALTER TABLE requests ADD COLUMN preview {kind}"))


#: What makes each version of the one before.
_CHANGES = {2: _add_previews}
