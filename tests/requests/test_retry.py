"""Submitting an ended request again, and what goes with a request that is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.errors import Refused
from limner.files.store import reserve
from limner.requests.ledger import Ledger
from limner.requests.lifecycle import CANCELLED
from limner.requests.request import Outcome, Priority, Request, Submission
from limner.requests.retry import again

ENDPOINT = "a/one"
PHOTO = reserve("me.jpg")


def at(name: str) -> str:
    """A file's address as a caller was told it, by some other host name."""
    return f"https://limner.example:8443/v3.fal.media/files/{name}?x=1"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as it:
        yield it


def ended(ledger: Ledger, outcome: Outcome, **said: object) -> Request:
    """A request that a worker brought to ``outcome``."""
    input = said.pop("input", {"n": 0.1})
    ledger.submit(Submission(ENDPOINT, input, **said)).result()  # pyright: ignore
    (claimed,) = ledger.claim("worker", [ENDPOINT], 1).result().requests
    assert ledger.finish(claimed.id, claimed.attempt, outcome).result()
    return kept(ledger, claimed.id)


def kept(ledger: Ledger, request_id: str) -> Request:
    request = ledger.get(request_id).result()
    assert request is not None
    return request


def refusal(request: Request, *, has: bool = True) -> Refused:
    with pytest.raises(Refused) as refused:
        again(request, lambda _: has)
    return refused.value


@pytest.mark.parametrize("end", [Outcome(200, {}), Outcome(500, {}), Outcome(422, {}), CANCELLED])
def test_however_a_request_ended_its_input_and_settings_are_submitted_again(
    ledger: Ledger, end: Outcome
) -> None:
    settings = {
        "key_id": "k",
        "priority": Priority.LOW,
        "webhook_url": "https://example.com/hook",
        "file_lifetime": 60.0,
        "files_base": "https://limner.example",
    }
    old = ended(ledger, end, start_by=9e9, idempotency_key="once", **settings)
    new = ledger.submit(again(old, lambda _: True)).result()
    assert new.id != old.id
    assert new.submission == Submission(ENDPOINT, {"n": 0.1}, **settings)  # pyright: ignore
    assert kept(ledger, old.id) == old


def test_a_request_that_was_cancelled_while_it_waited_can_be_retried(ledger: Ledger) -> None:
    waiting = ledger.submit(Submission(ENDPOINT, {"n": 1})).result()
    ledger.cancel(waiting.id).result()
    assert again(kept(ledger, waiting.id), lambda _: True) == waiting.submission


def test_what_has_not_ended_or_was_refused_at_the_door_is_not_retried(ledger: Ledger) -> None:
    said = Submission(ENDPOINT, {"n": 1}, path="no-such-path")
    assert refusal(ledger.submit(said).result()).status == 409
    at_the_door = ledger.submit(said, ended=Outcome(404, {})).result()
    assert refusal(at_the_door).status == 409


def test_a_request_whose_input_is_gone_says_so(ledger: Ledger) -> None:
    unstored = refusal(ended(ledger, Outcome(200, {}), store_io=False))
    swept = refusal(ended(ledger, Outcome(200, {}), input={"deep": [at(PHOTO)]}), has=False)
    for gone in (unstored, swept):
        assert (gone.status, gone.error_type) == (410, "input_gone")
    # Nobody looks for what is on another's server.
    far = ended(ledger, Outcome(200, {}), input={"image_url": "https://example.com/me.jpg"})
    assert again(far, lambda _: False) == far.submission


def test_an_upload_is_deleted_with_the_last_request_that_has_it(ledger: Ledger) -> None:
    photo = {"image_url": at(PHOTO)}
    first = ended(ledger, Outcome(200, {}, files=("made",)), input=photo)
    second = ended(ledger, Outcome(200, {}), input=photo)
    assert ledger.delete(first.id).result() == ("made",)
    assert ledger.delete(second.id).result() == (PHOTO,)
    # A picture that one request made and another was given belongs to the one that made it.
    drawn = ended(ledger, Outcome(200, {}, files=(PHOTO,)))
    redrawn = ended(ledger, Outcome(200, {}), input=photo)
    assert ledger.delete(redrawn.id).result() == ()
    assert ledger.delete(drawn.id).result() == (PHOTO,)
