"""Many workers and their requests, by events: what the ledger and the running batch do, no GPU.

What is simulated is this. Keys take turns (``requests.turns``); a request goes to the free worker
that draws the fewest, where opening its weights counts as some (``claiming.py``), else it waits;
what a lost worker held goes back to the head when its lease ends. A worker keeps two sets of
weights open, and its requests advance together: a cycle gives each one step, and takes as long as
all rows of each set of weights take in one call. Between two changes of a batch nothing happens,
so only those are events. How long a step takes is a table (``bench/step_times.py``), not a
measurement of this program. Seeded: it comes out the same everywhere. Knows queues and seconds;
knows no ledger, network or day.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count

from bench.step_times import Kind
from limner.requests.claiming import OPENING

#: Sets of weights that a worker keeps open (``MOST_HINTS`` of worker/announcing.py).
OPEN = 2

#: Seconds until a lost worker's requests are noticed: a lease.
LEASE = 10.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """The machines."""

    workers: int
    #: Requests that one draws at once.
    slots: int
    #: Seconds of one worker between two failures, and until it is back; 0 for never.
    between_failures: float = 0.0
    repair: float = 300.0
    #: As how many requests opening weights counts where a request is placed.
    opening: int = OPENING
    #: Seconds that the ledger takes to hand a request over: submit, bell, claim, finish.
    ledger: float = 0.0


@dataclass(slots=True, eq=False)
class Job:
    """A request on its way."""

    kind: Kind
    at: float
    steps: float
    key: int = 0
    base: int = 0
    #: Its place in the order of arrival.
    number: int = 0
    #: Steps still to do; below 0 before it has joined the batch.
    left: float = -1.0
    claimed: float = 0.0

    @property
    def weights(self) -> tuple[str, int]:
        """What must be open to draw it."""
        return self.kind.name, self.base


@dataclass(slots=True)
class Seen:
    """What a run saw. Times are seconds; lists have one entry a request that ended."""

    waits: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    times: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    #: Worker-seconds with a batch that runs, and rows × seconds of it.
    busy: float = 0.0
    rows: float = 0.0
    #: Requests in the house, times seconds, by adding up over time rather than over requests.
    inside: float = 0.0
    until: float = 0.0
    opened: int = 0
    failures: int = 0
    drawn_again: int = 0


@dataclass(slots=True, eq=False)
class Worker:
    """One device and its running batch."""

    jobs: list[Job] = field(default_factory=list[Job])
    #: Weights that are open, the one used last at the end.
    open: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    #: When the batch was last brought up to date, and seconds of one cycle.
    since: float = 0.0
    cycle: float = 0.0
    rows: int = 0
    #: Which of its events still count.
    version: int = 0
    up: bool = True


class Queue:
    """The waiting requests of every kind, in the ledger's order."""

    def __init__(self) -> None:
        self._heaps: dict[str, list[tuple[int, int, Job]]] = {}
        #: What lost workers held: before everybody.
        self._returned: deque[Job] = deque()
        #: The turns of each key's waiting requests.
        self._turns: dict[tuple[str, int], deque[int]] = {}

    def add(self, job: Job) -> None:
        """Behind its key's last, or with the head where its key has none (requests/turns.py)."""
        heap = self._heaps.setdefault(job.kind.name, [])
        mine = self._turns.setdefault((job.kind.name, job.key), deque())
        turn = mine[-1] + 1 if mine else heap[0][0] if heap else 0
        mine.append(turn)
        heapq.heappush(heap, (turn, job.number, job))

    def give_back(self, job: Job) -> None:
        """Before everybody."""
        self._returned.append(job)

    def take(self) -> Job | None:
        """Of the kinds' first ones, the one that came first."""
        if self._returned:
            return self._returned.popleft()
        heaps = [heap for heap in self._heaps.values() if heap]
        if not heaps:
            return None
        job = heapq.heappop(min(heaps, key=lambda heap: heap[0][1]))[2]
        self._turns[job.kind.name, job.key].popleft()  # a key's go in their order
        return job


