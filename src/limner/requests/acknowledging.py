"""A thread that tells whoever asked that a commit is kept, when it has brought it to the disk.

The lane that committed goes on meanwhile; one sync is for all that was committed before it.
Knows tasks and the journal; knows no transaction.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from limner.requests.connections import Unreachable
from limner.requests.journal import Journal

#: A future and what it is to be told.
Answer = tuple[Future[Any], Any]


class Acknowledger:
    """Answers futures once what they are about is on the disk, in the order of the commits."""

    def __init__(self, name: str, journal: Journal) -> None:
        self._journal = journal
        self._committed: queue.SimpleQueue[Sequence[Answer] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, answers: Sequence[Answer]) -> None:
        """Tell these when what was committed until now is on the disk."""
        self._committed.put(answers)

    def close(self) -> None:
        """Tell everybody who waits, then stop."""
        self._committed.put(None)
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            came = [self._committed.get()]
            while not self._committed.empty():
                came.append(self._committed.get())
            going = None not in came
            if told := [answer for answers in came if answers for answer in answers]:
                self._tell(told)

    def _tell(self, answers: Sequence[Answer]) -> None:
        try:
            self._journal.sync()
        except OSError as fault:
            for future, _ in answers:
                lost = Unreachable("The database's disk failed after the commit")
                lost.__cause__ = fault
                future.set_exception(lost)
            return
        for future, result in answers:
            future.set_result(result)
