"""Who gets which request next: keys take turns, limits hold, weights draw their requests."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from limner.requests.claiming import HINT_PATIENCE, OPENING
from limner.requests.fleet import Pace, Presence
from limner.requests.ledger import Ledger
from limner.requests.request import Outcome, Priority, Submission

ONE, TWO = "a/one", "a/two"
LEASE = 10.0


class Clock:
    """Time that passes when the test says so."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    with Ledger(url, lease=LEASE, clock=clock) as opened:
        yield opened


def submit(ledger: Ledger, endpoint: str = ONE, **said: object) -> str:
    return ledger.submit(Submission(endpoint, {}, **said)).result().id  # pyright: ignore


def claim(ledger: Ledger, worker: str = "w", limit: int = 1, *endpoints: str) -> list[str]:
    claimed = ledger.claim(worker, endpoints or (ONE,), limit).result().requests
    return [request.id for request in claimed]


def announce(ledger: Ledger, name: str, slots: int, *resident: str) -> None:
    ledger.announce(Presence(name, "cpu", (ONE,), slots, resident=resident)).result()


def test_keys_take_turns_however_much_one_of_them_submits(ledger: Ledger) -> None:
    much = [submit(ledger, key_id="much") for _ in range(5)]
    little = [submit(ledger, key_id="little") for _ in range(2)]
    places = [ledger.position(each).result() for each in [*much, *little]]
    assert places == [0, 2, 4, 5, 6, 1, 3]
    assert claim(ledger, "w", 9) == [much[0], little[0], much[1], little[1], *much[2:]]


def test_a_key_that_was_away_has_nothing_to_catch_up(ledger: Ledger) -> None:
    much = [submit(ledger, key_id="much") for _ in range(6)]
    assert claim(ledger, "w", 3) == much[:3]
    late = [submit(ledger, key_id="late") for _ in range(2)]
    assert claim(ledger, "w", 9) == [much[3], late[0], much[4], late[1], much[5]]


def test_of_two_endpoints_the_one_whose_first_came_first_goes_first(ledger: Ledger) -> None:
    ids = [submit(ledger, endpoint) for endpoint in (TWO, ONE, ONE, TWO, ONE)]
    urgent = submit(ledger, ONE)
    low = submit(ledger, TWO, priority=Priority.LOW)
    assert [claim(ledger, "w", 1, ONE, TWO)[0] for _ in range(7)] == [*ids, urgent, low]
    assert claim(ledger, "w", 1, ONE, TWO) == []


def test_of_requests_that_lost_a_worker_each_worker_holds_one(ledger: Ledger, clock: Clock) -> None:
    """One of them may be what ends its workers: the others must not be lost with it again."""
    lost = [submit(ledger), submit(ledger, TWO), submit(ledger, priority=Priority.LOW)]
    assert len(claim(ledger, "died", 3, ONE, TWO)) == 3
    fresh = [submit(ledger), submit(ledger)]
    clock.now += LEASE + 1
    assert len(ledger.reap().result().requeued) == 3
    assert claim(ledger, "w", 2, ONE, TWO) == [lost[0], fresh[0]]
    assert claim(ledger, "w", 9, ONE, TWO) == [fresh[1]]
    assert claim(ledger, "other", 9, ONE, TWO) == [lost[1]]
    # It waits for a worker that holds no other such; here, for the first to be done with its own.
    assert claim(ledger, "w", 9, ONE, TWO) == []
    assert ledger.finish(lost[0], 2, Outcome(200, {})).result()
    assert claim(ledger, "w", 9, ONE, TWO) == [lost[2]]


def test_a_claim_says_whether_more_may_be_had_as_soon_as_something_ends(
    ledger: Ledger, clock: Clock
) -> None:
    def more(worker: str, limit: int) -> tuple[int, bool]:
        claimed = ledger.claim(worker, [ONE, TWO], limit).result()
        return len(claimed.requests), claimed.more

    assert more("w", 1) == (0, False)
    submit(ledger)
    assert more("w", 2) == (1, False)
    for endpoint in (ONE, TWO, ONE):
        submit(ledger, endpoint)
    assert more("died", 2) == (2, True)
    assert more("w", 2) == (1, False)
    clock.now += LEASE + 1
    ledger.reap().result()
    # One of those that lost a worker is left until this worker has ended the other.
    assert more("w", 9) == (1, True)
    assert more("other", 9) == (1, True)
    assert more("third", 9) == (1, True)
    assert more("fourth", 9) == (1, True)
    assert more("w", 9) == (0, False)
    ledger.create_key("api", 1).result()
    assert more("w", 9) == (0, True)


