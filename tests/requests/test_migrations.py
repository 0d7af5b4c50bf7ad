"""A database of an older schema is brought up, with everything that waits in it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from limner.requests.database import Database
from limner.requests.ledger import Ledger
from limner.requests.request import Outcome, Priority, Status, Submission
from limner.requests.tables import SCHEMA_VERSION, schema
from tests.rig.older import VERSIONS, Left, make_older, opened

ENDPOINT = "a/one"

LEFT = (
    Left("first"),
    Left("low", priority=1),
    Left("second", key="me"),
    Left("running", status="running"),
    Left("third"),
)


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, url: str) -> str:
    """The address of a database of schema 1, 2, 3 or 4, with requests in it."""
    make_older(url, request.param, LEFT)
    return url


def shape(url: str) -> dict[str, object]:
    """Everything that a database says of its own tables."""
    engine = opened(url)
    found = sa.inspect(engine)
    told: dict[str, object] = {}
    for table in found.get_table_names():
        told[table] = {
            "columns": sorted(
                (each["name"], str(each["type"]), each["nullable"])
                for each in found.get_columns(table)
            ),
            "indexes": sorted(
                (str(each["name"]), tuple(each["column_names"]), bool(each["unique"]))
                for each in found.get_indexes(table)
            ),
            "key": found.get_pk_constraint(table)["constrained_columns"],
        }
    with engine.connect() as connection:
        query = (
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            if engine.dialect.name == "sqlite"
            else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
        )
        told["triggers"] = sorted(connection.exec_driver_sql(query).scalars())
        told["version"] = connection.execute(sa.select(schema.c.version)).scalars().all()
    engine.dispose()
    return told


def test_what_waits_in_an_older_database_is_drawn_in_its_order(old: str) -> None:
    now = 1005.0
    with Ledger(old, lease=10, clock=lambda: now) as ledger:
        assert ledger.waiting(ENDPOINT).result() == 4
        places = {each.id: ledger.position(each.id).result() for each in LEFT}
        assert places == {"first": 0, "second": 1, "third": 2, "low": 3, "running": None}
        late = ledger.submit(Submission(ENDPOINT, {}, key_id="")).result()
        assert ledger.position(late.id).result() == 3
        claimed = ledger.claim("w", [ENDPOINT], 9).result().requests
        assert [each.id for each in claimed] == ["first", "second", "third", late.id, "low"]
        assert claimed[4].submission.priority is Priority.LOW
        assert ledger.finish("first", 1, Outcome(200, {})).result()
        assert len(ledger.deliveries("first").result()) == 1
        # Ends are counted as they are today.
        body = {"detail": [{"type": "face_detection_error"}]}
        assert ledger.finish("second", 1, Outcome(422, body)).result()
        counted = {each.outcome: each.number for each in ledger.figures().result().ended}
        assert counted == {"ok": 1, "face_detection_error": 1}
        # The worker that held one before the update still holds it, or is found lost.
        now = 1011.0
        assert ledger.reap().result().requeued == ("running",)
        found = ledger.get("running").result()
        assert found is not None
        assert (found.status, found.submission.input) == (Status.QUEUED, {"n": 1})


def test_an_older_database_becomes_what_a_new_one_is(old: str, new_url: Callable[[], str]) -> None:
    new = new_url()
    for each in (old, new):
        Ledger(each).close()
    assert shape(old) == shape(new)
    assert shape(new)["version"] == [SCHEMA_VERSION]


def test_servers_that_start_at_once_bring_a_database_up_once(old: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        opened_at_once = list(pool.map(lambda _: Database(old), range(4)))
    for database in opened_at_once:
        database.close()
    with Ledger(old) as ledger:
        assert ledger.waiting(ENDPOINT).result() == 4
