"""One round: a real server with two workers, clients at random, and faults between.

The seed fixes every choice: what clients ask and when they pause, which fault comes next and for
how long. What the operating system does between them it does not fix, so a failure seen with a seed
may take several rounds of that seed to come again.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import count

from tests.faults.client import Caller, Client, read_result
from tests.faults.history import Fault, History, outcome_urls
from tests.faults.receiver import Receiver
from tests.faults.vocabulary import Kind, possible
from tests.faults.world import SLOTS, WORKERS, Plan, World
from tests.rig.process import eventually

CLIENTS = 5

#: Seconds in which what a fault has hit comes back to the queue: a lease and the sweep after it, or
#: the time that the workers of a killed server get to finish.
NOTICE = 12.0

#: Seconds that a webhook may be owed: a hasty rig's lease on it, and the pauses between tries.
OWED = 30.0


class Mayhem:
    """A round in a world of its own."""

    def __init__(self, seed: int, faults: int | None, plan: Plan, groups: Sequence[str]) -> None:
        """``faults``: how many there are; those that kill, where ``groups`` has such. None: one of
        each kind."""
        self._seed = seed
        self._most = faults
        self._plan = plan
        self._groups = groups
        self._chance = random.Random(f"{seed}/faults")
        self.history = History(capacity=WORKERS * SLOTS, notice=NOTICE)
        #: How often a worker was lost with a request.
        self.losses = 0

    def run(self) -> History:
        """Until so many faults have been; then everything comes to its end and is read."""
        with (
            closing(Receiver()) as receiver,
            closing(World(self._plan, self._chance)) as world,
        ):
            self._under_load(world, receiver)
            self._settle(world, receiver)
            self.losses = world.ask_ledger("SELECT sum(losses) FROM requests")
            world.server.stop()
            self.history.kept = dict(world.kept())
        return self.history

    def done(self) -> int:
        """How many faults count so far."""
        if "kills" not in self._groups:
            return len(self.history.faults)
        return sum(bool(fault.killed) for fault in self.history.faults)

    def _under_load(self, world: World, receiver: Receiver) -> None:
        caller = Caller(world.address)
        enough = threading.Event()
        numbers = count()
        with ThreadPoolExecutor(CLIENTS, thread_name_prefix="client") as pool:
            futures = [
                pool.submit(
                    Client(
                        caller, self.history, numbers, random.Random(f"{self._seed}/{n}"),
                        receiver.url,
                    ).run,
                    enough,
                )
                for n in range(CLIENTS)
            ]  # fmt: skip
            try:
                kinds = possible(world, self._groups)
                once = self._chance.sample(kinds, len(kinds))
                while once if self._most is None else self.done() < self._most:
                    time.sleep(self._chance.uniform(0.1, 1.0))
                    eventually(self._drawing, within=60)
                    for future in futures:
                        if future.done():
                            future.result()  # raises what ended it
                    weights = [each.weight for each in kinds]
                    drawn = self._chance.choices(kinds, weights)[0]
                    self._one_fault(world, once.pop() if self._most is None else drawn)
            finally:
                enough.set()
                for future in futures:
                    if future.done():
                        future.result()
            for future in futures:
                future.result()

    def _drawing(self) -> bool:
        """Has anything been drawn since the last fault? One that hits nothing proves nothing."""
        last = self.history.faults[-1].ended if self.history.faults else 0.0
        return any(
            end.at > last and end.code == 200
            for account in tuple(self.history.accounts[-50:])
            for end in account.results
        )

    def _one_fault(self, world: World, kind: Kind) -> None:
        began = time.monotonic()
        killed = kind.do(world, self._chance)
        self.history.faults.append(
            Fault(kind.name, began, time.monotonic(), killed, kind.excuses, kind.strands)
        )

    def _settle(self, world: World, receiver: Receiver) -> None:
        """All has ended: wait for what is owed, and read everything once more."""
        history = self.history
        owed = [account for account in history.accounts if account.wish.hook]
        with suppress(AssertionError):  # the proof says whose is missing
            eventually(lambda: all(receiver.delivered[a.wish.number] for a in owed), within=OWED)
        caller = Caller(world.address)
        for account in history.accounts:
            account.delivered = receiver.delivered[account.wish.number]
            account.spurned = receiver.spurned[account.wish.number]
            read_result(caller, history, account)
            for url in outcome_urls(account):
                history.pictures[url] = None
                with suppress(AssertionError):  # no answer is as good as a wrong one
                    answer = caller.insist("GET", url)
                    if answer.status_code == 200:
                        history.pictures[url] = answer.content
        # Those of a server that was killed must have left by themselves.
        eventually(lambda: not world.strays())
