"""A running request's row keeps the latest preview and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from limner.requests.ledger import Ledger
from limner.requests.lifecycle import StepTaken
from limner.requests.request import Outcome, Request, Submission

ENDPOINT = "a/one"
FIRST, SECOND = b"first small picture", b"second small picture"
DONE = Outcome(200, {})


def running(ledger: Ledger, *previews: bytes | None, **said: bool) -> Request:
    """A request that took a step with each of the previews."""
    ledger.submit(Submission(ENDPOINT, {}, **said)).result()  # pyright: ignore[reportArgumentType]
    (request,) = ledger.claim("worker", [ENDPOINT], 1).result().requests
    for preview in previews:
        ledger.step(request.id, request.attempt, StepTaken("a step", preview=preview)).result()
    return request


def kept(ledger: Ledger, request: Request) -> bytes | None:
    found = ledger.get(request.id).result()
    assert found is not None
    return found.preview


def test_the_latest_preview_is_kept_and_a_step_without_one_leaves_it(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        request = running(ledger, FIRST, SECOND, None)
        assert kept(ledger, request) == SECOND


@pytest.mark.parametrize(
    "over",
    [
        lambda ledger, request: ledger.finish(request.id, request.attempt, DONE).result(),
        lambda ledger, request: ledger.release(request.id, request.attempt).result(),
    ],
    ids=["ended", "given back"],
)
def test_no_preview_outlives_the_running(
    tmp_path: Path, over: Callable[[Ledger, Request], object]
) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        request = running(ledger, FIRST)
        assert over(ledger, request)
        assert kept(ledger, request) is None
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert FIRST not in files  # SQLite overwrites what it deletes


def test_a_lost_workers_preview_goes_with_it(tmp_path: Path) -> None:
    now = [1000.0]
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", clock=lambda: now[0]) as ledger:
        request = running(ledger, FIRST)
        now[0] += 60
        assert ledger.reap().result().requeued == (request.id,)
        assert kept(ledger, request) is None


def test_no_preview_is_kept_of_a_request_of_which_nothing_may_be(tmp_path: Path) -> None:
    """X-Fal-Store-IO: 0."""
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        assert kept(ledger, running(ledger, FIRST, store_io=False)) is None
