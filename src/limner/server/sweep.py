"""Forgetting in time: what the ledger and the file store no longer may keep goes, and ends leases.

Runs beside the server so that it happens without anybody asking. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from limner.errors import whereabouts
from limner.files.store import FileStore, delete_own
from limner.requests.ledger import Ledger

log = structlog.get_logger(__name__)

#: Seconds between looks for lost workers and for starts that came too late.
REAP_EVERY = 0.5

#: Files deleted between two looks.
AT_ONCE = 500

#: Seconds after which a file that could not be deleted is tried again.
PAUSE = 1.0

#: Every how many looks the file store, which has to look at every file, is swept, and the
#: database's journal emptied, which holds what was deleted.
EXPIRE_EVERY = 20


async def sweep_forever(ledger: Ledger, files: FileStore) -> None:
    """Reap and expire until cancelled."""
    sweep = _Sweep(ledger, files)
    rounds = 0
    while True:
        await _tried(sweep.reap)
        # At every look: a sweep forgets so many at most, and must keep up with what ends.
        await _tried(sweep.forget)
        await _tried(sweep.compact)
        if rounds % EXPIRE_EVERY == 0:
            await _tried(sweep.expire)
            await _tried(sweep.scrub)
        rounds += 1
        await asyncio.sleep(REAP_EVERY)


async def _tried(step: Callable[[], Awaitable[None]]) -> None:
    """Do a step; one that fails is logged, tried again in the next round, and stops no other."""
    try:
        await step()
    except Exception as fault:  # noqa: BLE001 - a sweep that stops keeps faces for ever
        log.error("sweep_failed", step=step.__name__, fault=whereabouts(fault))


class _Sweep:
    """The steps of a round."""

    def __init__(self, ledger: Ledger, files: FileStore) -> None:
        self._ledger = ledger
        self._files = files

    async def reap(self) -> None:
        await asyncio.wrap_future(self._ledger.reap())

    async def forget(self) -> None:
        await asyncio.wrap_future(self._ledger.expire())
        going = await asyncio.wrap_future(self._ledger.leaving(limit=AT_ONCE))
        gone = 0
        try:
            for each in going:
                await asyncio.to_thread(delete_own, self._files, [each.name], each.owner)
                gone += 1
        except Exception:
            # Behind the others, whom it shall not hold up.
            await asyncio.wrap_future(self._ledger.put_off([going[gone]], pause=PAUSE))
            raise
        finally:
            if gone:
                await asyncio.wrap_future(self._ledger.left(going[:gone]))

    async def compact(self) -> None:
        await asyncio.wrap_future(self._ledger.compact())

    async def expire(self) -> None:
        await asyncio.to_thread(self._files.expire, time.time())

    async def scrub(self) -> None:
        await asyncio.to_thread(self._ledger.scrub)
