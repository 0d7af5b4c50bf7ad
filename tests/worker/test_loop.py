"""A worker in this process, so that a test can stop it between any two steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from pydantic import BaseModel

from limner.endpoints.base import Endpoint, Pictures, Step, Workshop
from limner.files.disk import DiskStore
from limner.requests.ledger import Ledger
from limner.requests.lifecycle import Standing, StepTaken
from limner.requests.request import Outcome, Request, Status, Submission
from limner.stages.fetch import Door
from limner.worker import draw
from limner.worker.engines import Engines
from limner.worker.loop import Worker, WorkerParts
from limner.worker.pictures import PictureRules
from tests.rig.process import eventually

HERE = "a/gated"


class Nothing(BaseModel):
    """No input and no output."""


class Gated:
    """A stand-in for an engine: the n-th drawing publishes, then waits at the n-th gate."""

    def __init__(self) -> None:
        self.gates: list[threading.Event] = []

    def draw(self, input: Nothing, pictures: Pictures) -> Generator[Step, None, Nothing]:  # noqa: ARG002
        gate = threading.Event()
        pictures.publish(b"a face", width=1, height=1)
        self.gates.append(gate)
        gate.wait(30)
        yield Step("through the gate")
        return Nothing()


ENGINE = Gated()


def open_engine(_: Workshop) -> Gated:
    """The engine of the running test."""
    return ENGINE


ENDPOINT = Endpoint(
    id=HERE,
    title="",
    category="",
    description="",
    input=Nothing,
    output=Nothing,
    engines={"sketch": "tests.worker.test_loop:open_engine"},
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger(url, lease=30) as opened:
        yield opened


@pytest.fixture
def engine() -> Iterator[Gated]:
    ENGINE.gates.clear()
    yield ENGINE
    for gate in ENGINE.gates:
        gate.set()


@contextmanager
def working(
    ledger: Ledger, files: Path | DiskStore, slots: int, lease: float = 30
) -> Generator[None]:
    """A worker at work while the block lasts."""
    store = files if isinstance(files, DiskStore) else DiskStore(files)
    worker = Worker(
        WorkerParts(
            ledger=ledger,
            files=store,
            door=Door(allow_private=False, max_bytes=1, timeout=1),
            engines=Engines([ENDPOINT], "sketch", Workshop(Path("unused"))),
            slots=slots,
            lease=lease,
            pictures=PictureRules(retention=60),
        )
    )
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        for gate in ENGINE.gates:
            gate.set()
        thread.join(30)
        assert not thread.is_alive()


class Unheard(Ledger):
    """A ledger from which nobody hears anything of a running request."""

    def step(self, request_id: str, attempt: int, taken: StepTaken) -> Future[Standing]:
        """Never answered."""
        super().step(request_id, attempt, taken).result()
        return Future()

    def hear(self, heard: Callable[[str], None]) -> AbstractContextManager[None]:
        """Nothing."""
        return super().hear(lambda topic: None if "cancel" in topic else heard(topic))


def submit(ledger: Ledger) -> str:
    return ledger.submit(Submission(HERE, {})).result().id


def now(ledger: Ledger, request_id: str) -> Request:
    found = ledger.get(request_id).result()
    assert found is not None
    return found


def until(look: Callable[[], bool]) -> None:
    assert eventually(look)


def test_what_is_drawn_after_its_cancel_is_thrown_away(
    url: str, engine: Gated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draw, "STEP_PATIENCE", 0.05)
    with Unheard(url, lease=30) as ledger, working(ledger, tmp_path / "files", slots=1):
        request_id = submit(ledger)
        until(lambda: len(engine.gates) == 1)
        ledger.cancel(request_id).result()
        engine.gates[0].set()
        until(lambda: now(ledger, request_id).status is Status.DONE)
        outcome = now(ledger, request_id).outcome
        assert outcome is not None
        assert (outcome.http_status, outcome.files) == (499, ())
        until(lambda: not list((tmp_path / "files").glob("[!.]*/*")))


def test_a_request_lost_and_claimed_again_by_the_same_worker_is_finished(
    ledger: Ledger, url: str, engine: Gated, tmp_path: Path
) -> None:
    """A laptop that slept: the lease ended, but the thread that had it wakes up again."""
    request_id = submit(ledger)
    with working(ledger, tmp_path / "files", slots=2):
        until(lambda: len(engine.gates) == 1)
        with Ledger(url, lease=30, clock=lambda: time.time() + 100) as later:
            assert later.reap().result().requeued == (request_id,)
        until(lambda: len(engine.gates) == 2)
        engine.gates[0].set()
        # The late thread finds that it has lost, and throws away what it made.
        until(lambda: len(list((tmp_path / "files").glob("[!.]*/*"))) == 1)
        assert now(ledger, request_id).status is Status.RUNNING
        engine.gates[1].set()
        until(lambda: now(ledger, request_id).status is Status.DONE)
    ended = now(ledger, request_id)
    assert (ended.attempt, ended.outcome and ended.outcome.http_status) == (2, 200)
    assert ended.outcome is not None
    assert [p.name for p in (tmp_path / "files").glob("[!.]*/*")] == list(ended.outcome.files)


def test_a_slot_that_is_free_is_filled_at_once(
    ledger: Ledger, engine: Gated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without its look every half second, only the wake of the freed slot brings the next request.
    monkeypatch.setattr("limner.worker.loop.FALLBACK", 20.0)
    waiting = [submit(ledger) for _ in range(20)]
    with working(ledger, tmp_path / "files", slots=1):
        for number in range(20):
            until(lambda number=number: len(engine.gates) > number)
            engine.gates[number].set()
        until(lambda: all(now(ledger, each).status is Status.DONE for each in waiting))


def test_a_cancel_between_two_steps_leaves_no_picture(
    ledger: Ledger, engine: Gated, tmp_path: Path
) -> None:
    request_id = submit(ledger)
    with working(ledger, tmp_path / "files", slots=1):
        until(lambda: len(engine.gates) == 1)
        ledger.cancel(request_id).result()
        engine.gates[0].set()
        until(lambda: now(ledger, request_id).status is Status.DONE)
        until(lambda: not list((tmp_path / "files").glob("[!.]*/*")))
    ended = now(ledger, request_id)
    assert ended.outcome is not None
    assert ended.outcome.http_status == 499


class FullDisk(Ledger):
    """A ledger that cannot write the first outcome."""

    refused = 0

    def finish(self, request_id: str, attempt: int, outcome: Outcome) -> Future[bool]:
        if self.refused:
            return super().finish(request_id, attempt, outcome)
        self.refused += 1
        failed: Future[bool] = Future()
        failed.set_exception(OSError(28, "No space left on device"))
        return failed


def test_an_outcome_that_could_not_be_written_is_drawn_again(
    url: str, engine: Gated, tmp_path: Path
) -> None:
    with FullDisk(url, lease=0.5) as ledger:
        request_id = submit(ledger)
        with working(ledger, tmp_path / "files", slots=1, lease=0.5):
            until(lambda: len(engine.gates) == 1)
            engine.gates[0].set()
            until(lambda: ledger.refused == 1)
            until(lambda: bool(ledger.reap().result().requeued))
            until(lambda: len(engine.gates) == 2)
            # What the first attempt had published is gone.
            assert len(list((tmp_path / "files").glob("[!.]*/*"))) == 1
            engine.gates[1].set()
            until(lambda: now(ledger, request_id).status is Status.DONE)
        assert now(ledger, request_id).attempt == 2


class SlowDisk(Ledger):
    """A ledger whose outcomes are written when the test says so."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.may = threading.Event()

    def finish(self, request_id: str, attempt: int, outcome: Outcome) -> Future[bool]:
        """Write it later."""
        written: Future[bool] = Future()

        def write() -> None:
            self.may.wait(30)
            written.set_result(super(SlowDisk, self).finish(request_id, attempt, outcome).result())

        threading.Thread(target=write).start()
        return written


