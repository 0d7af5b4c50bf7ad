"""The simulated fleet against queueing theory, the ledger, and sums done by hand."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.fleet import Demand
from bench.simulation import LEASE, Day, Fleet, Job, Queue, Seen
from bench.step_times import FACE_ID, STICKER, Kind, kinds

from limner.requests.ledger import Ledger
from limner.requests.request import Submission

#: One step a second, whoever draws with it; nothing before and nothing after.
SECOND = Kind("second", 1, 1, ((1, 1000.0),), 0.0, 0.0, 0.0, 0.0)


def poisson(rate: float, number: int, *, exponential: bool, seed: int = 3) -> Iterator[Job]:
    """Requests at random times, with a second's work each, or a second's on average."""
    chance = random.Random(seed)
    at = 0.0
    for _ in range(number):
        at += chance.expovariate(rate)
        yield Job(SECOND, at, chance.expovariate(1.0) if exponential else 1.0)


def mean(values: list[float]) -> float:
    """Their mean."""
    return sum(values) / len(values)


def recursion(workers: int, jobs: Iterator[Job]) -> list[float]:
    """Each job's wait by Kiefer and Wolfowitz (1955): who is free first takes the next."""
    free = [0.0] * workers
    waits: list[float] = []
    for job in jobs:
        begins = max(heapq.heappop(free), job.at)
        waits.append(begins - job.at)
        heapq.heappush(free, begins + job.steps)
    return waits


@pytest.mark.parametrize(("workers", "load"), [(1, 0.6), (3, 0.7), (8, 0.7)])
def test_every_wait_is_the_recursions_and_their_mean_is_erlangs(workers: int, load: float) -> None:
    """M/M/c: the Erlang C formula (1917)."""
    offered = workers * load
    terms = [offered**n / math.factorial(n) for n in range(workers)]
    last = offered**workers / math.factorial(workers) / (1 - load)
    expected = last / (sum(terms) + last) / (workers - offered)

    seen = Day(Fleet(workers, 1)).run(poisson(offered, 60_000, exponential=True))
    waits = recursion(workers, poisson(offered, 60_000, exponential=True))
    # The times of what ended earlier are told earlier: as sets they are the same.
    assert sorted(seen.waits["second"]) == pytest.approx(sorted(waits), abs=1e-5)
    # 60,000 that depend on each other are worth some 1,500 that do not.
    assert mean(seen.waits["second"]) == pytest.approx(expected, rel=0.12)
    assert seen.busy / seen.until == pytest.approx(offered, rel=0.02)


def test_the_mean_wait_with_equal_work_is_half_of_that() -> None:
    """M/D/1: Pollaczek and Khinchine (1930)."""
    load = 0.7
    seen = Day(Fleet(1, 1)).run(poisson(load, 60_000, exponential=False))
    assert mean(seen.waits["second"]) == pytest.approx(load / (2 * (1 - load)), rel=0.05)


def test_littles_law_holds_through_failures() -> None:
    """L = λW: counted over time on one side, over requests on the other (1961)."""
    fleet = Fleet(4, 2, between_failures=200.0, repair=20.0)
    seen = Day(fleet).run(poisson(2.0, 5_000, exponential=True))
    assert seen.failures > 10
    assert seen.drawn_again > 10
    assert len(seen.times["second"]) == 5_000
    assert seen.inside == pytest.approx(sum(seen.times["second"]))


def test_two_in_a_batch_advance_together_and_slower() -> None:
    pair = Kind("pair", 2, 10, ((2, 1000.0), (4, 1500.0)), 0.0, 0.0, 0.0, 0.0)
    seen = Day(Fleet(1, 2)).run([Job(pair, 0.0, 10), Job(pair, 5.0, 10)])
    # The first does 5 steps alone, then 5 at 1.5 s; the second does 5 of those, then 5 alone.
    assert seen.times["pair"] == pytest.approx([12.5, 12.5])
    assert seen.until == pytest.approx(17.5)


