"""A million requests a day on many workers, simulated: how busy, how long, what is short next.

``python -m bench.fleet [--steps FILE]``; a few minutes, no GPU. Prints the tables of
docs/scaling.md; seeded, so always the same. Knows a day: its curve, its callers, what they ask for;
the simulation itself is ``bench.simulation``, the step times ``bench.step_times``.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.simulation import Day, Fleet, Job, Seen, share_below
from bench.step_times import Kind, kinds
from limner.requests.claiming import OPENING

HOURS = 24
SECONDS = 3600.0 * HOURS

#: The busiest hour has this much more than the mean, and the quietest as much less.
SWING = 0.6

#: Of the requests, and how many bases face-id requests choose among (the n-th 1/n as often).
FACE_ID_SHARE, BASES = 0.6, 6

#: Callers, the n-th with 1/n as many requests.
KEYS = 200

#: Steps, as multiples of the default, and how often.
STEPS = ((0.5, 0.2), (1.0, 0.7), (2.0, 0.1))

SLOTS = 8
WEEK = 7 * 86_400.0

#: Seconds from submit to claim and from the last step to the answer, together. Assumed: some four
#: commits of an unhurried database.
LEDGER = 0.006

#: Transactions of a request besides one a step: submit, claim, finish, five log lines, reads.
TRANSACTIONS = 10


@dataclass(frozen=True, slots=True)
class Demand:
    """What a day asks for."""

    requests: int
    face_id: Kind
    sticker: Kind
    seed: int = 1

    def jobs(self) -> Iterator[Job]:
        """The requests in order of arrival."""
        chance = random.Random(self.seed)
        bases = list(accumulate(1 / n for n in range(1, BASES + 1)))
        keys = list(accumulate(1 / n for n in range(1, KEYS + 1)))
        factors, weights = zip(*STEPS, strict=True)
        for at in self._times(chance):
            face = chance.random() < FACE_ID_SHARE
            kind = self.face_id if face else self.sticker
            yield Job(
                kind,
                at,
                kind.steps * chance.choices(factors, weights)[0],
                key=chance.choices(range(KEYS), cum_weights=keys)[0],
                base=chance.choices(range(BASES), cum_weights=bases)[0] if face else 0,
            )

    def _times(self, chance: random.Random) -> list[float]:
        """Poisson arrivals whose rate follows the day: by thinning, until there are enough."""
        times: list[float] = []
        while len(times) < self.requests:
            at = chance.random() * SECONDS
            if chance.random() * (1 + SWING) < 1 + SWING * math.sin(math.tau * at / SECONDS):
                times.append(at)
        return sorted(times)

    @property
    def busiest(self) -> float:
        """Requests a second at the top of the curve."""
        return self.requests / SECONDS * (1 + SWING)


def simulate(demand: Demand, workers: int, opening: int = OPENING) -> Seen:
    """A day; every worker fails about once a week and is back after five minutes."""
    fleet = Fleet(workers, SLOTS, WEEK, 300.0, opening, LEDGER)
    return Day(fleet, seed=demand.seed).run(demand.jobs())


def row(demand: Demand, workers: int, opening: int) -> list[str]:
    """One day as a line of the table."""
    seen = simulate(demand, workers, opening)
    times = [
        f"{share_below(seen.times[kind.name], share):.2f}"
        for kind in (demand.face_id, demand.sticker)
        for share in (0.5, 0.95, 0.99)
    ]
    waits = [wait for each in seen.waits.values() for wait in each]
    return [
        f"{demand.requests:,}",
        str(workers),
        str(opening),
        f"{100 * seen.busy / (workers * seen.until):.0f} %",
        *times,
        f"{share_below(waits, 0.95):.2f}",
        f"{seen.opened:,}",
        f"{seen.failures} / {seen.drawn_again}",
    ]


def limits(demand: Demand) -> Table:
    """What the busiest minute of a day asks of everything but the GPUs."""
    rate = demand.busiest
    face, sticker = FACE_ID_SHARE, 1 - FACE_ID_SHARE
    mean = sum(factor * often for factor, often in STEPS)
    steps = mean * (face * demand.face_id.steps + sticker * demand.sticker.steps)
    sent = face * demand.face_id.sent + sticker * demand.sticker.sent
    made = face * demand.face_id.made + sticker * demand.sticker.made
    shown = Table(title=f"{demand.requests:,} a day, at its top", title_justify="left")
    shown.add_column("what")
    shown.add_column("a second", justify="right")
    shown.add_row("requests", f"{rate:.0f}")
    shown.add_row("transactions: a line a step", f"{rate * steps:.0f}")
    shown.add_row("transactions: all others", f"{rate * TRANSACTIONS:.0f}")
    shown.add_row("megabits in and out of the gateways", f"{8 * rate * (sent + made):.0f}")
    shown.add_row("files written", f"{rate * (face + 2 * sticker):.0f}")
    shown.add_row("gigabytes kept, one hour", f"{rate * 3600 * (sent + made) / 1e3:.0f}")
    return shown


def main() -> None:
    """The days, then what they ask of the rest."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument(
        "--steps",
        type=Path,
        help="measured ones: JSON, kind → rows in a call → milliseconds, as in bench/step_times.py",
    )
    face_id, sticker = kinds(parser.parse_args().steps)
    console = Console(width=150)
    days = Table(title="A day", title_justify="left")
    for heading in (
        *("requests", "workers", "opening counts as", "busy"),
        *("face-id p50 s", "p95", "p99", "sticker p50 s", "p95", "p99"),
        *("wait p95 s", "weights opened", "failures / drawn again"),
    ):
        days.add_column(heading, justify="right")
    million = Demand(1_000_000, face_id, sticker)
    for workers, opening in ((200, OPENING), (30, OPENING), (30, 1)):
        days.add_row(*row(million, workers, opening))
    console.print(days)
    for requests in (1_000_000, 10_000_000):
        console.print(limits(Demand(requests, face_id, sticker)))


if __name__ == "__main__":
    main()
