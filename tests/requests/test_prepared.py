"""A prepared statement answers as SQLAlchemy's own execution does, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from limner.requests.prepared import Prepared

metadata = sa.MetaData()

things = sa.Table(
    "things",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("good", sa.Boolean, nullable=False),
    sa.Column("bad", sa.Boolean),
    sa.Column("share", sa.Float),
    sa.Column("seconds", sa.Float(53)),
    sa.Column("number", sa.BigInteger, server_default="7"),
    sa.Column("bytes", sa.LargeBinary),
)

THING = {
    "id": "a:b 'c' %s ? é",
    "good": True,
    "bad": None,
    "share": 0.25,
    "seconds": 1.7e9 + 0.123456,
    "bytes": b"\0\xff",
}


@pytest.fixture
def connection(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as it:
        metadata.create_all(it)
        yield it
    engine.dispose()


def test_rows_are_what_sqlalchemy_makes_of_them(connection: sa.Connection) -> None:
    insert = Prepared(things.insert().inline())
    assert insert.all(connection, THING) == []
    other = {**THING, "id": "other", "good": False, "bad": True, "share": None, "bytes": None}
    assert insert.all(connection, other) == []
    select = sa.select(things).order_by(things.c.id.desc())

    (theirs, ours) = connection.execute(select).all(), Prepared(select).all(connection, {})

    assert len(ours) == 2
    for their, our in zip(theirs, ours, strict=True):
        assert our._asdict() == dict(their._mapping)  # pyright: ignore[reportPrivateUsage]
        assert [type(value) for value in our] == [type(value) for value in their]
    assert (ours[0].good, ours[0].bad, ours[1].good, ours[1].bad) == (False, True, True, None)


def test_what_the_statement_binds_itself_and_what_is_told_go_together(
    connection: sa.Connection,
) -> None:
    connection.execute(things.insert(), THING)
    change = Prepared(
        things.update()
        .where(things.c.id == sa.bindparam("this"), things.c.good == sa.true())
        .values(number=things.c.number + 5, share=sa.bindparam("its_share", type_=sa.Float))
        .returning(things.c.number, things.c.share)
    )
    row = change.first(connection, {"this": THING["id"], "its_share": 0.5})
    assert row is not None
    assert (row.number, row.share) == (12, 0.5)
    assert change.first(connection, {"this": "nobody", "its_share": 0.5}) is None


def test_a_fault_is_sqlalchemys_and_tells_no_value(connection: sa.Connection) -> None:
    insert = Prepared(things.insert().inline())
    secret = {**THING, "id": "nobody-shall-read-this"}
    insert.all(connection, secret)
    with pytest.raises(IntegrityError) as caught:
        insert.all(connection, secret)
    told = str(caught.value).partition("DETAIL")[0]  # PostgreSQL's own words name the key
    assert "nobody-shall-read-this" not in told
    assert caught.value.params is None
    assert not caught.value.connection_invalidated
