"""How fast the running batch goes and how full it is, counted since its worker began.

Knows numbers; knows no sample and no clock.
"""

from __future__ import annotations

from typing import NamedTuple


class Pace(NamedTuple):
    """What has been done so far. Read by other threads: a step is a new one of these."""

    #: Steps of the running batch, each in as many calls as it needed.
    steps: int = 0
    #: Seconds that they took in all.
    seconds: float = 0.0
    #: Rows that were computed for somebody.
    rows: int = 0
    #: Places of the calls, the empty ones too.
    places: int = 0

    def after(self, seconds: float, rows: int, places: int) -> Pace:
        """With one step more, of so many rows in calls of so many places each."""
        calls = -(-rows // places)
        return Pace(
            self.steps + 1, self.seconds + seconds, self.rows + rows, self.places + calls * places
        )