def test_what_a_lost_worker_held_is_drawn_by_another_after_the_lease() -> None:
    fleet = Fleet(2, 1, between_failures=40.0, repair=1e6)
    seen = Day(fleet, seed=1).run([Job(SECOND, 0.0, 30), Job(SECOND, 0.0, 5)])
    assert (seen.failures, seen.drawn_again) == (1, 1)
    # The other one is free by then: it waits for the lease alone, and is drawn from its beginning.
    failed = max(seen.times["second"]) - 30 - LEASE
    assert 0 < failed < 30


def test_weights_are_opened_where_they_are_not_and_found_where_they_are() -> None:
    heavy = Kind("heavy", 1, 1, ((1, 1000.0),), 0.0, 4.0, 0.0, 0.0)
    jobs = [Job(heavy, 10.0 * n, 1, base=base) for n, base in enumerate([0, 0, 1, 0, 2, 1])]
    seen = Day(Fleet(1, 1)).run(jobs)
    # Two stay open: 0, then 0 and 1; 2 puts 1 out, which was used before 0; 1 is opened again.
    assert seen.times["heavy"] == [5.0, 1.0, 5.0, 1.0, 5.0, 5.0]
    assert seen.opened == 4


def test_a_request_is_left_to_who_has_its_weights_as_long_as_opening_costs_more() -> None:
    heavy = Kind("heavy", 1, 1, ((1, 1000.0), (2, 2000.0)), 0.0, 4.0, 0.0, 0.0)

    def day(opening: int) -> Seen:
        fleet = Fleet(2, 2, opening=opening)
        return Day(fleet).run([Job(heavy, 0.0, 6), Job(heavy, 5.0, 6)])

    # Opened in 4 s. The first joins at 4, the second at 5: 1 step is done, 5 take 2 s, 1 is left.
    shared = day(opening=2)
    assert shared.times["heavy"] == pytest.approx([15.0, 11.0])
    assert shared.opened == 1
    apart = day(opening=0)
    assert apart.times["heavy"] == pytest.approx([10.0, 10.0])
    assert apart.opened == 2


def test_its_queue_goes_as_the_ledgers(tmp_path: Path) -> None:
    chance = random.Random(8)
    queue = Queue()
    waiting = 0
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        for number in range(300):
            if chance.random() < 0.6 or not waiting:
                kind = chance.choice([FACE_ID, STICKER])
                key = chance.choice([1, 1, 1, 2, 3])
                said = Submission(kind.name, {"number": number}, key_id=f"key-{key}")
                ledger.submit(said).result()
                queue.add(Job(kind, 0.0, 1, key=key, number=number))
                waiting += 1
            else:
                (claimed,) = ledger.claim("w", [FACE_ID.name, STICKER.name], 1).result().requests
                taken = queue.take()
                assert taken is not None
                assert claimed.submission.input["number"] == taken.number
                waiting -= 1


def test_a_table_that_is_handed_over_takes_the_place_of_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "steps.json").write_text('{"sticker": {"8": 100, "2": 40}}')
    face_id, sticker = kinds(tmp_path / "steps.json")
    assert face_id == FACE_ID
    assert [sticker.seconds(rows) for rows in (2, 5, 8, 14)] == pytest.approx(
        [0.040, 0.070, 0.100, 0.160]
    )


def test_a_day_has_its_requests_and_its_curve() -> None:
    jobs = list(Demand(20_000, FACE_ID, STICKER).jobs())
    assert len(jobs) == 20_000
    assert jobs == sorted(jobs, key=lambda job: job.at)
    # 1 + 0.6 sin: over the first half of the day its mean is 1 + 0.6 · 2/π, of 2 in all.
    first = sum(job.at < 43_200 for job in jobs) / len(jobs)
    assert first == pytest.approx((1 + 0.6 * 2 / math.pi) / 2, abs=0.01)
