"""Whose turn it is: fair between callers, and among one caller's the one that is due first.

Each caller has used up a share of the device, counted in work done and not in requests: the turn is
theirs who have used least (start-time fair queueing, Goyal et al. 1996: a deficit round robin
without a quantum to choose). Who comes back after a pause starts level with the others, and has
saved nothing up.

A caller's own samples go in the order in which they are due: when they came, plus how long they
take. So a short one overtakes a long one, and a long one is overtaken only for so long.

Knows numbers; knows no network, no latent and no clock: time is counted in work done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar


@dataclass(eq=False, slots=True)
class Waiting:
    """One that waits for its turn again and again, until it is done.

    ``due``: what :meth:`Fairness.arrive` said. ``company``: who has the same may be computed in one
    call. ``rows``: places it needs there. ``cost``: work of its next step. ``taken``: steps behind
    it; what arrived together goes abreast.
    """

    caller: str
    due: float
    company: Hashable
    rows: int
    cost: float
    taken: int


W = TypeVar("W", bound=Waiting)


class Fairness:
    """The account of who has used how much."""

    def __init__(self) -> None:
        self._used: dict[str, float] = {}
        self._done = 0.0

    def arrive(self, caller: str, work: float, busy: Collection[str]) -> float:
        """When something of so much ``work`` is due. ``busy``: callers who wait for something."""
        if caller not in busy:
            level = min((self._used[each] for each in busy), default=0.0)
            self._used = {each: self._used[each] for each in busy}
            self._used[caller] = level
        return self._done + work

    def choose(self, waiting: Sequence[W], places: Callable[[W], int]) -> list[W]:
        """Those that step next, together: whose turn it is, and in turn who fills up its call.

        ``places``: in one call of its company. It gets as many calls as it needs.
        """
        used = dict(self._used)

        def order(each: W) -> tuple[float, float, int]:
            return used[each.caller], each.due, each.taken

        first = min(waiting, key=order)
        room = math.ceil(first.rows / places(first)) * places(first)
        fitting = [each for each in waiting if each.company == first.company]
        chosen: list[W] = []
        while fitting and room:
            best = min(fitting, key=order)
            fitting.remove(best)
            if best.rows <= room:
                chosen.append(best)
                room -= best.rows
                used[best.caller] += best.cost
        return chosen

    def charge(self, stepped: Sequence[Waiting]) -> None:
        """Enter a step's work into the account."""
        for each in stepped:
            self._used[each.caller] += each.cost
            self._done += each.cost
