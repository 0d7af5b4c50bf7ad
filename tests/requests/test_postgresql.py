"""What only PostgreSQL can show: many at once, a database that goes and comes back, one clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from limner.requests.connections import BadDatabaseUrl, Unreachable
from limner.requests.keyring import Secret
from limner.requests.ledger import Ledger
from limner.requests.lifecycle import Cancellation, Standing
from limner.requests.request import Outcome, Request, Submission
from tests.rig.postgres import Postgres
from tests.rig.process import eventually

ENDPOINT = "a/one"


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A cluster of this test alone, to be killed."""
    running = Postgres()
    yield running
    running.stop()


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture
def ledgers(url: str) -> Iterator[list[Ledger]]:
    """The same database, open four times: four machines."""
    opened = [Ledger(url) for _ in range(4)]
    yield opened
    for ledger in opened:
        ledger.close()


def submit(ledger: Ledger, **said: object) -> Request:
    return ledger.submit(Submission(ENDPOINT, {}, **said)).result()  # pyright: ignore


def test_a_database_that_is_killed_and_comes_back_has_everything_and_nobody_fails(
    own_postgres: Postgres,
) -> None:
    heard = threading.Event()
    with (
        Ledger(own_postgres.new_database()) as ledger,
        ledger.hear(lambda _: heard.set()),
    ):
        before = [submit(ledger).id for _ in range(20)]
        (running,) = ledger.claim("w", [ENDPOINT], 1).result().requests
        own_postgres.kill()
        # Asked while it is away: they wait for it.
        asked = [ledger.submit(Submission(ENDPOINT, {})) for _ in range(20)]
        beat = ledger.heartbeat([(running.id, running.attempt)])
        own_postgres.start()
        accepted = [future.result(30).id for future in asked]
        assert beat.result(30) == {running.id: Standing.ON}
        assert ledger.finish(running.id, running.attempt, Outcome(200, {})).result()
        assert ledger.waiting(ENDPOINT).result() == 39
        left = [request.id for request in ledger.claim("w", [ENDPOINT], 99).result().requests]
        assert left[:19] == before[1:]
        assert sorted(left[19:]) == sorted(accepted)
        heard.clear()

        def rung() -> bool:
            submit(ledger)
            return heard.wait(0.5)

        eventually(rung)


def test_a_database_that_stays_away_is_told_within_a_time(
    own_postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.requests.lanes.PATIENCE", 0.5)
    with Ledger(own_postgres.new_database()) as ledger:
        own_postgres.kill()
        with pytest.raises(Unreachable):
            submit(ledger)


def test_many_who_submit_one_idempotency_key_at_once_submit_one_request(
    ledgers: list[Ledger],
) -> None:
    ready = threading.Barrier(16)

    def again(number: int) -> str:
        ready.wait()
        return submit(ledgers[number % 4], idempotency_key="k").id

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(again, range(16)))) == 1


def test_servers_that_start_at_once_have_one_secret(ledgers: list[Ledger]) -> None:
    told = [ledgers[number % 4].secret(Secret.TOKENS) for number in range(16)]
    assert len({future.result() for future in told}) == 1


def test_many_workers_at_once_never_overrun_a_keys_limit(ledgers: list[Ledger]) -> None:
    limited, _ = ledgers[0].create_key("api", 3).result()
    free, _ = ledgers[0].create_key("api").result()
    for _ in range(20):
        submit(ledgers[0], key_id=limited)
        submit(ledgers[0], key_id=free)
    claims = [ledgers[n % 4].claim(f"w{n}", [ENDPOINT], 2) for n in range(16)]
    taken = [request.submission.key_id for future in claims for request in future.result().requests]
    assert taken.count(limited) == 3
    # The others' requests are taken instead.
    assert taken.count(free) == 20


def test_a_cancel_is_never_too_late_for_what_is_being_given_back(ledgers: list[Ledger]) -> None:
    """Between its look at what waits and its look at what runs, a request may go from the second
    to the first; it has not ended, and must not be said to have."""
    for _ in range(60):
        submit(ledgers[0])
        (request,) = ledgers[0].claim("w", [ENDPOINT], 1).result().requests
        ready = threading.Barrier(2)

        def give_back(request: Request = request, ready: threading.Barrier = ready) -> None:
            ready.wait()
            ledgers[1].release(request.id, request.attempt).result()

        with ThreadPoolExecutor(1) as pool:
            given = pool.submit(give_back)
            ready.wait()
            verdict = ledgers[2].cancel(request.id).result()
            given.result()
        assert verdict in (Cancellation.REMOVED, Cancellation.REQUESTED)
        found = ledgers[0].get(request.id).result()
        assert found is not None
        assert found.outcome is not None
        assert found.outcome.http_status == 499


def test_a_text_with_a_nul_is_kept_without_it(ledgers: list[Ledger]) -> None:
    # PostgreSQL has no U+0000 in a text; a caller can put one into a path.
    request = submit(ledgers[0], path="a\0b")
    found = ledgers[1].get(request.id).result()
    assert found is not None
    assert found.submission.path == "a\ufffdb"
    assert ledgers[1].get("a\0b").result() is None


def test_a_machine_whose_clock_is_wrong_moves_no_lease(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    with Ledger(url) as right:
        submit(right)
        monkeypatch.setattr(time, "time", lambda: real() + 3600)
        with Ledger(url) as fast:
            (request,) = fast.claim("w", [ENDPOINT], 1).result().requests
            assert fast.reap().result().requeued == ()
            assert right.heartbeat([(request.id, request.attempt)]).result() == {
                request.id: Standing.ON
            }
            assert request.started_at is not None
            assert abs(request.started_at - real()) < 60


@pytest.mark.parametrize(
    "address", ["postgresql://me:hush@:no-port/x", "mysql://me:hush@host/x", "hush", "redis://hush"]
)
def test_an_address_that_will_not_do_is_not_repeated(address: str) -> None:
    with pytest.raises(BadDatabaseUrl) as refused:
        Ledger(address)
    assert "hush" not in str(refused.value)
    assert "LIMNER_DATABASE_URL" in str(refused.value)
