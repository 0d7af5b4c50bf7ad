"""Statements that SQLAlchemy writes and the driver runs: those of every job.

To bind a statement and to wrap its rows takes SQLAlchemy several times as long as SQLite takes to
run it. Here it writes the statement out once for each database, and from then on the driver's own
cursor is given the text and the values. Types, faults and the transaction stay SQLAlchemy's.

For statements whose text is always the same: no list of values that is written out (``IN``).
Knows statements; knows no table and no operation.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

Statement = sa.Select[*tuple[Any, ...]] | sa.Insert | sa.Update

#: What one value of a row goes through.
Processor = Callable[[Any], Any]


class Prepared:
    """A statement to be run many times, on whatever database; an insert with the same columns."""

    def __init__(self, statement: Statement) -> None:
        self._statement = statement
        #: By the name of the database's dialect.
        self._written: dict[str, _Written] = {}

    def all(self, connection: sa.Connection, said: Mapping[str, Any]) -> list[Any]:
        """Run it, bound to ``said``; its rows, by the names of their columns. Raises DBAPIError."""
        dialect = connection.dialect
        written = self._written.get(dialect.name)
        if written is None:
            written = self._written[dialect.name] = _Written(self._statement, said, dialect)
        driver = connection.connection.dbapi_connection
        assert driver is not None
        cursor = driver.cursor()
        try:
            cursor.execute(written.text, written.bound(said))
            return written.rows(cursor.fetchall(), cursor.description) if written.answers else []
        except dialect.loaded_dbapi.Error as fault:
            gone = dialect.is_disconnect(fault, driver, cursor)
            if gone:
                connection.invalidate(fault)
            # Its values are not told: a caller said them.
            raise DBAPIError.instance(
                written.text,
                None,
                fault,
                dialect.loaded_dbapi.Error,
                hide_parameters=True,
                connection_invalidated=gone,
                dialect=dialect,
            ) from fault
        finally:
            cursor.close()

    def first(self, connection: sa.Connection, said: Mapping[str, Any]) -> Any | None:
        """Run it, bound to ``said``; its first row, or None. Raises DBAPIError."""
        rows = self.all(connection, said)
        return rows[0] if rows else None


class _Written:
    """A statement in one database's words."""

    def __init__(self, statement: Statement, said: Mapping[str, Any], dialect: sa.Dialect) -> None:
        columns = None
        if isinstance(statement, sa.Insert):
            columns = [name for name in said if name in statement.table.c]
        compiled = statement.compile(dialect=dialect, column_keys=columns)
        self.text = str(compiled)
        #: What the statement itself binds.
        self._own = dict(compiled.params)
        #: The values' names in their order; None where the driver takes them by name.
        self._order: Sequence[str] | None = compiled.positiontup if compiled.positional else None
        told = (
            statement.column_descriptions
            if isinstance(statement, sa.Select)
            else statement.returning_column_descriptions
        )
        #: Does it answer with rows?
        self.answers = bool(told)
        self._dialect = dialect
        self._types = [each["type"].dialect_impl(dialect) for each in told]
        self._row = namedtuple("Row", [each["name"] for each in told])  # pyright: ignore
        #: Columns whose values are not what the driver gives; known once it gave some.
        self._processed: list[tuple[int, Processor]] | None = None

    def bound(self, said: Mapping[str, Any]) -> Any:
        """``said`` as the driver takes it."""
        if self._order is None:
            return {**self._own, **said}
        own = self._own
        return [said[name] if name in said else own[name] for name in self._order]

    def rows(
        self, fetched: Sequence[Sequence[Any]], description: Sequence[Sequence[Any]]
    ) -> list[Any]:
        """What the driver fetched and how it describes it, by the columns' names."""
        if self._processed is None:
            self._processed = [
                (at, how)
                for at, (kind, told) in enumerate(zip(self._types, description, strict=True))
                if (how := kind.result_processor(self._dialect, told[1])) is not None
            ]
        if not self._processed:
            return [self._row._make(values) for values in fetched]
        made: list[Any] = []
        for values in fetched:
            changed = list(values)
            for at, how in self._processed:
                changed[at] = how(changed[at])
            made.append(self._row._make(changed))
        return made
