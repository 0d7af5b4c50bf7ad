"""What the ledger keeps of its word on the disk, and how its writers wait for each other."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from limner.requests.connections import Unwritable
from limner.requests.database import Database, SchemaTooNew
from limner.requests.lanes import Closed, Keep
from limner.requests.ledger import Ledger
from limner.requests.request import Status, Submission
from limner.requests.tables import schema, secrets
from tests.requests.submitting import ENDPOINT, submit


def test_submitted_means_durable(url: str) -> None:
    """kill -9 the moment that submit answered: the row is there."""
    program = (
        "import os, signal, sys\n"
        "from limner.requests.ledger import Ledger\n"
        "from limner.requests.request import Submission\n"
        "ledger = Ledger(sys.argv[1])\n"
        "request = ledger.submit(Submission('a/one', {})).result()\n"
        "print(request.id, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    died = subprocess.run(
        [sys.executable, "-c", program, url], capture_output=True, text=True, check=False
    )
    assert died.returncode == -signal.SIGKILL
    with Ledger(url) as ledger:
        found = ledger.get(died.stdout.strip()).result()
    assert found is not None
    assert found.status is Status.QUEUED


def test_processes_that_claim_at_once_never_get_the_same_request(url: str) -> None:
    with Ledger(url) as ledger:
        accepted = {submit(ledger).id for _ in range(60)}
    program = (
        "import sys\n"
        "from limner.requests.ledger import Ledger\n"
        "with Ledger(sys.argv[1]) as ledger:\n"
        "    while claimed := ledger.claim('w', ['a/one'], 2).result().requests:\n"
        "        print(*(request.id for request in claimed), sep='\\n')\n"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    claimed = [line for worker in workers for line in worker.communicate()[0].split()]
    assert len(claimed) == 60
    assert set(claimed) == accepted


def test_a_failing_operation_fails_alone_in_its_commit(url: str) -> None:
    database = Database(url)
    gate = threading.Event()

    def wait(connection: sa.Connection) -> None:
        gate.wait()

    def put(connection: sa.Connection) -> None:
        connection.execute(schema.insert().values(version=1))

    def fail(connection: sa.Connection) -> None:
        connection.execute(schema.insert().values(version=1))
        raise RuntimeError("alone")

    # While the first holds the writer, the others gather into one transaction.
    futures = [database.write(wait), database.write(put), database.write(fail), database.write(put)]
    gate.set()
    with pytest.raises(RuntimeError, match="alone"):
        futures[2].result()
    assert [futures[1].result(), futures[3].result()] == [None, None]
    count = sa.select(sa.func.count()).select_from(schema)
    assert database.read(lambda connection: connection.execute(count).scalar()).result() == 1 + 2
    database.close()


def test_on_a_full_disk_what_was_told_to_be_done_is_done_and_nothing_else(tmp_path: Path) -> None:
    """SQLite undoes a whole transaction when the disk is full, also what had succeeded in it."""
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")

    def pages(connection: sa.Connection, most: int) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={most}")

    def put(connection: sa.Connection) -> int:
        return connection.execute(secrets.insert().values(name="small", value=b"x")).rowcount

    def large(connection: sa.Connection) -> None:
        connection.execute(secrets.insert().values(name="large", value=bytes(10_000_000)))

    def last(connection: sa.Connection) -> int:
        return connection.execute(secrets.insert().values(name="last", value=b"x")).rowcount

    database.write(lambda connection: pages(connection, 1)).result()
    gate = threading.Event()
    first = database.write(lambda _: gate.wait())
    futures = {
        "small": database.write(put), "large": database.write(large), "last": database.write(last)
    }  # fmt: skip
    gate.set()
    first.exception()
    told = {name for name, future in futures.items() if future.exception() is None}
    # It is told as what passes: a caller may come again.
    assert isinstance(futures["large"].exception(), Unwritable)
    query = sa.select(secrets.c.name)
    kept = set(database.read(lambda c: c.execute(query).scalars().all()).result())
    assert "large" not in told
    assert kept == told
    # With room again, it goes on.
    database.write(lambda connection: pages(connection, 1_000_000)).result()
    assert database.write(large).exception() is None
    database.close()


def test_while_another_process_holds_the_database_writers_wait_and_then_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.requests.connections.BUSY_TIMEOUT", 100)
    path = tmp_path / "ledger.db"
    with Ledger(f"sqlite:///{path}") as ledger:
        before = submit(ledger)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"):
            submit(ledger)
        # Readers are not held up.
        assert ledger.get(before.id).result() == before
        other.execute("ROLLBACK")
        other.close()
        after = submit(ledger)
        assert [r.id for r in ledger.claim("w", [ENDPOINT], 9).result().requests] == [
            before.id,
            after.id,
        ]


def test_a_commit_is_as_durable_as_the_most_that_is_asked_of_it(tmp_path: Path) -> None:
    """SQLite's ``synchronous``: 2 waits for the disk at every commit, 1 does not."""
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    gate = threading.Event()

    def durability(connection: sa.Connection) -> int:
        return connection.exec_driver_sql("PRAGMA synchronous").scalar_one()

    assert database.write(durability).result() == 2
    assert database.write(durability, keep=Keep.NEVER).result() == 1
    assert database.write(durability, keep=Keep.TOLD).result() == 1
    database.write(lambda _: gate.wait())
    each_kind = (Keep.NEVER, Keep.SEEN, Keep.TOLD)
    together = [database.write(durability, keep=each) for each in each_kind]
    gate.set()
    assert [each.result() for each in together] == [2, 2, 2]
    database.close()


def test_a_writer_waits_for_its_turn_and_not_for_the_dead(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    program = (
        "import sys, time\n"
        "from limner.requests.journal import Turn\n"
        "with Turn(sys.argv[1]):\n"
        "    print('mine', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with Ledger(url) as ledger:
        other = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE)
        assert other.stdout is not None
        other.stdout.readline()
        accepted = ledger.submit(Submission(ENDPOINT, {}))
        with pytest.raises(TimeoutError):
            accepted.result(0.3)
        other.kill()
        assert accepted.result(10).status is Status.QUEUED
        other.wait()
        other.stdout.close()


def test_closing_finishes_what_was_asked_and_refuses_what_comes_later(url: str) -> None:
    ledger = Ledger(url)
    asked = [ledger.submit(Submission(ENDPOINT, {})) for _ in range(200)]
    ledger.close()
    assert all(future.done() for future in asked)
    # Nobody is left waiting for ever.
    with pytest.raises(Closed):
        ledger.submit(Submission(ENDPOINT, {})).result(timeout=10)
    with Ledger(url) as again:
        assert again.waiting(ENDPOINT).result() == 200


def test_a_newer_schema_is_not_opened(url: str) -> None:
    database = Database(url)
    database.write(lambda c: c.execute(schema.update().values(version=99))).result()
    database.close()
    with pytest.raises(SchemaTooNew, match="99"):
        Database(url)


def test_nothing_of_a_deleted_request_stays_on_disk(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    said = Submission(ENDPOINT, {"prompt": "a-very-private-prompt"})
    request = ledger.submit(said).result()
    ledger.cancel(request.id).result()
    ledger.delete(request.id).result()
    ledger.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert b"a-very-private-prompt" not in kept
