"""The search never loses likeness, and more steps only add to what fewer did."""

from __future__ import annotations

import numpy as np
import pytest

from limner.sketch.refinement import FIRST_STEPS, START, Pose, Refinement, best, refine


class Hill:
    """A stand-in for a portrait: likeness falls with the distance to a pose that is not zero."""

    def __init__(self, height: float = 0.5, has_latent: bool = True) -> None:
        self.height, self.has_latent, self.most_lent = height, has_latent, 0.2
        self.tried: list[Pose] = []

    def likeness(self, pose: Pose) -> float:
        self.tried.append(pose)
        far = ((pose.lent - 0.1) ** 2).sum() + 0.05 * ((pose.pull - 0.2) ** 2).sum()
        return self.height - float(far)


def test_each_step_measures_once_and_likeness_never_falls() -> None:
    hill = Hill()
    search = Refinement(hill, seed=1)
    likenesses = [search.likeness]
    for _ in refine([search], 60):
        likenesses.append(search.likeness)
    assert len(hill.tried) == 61
    assert likenesses == sorted(likenesses)
    # The start is sqrt(5 * 0.1^2 + 0.05 * 3 * 0.2^2) away; most of it is made good.
    assert hill.height - likenesses[0] == pytest.approx(0.056)
    assert hill.height - likenesses[-1] < 0.056 / 4
    assert np.abs(search.pose.pull).max() > 0


def test_every_sixth_step_moves_the_latent_and_no_other() -> None:
    """A moved latent is drawn anew, which costs as much as ten steps that only weigh layers."""
    hill = Hill()
    for _ in refine([search := Refinement(hill, seed=1)], 18):
        pass
    assert search.likeness <= hill.height
    kept = [START.pull, *(pose.pull for pose in hill.tried)]
    moved = [
        number
        for number, pose in enumerate(hill.tried)
        if not any(np.array_equal(pose.pull, before) for before in kept[: number + 1])
    ]
    assert moved == [6, 12, 18]


def test_a_move_that_gains_nothing_is_not_kept() -> None:
    class Plain(Hill):
        def likeness(self, pose: Pose) -> float:
            self.tried.append(pose)
            return 0.5

    search = Refinement(Plain(), seed=1)
    for _ in refine([search], 8):
        pass
    assert search.pose is START


def test_more_steps_begin_with_the_same_steps() -> None:
    few, many = Hill(), Hill()
    for hill, steps in ((few, 7), (many, 30)):
        for _ in refine([Refinement(hill, seed=5)], steps):
            pass
    for one, other in zip(few.tried, many.tried[:8], strict=True):
        assert np.array_equal(one.lent, other.lent)
        assert np.array_equal(one.pull, other.pull)


def test_after_some_steps_each_the_most_like_one_has_the_rest() -> None:
    hills = [Hill(0.3), Hill(0.9), Hill(0.5)]
    searches = [Refinement(hill, seed) for seed, hill in enumerate(hills)]
    made = list(refine(searches, 20))
    assert made[: 3 * FIRST_STEPS] == [0, 1, 2] * FIRST_STEPS
    assert set(made[3 * FIRST_STEPS :]) == {1}
    assert best(searches) == 1


def test_what_is_lent_has_a_limit_and_without_a_latent_none_is_moved() -> None:
    hill = Hill(has_latent=False)
    search = Refinement(hill, seed=3)
    for _ in refine([search], 40):
        pass
    assert max(pose.lent.max() for pose in hill.tried) <= hill.most_lent
    assert not any(pose.pull.any() for pose in hill.tried)
