"""Delivering the webhooks that the ledger owes: signed, retried, never lost.

The outbox row was written in the transaction of the outcome; here it is sent until the receiver
says 2xx. Retried: timeouts, network errors, any other status; a redirect and a private target are
final, as at fal, and so is an address that no host can have.
Knows the outbox and the safe door; knows no endpoint.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

import structlog

from limner.errors import DeadEnd, FileDownloadError, whereabouts
from limner.requests.ledger import Ledger
from limner.requests.outbox import Delivery
from limner.server.signing import Signer
from limner.server.watch import Watch
from limner.tracing import Tracing

log = structlog.get_logger(__name__)

#: fal's newer policy: 31 attempts, the first allowed 15 s, the others 120 s.
MAX_ATTEMPTS = 31
FIRST_TIMEOUT, RETRY_TIMEOUT = 15.0, 120.0

#: Seconds before attempt n+1: doubling from 1 s, at most 5 min. The ledger forgets a delivery with
#: the result, which ends the attempts of one that takes longer.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0

#: Deliveries under way at once.
AT_ONCE = 8

#: Seconds after which a delivery taken by a server that died is taken by another.
LEASE = RETRY_TIMEOUT + 30


class Post(Protocol):
    """The safe door's way out: refuses private targets, follows no redirect."""

    def __call__(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> int:
        """The receiver's status. Raises FileDownloadError when it cannot or must not be reached."""
        ...


class Webhooks:
    """Sends what is due until stopped."""

    def __init__(
        self,
        ledger: Ledger,
        signer: Signer,
        post: Post,
        watch: Watch,
        tracing: Tracing | None = None,
    ) -> None:
        self._tracing = tracing
        self._ledger = ledger
        self._signer = signer
        self._post = post
        self._watch = watch

    async def deliver_forever(self) -> None:
        """Send due deliveries; wake when the bell says that one was written."""
        under_way: set[asyncio.Task[None]] = set()
        with self._watch.listen("outbox") as heard:
            try:
                while True:
                    for delivery in await self._due(AT_ONCE - len(under_way)):
                        task = asyncio.create_task(self.deliver(delivery))
                        under_way.add(task)
                        task.add_done_callback(under_way.discard)
                        task.add_done_callback(lambda _: heard.wake())
                    await heard.next()
            finally:
                # What is under way stays owed; the next server sends it when its lease has ended.
                for task in under_way:
                    task.cancel()

    async def _due(self, free: int) -> list[Delivery]:
        if not free:
            return []
        try:
            return await asyncio.wrap_future(self._ledger.due(limit=free, lease=LEASE))
        except Exception as fault:  # noqa: BLE001 - a database in trouble; look again
            log.error("webhooks_not_read", fault=whereabouts(fault))
            return []

    async def deliver(self, delivery: Delivery) -> None:
        """Try once and write down what came of it."""
        began = time.time()
        status, error, final = await self._try(delivery)
        try:
            await self._trace(delivery, began, status, failed=error is not None)
            if error is None and status is not None:
                await asyncio.wrap_future(self._ledger.delivered(delivery.id, status))
                return
            final = final or delivery.attempts >= MAX_ATTEMPTS
            tell = log.warning if final else log.info
            tell("webhook_failed", request_id=delivery.request_id, status=status, final=final)
            pause = None if final else pause_after(delivery.attempts)
            await asyncio.wrap_future(
                self._ledger.failed(delivery.id, status, error or "", pause=pause)
            )
        except Exception as fault:  # noqa: BLE001 - it is sent again when its lease has ended
            log.error("webhook_not_written", fault=whereabouts(fault))

    async def _trace(
        self, delivery: Delivery, began: float, status: int | None, *, failed: bool
    ) -> None:
        """Tell a try as a span of the request's trace, where spans are asked for."""
        if self._tracing is None:
            return
        request = await asyncio.wrap_future(self._ledger.get(delivery.request_id))
        parent = request.submission.trace if request is not None else None
        who = {"request_id": delivery.request_id, "attempt": delivery.attempts, "status": status}
        span = self._tracing.begin("webhook", parent, who, at=began, kind="CLIENT")
        span.end("webhook_failed" if failed else None)

    async def _try(self, delivery: Delivery) -> tuple[int | None, str | None, bool]:
        """The receiver's status if it answered, what was wrong, and whether that is final."""
        timeout = FIRST_TIMEOUT if delivery.attempts <= 1 else RETRY_TIMEOUT
        headers = {
            "content-type": "application/json",
            "user-agent": "limner",
            **self._signer.headers(
                delivery.request_id, delivery.user_id, int(time.time()), delivery.body
            ),
        }
        try:
            status = await _on_a_thread(
                lambda: self._post(delivery.url, delivery.body, headers, timeout)
            )
        except FileDownloadError as problem:
            return None, problem.fact, isinstance(problem, DeadEnd)
        except Exception as fault:  # noqa: BLE001 - one bad delivery stops no other
            log.error("webhook_broke", fault=whereabouts(fault))
            return None, "The webhook could not be sent", False
        if 200 <= status < 300:
            return status, None, True
        return status, f"The receiver answered {status}", 300 <= status < 400


def pause_after(attempts: int) -> float:
    """Seconds before the next attempt."""
    return min(FIRST_PAUSE * 2 ** (attempts - 1), LONGEST_PAUSE)


async def _on_a_thread(post: Callable[[], int]) -> int:
    """Run ``post`` on a thread that nothing waits for: not other calls, not the end of the server.

    The loop's own threads are few, and a pool's are joined when the process ends; a receiver may
    hold a delivery for two minutes.
    """
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def settle(result: int | None, fault: Exception | None) -> None:
        if not done.done():
            done.set_exception(fault) if fault else done.set_result(result)

    def work() -> None:
        result, fault = None, None
        try:
            result = post()
        except Exception as raised:  # noqa: BLE001 - raised again where it is awaited
            fault = raised
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, fault)

    threading.Thread(target=work, name="webhook", daemon=True).start()
    return await done
