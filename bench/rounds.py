"""Measuring in turns, and telling the outcome as multiples of a floor.

A machine's speed drifts within a run, its disk's most of all. So every round measures every thing
once, one after the other; a ratio is taken inside its round, and the median of the rounds is told
with the lowest and the highest. Knows seconds; knows nothing of what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.table import Table

#: Odd, so that a median is a measured round.
ROUNDS = 7

#: One round of something; seconds for one of it.
Round = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds for one of something, round by round."""

    name: str
    seconds: tuple[float, ...]

    def over(self, floor: Measured) -> tuple[float, float, float]:
        """Lowest, median and highest ratio to ``floor``, each taken within a round."""
        ratios = [mine / its for mine, its in zip(self.seconds, floor.seconds, strict=True)]
        return min(ratios), median(ratios), max(ratios)


def in_turns(things: Mapping[str, Round], rounds: int = ROUNDS) -> list[Measured]:
    """Measure everything ``rounds`` times, in turns; a first round warms up and is not told."""
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for number in range(rounds + 1):
        for name, one in things.items():
            taken = one()
            if number > 0:
                seconds[name].append(taken)
    return [Measured(name, tuple(taken)) for name, taken in seconds.items()]


def mean_of(count: int, work: Callable[[], object]) -> float:
    """Seconds for one of ``count``, when ``work`` does them all."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / count


def p50_of(count: int, work: Callable[[], object]) -> float:
    """The median seconds of ``count`` calls of ``work``."""
    return median(mean_of(1, work) for _ in range(count))


def table(title: str, measured: Sequence[Measured], floors: Sequence[str]) -> Table:
    """A row a thing, a column of ratios a floor; the floors' own rows stand first."""
    shown = Table(title=title, title_justify="left")
    shown.add_column("what")
    for heading in ("ms", "a second", *(f"× {floor} (lowest–highest)" for floor in floors)):
        shown.add_column(heading, justify="right")
    by_name = {one.name: one for one in measured}
    for one in measured:
        milliseconds = 1e3 * median(one.seconds)
        ratios = [one.over(by_name[floor]) for floor in floors]
        shown.add_row(
            one.name,
            f"{milliseconds:.2f}",
            f"{1e3 / milliseconds:.0f}",
            *(f"{middle:.2f} ({low:.2f}–{high:.2f})" for low, middle, high in ratios),
        )
    return shown
