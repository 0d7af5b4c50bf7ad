"""The ledger's rules one by one, on a real SQLite file and on a real PostgreSQL."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from limner.errors import Refused
from limner.requests import outbox
from limner.requests.ledger import Ledger
from limner.requests.lifecycle import Cancellation, Standing, StepTaken
from limner.requests.request import Outcome, Request, Status, Submission
from limner.server import webhooks
from tests.requests.submitting import ENDPOINT, submit

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


def test_an_idempotency_key_may_be_as_long_as_a_head_can_hold(ledger: Ledger) -> None:
    """PostgreSQL's indexes take 2,704 bytes of a text that does not pack."""
    said = random.Random(0).randbytes(30_000).hex()
    first = submit(ledger, idempotency_key=said)
    assert submit(ledger, idempotency_key=said).id == first.id
    assert submit(ledger, idempotency_key=said[:-1]).id != first.id


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


def test_several_are_looked_at_together(ledger: Ledger) -> None:
    one, other = submit(ledger), submit(ledger)
    assert ledger.get_all([other.id, "none", one.id, other.id]).result() == [
        other, None, one, other,
    ]  # fmt: skip
    assert ledger.get_all([one.id]).result() == [one]
    assert ledger.get_all([]).result() == []


def test_no_outcome_comes_after_a_cancel_that_was_accepted(ledger: Ledger) -> None:
    submit(ledger, webhook_url="http://caller/hook")
    request = claim(ledger)
    assert ledger.cancel(request.id).result() is Cancellation.REQUESTED
    late = Outcome(200, {"a": 1}, files=("a.png",))
    assert ledger.finish(request.id, request.attempt, late).result() is False
    ended = ledger.get(request.id).result()
    assert ended is not None
    assert ended.outcome is not None
    assert (ended.status, ended.outcome.http_status, ended.outcome.files) == (Status.DONE, 499, ())


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
