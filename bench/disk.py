"""The ledger against the disk: what a durable request costs beyond the durability itself.

Floors: one append of a request's bytes with its fsync, and one commit of the same bytes by bare
``sqlite3`` with the ledger's own pragmas. Knows the ledger; knows no HTTP.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.rounds import Measured, in_turns, mean_of
from limner.requests.ledger import Ledger
from limner.requests.request import Outcome, Submission
from limner.requests.rows import to_json

APPEND, COMMIT = "fsync'd append", "bare commit"
FLOORS = (APPEND, COMMIT)

#: A sticker's input with a prompt of ordinary length, and an outcome as the sticker's.
SAID = Submission(
    "bench/ledger", {"image_url": "https://example.com/" + "p" * 80, "prompt": "a pirate " * 20}
)
ENDED = Outcome(200, {"images": [{"url": "https://example.com/" + "o" * 80}], "seed": 1})

#: Jobs have an endpoint of their own, so that their queue is empty between two of them.
JOB = Submission("bench/job", SAID.input)

#: How many in a round of each kind.
SERIAL, GATHERED, ALONE = 60, 256, 120


def measure(folder: Path) -> list[Measured]:
    """Floors and ledger, in turns, on the disk that holds ``folder``."""
    row = to_json(SAID.input).encode()
    with (
        _appending(folder / "floor.log") as append,
        closing(_bare(folder / "floor.db")) as bare,
        Ledger(f"sqlite:///{folder / 'ledger.db'}") as ledger,
    ):

        def appends() -> None:
            for _ in range(ALONE):
                os.write(append, row)
                os.fsync(append)

        def commits() -> None:
            for _ in range(ALONE):
                bare.execute("INSERT INTO rows (said) VALUES (?)", (row,))

        def lone_submits() -> None:
            for _ in range(ALONE):
                ledger.submit(SAID).result()

        def gathered_submits() -> None:
            for accepted in [ledger.submit(SAID) for _ in range(GATHERED)]:
                accepted.result()

        def jobs() -> None:
            for _ in range(SERIAL):
                ledger.submit(JOB).result()
                (mine,) = ledger.claim("bench", [JOB.endpoint], 1).result().requests
                assert ledger.finish(mine.id, mine.attempt, ENDED).result()

        return in_turns(
            {
                APPEND: lambda: mean_of(ALONE, appends),
                COMMIT: lambda: mean_of(ALONE, commits),
                "submit, one at a time": lambda: mean_of(ALONE, lone_submits),
                f"submit, {GATHERED} at once": lambda: mean_of(GATHERED, gathered_submits),
                "job: submit, claim, finish": lambda: mean_of(SERIAL, jobs),
            }
        )


@contextmanager
def _appending(path: Path) -> Generator[int]:
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _bare(path: Path) -> sqlite3.Connection:
    """The least that SQLite can do with the ledger's durability: one table, no index."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE rows (seq INTEGER PRIMARY KEY, said BLOB)")
    return connection
