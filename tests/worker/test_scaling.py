"""How many workers a queue wants, by numbers worked out by hand."""

from __future__ import annotations

import pytest

from limner.worker.scaling import Bounds, Scale


@pytest.mark.parametrize(
    ("requests", "wanted"), [(0, 1), (1, 1), (2, 1), (3, 2), (7, 4), (8, 4), (9, 5), (99, 5)]
)
def test_more_come_at_once_within_the_bounds(requests: int, wanted: int) -> None:
    # Two slots each, one to five workers.
    assert Scale(2, 60).wanted(requests, 0, Bounds(1, 5), now=0) == wanted


def test_fewer_stay_once_fewer_have_done_for_long_enough() -> None:
    scale, bounds = Scale(2, 60), Bounds(0, 9)
    said = [
        scale.wanted(requests, 4, bounds, now)
        # Until 100 a short pause; from then on 60 s with at most three at once.
        for now, requests in [(0, 8), (10, 0), (69, 0), (100, 8), (110, 2), (140, 6), (169, 0)]
    ]
    assert said == [4] * 7
    assert scale.wanted(0, 4, bounds, now=170) == 3
    # What was wanted before counts no more: a new while begins.
    assert [scale.wanted(0, 3, bounds, now) for now in (171, 230, 231)] == [3, 3, 0]


def test_a_cluster_that_shrank_has_room_for_fewer_at_once() -> None:
    # The fewest gives way too: there is no place for them.
    assert Scale(1, 60).wanted(9, 6, Bounds(3, 2), now=0) == 2
