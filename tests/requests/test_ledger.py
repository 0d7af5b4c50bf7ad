"""The ledger's rules one by one, on a real SQLite file and on a real PostgreSQL."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from limner.errors import Refused
from limner.requests import outbox
from limner.requests.bell import bell_folder
from limner.requests.database import Database, SchemaTooNew
from limner.requests.lanes import Closed, Keep, Unwritable
from limner.requests.ledger import Ledger
from limner.requests.lifecycle import Standing, StepTaken
from limner.requests.request import Outcome, Request, Status, Submission
from limner.requests.tables import schema, secrets
from limner.server import webhooks

ENDPOINT = "a/one"
HOOK = "http://example.com/hook"


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    with Ledger(url, lease=10, retention=100, clock=clock) as it:
        yield it


def submit(ledger: Ledger, **said: object) -> Request:
    return ledger.submit(Submission(ENDPOINT, {"n": 0.1}, **said)).result()  # pyright: ignore


def claim(ledger: Ledger) -> Request:
    (request,) = ledger.claim("worker", [ENDPOINT], 1).result().requests
    return request


def draw(ledger: Ledger, **said: object) -> Request:
    """A request, submitted and finished well."""
    submit(ledger, **said)
    request = claim(ledger)
    assert ledger.finish(request.id, request.attempt, Outcome(200, {}, files=("f",))).result()
    return request


def test_a_request_comes_back_as_it_was_said(ledger: Ledger) -> None:
    said = Submission(
        ENDPOINT, {"x": 0.1, "n": 2**53 + 1, "text": "é\u2028"}, files_base="http://h"
    )
    request = ledger.submit(said).result()
    found = ledger.get(request.id).result()
    assert found is not None
    assert found == request
    assert found.submission == said


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


def test_a_clock_that_is_set_back_keeps_no_dead_workers_request(
    ledger: Ledger, clock: Clock
) -> None:
    for _ in range(2):
        submit(ledger)
    dead, alive = claim(ledger), claim(ledger)
    clock.now -= 3600
    assert ledger.reap().result().requeued == ()
    for _ in range(3):
        clock.now += 5
        assert ledger.heartbeat([(alive.id, alive.attempt)]).result() == {alive.id: Standing.ON}
    # 15 s later, not an hour.
    assert ledger.reap().result().requeued == (dead.id,)
    assert ledger.finish(alive.id, alive.attempt, Outcome(200, {})).result()
    found = ledger.get(alive.id).result()
    assert found is not None
    assert found.inference_time == 0  # rather than minus an hour


def test_a_newer_schema_is_not_opened(url: str) -> None:
    database = Database(url)
    database.write(lambda c: c.execute(schema.update().values(version=99))).result()
    database.close()
    with pytest.raises(SchemaTooNew, match="99"):
        Database(url)


def test_the_same_idempotency_key_is_the_same_request(ledger: Ledger) -> None:
    first = submit(ledger, idempotency_key="k", key_id="me")
    assert submit(ledger, idempotency_key="k", key_id="me").id == first.id
    assert submit(ledger, idempotency_key="k", key_id="you").id != first.id
    assert submit(ledger, idempotency_key="l", key_id="me").id != first.id


def test_a_queue_longer_than_the_caller_allows_is_refused(ledger: Ledger) -> None:
    for _ in range(3):
        submit(ledger)
    said = Submission(ENDPOINT, {})
    assert ledger.submit(said, max_waiting=3).result()
    with pytest.raises(Refused) as refused:
        ledger.submit(said, max_waiting=3).result()
    assert refused.value.status == 429


def test_a_request_that_ends_at_the_door_owes_its_webhook(ledger: Ledger) -> None:
    said = Submission(ENDPOINT, {}, webhook_url=HOOK)
    wrong = Outcome(422, {"detail": []}, error="Invalid status code: 422")
    request = ledger.submit(said, ended=wrong).result()
    assert (request.status, request.outcome) == (Status.DONE, wrong)
    (owed,) = ledger.deliveries(request.id).result()
    assert json.loads(owed.body) == {
        "request_id": request.id,
        "gateway_request_id": request.id,
        "status": "ERROR",
        "payload": {"detail": []},
        "error": "Invalid status code: 422",
    }


def test_log_lines_come_in_order_and_only_the_new_ones(ledger: Ledger) -> None:
    submit(ledger)
    request = claim(ledger)
    for number in range(3):
        step = StepTaken(f"step {number}", progress=number / 2, engine="sketch")
        ledger.step(request.id, request.attempt, step).result()
    lines = ledger.logs(request.id).result()
    assert [line.message for line in lines] == ["step 0", "step 1", "step 2"]
    later = ledger.logs(request.id, after=lines[0].seq).result()
    assert later == lines[1:]
    found = ledger.get(request.id).result()
    assert found is not None
    assert (found.progress, found.engine) == (1.0, "sketch")


def test_a_lost_request_goes_before_those_that_came_after_it(ledger: Ledger, clock: Clock) -> None:
    first, second = submit(ledger), submit(ledger)
    assert claim(ledger).id == first.id
    clock.now += 11
    assert ledger.reap().result().requeued == (first.id,)
    assert (ledger.position(first.id).result(), ledger.position(second.id).result()) == (0, 1)


def test_a_late_worker_cannot_end_or_keep_what_another_has(ledger: Ledger, clock: Clock) -> None:
    submit(ledger)
    late = claim(ledger)
    clock.now += 11
    ledger.reap().result()
    current = claim(ledger)
    assert current.id == late.id
    step = StepTaken("late", progress=0.9, engine="late")
    assert ledger.step(late.id, late.attempt, step).result() is Standing.LOST
    assert ledger.heartbeat([(late.id, late.attempt)]).result() == {late.id: Standing.LOST}
    assert ledger.finish(late.id, late.attempt, Outcome(200, {"late": 1})).result() is False
    assert ledger.release(late.id, late.attempt).result() is False
    assert ledger.get(late.id).result() == current
    assert ledger.logs(late.id).result() == []
    assert ledger.finish(current.id, current.attempt, Outcome(200, {})).result() is True


def test_a_cancelled_request_that_is_given_back_ends(ledger: Ledger) -> None:
    submit(ledger)
    request = claim(ledger)
    ledger.cancel(request.id).result()
    assert ledger.release(request.id, request.attempt).result() is True
    ended = ledger.get(request.id).result()
    assert ended is not None
    assert ended.outcome is not None
    assert (ended.status, ended.outcome.http_status) == (Status.DONE, 499)


def test_after_three_lost_workers_it_fails(ledger: Ledger, clock: Clock) -> None:
    request = submit(ledger)
    for _ in range(3):
        assert claim(ledger).id == request.id
        clock.now += 11
        ledger.reap().result()
    ended = ledger.get(request.id).result()
    assert ended is not None
    assert ended.outcome is not None
    assert (ended.attempt, ended.outcome.http_status) == (3, 503)
    assert ended.outcome.error_type == "runner_disconnected"


def test_what_is_past_its_retention_is_forgotten_with_its_files(
    ledger: Ledger, clock: Clock
) -> None:
    request = draw(ledger, webhook_url=HOOK)
    clock.now += 99
    assert ledger.expire().result() == ()
    clock.now += 2
    assert ledger.expire().result() == (("f", ""),)
    assert ledger.get(request.id).result() is None
    assert ledger.logs(request.id).result() == []
    assert ledger.deliveries(request.id).result() == []


def test_without_store_io_the_input_goes_at_the_end_and_the_rest_soon(
    ledger: Ledger, clock: Clock
) -> None:
    request = draw(ledger, store_io=False)
    found = ledger.get(request.id).result()
    assert found is not None
    assert found.submission.input == {}
    clock.now += 61
    assert ledger.expire().result() == (("f", ""),)


def test_without_store_io_the_files_given_go_along_once_nobody_else_has_them(
    ledger: Ledger, clock: Clock
) -> None:
    """Also a request that others of the same key wait with keeps its photo until the last ends."""
    one, two = (f"{'x' * 20}{number}_face.jpg" for number in (1, 2))
    given = {"photo": f"http://here/files/{one}", "more": [f"http://here/files/{two}"]}

    def drawn(key_id: str, *made: str, **said: object) -> None:
        ledger.submit(Submission(ENDPOINT, given, key_id=key_id, **said)).result()  # pyright: ignore
        request = claim(ledger)
        assert ledger.finish(request.id, request.attempt, Outcome(200, {}, files=made)).result()
        found = ledger.get(request.id).result()
        assert found is not None
        assert found.outcome is not None
        assert (found.outcome.files, found.has_input) == (made, False)

    drawn("k", "f", store_io=False)
    drawn("other", store_io=False)
    only_one = {"photo": given["photo"]}
    waiting = ledger.submit(Submission(ENDPOINT, only_one, key_id="k", store_io=False)).result()
    clock.now += 61
    assert set(ledger.expire().result()) == {
        ("f", "k"), (two, "k"), (one, "other"), (two, "other")
    }  # fmt: skip
    ledger.cancel(waiting.id).result()
    clock.now += 61
    assert ledger.expire().result() == ((one, "k"),)


def test_a_webhook_that_is_not_to_be_stored_goes_when_it_needs_no_sending(
    ledger: Ledger, clock: Clock
) -> None:
    def left(request: Request) -> int:
        return len(ledger.deliveries(request.id).result())

    for stored, remaining in ((True, 1), (False, 0)):
        arrived = draw(ledger, webhook_url=HOOK, store_io=stored)
        (delivery,) = ledger.due(limit=9, lease=1).result()
        ledger.failed(delivery.id, None, "away", pause=0).result()
        (delivery,) = ledger.due(limit=9, lease=1).result()
        assert left(arrived) == 1
        ledger.delivered(delivery.id, 200).result()
        assert left(arrived) == remaining
        hopeless = draw(ledger, webhook_url=HOOK, store_io=stored)
        (delivery,) = ledger.due(limit=9, lease=1).result()
        ledger.failed(delivery.id, 302, "moved", pause=None).result()
        assert left(hopeless) == remaining


def test_deleting_deletes_and_tells_the_files(ledger: Ledger) -> None:
    running = submit(ledger)
    assert ledger.delete(running.id).result() is None
    ledger.cancel(running.id).result()
    request = draw(ledger, webhook_url=HOOK)
    assert ledger.delete(request.id).result() == ("f",)
    assert ledger.get(request.id).result() is None
    assert ledger.deliveries(request.id).result() == []


def test_nothing_of_a_deleted_request_stays_on_disk(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    said = Submission(ENDPOINT, {"prompt": "a-very-private-prompt"})
    request = ledger.submit(said).result()
    ledger.cancel(request.id).result()
    ledger.delete(request.id).result()
    ledger.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert b"a-very-private-prompt" not in kept


def test_a_delivery_is_taken_by_one_and_again_when_its_taker_is_silent(
    ledger: Ledger, clock: Clock
) -> None:
    draw(ledger, webhook_url=HOOK, key_id="me")
    (first,) = ledger.due(limit=5, lease=30).result()
    assert (first.url, first.user_id, first.attempts) == (HOOK, "me", 1)
    assert ledger.due(limit=5, lease=30).result() == []
    clock.now += 31
    (second,) = ledger.due(limit=5, lease=30).result()
    assert (second.id, second.attempts) == (first.id, 2)
    ledger.failed(second.id, 500, "no", pause=5).result()
    assert ledger.due(limit=5, lease=30).result() == []
    clock.now += 6
    (third,) = ledger.due(limit=5, lease=30).result()
    ledger.delivered(third.id, 200).result()
    clock.now += 60
    assert ledger.due(limit=5, lease=30).result() == []
    assert ledger.redeliver(third.request_id).result() == 1
    assert len(ledger.due(limit=5, lease=30).result()) == 1


def test_a_clock_that_is_set_back_puts_no_webhook_off(ledger: Ledger, clock: Clock) -> None:
    assert max(webhooks.LONGEST_PAUSE, webhooks.LEASE) <= outbox.FARTHEST
    request = draw(ledger, webhook_url=HOOK)
    (taken,) = ledger.due(limit=9, lease=150).result()
    ledger.failed(taken.id, 500, "", pause=300).result()
    ledger.reap().result()
    assert ledger.due(limit=9, lease=150).result() == []
    clock.now -= 7200
    ledger.reap().result()
    (again,) = ledger.due(limit=9, lease=150).result()
    assert (again.request_id, again.attempts) == (request.id, 2)


def test_a_late_failure_does_not_undo_a_delivery(ledger: Ledger, clock: Clock) -> None:
    """Two servers: the first was silent for longer than its lease, the second delivered."""
    draw(ledger, webhook_url=HOOK)
    (late,) = ledger.due(limit=1, lease=30).result()
    clock.now += 31
    (current,) = ledger.due(limit=1, lease=30).result()
    ledger.delivered(current.id, 200).result()
    ledger.failed(late.id, None, "took longer", pause=1).result()
    clock.now += 60
    assert ledger.due(limit=1, lease=30).result() == []


def test_the_bell_wakes_another_process(url: str) -> None:
    program = (
        "import sys, threading\n"
        "from limner.requests.ledger import Ledger\n"
        "heard = threading.Event()\n"
        "with Ledger(sys.argv[1]) as ledger:\n"
        "    with ledger.hear(lambda topic: topic == 'queued' and heard.set()):\n"
        "        print('listening', flush=True)\n"
        "        print(heard.wait(30), flush=True)\n"
    )
    listener = subprocess.Popen(
        [sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True
    )
    assert listener.stdout is not None
    assert listener.stdout.readline() == "listening\n"
    with Ledger(url) as ledger:
        submit(ledger)
    assert listener.communicate()[0] == "True\n"


def test_a_dead_listener_is_forgotten(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    program = (
        "import os, sys\n"
        "from limner.requests.ledger import Ledger\n"
        "ledger = Ledger(sys.argv[1])\n"
        "hearing = ledger.hear(print)\n"
        "hearing.__enter__()\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, url], check=True)
    with Ledger(url) as ledger:
        folder = bell_folder(url)
        assert folder is not None
        assert len(list(folder.iterdir())) == 1
        submit(ledger)
        ledger.cancel("none").result()
        assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o077 == 0


def test_a_bell_whose_folder_is_gone_stops_nobody(tmp_path: Path) -> None:
    """Temporary folders get swept; the ledger's writing thread must survive it."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger(url) as ledger:
        folder = bell_folder(url)
        assert folder is not None
        folder.rmdir()
        submit(ledger)
        ledger.submit(Submission(ENDPOINT, {})).result(timeout=10)
