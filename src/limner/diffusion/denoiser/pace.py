"""How fast the running batch goes and how full it is, counted since its worker began.

Knows numbers and a clock; knows no sample.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Pace(NamedTuple):
    """What has been done so far."""

    #: Steps of the running batch, each in as many calls as it needed.
    steps: int = 0
    #: Seconds that they took in all.
    seconds: float = 0.0
    #: Rows that were computed for somebody.
    rows: int = 0
    #: Places of the calls, the empty ones too.
    places: int = 0


class Given(NamedTuple):
    """A step that is given to the device: since when, its rows, and the places of each call."""

    at: float
    rows: int
    places: int


class Meter:
    """Counts steps as they are heard of. ``pace`` may be read by any thread."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.pace = Pace()
        self._heard_at = 0.0
        #: Seconds that only go forward.
        self.clock = clock

    def heard(self, step: Given) -> None:
        """The device is done with a step.

        It took from when it was given to the device, or from the end of the one before, which the
        device was still at.
        """
        since, self._heard_at = max(self._heard_at, step.at), self.clock()
        places = -(-step.rows // step.places) * step.places
        done = self.pace
        self.pace = Pace(
            done.steps + 1,
            done.seconds + self._heard_at - since,
            done.rows + step.rows,
            done.places + places,
        )
