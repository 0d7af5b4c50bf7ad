"""Files that are to go: owed from the moment their request is forgotten until the store has let go.

They are written down in the transaction that forgets the request, so that neither a store that is
away nor a server that is killed leaves one behind (decision 0062). Functions of a connection. Knows
names; opens no store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from limner.requests.tables import leaving

#: Seconds for which whoever forgot a request by hand has its files to itself, and the most for
#: which anybody puts one off.
HANDS_OFF = 120.0


class Leaving(NamedTuple):
    """A file that is to go, if it is kept for ``owner``: the public part of a key, or empty."""

    name: str
    owner: str


_THESE = (leaving.c.name == sa.bindparam("its_name"), leaving.c.owner == sa.bindparam("its_owner"))


def owe(connection: sa.Connection, files: Sequence[Leaving], due_at: float) -> None:
    """Owe the deletion of files; nobody else is told of them before ``due_at``, unix seconds."""
    if files:
        rows = [{"name": each.name, "owner": each.owner, "due_at": due_at} for each in files]
        connection.execute(leaving.insert(), rows)


def due(connection: sa.Connection, now: float, limit: int) -> list[Leaving]:
    """Up to ``limit`` files that are to go now, the longest due first.

    Also those put off for longer than anybody does: the clock was set back since.
    """
    rows = connection.execute(
        sa.select(leaving.c.name, leaving.c.owner)
        .where((leaving.c.due_at <= now) | (leaving.c.due_at > now + 2 * HANDS_OFF))
        .order_by(leaving.c.due_at)
        .limit(limit)
    )
    return [Leaving(row.name, row.owner) for row in rows]


def put_off(connection: sa.Connection, files: Sequence[Leaving], until: float) -> None:
    """They could not go; try again at ``until``, unix seconds."""
    if files:
        connection.execute(leaving.update().where(*_THESE).values(due_at=until), _bound(files))


def gone(connection: sa.Connection, files: Sequence[Leaving]) -> None:
    """They are gone, or were never there."""
    if files:
        connection.execute(leaving.delete().where(*_THESE), _bound(files))


def _bound(files: Sequence[Leaving]) -> list[dict[str, str]]:
    return [{"its_name": each.name, "its_owner": each.owner} for each in files]
