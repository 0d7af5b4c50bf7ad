"""Callers share the device by work, short ones of one caller go first, and none waits for ever."""

from __future__ import annotations

from collections import Counter

from limner.diffusion.denoiser.fairness import Fairness, Waiting


def arrived(
    fairness: Fairness,
    live: list[Waiting],
    caller: str,
    steps: int,
    cost: float = 1.0,
    rows: int = 2,
) -> Waiting:
    due = fairness.arrive(caller, cost * steps, {each.caller for each in live})
    live.append(Waiting(caller, due, "one network", rows, cost, 0))
    return live[-1]


def stepped(fairness: Fairness, live: list[Waiting], places: int = 2) -> list[Waiting]:
    chosen = fairness.choose(live, lambda _: places)
    fairness.charge(chosen)
    for each in chosen:
        each.taken += 1
    return chosen


def test_callers_get_equal_work_however_many_and_however_large_their_requests_are() -> None:
    fairness, live = Fairness(), list[Waiting]()
    for _ in range(5):
        arrived(fairness, live, "many", 1000)
    arrived(fairness, live, "one", 1000)
    arrived(fairness, live, "large", 1000, cost=4.0)
    work: Counter[str] = Counter()
    for _ in range(600):
        for each in stepped(fairness, live):
            work[each.caller] += int(each.cost)
    assert max(work.values()) - min(work.values()) <= 4


def test_of_one_callers_the_shorter_goes_first_even_if_it_came_later() -> None:
    fairness, live = Fairness(), list[Waiting]()
    arrived(fairness, live, "a", 100)
    stepped(fairness, live)
    short = arrived(fairness, live, "a", 5)
    assert [stepped(fairness, live)[0] for _ in range(5)] == [short] * 5


def test_a_long_one_is_overtaken_only_for_as_long_as_it_takes_itself() -> None:
    """A short one comes at every second step, for ever: it is due later and later."""
    fairness, live = Fairness(), list[Waiting]()
    long = arrived(fairness, live, "a", 100)
    for step in range(1000):
        if step % 2 == 0:
            arrived(fairness, live, "a", 2)
        stepped(fairness, live)
        live = [each for each in live if each.taken < (100 if each is long else 2)]
        if long not in live:
            assert step <= 2 * 100 + 2
            return
    raise AssertionError("The long one never came to its end.")


def test_who_comes_back_after_a_pause_has_saved_nothing_up() -> None:
    fairness, live = Fairness(), list[Waiting]()
    arrived(fairness, live, "busy", 1000)
    for _ in range(100):
        stepped(fairness, live)
    arrived(fairness, live, "back", 1000)
    work = Counter(stepped(fairness, live)[0].caller for _ in range(50))
    assert abs(work["busy"] - work["back"]) <= 1


def test_a_call_is_filled_up_with_others_of_its_company_and_with_no_others() -> None:
    fairness, live = Fairness(), list[Waiting]()
    first = arrived(fairness, live, "a", 10)
    other = arrived(fairness, live, "b", 10)
    other.company = "another network"
    unguided = arrived(fairness, live, "c", 10, rows=1)
    too_many = arrived(fairness, live, "d", 10, rows=2)
    assert fairness.choose(live, lambda _: 3) == [first, unguided]
    assert fairness.choose(live, lambda _: 8) == [first, unguided, too_many]
    assert fairness.choose(live, lambda _: 1) == [first], "a pair in two calls of one row"


def test_what_came_together_goes_abreast() -> None:
    fairness, live = Fairness(), list[Waiting]()
    due = fairness.arrive("a", 30, set())
    live = [Waiting("a", due, "one network", 2, 1.0, 0) for _ in range(3)]
    for _ in range(6):
        stepped(fairness, live)
    assert [each.taken for each in live] == [2, 2, 2]


def test_who_is_gone_is_not_kept_in_the_books() -> None:
    fairness = Fairness()
    fairness.arrive("busy", 1.0, set())
    for number in range(100):
        fairness.arrive(str(number), 1.0, {"busy"})
    assert len(fairness._used) <= 2
