"""How long a step takes, by rows in a call: the numbers that the simulation of a fleet stands on.

For one NVIDIA H100 in bf16. SD 1.5's and SDXL's UNet are measured (docs/gpu.md, 2026-11-26); a
sticker's two ControlNets are not, and stand as the share of SDXL's UNet that a per-operator model
predicts: 0.70 of it at 2 rows, 0.69 at 8. Another table takes this one's place by being handed to
``bench.fleet`` (``--steps FILE``). Knows numbers; knows no queue.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request. Times are seconds unless they say otherwise."""

    name: str
    #: Rows that a request has in every call: two (with and without prompt) for each picture.
    rows: int
    #: Steps of a default request.
    steps: int
    #: Rows in a call → milliseconds of one step.
    milliseconds: tuple[tuple[int, float], ...]
    #: Fetching, face finding, text before the first step, decoding and encoding after the last.
    before: float
    #: Opening weights that are on the machine's disk.
    opening: float
    #: Megabytes of what is sent in, and of what is answered.
    sent: float
    made: float

    def seconds(self, rows: int) -> float:
        """One step of so many rows, on straight lines between the table's points and beyond."""
        table = self.milliseconds
        if len(table) == 1:
            return table[0][1] / 1e3
        at = min(max(bisect_left(table, (rows, 0.0)), 1), len(table) - 1)
        (low, fast), (high, slow) = table[at - 1], table[at]
        return (fast + (slow - fast) * (rows - low) / (high - low)) / 1e3


#: SD 1.5 at 512², four pictures; 859 M parameters, 1.7 GB to open.
FACE_ID = Kind("face-id", 8, 50, ((2, 7.1), (8, 20.0), (32, 71.9)), 0.12, 1.0, 0.4, 0.5)

#: SDXL at 1024² with InstantID's ControlNet in all steps and depth's in 11 of 20.
STICKER = Kind("sticker", 2, 20, ((2, 57.8), (8, 214.9)), 0.15, 4.0, 0.4, 2.5)


def kinds(measured: Path | None = None) -> tuple[Kind, Kind]:
    """The two kinds; ``measured`` is JSON, name → rows → milliseconds, in their place."""
    told = json.loads(measured.read_text()) if measured is not None else {}
    made = [
        replace(
            kind,
            milliseconds=tuple(sorted((int(r), float(ms)) for r, ms in told[kind.name].items())),
        )
        if kind.name in told
        else kind
        for kind in (FACE_ID, STICKER)
    ]
    return made[0], made[1]
