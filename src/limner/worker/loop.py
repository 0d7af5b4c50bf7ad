"""A worker's life: claim, draw several at once, keep the leases, stop without losing anything.

Knows the ledger and the files; knows no HTTP and no engine.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from functools import partial

import structlog

from limner.errors import OUR_FAULT, whereabouts
from limner.files.seals import Seals
from limner.files.store import FileStore
from limner.requests.claiming import Claimed
from limner.requests.connections import Unreachable, Unwritable
from limner.requests.keyring import Secret
from limner.requests.ledger import Ledger
from limner.requests.lifecycle import CANCELLED, Standing
from limner.requests.request import Outcome, Request
from limner.stages.fetch import Door
from limner.tracing import Tracing
from limner.worker.announcing import Announcement
from limner.worker.draw import Stopped, draw, outcome_of
from limner.worker.engines import Engines
from limner.worker.pictures import PictureRules, RequestPictures
from limner.worker.trace import Trace

log = structlog.get_logger(__name__)

#: A request's id and which attempt at it: what a lease is on.
Attempt = tuple[str, int]

#: Without a bell, this is how often a worker looks for work, seconds.
FALLBACK = 0.5

#: Seconds that running requests get to finish when the worker is told to stop.
GRACE = 5.0


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """Everything a worker needs, already open."""

    ledger: Ledger
    files: FileStore
    door: Door
    engines: Engines
    #: Requests drawn at once.
    slots: int
    #: Seconds a lease lasts; it is renewed three times as often.
    lease: float
    pictures: PictureRules
    #: What it draws on, as the operator called it.
    device: str = "auto"
    #: None where nobody asks for traces.
    tracing: Tracing | None = None


class Worker:
    """Draws requests until told to stop."""

    def __init__(self, parts: WorkerParts) -> None:
        self._parts = parts
        self._seals = Seals(parts.ledger.secret(Secret.SEALS).result())
        # With some letters of its own: containers share names, and process ids come again.
        self.name = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(3).hex()}"
        self._announcement = Announcement(self.name, parts.device, parts.slots, parts.engines)
        #: By attempt: a request that was lost here may be claimed here again while the thread
        #: that lost it still draws.
        self._held: dict[Attempt, Standing | None] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        #: May a slot that gets free be filled at once?
        self._more = True
        self._stop = threading.Event()

    def stop(self) -> None:
        """Claim no more; finish or give back what is held. Safe in a signal handler."""
        self._stop.set()
        self._wake.set()

    def run(self) -> None:
        """Work until :meth:`stop`."""
        parts = self._parts
        self._announce()
        heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        heart.start()
        with (
            parts.ledger.hear(self._heard),
            ThreadPoolExecutor(parts.slots, thread_name_prefix="draw") as pool,
        ):
            running: set[Future[None]] = set()
            while not self._stop.is_set():
                self._wake.clear()  # before looking, so that nothing that comes later is missed
                self._more = True  # also of what ends while we look
                running = {future for future in running if not future.done()}
                claimed = self._claim(parts.slots - len(running))
                self._more = claimed.more
                for request in claimed.requests:
                    running.add(drawn := pool.submit(self._draw, request))
                    # Only now is its slot free; a wake from within the thread comes too early.
                    drawn.add_done_callback(self._drawn)
                self._wake.wait(FALLBACK)
            wait_for(running, timeout=GRACE)
            self._give_up()
        heart.join()
        self._leave()

    def _drawn(self, _: Future[None]) -> None:
        """A slot is free: look for what may have been left for it."""
        if self._more:
            self._wake.set()

    def _heard(self, topic: str) -> None:
        if topic == "queued":
            self._wake.set()
        elif topic.startswith("cancel:"):
            cancelled = topic.partition(":")[2]
            with self._lock:
                for attempt in self._held:
                    if attempt[0] == cancelled:
                        self._held[attempt] = Standing.CANCEL

    def _claim(self, free: int) -> Claimed:
        if free <= 0:
            return Claimed([], more=True)
        try:
            claimed = self._parts.ledger.claim(
                self.name, list(self._parts.engines.endpoints), free
            ).result()
        except Exception as fault:  # noqa: BLE001 - a database in trouble; look again
            log.error("claim_failed", fault=whereabouts(fault))
            time.sleep(FALLBACK)
            return Claimed([], more=True)
        with self._lock:
            for request in claimed.requests:
                self._held[request.id, request.attempt] = Standing.ON
        return claimed

    def _draw(self, request: Request) -> None:
        parts = self._parts
        pictures = RequestPictures(
            request.submission, parts.door, parts.files, self._seals, parts.pictures
        )
        outcome: Outcome | None = None
        trace = Trace(parts.tracing, request)
        try:
            outcome = draw(
                request, parts.engines, pictures, parts.ledger, self._standing_of(request), trace
            )
            if outcome.ok:
                self._announcement.drew(request.submission.hint)
        except Stopped as stopped:
            outcome = CANCELLED if stopped.standing is Standing.CANCEL else None
            if stopped.standing is None:
                self._give_back(request)
        except Exception as fault:  # noqa: BLE001 - the ledger itself failed; say so and go on
            log.error("draw_failed", request_id=request.id, fault=whereabouts(fault))
            outcome = outcome_of(OUR_FAULT)
        finally:
            trace.end(outcome)
            self._finish(request, outcome, pictures)

    def _give_back(self, request: Request) -> None:
        try:
            self._parts.ledger.release(request.id, request.attempt).result()
        except Exception as fault:  # noqa: BLE001 - it goes back when its lease has ended
            log.error("release_failed", request_id=request.id, fault=whereabouts(fault))

    def _announce(self) -> None:
        try:
            self._parts.ledger.announce(self._announcement.now()).result()
        except Exception as fault:  # noqa: BLE001 - a database in trouble; say it again
            log.error("announce_failed", fault=whereabouts(fault))

    def _leave(self) -> None:
        try:
            self._parts.ledger.leave(self.name).result()
        except Exception as fault:  # noqa: BLE001 - it is taken for lost soon
            log.error("leave_failed", fault=whereabouts(fault))

    def _finish(self, request: Request, outcome: Outcome | None, pictures: RequestPictures) -> None:
        """Give an outcome to the ledger; its slot does not wait until it is kept."""
        if outcome is None:
            self._let_go(request, pictures)
            return
        written = self._parts.ledger.finish(request.id, request.attempt, outcome)
        written.add_done_callback(partial(self._finished, request, outcome, pictures))

    def _finished(
        self,
        request: Request,
        outcome: Outcome,
        pictures: RequestPictures,
        written: Future[bool],
    ) -> None:
        """An outcome was kept or not; the ledger's thread says so, and waits for no store."""
        kept = False
        try:
            if written.result():
                kept = True
                log.info("request_done", request_id=request.id, status=outcome.http_status)
            else:
                log.info("outcome_unwanted", request_id=request.id)
        except Exception as fault:  # noqa: BLE001 - when its lease has ended it is drawn again
            log.error("finish_failed", request_id=request.id, fault=whereabouts(fault))
            # One that was lost in its commit may have been kept: its pictures stay for their time.
            kept = isinstance(fault, Unreachable) and not isinstance(fault, Unwritable)
        if pictures.published and not (kept and outcome.files):
            threading.Thread(target=self._let_go, args=(request, pictures), name="discard").start()
        else:
            self._forget(request)

    def _let_go(self, request: Request, pictures: RequestPictures) -> None:
        """Throw away what was drawn, if the store lets us: what stays goes when its time comes."""
        try:
            pictures.discard()
        except Exception as fault:  # noqa: BLE001 - the request must be let go of all the same
            log.error("pictures_left", fault=whereabouts(fault))
        self._forget(request)

    def _forget(self, request: Request) -> None:
        with self._lock:
            self._held.pop((request.id, request.attempt), None)

    def _standing_of(self, request: Request) -> Callable[[], Standing | None]:
        def standing() -> Standing | None:
            with self._lock:
                return self._held.get((request.id, request.attempt), Standing.LOST)

        return standing

    def _give_up(self) -> None:
        """Tell what still runs to stop at its next step; it goes back to the queue's head."""
        with self._lock:
            self._held = dict.fromkeys(self._held)

    def _beat(self) -> None:
        """Renew the leases of everything held, and hear what became of it."""
        pause = self._parts.lease / 3
        while not self._stop.wait(pause):
            self._renew()
            self._announce()
        while self._held:
            self._renew()
            time.sleep(min(pause, FALLBACK))

    def _renew(self) -> None:
        with self._lock:
            held = list(self._held)
        if not held:
            return
        try:
            standings = self._parts.ledger.heartbeat(held).result()
        except Exception as fault:  # noqa: BLE001 - a database in trouble; beat again
            log.error("heartbeat_failed", fault=whereabouts(fault))
            return
        with self._lock:
            for attempt in held:
                standing = standings[attempt[0]]
                if standing is not Standing.ON and attempt in self._held:
                    self._held[attempt] = standing
