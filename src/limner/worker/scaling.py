"""How many workers a queue wants: more at once, fewer only after a while.

Knows numbers; knows no ledger, no process and no clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """The fewest and the most workers that there may be; the fewest gives way to the most."""

    fewest: int
    most: int

    def hold(self, number: int) -> int:
        """The number within them that is nearest."""
        return min(max(number, self.fewest), self.most)


class Scale:
    """Remembers since when fewer workers would have done, and how many were wanted meanwhile."""

    def __init__(self, slots: int, patience: float) -> None:
        """``slots``: requests that one worker draws at once. ``patience``: seconds for which fewer
        must have done before there are fewer: opening an engine costs more than a short pause."""
        self._slots = slots
        self._patience = patience
        self._since: float | None = None
        self._peak = 0

    def wanted(self, requests: int, there: int, bounds: Bounds, now: float) -> int:
        """How many workers there should be for so many ``requests`` that wait or are drawn.

        ``there``: how many there are. ``now``: seconds of any clock that only goes forward.
        """
        needed = bounds.hold(math.ceil(requests / self._slots))
        if needed >= there:
            self._since = None
            return needed
        if self._since is None:
            self._since, self._peak = now, needed
        self._peak = max(self._peak, needed)
        if now - self._since < self._patience:
            return bounds.hold(there)
        self._since = None
        return bounds.hold(self._peak)
