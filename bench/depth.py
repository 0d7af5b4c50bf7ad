"""Does a long queue cost more than a short one? The ledger's operations with 1,000 requests waiting
and with a million, on SQLite and on PostgreSQL.

``python -m bench.depth sqlite:////tmp/depth.db`` or ``postgresql://…`` (an empty database; it is
filled). Told in milliseconds and as the ratio of the deep queue to the shallow one, by medians;
speed is the machine's, the ratio is ours. Knows the ledger; knows no HTTP.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from limner.requests.ledger import Ledger
from limner.requests.request import Outcome, Submission

DEPTHS = (1_000, 1_000_000)
ENDPOINTS = ("bench/one", "bench/two")
KEYS = 20
TIMES = 30

#: What stands in a waiting row besides its place; half of the rows are the second endpoint's.
FILL = """
INSERT INTO requests (id, endpoint, path, key_id, priority, status, attempt, losses,
  cancel_requested, progress, input, no_retry, store_io, files_base, created_at, turn)
SELECT 'deep-' || n, CASE n - n / 2 * 2 WHEN 0 THEN 'bench/one' ELSE 'bench/two' END, '',
  'key-' || (n / 2 - n / 2 / {keys} * {keys}), 0, 'queued', 0, 0, false, 0,
  '{{"prompt":"{prompt}"}}', false, true,
  'http://127.0.0.1:8000', 1000, n / 2 / {keys}
FROM ({numbers}) AS numbers
"""

NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT {a} UNION ALL SELECT n + 1 FROM numbers"
    " WHERE n + 1 < {b}) SELECT n FROM numbers",
    "postgresql": "SELECT generate_series({a}, {b} - 1) AS n",
}


def fill(ledger: Ledger, first: int, last: int) -> None:
    """Put requests ``first`` … ``last`` into the queue in one statement."""

    def run(connection: sa.Connection) -> None:
        numbers = NUMBERS[connection.dialect.name].format(a=first, b=last)
        statement = FILL.format(keys=KEYS, prompt="a pirate " * 20, numbers=numbers)
        connection.exec_driver_sql(statement)

    ledger._database.write(run).result()  # pyright: ignore[reportPrivateUsage]
    while ledger.compact().result():
        pass


def milliseconds(operation: Callable[[], object]) -> float:
    """The median of TIMES calls."""
    taken: list[float] = []
    for _ in range(TIMES):
        began = time.perf_counter()
        operation()
        taken.append(1e3 * (time.perf_counter() - began))
    return median(taken)


def measure(ledger: Ledger, depth: int) -> dict[str, float]:
    """Milliseconds of each operation with about ``depth`` requests waiting."""
    said = Submission(ENDPOINTS[0], {"prompt": "a pirate " * 20}, key_id="key-1")
    last = f"deep-{depth - 2}"

    def job() -> None:
        (mine,) = ledger.claim("bench", [ENDPOINTS[0]], 1).result().requests
        assert ledger.finish(mine.id, mine.attempt, Outcome(200, {})).result()

    return {
        "submit": milliseconds(lambda: ledger.submit(said).result()),
        "submit, fal_max_queue_length": milliseconds(
            lambda: ledger.submit(said, max_waiting=2 * depth).result()
        ),
        "claim and finish, one endpoint": milliseconds(job),
        "claim, two endpoints": milliseconds(
            lambda: ledger.claim("bench", ENDPOINTS, 1).result().requests
        ),
        "position of the last": milliseconds(lambda: ledger.position(last).result()),
        "reap and add up": milliseconds(
            lambda: (ledger.reap().result(), ledger.compact().result())
        ),
    }


def main() -> None:
    """Fill, measure, fill, measure, tell."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("?")[0] + "?")
    parser.add_argument("url", help="of an empty database: sqlite:///… or postgresql://…")
    with Ledger(parser.parse_args().url) as ledger:
        told: list[dict[str, float]] = []
        filled = 0
        for depth in DEPTHS:
            fill(ledger, filled, depth)
            filled = depth
            measure(ledger, depth)  # warms up
            told.append(measure(ledger, depth))
    table = Table(title="A queue's length", title_justify="left")
    for heading in ("operation", *(f"{depth:,} waiting, ms" for depth in DEPTHS), "×"):
        table.add_column(heading, justify="left" if heading == "operation" else "right")
    for name in told[0]:
        shallow, deep = told[0][name], told[1][name]
        table.add_row(name, f"{shallow:.2f}", f"{deep:.2f}", f"{deep / shallow:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
