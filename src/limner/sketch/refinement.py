"""Moving a portrait towards the person, step by step, by what a recogniser says.

A (1+1) evolution strategy (Rechenberg 1973) with his one-fifth rule: each step tries one move of
the portrait, measures, and keeps it only where the likeness grew. So the likeness never falls,
and the first n steps are the same whatever number was asked for: more steps are never worse.

Several portraits are refined at once: each has a few steps, then the most like one has the rest.
Knows moves and a measure; nothing of networks, pixels or requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from limner.sketch.easel import FEATURES

Floats = npt.NDArray[np.float64]

#: Groups of the latent's rows that are moved together: pose and shape, features, colour.
ROW_GROUPS = 3
#: Every so many steps of a portrait one moves the latent, which costs as much as ten others.
LATENT_EVERY = 6
#: Steps each portrait has before the best takes all.
FIRST_STEPS = 3


@dataclass(frozen=True, eq=False, slots=True)
class Pose:
    """What is moved: ``lent`` [5], structure each feature is lent beyond the recipe's share, and
    ``pull`` [3], how much nearer to the person's own latent each group of rows is."""

    lent: Floats
    pull: Floats


START = Pose(np.zeros(len(FEATURES)), np.zeros(ROW_GROUPS))


class Subject(Protocol):
    """A portrait that can be tried in a pose."""

    def likeness(self, pose: Pose) -> float:
        """Draw in this pose, and measure: -1…1."""
        ...

    #: Whether there is a latent to move.
    has_latent: bool
    #: The most that a feature may be lent.
    most_lent: float


class Refinement:
    """The search on one portrait; :meth:`step` as often as wished."""

    def __init__(self, subject: Subject, seed: int) -> None:
        self._subject = subject
        self._chance = np.random.default_rng((seed, 3))
        self._reach = {"lent": 0.06, "pull": 0.25}
        self._steps = 0
        self.pose = START
        self.likeness = subject.likeness(START)

    def step(self) -> None:
        """Try one move, keep it if the portrait became more like the person."""
        self._steps += 1
        latent = self._subject.has_latent and self._steps % LATENT_EVERY == 0
        kind = "pull" if latent else "lent"
        tried = self._moved(kind)
        likeness = self._subject.likeness(tried)
        won = likeness > self.likeness
        if won:
            self.pose, self.likeness = tried, likeness
        # One success in five keeps the reach: 1.5 ** 0.2 * 0.9 ** 0.8 is about 1.
        self._reach[kind] = float(np.clip(self._reach[kind] * (1.5 if won else 0.9), 0.01, 0.6))

    def _moved(self, kind: str) -> Pose:
        reach = self._reach[kind]
        if kind == "pull":
            jump = reach * self._chance.standard_normal(ROW_GROUPS)
            return Pose(self.pose.lent, np.clip(self.pose.pull + jump, -0.4, 0.5))
        jump = reach * self._chance.standard_normal(len(FEATURES))
        most = self._subject.most_lent
        return Pose(np.clip(self.pose.lent + jump, -0.5 * most, most), self.pose.pull)


def refine(refinements: Sequence[Refinement], steps: int) -> Iterator[int]:
    """``steps`` steps in all; yields the number of the refinement that made each.

    The first go round; from then on the most like one has them all.
    """
    for number in range(steps):
        turn, position = divmod(number, len(refinements))
        if turn >= FIRST_STEPS:
            position = best(refinements)
        refinements[position].step()
        yield position


def best(refinements: Sequence[Refinement]) -> int:
    """The number of the most like one, the first of equals."""
    return max(range(len(refinements)), key=lambda index: refinements[index].likeness)
