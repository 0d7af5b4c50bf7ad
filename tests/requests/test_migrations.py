"""A database of an older schema is brought up, with everything that waits in it.

``schemas/N.ENGINE.sql`` is what Limner made of an empty database when its schema was N.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from limner.requests.connections import is_sqlite, postgresql_url
from limner.requests.database import Database
from limner.requests.ledger import Ledger
from limner.requests.request import Outcome, Priority, Status, Submission
from limner.requests.tables import SCHEMA_VERSION, schema

SCHEMAS = Path(__file__).parent / "schemas"
ENDPOINT = "a/one"

ROW = (
    "INSERT INTO requests (id, endpoint, path, key_id, priority, status, attempt, losses,"
    " cancel_requested, progress, input, webhook_url, no_retry, store_io, files_base, created_at,"
    " lease_until) VALUES ('{id}', 'a/one', '', '{key}', {priority}, '{status}', {attempt}, 0,"
    " false, 0, '{{\"n\":1}}', 'http://example.com/hook', false, true, 'http://h', 1000, {until})"
)

#: What an older Limner left: id, key, class, status.
LEFT = (
    ("first", "", 0, "queued"),
    ("low", "", 1, "queued"),
    ("second", "me", 0, "queued"),
    ("running", "", 0, "running"),
    ("third", "", 0, "queued"),
)


def opened(url: str) -> sa.Engine:
    return sa.create_engine(url if is_sqlite(url) else postgresql_url(url))


@pytest.fixture(params=[1, 2, 3])
def old(request: pytest.FixtureRequest, url: str) -> Iterator[str]:
    """The address of a database of schema 1, 2 or 3, with requests in it."""
    engine = opened(url)
    since = 3 if request.param == 3 else 1
    ddl = (SCHEMAS / f"{since}.{engine.dialect.name}.sql").read_text()
    with engine.begin() as connection:
        for statement in ddl.split(";\n\n" if since == 3 else ";\n"):
            connection.exec_driver_sql(statement)
        if request.param == 2:  # it had one column more
            kind = "BLOB" if is_sqlite(url) else "BYTEA"
            connection.exec_driver_sql(f"ALTER TABLE requests ADD COLUMN preview {kind}")
        connection.exec_driver_sql(f"INSERT INTO schema_version VALUES ({request.param})")
        for name, key, priority, status in LEFT:
            running = status == "running"
            connection.exec_driver_sql(
                ROW.format(
                    id=name,
                    key=key,
                    priority=priority,
                    status=status,
                    attempt=int(running),
                    until=1010 if running else "NULL",
                )
            )
        connection.exec_driver_sql("INSERT INTO secrets VALUES ('token key', '0123')")
    engine.dispose()
    yield url


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
        places = {name: ledger.position(name).result() for name, *_ in LEFT}
        assert places == {"first": 0, "second": 1, "third": 2, "low": 3, "running": None}
        late = ledger.submit(Submission(ENDPOINT, {}, key_id="")).result()
        assert ledger.position(late.id).result() == 3
        claimed = ledger.claim("w", [ENDPOINT], 9).result()
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