class Day:
    """Runs requests through a fleet."""

    def __init__(self, fleet: Fleet, seed: int = 0) -> None:
        self._fleet = fleet
        self._random = random.Random(seed)
        self._workers = [Worker() for _ in range(fleet.workers)]
        self._queue = Queue()
        self._free = list(self._workers)
        self._events: list[tuple[float, int, str, Worker, int, Job | None]] = []
        self._numbers = count()
        self._inside = 0
        self._now = 0.0
        self.seen = Seen()

    def run(self, jobs: Iterable[Job]) -> Seen:
        """Everything that arrives, to its end. ``jobs`` in order of arrival."""
        for worker in self._workers:
            self._plan_failure(worker)
        for number, job in enumerate(jobs):
            self._advance(job.at)
            job.number = number
            self._inside += 1
            self._arrive(job)
        while self._inside:
            self._event()
        self.seen.until = self._now
        return self.seen

    def _advance(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self._event()
        self._pass(until)

    def _pass(self, now: float) -> None:
        self.seen.inside += self._inside * (now - self._now)
        self._now = now

    def _event(self) -> None:
        at, _, what, worker, version, job = heapq.heappop(self._events)
        self._pass(at)
        if what == "fails":
            self._fail(worker)
        elif what == "back":
            worker.up = True
            self._plan_failure(worker)
            self._fill(worker)
        elif what == "again" and job is not None:
            self._queue.give_back(job)
            self._offer()
        elif version == worker.version or (what == "joins" and job in worker.jobs):
            self._bring_up(worker)
            if what == "joins" and job is not None:
                job.left = job.steps
            self._finish(worker)
            self._plan(worker)

    def _arrive(self, job: Job) -> None:
        """To the free worker that is best placed, else into the queue."""
        if not self._free:
            self._queue.add(job)
            return
        weights, opening = job.weights, self._fleet.opening
        costs = [len(each.jobs) + (0 if weights in each.open else opening) for each in self._free]
        least = min(costs)
        best = [each for each, cost in zip(self._free, costs, strict=True) if cost == least]
        self._claim(self._random.choice(best), job)

    def _offer(self) -> None:
        while self._free and (job := self._queue.take()) is not None:
            self._arrive(job)

    def _is_free(self, worker: Worker) -> bool:
        return worker.up and len(worker.jobs) < self._fleet.slots

    def _claim(self, worker: Worker, job: Job) -> None:
        job.claimed, job.left = self._now, -1.0
        before = job.kind.before + self._fleet.ledger
        if job.weights in worker.open:
            worker.open.remove(job.weights)
        else:
            before += job.kind.opening
            self.seen.opened += 1
            if len(worker.open) >= OPEN:
                worker.open.pop(0)
        worker.open.append(job.weights)
        worker.jobs.append(job)
        if len(worker.jobs) == self._fleet.slots:
            self._free.remove(worker)
        self._push(before, "joins", worker, job)

    def _bring_up(self, worker: Worker) -> None:
        """Let the batch have done what it did since it last changed."""
        passed, worker.since = self._now - worker.since, self._now
        if worker.cycle:
            for job in worker.jobs:
                if job.left >= 0:
                    job.left -= passed / worker.cycle
            self.seen.busy += passed
            self.seen.rows += passed * worker.rows

    def _finish(self, worker: Worker) -> None:
        ended = [job for job in worker.jobs if -1.0 < job.left < 1e-6]
        for job in ended:
            worker.jobs.remove(job)
            self._inside -= 1
            name = job.kind.name
            self.seen.waits.setdefault(name, []).append(job.claimed - job.at)
            self.seen.times.setdefault(name, []).append(self._now - job.at)
        if ended:
            self._fill(worker)

    def _fill(self, worker: Worker) -> None:
        if self._is_free(worker) and worker not in self._free:
            self._free.append(worker)
        self._offer()

    def _plan(self, worker: Worker) -> None:
        """When the next of the batch ends, as the batch is now."""
        worker.version += 1
        rows: dict[tuple[str, int], int] = {}
        kinds: dict[tuple[str, int], Kind] = {}
        left: list[float] = []
        for job in worker.jobs:
            if job.left >= 0:
                rows[job.weights] = rows.get(job.weights, 0) + job.kind.rows
                kinds[job.weights] = job.kind
                left.append(job.left)
        worker.rows = sum(rows.values())
        worker.cycle = sum(kinds[weights].seconds(number) for weights, number in rows.items())
        if left:
            self._push(min(left) * worker.cycle, "ends", worker)

    def _fail(self, worker: Worker) -> None:
        self._bring_up(worker)
        self.seen.failures += 1
        self.seen.drawn_again += len(worker.jobs)
        for job in worker.jobs:
            self._push(LEASE, "again", worker, job)
        worker.jobs, worker.open, worker.cycle, worker.up = [], [], 0.0, False
        worker.version += 1
        if worker in self._free:
            self._free.remove(worker)
        self._push(self._fleet.repair, "back", worker)

    def _plan_failure(self, worker: Worker) -> None:
        if self._fleet.between_failures:
            self._push(self._random.expovariate(1 / self._fleet.between_failures), "fails", worker)

    def _push(self, after: float, what: str, worker: Worker, job: Job | None = None) -> None:
        at = self._now + after
        heapq.heappush(self._events, (at, next(self._numbers), what, worker, worker.version, job))


def share_below(values: Sequence[float], share: float) -> float:
    """The value that so great a share of them does not exceed (0…1)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
