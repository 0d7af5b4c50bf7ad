"""A matte made one silhouette, at its edges: where the photo ends, and where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from limner.stages.silhouette import Box, bust_cut, extent, person_only, rounded_frame


def test_a_photos_corners_are_arcs_and_its_edges_stay() -> None:
    frame = rounded_frame((200, 300), 40)
    assert (
        frame[0, 150] == frame[100, 0] == frame[199, 150] == frame[100, 299] == pytest.approx(0.5)
    )
    assert frame[1:-1, 40:-40].min() == 1
    # Points of the arc: 40 from its centre, by Pythagoras.
    for row, column in ((40 - 24, 40 - 32), (40 - 32, 40 - 24)):
        assert frame[row, column] == pytest.approx(0.5)
        assert frame[row + 1, column + 1] == 1
        assert frame[row - 1, column - 1] == 0


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1)])
def test_a_photo_of_one_pixels_side_has_a_silhouette(shape: tuple[int, int]) -> None:
    face: Box = (0, 0, shape[1], shape[0])
    for got in (person_only(np.zeros(shape, np.float32), face), bust_cut(shape, face)):
        assert got.shape == shape
        assert np.isfinite(got).all()
        assert got.min() >= 0
        assert got.max() <= 1


def test_an_empty_matte_still_holds_the_face() -> None:
    body = person_only(np.zeros((100, 100), np.float32), (30, 20, 40, 50))
    assert body[45, 50] == pytest.approx(1)
    assert extent(body)[0] > 20
    assert body[90].max() == 0


def test_a_face_half_beyond_the_border_is_cut_there() -> None:
    body = person_only(np.zeros((100, 100), np.float32), (-20, 20, 40, 50))
    left, top, right, bottom = extent(body)
    assert left == 0
    assert right < 30
    assert 15 < top < bottom < 80


def test_nothing_but_what_hangs_together_with_the_face_is_kept() -> None:
    matte = np.zeros((100, 100), np.float32)
    matte[20:90, 10:50] = matte[20:90, 70:95] = 1
    body = person_only(matte, (15, 25, 30, 30))
    assert body[60, 30] == 1
    assert body[:, 70:].max() == 0


def test_between_two_people_the_border_is_nearer_to_the_smaller_face() -> None:
    matte = np.ones((100, 300), np.float32)
    body = person_only(matte, (40, 20, 60, 60), [(220, 20, 30, 30)])
    # Middles 70 and 235 apart, the border at 60 : 30.
    right = extent((body > 0.5).astype(np.float32))[2]
    assert right == pytest.approx(70 + 165 * 2 / 3, abs=8)


def test_a_hole_is_filled_and_a_bay_stays() -> None:
    matte = np.zeros((100, 100), np.float32)
    matte[10:90, 10:90] = 1
    matte[60:72, 30:42] = matte[60:72, 60:90] = 0
    body = person_only(matte, (30, 15, 40, 40))
    assert body[66, 36] == 1, "between an arm and the body nothing shines through"
    assert body[66, 80] == 0
