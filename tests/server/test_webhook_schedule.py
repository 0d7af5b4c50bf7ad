"""When a webhook is sent again, and when never: fal's newer policy (wire.md 6).

Hours pass here, so time is the test's own; the ledger, the signature and the loop are real. What
receivers see on the wire is in tests/compat/test_webhooks.py.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest

from limner.errors import FileDownloadError, NotPublic
from limner.requests.ledger import Ledger
from limner.requests.outbox import Delivery
from limner.requests.request import Outcome, Submission
from limner.server.signing import Signer
from limner.server.watch import Watch
from limner.server.webhooks import AT_ONCE, LEASE, RETRY_TIMEOUT, Post, Webhooks
from limner.stages.addresses import resolve
from limner.stages.fetch import Door

HOOK = "http://receiver.example/hook"


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Receiver:
    """A stand-in for the network: answers as told, and keeps how long it was given each time."""

    def __init__(self, answer: int | Exception) -> None:
        self.answer = answer
        self.timeouts: list[float] = []
        self.signed: list[Mapping[str, str]] = []

    def __call__(
        self,
        url: str,  # noqa: ARG002
        body: bytes,  # noqa: ARG002
        headers: Mapping[str, str],
        timeout: float,
    ) -> int:
        self.timeouts.append(timeout)
        self.signed.append(headers)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger(url, lease=10, retention=3600, clock=clock) as opened:
        yield opened


def owe(ledger: Ledger, hook: str = HOOK) -> str:
    """A request that ended, and whose webhook is owed."""
    said = Submission("a/one", {}, webhook_url=hook)
    return ledger.submit(said, ended=Outcome(200, {"made": 1})).result().id


def state(ledger: Ledger, request_id: str) -> Delivery | None:
    return next(iter(ledger.deliveries(request_id).result()), None)


def attempt_all(ledger: Ledger, clock: Clock, receiver: Post, request_id: str) -> list[float]:
    """Deliver until nothing is owed, as time goes by; the pauses between attempts in seconds."""
    webhooks = Webhooks(ledger, Signer(bytes(32)), receiver, Watch())
    pauses: list[float] = []
    while True:
        ledger.expire().result()
        for delivery in ledger.due(limit=5, lease=LEASE).result():
            asyncio.run(webhooks.deliver(delivery))
        owed = state(ledger, request_id)
        if owed is None or owed.due_at is None:
            return pauses
        pauses.append(owed.due_at - clock.now)
        clock.now = owed.due_at


@pytest.mark.parametrize("trouble", [500, 404, 429, 100, FileDownloadError("cannot be found")])
def test_it_is_tried_with_growing_pauses_until_the_result_is_forgotten(
    ledger: Ledger, clock: Clock, trouble: int | Exception
) -> None:
    receiver, begun = Receiver(trouble), clock.now
    pauses = attempt_all(ledger, clock, receiver, owe(ledger))
    assert pauses[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert set(pauses[10:]) == {300}
    # 511 s of doubling, then every 300 s of the hour that the result is kept.
    assert clock.now - begun == 511 + 300 * len(pauses[9:])
    assert 3600 <= clock.now - begun < 3600 + 300
    # The first attempt is given 15 s, the others 120 s.
    assert receiver.timeouts == [15] + [120] * (len(receiver.timeouts) - 1)
    assert len(receiver.timeouts) == len(pauses)


def test_there_are_31_attempts_at_most(tmp_path: Path, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path / 'long.db'}"
    with Ledger(url, retention=10**6, clock=clock) as ledger:
        receiver = Receiver(500)
        attempt_all(ledger, clock, receiver, request_id := owe(ledger))
        assert len(receiver.timeouts) == 31
        given_up = state(ledger, request_id)
        assert given_up is not None
        assert (given_up.due_at, given_up.last_status, given_up.delivered_at) == (None, 500, None)


@pytest.mark.parametrize("final", [301, 302, 307, 399, NotPublic("not on the public internet")])
def test_redirects_and_private_targets_are_final(
    ledger: Ledger, clock: Clock, final: int | Exception
) -> None:
    receiver = Receiver(final)
    assert attempt_all(ledger, clock, receiver, owe(ledger)) == []
    assert len(receiver.timeouts) == 1


#: Addresses that no host can have, and what is told of each.
NO_HOSTS = {
    "http://receiver..example/hook": "The host receiver..example cannot be found.",
    f"http://{'a' * 64}.example/hook": f"The host {'a' * 64}.example cannot be found.",
    "http://the receiver/hook": "The host the%20receiver cannot be found.",
    "http://receiver.invalid/hook": "The host receiver.invalid cannot be found.",
    "http://999.1.1.1/hook": "The URL cannot be read.",
    "http://me:secret@8.8.8.8/hook": "The URL holds credentials.",
    "http://10.0.0.1/hook": "The host 10.0.0.1 is not on the public internet, and this server does "
    "not call private addresses.",
}


@pytest.mark.parametrize("hook", NO_HOSTS)
def test_what_can_never_arrive_is_given_up_at_once(ledger: Ledger, clock: Clock, hook: str) -> None:
    door = Door(allow_private=False, max_bytes=1, timeout=5)
    request_id = owe(ledger, hook)
    assert attempt_all(ledger, clock, door.post, request_id) == []
    given_up = state(ledger, request_id)
    assert given_up is not None
    assert (given_up.attempts, given_up.last_error) == (1, NO_HOSTS[hook])
    # Its log is of the drawing: the last line is what fal's clients show.
    assert ledger.logs(request_id).result() == []


@pytest.mark.parametrize(
    "host", ["receiver.example", "my_service", "münchen.example", "a-.example"]
)
def test_a_name_that_may_be_found_later_is_tried_again(
    ledger: Ledger, clock: Clock, host: str
) -> None:
    def silent(host: str, port: int) -> list[str]:
        raise OSError("temporary failure in name resolution")

    door = Door(allow_private=False, max_bytes=1, timeout=5, resolver=silent)
    assert len(attempt_all(ledger, clock, door.post, owe(ledger, f"http://{host}/hook"))) > 10


def test_what_the_machine_knows_by_a_name_of_its_own_is_reached() -> None:
    # Names are judged only when nobody knows them: a hosts file may hold anything.
    found = resolve("http://a..b/", allow_private=False, resolver=lambda *_: ["8.8.8.8"])
    assert found.addresses == ("8.8.8.8",)


def test_a_deleted_request_is_told_nothing(ledger: Ledger) -> None:
    request_id = owe(ledger)
    (delivery,) = ledger.due(limit=5, lease=LEASE).result()
    ledger.delete(request_id).result()
    asyncio.run(Webhooks(ledger, Signer(bytes(32)), Receiver(302), Watch()).deliver(delivery))
    assert ledger.logs(request_id).result() == []


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_delivered(ledger: Ledger, clock: Clock, status: int) -> None:
    request_id = owe(ledger)
    assert attempt_all(ledger, clock, Receiver(status), request_id) == []
    told = state(ledger, request_id)
    assert told is not None
    assert json.loads(told.body) == {
        "request_id": request_id,
        "gateway_request_id": request_id,
        "status": "OK",
        "payload": {"made": 1},
    }
    assert (told.last_status, told.delivered_at) == (status, clock.now)


def test_a_delivery_again_is_signed_anew_and_says_the_same(ledger: Ledger, clock: Clock) -> None:
    # Receivers refuse a timestamp older than 300 s, so an old signature would never be taken.
    receiver, request_id = Receiver(200), owe(ledger)
    attempt_all(ledger, clock, receiver, request_id)
    before = state(ledger, request_id)
    assert ledger.redeliver(request_id).result() == 1
    attempt_all(ledger, clock, receiver, request_id)
    after = state(ledger, request_id)
    assert before is not None
    assert after is not None
    assert (len(receiver.timeouts), after.body) == (2, before.body)
    stamps = [float(headers["X-Fal-Webhook-Timestamp"]) for headers in receiver.signed]
    assert all(abs(stamp - time.time()) < 300 for stamp in stamps)


def test_a_lease_outlives_the_longest_attempt() -> None:
    # Else a second server would send what the first is still sending.
    assert LEASE > RETRY_TIMEOUT


# The loop


def in_the_loop(ledger: Ledger, post: Receiver, seconds: float = 10) -> None:
    """Run the real loop until the receiver was asked, then end it."""

    async def serve() -> None:
        watch = Watch()
        watch.attach()
        loop = asyncio.create_task(
            Webhooks(ledger, Signer(bytes(32)), post, watch).deliver_forever()
        )
        async with asyncio.timeout(seconds):
            while not post.timeouts:
                await asyncio.sleep(0.01)
        loop.cancel()

    asyncio.run(serve())


class InTrouble(Ledger):
    """A ledger whose database is in trouble the first time it is asked what is due."""

    asked = 0

    def due(self, *, limit: int, lease: float) -> Future[list[Delivery]]:
        self.asked += 1
        if self.asked == 1:
            broken: Future[list[Delivery]] = Future()
            broken.set_exception(OSError("disk I/O error"))
            return broken
        return super().due(limit=limit, lease=lease)


def test_a_database_in_trouble_does_not_end_the_deliveries(tmp_path: Path) -> None:
    with InTrouble(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        owe(ledger)
        in_the_loop(ledger, receiver := Receiver(200))
        assert (ledger.asked > 1, len(receiver.timeouts)) == (True, 1)


def test_a_post_that_breaks_stops_no_other(ledger: Ledger, clock: Clock) -> None:
    request_id = owe(ledger)
    in_the_loop(ledger, Receiver(UnicodeEncodeError("latin-1", "é", 0, 1, "no")))
    owed = state(ledger, request_id)
    assert owed is not None
    assert owed.due_at is not None  # it is still owed
    clock.now = owed.due_at + LEASE
    in_the_loop(ledger, Receiver(200))


def test_silent_receivers_hold_neither_other_calls_nor_the_end(ledger: Ledger) -> None:
    for _ in range(AT_ONCE):
        owe(ledger)
    let_go, held, outlasted = threading.Event(), threading.Semaphore(0), threading.Event()

    def silent(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> int:
        held.release()
        if not let_go.wait(20):
            outlasted.set()
        return 200

    async def serve() -> None:
        watch = Watch()
        watch.attach()
        loop = asyncio.create_task(
            Webhooks(ledger, Signer(bytes(32)), silent, watch).deliver_forever()
        )
        for _ in range(AT_ONCE):
            while not held.acquire(blocking=False):
                await asyncio.sleep(0.01)
        # The threads that everything else uses are free.
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(lambda: "free") == "free"
        loop.cancel()

    asyncio.run(serve())
    # The loop has ended, and every receiver is as silent as before.
    assert not outlasted.is_set()
    let_go.set()
