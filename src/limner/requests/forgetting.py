"""Forgetting: what goes because its time has come, and what goes because somebody said so.

Deleting a request deletes its input, its log, its result and what is still owed of it. Its files
are owed to be deleted from then on (``leaving.py``): those it made, and those it was given where it
is deleted by hand or its caller wanted nothing stored. Functions of a connection.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from limner.requests.leaving import HANDS_OFF, Leaving, owe
from limner.requests.rows import given_of, made_by, request_from
from limner.requests.tables import logs, requests, webhooks

#: Requests forgotten in one transaction, so that a sweep never holds the database for long.
AT_ONCE = 500


def expire(connection: sa.Connection, now: float) -> tuple[Leaving, ...]:
    """Forget requests and webhooks whose time has come; files that go now, and whose they are."""
    connection.execute(webhooks.delete().where(webhooks.c.forget_at <= now))
    rows = connection.execute(
        sa.select(requests.c.id, requests.c.files, requests.c.key_id)
        .where(requests.c.forget_at <= now)
        .order_by(requests.c.forget_at)
        .limit(AT_ONCE)
    ).all()
    _forget(connection, [row.id for row in rows])
    going = tuple(
        Leaving(name, row.key_id)
        for row in rows
        for name in _going(connection, row.files, row.key_id)
    )
    owe(connection, going, now)
    return going


def overdue(connection: sa.Connection, now: float) -> dict[str, tuple[str, ...]]:
    """The requests that :func:`expire` would forget, and the files of each."""
    rows = connection.execute(
        sa.select(requests.c.id, requests.c.files).where(requests.c.forget_at <= now)
    )
    return {row.id: tuple(made_by(row.files) + given_of(row.files)) for row in rows}


def delete(connection: sa.Connection, request_id: str, now: float) -> tuple[str, ...] | None:
    """Forget an ended request now; None when there is none or it has not ended.

    Names of its pictures, and of the files that no other request of the same key was given: for
    HANDS_OFF seconds it is the caller's to delete them, then anybody's.
    """
    row = connection.execute(
        sa.select(requests).where(requests.c.id == request_id, requests.c.status == "done")
    ).first()
    if row is None:
        return None
    _forget(connection, [request_id])
    connection.execute(webhooks.delete().where(webhooks.c.request_id == request_id))
    given = request_from(row).submission.files_given
    alone = [name for name in given if not _is_named(connection, name, row.key_id)]
    names = tuple(dict.fromkeys([*_going(connection, row.files, row.key_id), *alone]))
    owe(connection, [Leaving(name, row.key_id) for name in names], now + HANDS_OFF)
    return names


def _going(connection: sa.Connection, files: str, key_id: str) -> list[str]:
    """The files that go with a forgotten row in any case."""
    given = given_of(files)
    return made_by(files) + [name for name in given if not _is_named(connection, name, key_id)]


def _is_named(connection: sa.Connection, name: str, key_id: str) -> bool:
    """Does a request of this key that is still kept have this file, given or made?"""
    has = requests.c.input.contains(name, autoescape=True)
    made = requests.c.files.contains(name, autoescape=True)
    its = requests.c.key_id == key_id
    return connection.execute(sa.select(sa.exists().where(its, has | made))).scalar_one()


def _forget(connection: sa.Connection, ids: Sequence[str]) -> None:
    connection.execute(logs.delete().where(logs.c.request_id.in_(ids)))
    connection.execute(requests.delete().where(requests.c.id.in_(ids)))
