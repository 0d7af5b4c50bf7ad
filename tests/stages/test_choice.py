"""The face that is pointed at is the one that is taken."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import FaceNotFound, InputProblem
from limner.stages.choice import Box, boxes, choose
from limner.stages.face import Face, Found


def face(*box: float) -> Face:
    x, y, width, height = box
    return Face((x, y, width, height), np.zeros((5, 2), np.float32), 0.9)


def found(*faces: Face, turned: int = 0, size: tuple[int, int] = (200, 300)) -> Found:
    width, height = size
    return Found(np.zeros((height, width, 3), np.uint8), faces, ("640 px",), turned)


LARGE, MIDDLE, SMALL = face(10, 10, 50, 50), face(100, 10, 40, 40), face(10, 100, 30, 30)
THREE = found(LARGE, MIDDLE, SMALL)


def test_nothing_asked_nothing_changed() -> None:
    assert choose(THREE) is THREE


@pytest.mark.parametrize(
    ("index", "order"),
    [(0, [LARGE, MIDDLE, SMALL]), (1, [MIDDLE, LARGE, SMALL]), (2, [SMALL, LARGE, MIDDLE])],
)
def test_an_index_counts_by_size_and_keeps_the_others(index: int, order: list[Face]) -> None:
    assert list(choose(THREE, index).faces) == order


def test_an_index_out_of_range_says_how_many_faces_there_are() -> None:
    with pytest.raises(FaceNotFound, match=r"are 3 faces.*below 3; 3 is not") as caught:
        choose(THREE, 3)
    assert caught.value.loc == ("body", "face_index")
    assert caught.value.ctx is not None
    assert caught.value.ctx["face_count"] == 3
    with pytest.raises(FaceNotFound, match="is 1 face in"):
        choose(found(LARGE), 1)


@pytest.mark.parametrize(
    ("box", "meant"),
    [
        ((10, 10, 50, 50), LARGE),
        ((105, 15, 5, 5), MIDDLE),  # a point inside it
        ((0, 90, 60, 60), SMALL),  # a generous frame around it
        ((50, 0, 100, 60), MIDDLE),  # touches LARGE too, but overlaps MIDDLE more
    ],
)
def test_the_face_that_overlaps_the_box_best_is_taken(box: Box, meant: Face) -> None:
    assert choose(THREE, box=box).face is meant


@pytest.mark.parametrize(
    "box", [(60, 60, 10, 10), (10, 10, 0, 50), (40, 40, -30, -30), (1e300,) * 4]
)
def test_a_box_without_a_face_says_where_faces_are(box: Box) -> None:
    with pytest.raises(FaceNotFound, match=r"\[100, 10, 40, 40\]") as caught:
        choose(THREE, box=box)
    assert caught.value.loc == ("body", "face_box")
    assert caught.value.ctx == {
        "faces": [[10, 10, 50, 50], [100, 10, 40, 40], [10, 100, 30, 30]],
        "face_count": 3,
    }


def test_a_crowd_is_not_listed_whole() -> None:
    crowd = found(*[face(each, 0, 5, 5) for each in range(0, 600, 6)])
    with pytest.raises(FaceNotFound, match="and 90 more") as caught:
        choose(crowd, 100)
    assert len(caught.value.msg) < 500


def test_two_ways_to_name_a_face_are_one_too_many() -> None:
    with pytest.raises(InputProblem, match="not both") as caught:
        choose(THREE, 0, (10, 10, 50, 50))
    assert caught.value.loc == ("body", "face_box")


TURNS = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


@given(
    st.sampled_from([90, 180, 270]),
    st.tuples(st.integers(0, 30), st.integers(0, 50), st.integers(1, 9), st.integers(1, 9)),
)
def test_boxes_are_those_of_the_photo_as_it_was_before_its_turn(
    turned: int, box: tuple[int, int, int, int]
) -> None:
    """Independently: paint the box, let OpenCV turn the picture, see where the paint is."""
    photo = np.zeros((60, 40), np.uint8)
    x, y, width, height = box
    photo[y : y + height, x : x + width] = 1
    there = cv2.rotate(photo, TURNS[turned])
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    seen = face(columns[0], rows[0], len(columns), len(rows))
    upright = found(seen, turned=turned, size=(there.shape[1], there.shape[0]))
    assert boxes(upright) == [box]
    assert choose(upright, box=box).face is seen