def test_a_key_at_its_limit_is_stepped_over_until_one_of_its_ends(ledger: Ledger) -> None:
    key, _ = ledger.create_key("api", 1).result()
    mine = [submit(ledger, key_id=key) for _ in range(3)]
    other = submit(ledger, key_id="other")
    assert claim(ledger, "w", 4) == [mine[0], other]
    assert claim(ledger) == []
    assert ledger.finish(mine[0], 1, Outcome(200, {})).result()
    assert claim(ledger) == [mine[1]]


def test_a_request_is_left_a_moment_to_a_free_worker_that_has_its_weights(
    ledger: Ledger, clock: Clock
) -> None:
    announce(ledger, "has", 1, "a lora")
    announce(ledger, "has not", 1)
    hinted, plain = submit(ledger, hint="a lora"), submit(ledger)
    assert claim(ledger, "has not") == [plain]
    assert claim(ledger, "has") == [hinted]
    # Now that one is busy: anybody takes the next, at once.
    second = submit(ledger, hint="a lora")
    assert claim(ledger, "has not") == [second]
    ledger.finish(hinted, 1, Outcome(200, {})).result()
    third = submit(ledger, hint="a lora")
    assert claim(ledger, "has not") == []
    clock.now += HINT_PATIENCE + 0.01
    assert claim(ledger, "has not") == [third]


def test_a_request_goes_to_who_draws_the_fewest_where_opening_counts_as_some(
    ledger: Ledger, clock: Clock
) -> None:
    announce(ledger, "has", 8, "a lora")
    announce(ledger, "idle", 8)
    for _ in range(OPENING):
        mine = submit(ledger, hint="a lora")
        assert claim(ledger, "idle") == []
        assert claim(ledger, "has") == [mine]
    # To open costs what these do now: it is the same to both.
    either = submit(ledger, hint="a lora")
    assert claim(ledger, "has") == [either]
    opened = submit(ledger, hint="a lora")
    assert claim(ledger, "has") == []
    assert claim(ledger, "idle") == [opened]
    # It has them open now, once it says so, and draws fewer.
    announce(ledger, "idle", 8, "a lora")
    another = submit(ledger, hint="a lora")
    assert claim(ledger, "has") == []
    clock.now += HINT_PATIENCE + 0.01
    assert claim(ledger, "has") == [another]


def test_of_several_that_come_at_once_each_worker_takes_its_share(ledger: Ledger) -> None:
    announce(ledger, "one", 8, "a lora")
    announce(ledger, "two", 8, "a lora")
    wanted = [submit(ledger, hint="a lora") for _ in range(6)]
    taken: list[int] = []
    for worker in ("one", "two", "one", "two", "one"):
        taken.append(len(got := claim(ledger, worker, 8)))
        assert got == wanted[: len(got)]
        del wanted[: len(got)]
    # As many as the other, and one more.
    assert taken == [1, 2, 2, 1, 0]


def test_no_request_is_left_to_a_worker_of_other_endpoints_or_that_is_silent(
    ledger: Ledger, clock: Clock
) -> None:
    announce(ledger, "me", 8)
    claimed = submit(ledger)
    assert claim(ledger, "me") == [claimed]
    ledger.announce(Presence("another", "cpu", (TWO,), 8)).result()
    unlike = submit(ledger, hint="a lora")
    assert claim(ledger, "me") == [unlike]
    announce(ledger, "idle", 8)
    left = submit(ledger, hint="a lora")
    assert claim(ledger, "me") == []
    # The clock is set back, and "idle" dies: what it said is of a time that is to come.
    clock.now -= 7200
    assert claim(ledger, "me") == [left]
    later = submit(ledger, hint="a lora")
    assert claim(ledger, "me") == [later]
    # Nor is a request left for as long as its own time is to come.
    clock.now += 3600
    early = submit(ledger, hint="a lora")
    clock.now -= 3600
    announce(ledger, "idle", 8)
    assert claim(ledger, "me") == [early]


