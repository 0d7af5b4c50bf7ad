"""The ledger: every request's one truth, for any number of servers and workers.

Each operation is a transaction and answers a Future that is resolved when it is committed: durably
where a caller was promised something, and for as long as a process lives where only a worker was
(a claim, a step, a lease). The bell rings after that. Rules that hold at every instant: an accepted
request is never lost; it gets exactly one outcome; only the current attempt may give it; order is
priority, then turn.
Knows operations, futures and topics; knows no HTTP and no engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Self

import sqlalchemy as sa

from limner.requests import (
    claiming,
    figures,
    fleet,
    forgetting,
    leasing,
    outbox,
    queueing,
    tally,
)
from limner.requests.access import Access
from limner.requests.bell import Bell, bell_folder
from limner.requests.claiming import Claimed
from limner.requests.clock import Clock, SharedClock
from limner.requests.connections import is_sqlite
from limner.requests.database import Database
from limner.requests.fleet import Presence, Seen
from limner.requests.lanes import Keep
from limner.requests.leaving import Leaving
from limner.requests.lifecycle import Cancellation, Ended, Reaped, Rules, Standing, StepTaken
from limner.requests.notices import NoticeBell
from limner.requests.overview import Overview
from limner.requests.owed import Owed
from limner.requests.request import LogLine, Outcome, Request, Submission

Connection = sa.Connection


class Ledger(Access, Overview, Owed):
    """An open ledger. Close it, or use it in a ``with``."""

    def __init__(
        self,
        url: str,
        *,
        lease: float = 10.0,
        retention: float = 3600.0,
        clock: Clock | None = None,
    ) -> None:
        """``url``: ``sqlite:///…`` or ``postgresql://…``; ``lease`` and ``retention`` in seconds.

        Without ``clock``, this machine's, or PostgreSQL's, which all machines share. Raises
        SchemaTooNew, Unreachable, BadDatabaseUrl, NoDatabaseDriver.
        """
        self._rules = Rules(lease=lease, retention=retention)
        local = is_sqlite(url)
        self._bell = Bell(bell_folder(url)) if local else NoticeBell(url)
        self._database = Database(url, self._bell.ring)
        self._clock = clock or (time.time if local else SharedClock(self._database))

    @property
    def retention(self) -> float:
        """Seconds for which an ended request is remembered."""
        return self._rules.retention

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish what was asked and close the database."""
        self._database.close()
        self._bell.close()

    def hear(self, heard: Callable[[str], None]) -> AbstractContextManager[None]:
        """Call ``heard`` with the topics that any process rings, while the block lasts."""
        return self._bell.hear(heard)

    # What the server asks

    def submit(
        self,
        submission: Submission,
        *,
        max_waiting: int | None = None,
        ended: Outcome | None = None,
        keyed: bool = False,
    ) -> Future[Request]:
        """Accept a request durably; with ``ended`` it is over at once.

        ``keyed``: only if its key is good just then. Raises Refused 401, 429.
        """

        def run(connection: Connection) -> Request:
            now = self._clock()
            return queueing.submit(
                connection, submission, max_waiting, ended, now, self._rules, keyed=keyed
            )

        def committed(request: Request) -> list[str]:
            if ended is None:
                return ["queued"]
            return _done(Ended(request.id, owes=request.submission.webhook_url is not None))

        # What nobody was told of yet may be drawn before it is on the disk; what has ended may not
        # be seen before.
        keep = Keep.TOLD if ended is None else Keep.SEEN
        return self._database.write(run, committed, keep=keep)

    def get(self, request_id: str) -> Future[Request | None]:
        """A request, or None."""
        return self._database.read(lambda connection: queueing.get(connection, request_id))

    def get_all(self, ids: Sequence[str]) -> Future[list[Request | None]]:
        """:meth:`get` for each of several, of one instant."""
        return self._database.read(lambda connection: queueing.get_all(connection, ids))

    def position(self, request_id: str) -> Future[int | None]:
        """How many waiting requests go before this one; None when it does not wait."""
        return self._database.read(lambda connection: tally.position(connection, request_id))

    def waiting(self, endpoint: str) -> Future[int]:
        """How many requests of an endpoint wait."""
        return self._database.read(lambda connection: tally.waiting(connection, endpoint))

    def logs(self, request_id: str, after: int = -1) -> Future[list[LogLine]]:
        """The log lines with a number above ``after``, in order."""
        return self._database.read(
            lambda connection: queueing.log_lines(connection, request_id, after)
        )

    def follow(self, request_id: str, after: int) -> Future[tuple[Request | None, list[LogLine]]]:
        """A request and its log lines with a number above ``after``, of one instant."""

        def run(connection: Connection) -> tuple[Request | None, list[LogLine]]:
            request = queueing.get(connection, request_id)
            return request, queueing.log_lines(connection, request_id, after)

        return self._database.read(run)

    def cancel(self, request_id: str) -> Future[Cancellation]:
        """End a waiting request now; ask a running one to stop at its next step."""

        def committed(verdict: Cancellation) -> list[str]:
            if verdict is Cancellation.REMOVED:
                return _done(Ended(request_id, owes=True))
            return [f"cancel:{request_id}"] if verdict is Cancellation.REQUESTED else []

        return self._database.write(
            lambda connection: queueing.cancel(connection, request_id, self._clock(), self._rules),
            committed,
        )

    # What a worker asks

    def announce(self, presence: Presence) -> Future[None]:
        """A worker says that it is there, and what it has; to be said again within a lease."""
        return self._database.write(
            lambda connection: fleet.announce(connection, presence, self._clock(), self._rules),
            keep=Keep.NEVER,
        )

    def leave(self, worker: str) -> Future[None]:
        """A worker says that it is going."""
        return self._database.write(lambda connection: fleet.leave(connection, worker))

    def workers(self) -> Future[list[Seen]]:
        """The workers that are there, by name."""
        return self._database.read(lambda connection: fleet.present(connection, self._clock()))

    def claim(self, worker: str, endpoints: Sequence[str], limit: int) -> Future[Claimed]:
        """The next requests for this worker, in order, leased to it."""

        def committed(claimed: Claimed) -> list[str]:
            steps = [f"step:{request.id}" for request in claimed.requests]
            return [*steps, "moved"] if steps else []  # everybody behind them moved up

        return self._database.write(
            lambda connection: claiming.claim(
                connection, worker, endpoints, limit, self._clock(), self._rules
            ),
            committed,
            keep=Keep.NEVER,
        )

    def heartbeat(self, held: Sequence[tuple[str, int]]) -> Future[dict[str, Standing]]:
        """Renew the leases of (id, attempt) pairs; what became of each."""
        return self._database.write(
            lambda connection: leasing.heartbeat(connection, held, self._clock(), self._rules),
            keep=Keep.NEVER,
        )

    def step(self, request_id: str, attempt: int, taken: StepTaken) -> Future[Standing]:
        """Write a step down, renew the lease, and hear whether to go on."""
        return self._database.write(
            lambda connection: leasing.step(
                connection, request_id, attempt, taken, self._clock(), self._rules
            ),
            lambda _: [f"step:{request_id}"],
            keep=Keep.NEVER,
            about=request_id,
        )

    def finish(self, request_id: str, attempt: int, outcome: Outcome) -> Future[bool]:
        """Give a request its one outcome; False when this attempt has it no more.

        False also when its cancel was accepted before: then it has ended by that.
        """
        ended: Ended | None = None

        def run(connection: Connection) -> bool:
            nonlocal ended
            now = self._clock()
            ended = leasing.finish(connection, request_id, attempt, outcome, now, self._rules)
            if ended is not None:
                return True
            ended = leasing.finish_cancelled(connection, request_id, attempt, now, self._rules)
            return False

        def committed(_: bool) -> list[str]:
            return _done(ended) if ended is not None else []

        return self._database.write(run, committed, about=request_id)

    def release(self, request_id: str, attempt: int) -> Future[bool]:
        """Put a request back where it stood in the queue; one that was cancelled ends instead."""
        return self._database.write(
            lambda connection: leasing.release(
                connection, request_id, attempt, self._clock(), self._rules
            ),
            lambda _: ["queued", *_done(Ended(request_id, owes=True))],
            about=request_id,
        )

    # What time asks

    def reap(self) -> Future[Reaped]:
        """Requeue or end what lost workers held, and end what was not started in time."""

        def committed(reaped: Reaped) -> list[str]:
            topics = [topic for ended in reaped.ended for topic in _done(ended)]
            return topics + (["queued"] if reaped.requeued else [])

        def run(connection: Connection) -> Reaped:
            now = self._clock()
            outbox.hasten(connection, now)
            return leasing.reap(connection, now, self._rules)

        return self._database.write(run, committed)

    def expire(self) -> Future[tuple[Leaving, ...]]:
        """Forget what is past its retention; the files that are owed to be deleted for it."""
        return self._database.write(lambda connection: forgetting.expire(connection, self._clock()))

    def scrub(self) -> bool:
        """Leave no byte of what is forgotten in the database's journal; False: try again.

        Waits for it, unlike everything else here. What it can do is told in docs/privacy.md.
        """
        return self._database.scrub()

    def compact(self) -> Future[int]:
        """Add up what says how many wait, as far as it has gathered; rows saved."""

        def run(connection: Connection) -> int:
            figures.compact(connection)
            return tally.compact(connection)

        return self._database.write(run)

    def overdue(self) -> Future[dict[str, tuple[str, ...]]]:
        """The requests past their retention that are not forgotten yet, and the files of each."""
        return self._database.read(lambda connection: forgetting.overdue(connection, self._clock()))

    def delete(self, request_id: str) -> Future[tuple[str, ...] | None]:
        """Forget an ended request now; names of files to delete, None when it has not ended."""
        return self._database.write(
            lambda connection: forgetting.delete(connection, request_id, self._clock())
        )


def _done(ended: Ended) -> list[str]:
    """Topics of an end: its waiters, everybody who waited behind it, and its webhook."""
    return [f"done:{ended.request_id}", "moved", *(["outbox"] if ended.owes else [])]
