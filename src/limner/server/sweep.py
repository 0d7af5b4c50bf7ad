"""Forgetting in time: what the ledger and the file store no longer may keep goes, and ends leases.

Runs beside the server so that it happens without anybody asking. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from limner.errors import whereabouts
from limner.files.store import FileStore, delete_own
from limner.requests.ledger import Ledger

log = structlog.get_logger(__name__)

#: Seconds between looks for lost workers and for starts that came too late.
REAP_EVERY = 0.5

#: Every how many looks the file store, which has to look at every file, is swept, and the
#: database's journal emptied, which holds what was deleted.
EXPIRE_EVERY = 20


async def sweep_forever(ledger: Ledger, files: FileStore) -> None:
    """Reap and expire until cancelled; a failed round is logged and the next one tried."""
    rounds = 0
    while True:
        try:
            await asyncio.wrap_future(ledger.reap())
            # At every look: a sweep forgets so many at most, and must keep up with what ends.
            for name, owner in await asyncio.wrap_future(ledger.expire()):
                await asyncio.to_thread(delete_own, files, [name], owner)
            await asyncio.wrap_future(ledger.compact())
            if rounds % EXPIRE_EVERY == 0:
                await asyncio.to_thread(files.expire, time.time())
                await asyncio.to_thread(ledger.scrub)
        except Exception as fault:  # noqa: BLE001 - a sweep that stops keeps faces for ever
            log.error("sweep_failed", fault=whereabouts(fault))
        rounds += 1
        await asyncio.sleep(REAP_EVERY)
