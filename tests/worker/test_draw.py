"""What a drawing waits for, with a ledger that answers when the test says so."""

from __future__ import annotations

import threading
from collections.abc import Generator
from concurrent.futures import Future
from pathlib import Path

import pytest
from pydantic import BaseModel

from limner.endpoints.base import Endpoint, Pictures, Step, Workshop
from limner.files.disk import DiskStore
from limner.files.seals import Seals
from limner.requests.ledger import Ledger
from limner.requests.lifecycle import Standing, StepTaken
from limner.requests.request import Outcome, Request, Submission
from limner.stages.fetch import Door
from limner.worker import draw as drawing
from limner.worker.draw import Stopped, draw
from limner.worker.engines import Engines
from limner.worker.pictures import PictureRules, RequestPictures
from limner.worker.trace import Trace
from tests.rig.process import eventually


class Nothing(BaseModel):
    """No input and no output."""


class Stepping:
    """A stand-in for an engine: three steps."""

    def __init__(self) -> None:
        self.drawn = 0

    def draw(self, input: Nothing, pictures: Pictures) -> Generator[Step, None, Nothing]:  # noqa: ARG002
        for number in range(3):
            self.drawn += 1
            yield Step(f"step {number}")
        return Nothing()


ENGINE = Stepping()


def open_engine(_: Workshop) -> Stepping:
    """The engine of the running test."""
    return ENGINE


ENDPOINT = Endpoint(
    id="a/stepping",
    title="",
    category="",
    description="",
    input=Nothing,
    output=Nothing,
    engines={"sketch": f"{__name__}:open_engine"},
)


class Slow(Ledger):
    """A ledger that answers to steps only when the test says so."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.told: list[str] = []
        self.answers: list[Future[Standing]] = []
        self.asked = threading.Condition()

    def step(self, request_id: str, attempt: int, taken: StepTaken) -> Future[Standing]:
        """Keep the question."""
        del request_id, attempt
        with self.asked:
            self.told.append(taken.message)
            self.answers.append(Future())
            self.asked.notify()
            return self.answers[-1]

    def wait_for(self, steps: int) -> None:
        """Until so many steps were told."""
        with self.asked:
            assert self.asked.wait_for(lambda: len(self.told) >= steps, 10)


@pytest.fixture
def ledger(tmp_path: Path) -> Generator[Slow]:
    ENGINE.drawn = 0
    with Slow(f"sqlite:///{tmp_path / 'ledger.db'}") as it:
        yield it


def started(ledger: Slow, tmp_path: Path) -> Future[object]:
    """A drawing under way on a thread of its own; what came of it."""
    engines = Engines([ENDPOINT], "sketch", Workshop(networks=tmp_path, threads=1))
    door = Door(allow_private=False, max_bytes=1, timeout=1)
    request: Request = ledger.submit(Submission(ENDPOINT.id, {})).result()
    pictures = RequestPictures(
        request.submission, door, DiskStore(tmp_path / "files"), Seals(bytes(32)), PictureRules(60)
    )
    came: Future[object] = Future()

    def run() -> None:
        try:
            came.set_result(
                draw(request, engines, pictures, ledger, lambda: Standing.ON, Trace(None, request))
            )
        except Stopped as stopped:
            came.set_exception(stopped)

    threading.Thread(target=run, daemon=True).start()
    return came


def test_a_step_is_drawn_while_the_one_before_is_written(ledger: Slow, tmp_path: Path) -> None:
    came = started(ledger, tmp_path)
    ledger.wait_for(1)  # "Drawn by …" is told, and the first step drawn; it waits for the answer
    assert eventually(lambda: ENGINE.drawn == 1)
    with pytest.raises(TimeoutError):
        came.result(0.2)
    assert (ENGINE.drawn, len(ledger.told)) == (1, 1)
    ledger.answers[0].set_result(Standing.ON)
    ledger.wait_for(2)
    ledger.answers[1].set_result(Standing.CANCEL)
    with pytest.raises(Stopped) as stopped:
        came.result(10)
    assert stopped.value.standing is Standing.CANCEL
    assert ledger.told == ["Drawn by the sketch engine", "step 0"]


def test_an_outcome_does_not_wait_until_the_last_step_is_written(
    ledger: Slow, tmp_path: Path
) -> None:
    came = started(ledger, tmp_path)
    for number in range(3):
        ledger.wait_for(number + 1)
        ledger.answers[number].set_result(Standing.ON)
    outcome = came.result(10)
    assert isinstance(outcome, Outcome)
    assert (outcome.http_status, len(ledger.told)) == (200, 4)


def test_a_ledger_that_is_away_holds_a_drawing_up_once(
    ledger: Slow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "STEP_PATIENCE", 0.05)
    came = started(ledger, tmp_path)
    came.result(10)
    assert len(ledger.told) == 4
