"""What other threads hand to the event loop: all of it arrives, and the loop is called once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from limner.requests.connections import Unreachable
from limner.requests.ledger import Ledger
from limner.requests.request import Request, Submission
from limner.server.crossing import Answers, Crossing
from limner.server.looks import Looks


def test_all_that_many_threads_put_in_arrives_in_the_order_of_each() -> None:
    landed: list[tuple[int, int]] = []

    async def cross() -> None:
        loop = asyncio.get_running_loop()
        crossing: Crossing[tuple[int, int]] = Crossing(landed.append)

        def put(thread: int) -> None:
            for number in range(2000):
                crossing.put(loop, (thread, number))

        threads = [threading.Thread(target=put, args=(each,)) for each in range(4)]
        for thread in threads:
            thread.start()
        async with asyncio.timeout(20):
            while len(landed) < 8000:
                await asyncio.sleep(0)

    asyncio.run(cross())
    for thread in range(4):
        assert [number for of, number in landed if of == thread] == list(range(2000))


def test_a_loop_that_is_busy_is_called_once_for_all_that_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    landed: list[int] = []
    called: list[Callable[..., object]] = []

    async def cross() -> None:
        loop = asyncio.get_running_loop()
        call = loop.call_soon_threadsafe

        def counted(callback: Callable[..., object], *given: object) -> asyncio.Handle:
            called.append(callback)
            return call(callback, *given)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        crossing: Crossing[int] = Crossing(landed.append)
        thread = threading.Thread(target=lambda: [crossing.put(loop, n) for n in range(10)])
        thread.start()
        thread.join()  # the loop does nothing meanwhile
        await asyncio.sleep(0)
        assert landed == list(range(10))
        crossing.put(loop, 10)
        await asyncio.sleep(0)

    asyncio.run(cross())
    assert (landed, len(called)) == (list(range(11)), 2)


def test_a_closed_loop_is_not_called() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    Crossing[int](lambda _: None).put(loop, 1)


def later(act: Callable[[], object]) -> None:
    """Do it on another thread, after the loop has begun to wait."""
    threading.Timer(0.05, act).start()


def test_an_answer_is_what_the_future_brings_or_raises() -> None:
    async def ask() -> int:
        answers = Answers()
        good: Future[int] = Future()
        later(lambda: good.set_result(7))
        bad: Future[int] = Future()
        later(lambda: bad.set_exception(Unreachable("gone")))
        there: Future[int] = Future()
        there.set_result(1)
        with pytest.raises(Unreachable, match="gone"):
            await answers.of(bad)
        return await answers.of(good) + await answers.of(there)

    assert asyncio.run(ask()) == 8


def test_who_waits_no_more_takes_the_question_back() -> None:
    async def ask() -> Future[int]:
        asked: Future[int] = Future()
        waiting = asyncio.ensure_future(Answers().of(asked))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return asked

    assert asyncio.run(ask()).cancelled()


class Counting(Ledger):
    """A ledger that remembers how it was looked at."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.looks: list[list[str]] = []
        self.fault: Exception | None = None

    def get_all(self, ids: Sequence[str]) -> Future[list[Request | None]]:
        """Look, or fail."""
        self.looks.append(list(ids))
        if self.fault is None:
            return super().get_all(ids)
        failed: Future[list[Request | None]] = Future()
        failed.set_exception(self.fault)
        return failed


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Counting]:
    with Counting(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


def test_what_is_looked_for_in_one_turn_of_the_loop_is_read_together(ledger: Counting) -> None:
    ids = [ledger.submit(Submission("a/b", {"n": n})).result().id for n in range(3)]

    async def look() -> None:
        looks = Looks(ledger)
        found = await asyncio.gather(*(looks.get(each) for each in [*ids, "none", ids[0]]))
        assert [each and each.submission.input for each in found] == [
            {"n": 0}, {"n": 1}, {"n": 2}, None, {"n": 0},
        ]  # fmt: skip
        assert await looks.get(ids[1]) == found[1]

    asyncio.run(asyncio.wait_for(look(), 20))
    assert ledger.looks == [[*ids, "none", ids[0]], [ids[1]]]


def test_one_who_waits_no_more_takes_nothing_from_the_others(ledger: Counting) -> None:
    request_id = ledger.submit(Submission("a/b", {})).result().id

    async def look() -> None:
        looks = Looks(ledger)
        gone, stays = (asyncio.ensure_future(looks.get(request_id)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        found = await stays
        assert found is not None
        assert found.id == request_id

    asyncio.run(asyncio.wait_for(look(), 20))


def test_a_database_that_is_away_is_told_to_all_who_look(ledger: Counting) -> None:
    ledger.fault = Unreachable("away")

    async def look() -> None:
        looks = Looks(ledger)
        told = await asyncio.gather(*(looks.get("x") for _ in range(3)), return_exceptions=True)
        assert told == [ledger.fault] * 3

    asyncio.run(asyncio.wait_for(look(), 20))
