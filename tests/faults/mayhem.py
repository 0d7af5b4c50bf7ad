"""One round: a real server with two workers, clients at random, and faults between.

The seed fixes every choice: what clients ask and when they pause, which fault comes next and for
how long. What the operating system does between them it does not fix, so a failure seen with a seed
may take several rounds of that seed to come again.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

from tests.faults.client import Caller, Client, read_result
from tests.faults.history import Fault, History, outcome_urls
from tests.faults.receiver import Receiver
from tests.rig.process import Server, eventually

WORKERS, SLOTS, CLIENTS = 2, 2, 5

#: Seconds: long enough that a busy machine keeps it, short enough to end many times in a round.
LEASE = 1.5

#: Seconds in which what a fault has hit comes back to the queue: a lease and the sweep after it, or
#: the time that the workers of a killed server get to finish.
NOTICE = 12.0

#: Seconds that a webhook may be owed: a hasty rig's lease on it, and the pauses between tries.
OWED = 30.0

ENV = {
    "LIMNER_WORKERS": str(WORKERS),
    "LIMNER_SLOTS": str(SLOTS),
    "LIMNER_LEASE": str(LEASE),
    "LIMNER_LOG_LEVEL": "warning",
}


class Mayhem:
    """A round in a folder of its own."""

    def __init__(self, seed: int, kills: int, home: Path) -> None:
        self._seed = seed
        self._kills = kills
        self._home = home
        self._chance = random.Random(f"{seed}/faults")
        self._groups: list[int] = []
        self._workers: set[int] = set()
        self.history = History(capacity=WORKERS * SLOTS, notice=NOTICE)

    def run(self) -> History:
        """Until so many kills have been; then everything comes to its end and is read."""
        receiver = Receiver()
        try:
            self._port = free_port(self._chance)
            self._start()
            self._under_load(receiver)
            self._settle(receiver)
            self._server.stop()
            self.history.kept = kept_files(self._home / "files")
        finally:
            self._end()
            receiver.close()
        return self.history

    def _under_load(self, receiver: Receiver) -> None:
        caller = Caller(self._port)
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
                while self._killed < self._kills:
                    time.sleep(self._chance.uniform(0.1, 1.0))
                    eventually(self._drawing)
                    self._one_fault()
            finally:
                enough.set()
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

    @property
    def _killed(self) -> int:
        return sum(bool(fault.killed) for fault in self.history.faults)

    def _one_fault(self) -> None:
        faults: list[Callable[[], frozenset[int]]] = [
            self.kill_a_worker, self.pause_a_worker, self.kill_a_paused_worker,
            self.kill_the_server, self.kill_everything,
        ]  # fmt: skip
        fault = self._chance.choices(faults, [6, 4, 2, 2, 1])[0]
        began = time.monotonic()
        killed = fault()
        self.history.faults.append(Fault(fault.__name__, began, time.monotonic(), killed))

    def kill_a_worker(self) -> frozenset[int]:
        """kill -9: the supervisor starts another."""
        worker = self._a_worker()
        os.kill(worker, signal.SIGKILL)
        return frozenset({worker})

    def pause_a_worker(self) -> frozenset[int]:
        """SIGSTOP, for less than a lease or for more, and SIGCONT."""
        worker = self._a_worker()
        os.kill(worker, signal.SIGSTOP)
        try:
            time.sleep(self._chance.uniform(0.2, 2.5 * LEASE))
        finally:
            os.kill(worker, signal.SIGCONT)
        return frozenset()

    def kill_a_paused_worker(self) -> frozenset[int]:
        """One that hangs, and is ended by whoever sees it."""
        worker = self._a_worker()
        os.kill(worker, signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.2, 1.5 * LEASE))
        os.kill(worker, signal.SIGKILL)
        return frozenset({worker})

    def kill_the_server(self) -> frozenset[int]:
        """kill -9 of the server alone; its workers see that it is gone, while the next starts."""
        self._workers.update(self._server.workers())
        self._server.kill()
        return self._restarted(frozenset())

    def kill_everything(self) -> frozenset[int]:
        """kill -9 of server and workers at one instant, as a power cut would."""
        workers = frozenset(self._server.workers())
        os.killpg(self._server.process.pid, signal.SIGKILL)
        self._server.process.wait()
        return self._restarted(workers)

    def _restarted(self, workers: frozenset[int]) -> frozenset[int]:
        killed = workers | {self._server.process.pid}
        time.sleep(self._chance.uniform(0, 0.5))
        self._start()
        return killed

    def _start(self) -> None:
        self._server = Server(self._home, env=ENV, port=self._port, hasty=True)
        self._groups.append(self._server.process.pid)

    def _a_worker(self) -> int:
        workers = eventually(self._server.workers)
        self._workers.update(workers)
        return self._chance.choice(sorted(workers))

    def _settle(self, receiver: Receiver) -> None:
        """All has ended: wait for what is owed, and read everything once more."""
        history = self.history
        owed = [account for account in history.accounts if account.wish.hook]
        with suppress(AssertionError):  # the proof says whose is missing
            eventually(lambda: all(receiver.delivered[a.wish.number] for a in owed), within=OWED)
        caller = Caller(self._port)
        for account in history.accounts:
            account.delivered = receiver.delivered[account.wish.number]
            account.spurned = receiver.spurned[account.wish.number]
            read_result(caller, history, account)
            for url in outcome_urls(account):
                answer = caller.insist("GET", url)
                history.pictures[url] = answer.content if answer.status_code == 200 else None
        # Those of a server that was killed must have left by themselves.
        eventually(lambda: not any(alive(pid) for pid in self._workers - {*self._server.workers()}))

    def _end(self) -> None:
        """Leave no process behind, whatever went wrong."""
        for group in self._groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        with suppress(AttributeError):
            self._server.process.wait()


def alive(pid: int) -> bool:
    """Is there such a process, and is it one of ours?"""
    try:
        return b"tests.rig" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def free_port(chance: random.Random) -> int:
    """A port that no outgoing call is given while no server listens on it."""
    while True:
        port = chance.randrange(20_000, 30_000)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def kept_files(root: Path) -> dict[str, bytes]:
    """By name: every file of a disk store (its layout is files/disk.py's)."""
    return {path.parent.name: path.read_bytes() for path in root.glob("*/*/content")}
