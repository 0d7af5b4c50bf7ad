"""Delivering the webhooks that the ledger owes: signed, retried, never lost.

The outbox row was written in the transaction of the outcome; here it is sent until the receiver
says 2xx. Retried: timeouts, network errors, any other status; a redirect is final, as at fal.
Knows the outbox and the safe door; knows no endpoint.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

import structlog

from limner.errors import FileDownloadError
from limner.requests.ledger import Ledger
from limner.requests.outbox import Delivery
from limner.server.signing import Signer
from limner.server.watch import Watch

log = structlog.get_logger(__name__)

#: fal's newer policy: 31 attempts, the first allowed 15 s, the others 120 s.
MAX_ATTEMPTS = 31
FIRST_TIMEOUT, RETRY_TIMEOUT = 15.0, 120.0

#: Seconds before attempt n+1: doubling from 1 s, at most 5 min.
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

    def __init__(self, ledger: Ledger, signer: Signer, post: Post, watch: Watch) -> None:
        self._ledger = ledger
        self._signer = signer
        self._post = post
        self._watch = watch

    async def deliver_forever(self) -> None:
        """Send due deliveries; wake when the bell says that one was written."""
        under_way: set[asyncio.Task[None]] = set()
        with self._watch.listen("outbox") as heard:
            while True:
                free = AT_ONCE - len(under_way)
                if free:
                    due = await asyncio.wrap_future(self._ledger.due(limit=free, lease=LEASE))
                    for delivery in due:
                        task = asyncio.create_task(self._deliver(delivery))
                        under_way.add(task)
                        task.add_done_callback(under_way.discard)
                await heard.next()

    async def _deliver(self, delivery: Delivery) -> None:
        timeout = FIRST_TIMEOUT if delivery.attempts <= 1 else RETRY_TIMEOUT
        headers = {
            "content-type": "application/json",
            "user-agent": "limner",
            **self._signer.headers(
                delivery.request_id, delivery.user_id, int(time.time()), delivery.body
            ),
        }
        status: int | None = None
        try:
            status = await asyncio.to_thread(
                self._post, delivery.url, delivery.body, headers, timeout
            )
            error = None if 200 <= status < 300 else f"The receiver answered {status}"
        except FileDownloadError as problem:
            error = problem.msg
        if error is None and status is not None:
            await asyncio.wrap_future(self._ledger.delivered(delivery.id, status))
            return
        final = (status is not None and 300 <= status < 400) or delivery.attempts >= MAX_ATTEMPTS
        pause = min(FIRST_PAUSE * 2 ** (delivery.attempts - 1), LONGEST_PAUSE)
        log.info("webhook_failed", request_id=delivery.request_id, status=status, final=final)
        await asyncio.wrap_future(
            self._ledger.failed(delivery.id, status, error or "", pause=None if final else pause)
        )