def test_nobody_waits_for_weights_that_no_living_worker_has(ledger: Ledger, clock: Clock) -> None:
    first = submit(ledger, hint="a lora")
    assert claim(ledger) == [first]
    announce(ledger, "dead", 1, "a lora")
    clock.now += 3 * LEASE + 1
    assert claim(ledger, "w", 1) == []
    second = submit(ledger, hint="a lora")
    assert claim(ledger) == [second]
    announce(ledger, "going", 1, "a lora")
    ledger.leave("going").result()
    third = submit(ledger, hint="a lora")
    assert claim(ledger) == [third]


def test_a_worker_is_seen_with_what_it_said_last(ledger: Ledger, clock: Clock) -> None:
    said = Presence(
        "w", "cuda:1", (ONE, TWO), 2, 5_000_000_000, 80_000_000_000, ("x", "y"), Pace(9, 4.5, 7, 8)
    )
    announce(ledger, "w", 1, "z")
    ledger.announce(said).result()
    submit(ledger)
    claim(ledger)
    (seen,) = ledger.workers().result()
    assert (seen.presence, seen.running, seen.started_at) == (said, 1, clock.now)
    clock.now += 3 * LEASE
    assert ledger.workers().result() == []


def test_a_long_queue_costs_no_more_than_a_short_one(tmp_path: Path) -> None:
    """Counted in steps of SQLite's virtual machine, which no busy machine changes."""
    spent: list[dict[str, int]] = []
    for depth in (200, 20_000):
        with Ledger(f"sqlite:///{tmp_path / f'{depth}.db'}") as ledger:
            for endpoint in (ONE, TWO):
                fill(ledger, endpoint, depth)
            ledger.compact().result()
            last = f"{ONE}-{depth - 1}"
            assert ledger.position(last).result() == depth - 1
            assert ledger.waiting(TWO).result() == depth
            spent.append(
                {
                    "submit": steps(ledger, lambda it: it.submit(Submission(ONE, {}))),
                    "claim": steps(ledger, lambda it: it.claim("w", [ONE], 1)),
                    "of both": steps(ledger, lambda it: it.claim("w", [ONE, TWO], 1)),
                    "waiting": steps(ledger, lambda it: it.waiting(ONE)),
                    "position": steps(ledger, lambda it, last=last: it.position(last)),
                }
            )
    shallow, deep = spent
    # A hundred times as long; a position also adds up 78 blocks of 256.
    assert {name: deep[name] < 2 * shallow[name] + 2000 for name in deep} == dict.fromkeys(
        deep, True
    )


def fill(ledger: Ledger, endpoint: str, depth: int) -> None:
    """``depth`` waiting requests of one key, in one statement."""
    statement = (
        "INSERT INTO requests (id, endpoint, path, key_id, priority, status, attempt, losses,"
        " cancel_requested, progress, input, no_retry, store_io, files_base, created_at, turn)"
        " WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n"
        f" WHERE i + 1 < {depth}) SELECT '{endpoint}-' || i, '{endpoint}', '', '', 0, 'queued',"
        " 0, 0, 0, 0, '{}', 0, 1, '', 0, i FROM n"
    )
    ledger._database.write(lambda c: c.exec_driver_sql(statement)).result()  # pyright: ignore


def steps(ledger: Ledger, operation: Callable[[Ledger], Future[Any]]) -> int:
    """How many steps of the virtual machine an operation takes, in tens."""
    counted = 0

    def step() -> int:
        nonlocal counted
        counted += 1
        return 0

    def watch(watching: bool) -> None:
        def run(connection: sa.Connection) -> None:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.set_progress_handler(step if watching else None, 10)

        database = ledger._database  # pyright: ignore[reportPrivateUsage]
        database.write(run).result()
        database.read(run).result()

    watch(True)
    operation(ledger).result()
    watch(False)
    return counted * 10