def test_the_next_is_drawn_while_the_outcome_before_it_is_written(
    url: str, engine: Gated, tmp_path: Path
) -> None:
    with SlowDisk(url) as ledger:
        first, second = submit(ledger), submit(ledger)
        with working(ledger, tmp_path / "files", slots=1):
            for number in range(2):
                until(lambda number=number: len(engine.gates) > number)
                engine.gates[number].set()
            assert now(ledger, first).status is Status.RUNNING
            threading.Timer(0.3, ledger.may.set).start()
        # Its worker did not leave before both were written.
        assert {now(ledger, each).status for each in (first, second)} == {Status.DONE}


class TakenAway(DiskStore):
    """A store that takes its time to delete."""

    may = threading.Event()

    def delete(self, name: str) -> bool:
        """Wait for the test."""
        self.may.wait(30)
        return super().delete(name)


def test_a_store_that_is_slow_to_delete_holds_up_no_ledger(
    url: str, engine: Gated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draw, "STEP_PATIENCE", 0.05)
    store = TakenAway(tmp_path / "files")
    with Unheard(url) as ledger:
        cancelled = submit(ledger)
        with working(ledger, store, slots=1):
            until(lambda: len(engine.gates) == 1)
            ledger.cancel(cancelled).result()
            engine.gates[0].set()
            until(lambda: now(ledger, cancelled).status is Status.DONE)
            assert ledger.submit(Submission("an/other", {})).result(10)
            store.may.set()


class StuckStore(DiskStore):
    """A store from which nothing can be taken away, as on a disk that became read-only."""

    def delete(self, name: str) -> bool:
        raise OSError(30, "Read-only file system", name)


def test_a_request_whose_pictures_cannot_be_thrown_away_is_let_go_of(
    url: str, engine: Gated, tmp_path: Path
) -> None:
    """Else its lease would be renewed for ever, and nobody would draw it again."""
    with FullDisk(url, lease=0.5) as ledger:
        request_id = submit(ledger)
        store = StuckStore(tmp_path / "files")
        with working(ledger, store, slots=1, lease=0.5):
            until(lambda: len(engine.gates) == 1)
            engine.gates[0].set()
            until(lambda: ledger.refused == 1)
            until(lambda: bool(ledger.reap().result().requeued))
            until(lambda: len(engine.gates) == 2)
            engine.gates[1].set()
            until(lambda: now(ledger, request_id).status is Status.DONE)


def test_a_worker_told_to_stop_gives_back_what_it_holds(
    ledger: Ledger, engine: Gated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.worker.loop.GRACE", 0.1)
    held = [submit(ledger) for _ in range(2)]
    with working(ledger, tmp_path / "files", slots=2):
        until(lambda: len(engine.gates) == 2)
        stopping = threading.Timer(0.5, lambda: [gate.set() for gate in engine.gates])
        stopping.start()
    stopping.join()
    standing = [now(ledger, each) for each in held]
    # Either it finished in its last moments, or it waits at the head of the queue with its picture
    # thrown away; never in between.
    for request in standing:
        assert request.status in (Status.QUEUED, Status.DONE)
    kept = {p.name for p in (tmp_path / "files").glob("[!.]*/*")}
    told = {name for r in standing if r.outcome for name in r.outcome.files}
    assert kept == told
