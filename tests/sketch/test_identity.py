"""Several faces become one identity; a stranger among them does not count."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from limner.sketch.identity import averaged


def vector(*numbers: float) -> npt.NDArray[np.float32]:
    return np.array(numbers, np.float32)


def test_lengths_do_not_count_and_the_mean_has_unit_length() -> None:
    # Directions at 0 and 60 degrees, one ten times as long: the mean lies at 30 degrees.
    identity = averaged([vector(10, 0), vector(0.5, 3**0.5 / 2)])
    assert identity.embedding == pytest.approx([3**0.5 / 2, 0.5])
    assert (identity.kept, identity.outliers) == ((0, 1), ())


def test_a_stranger_is_left_out_and_told_and_does_not_move_the_mean() -> None:
    person, stranger = vector(1, 0, 0), vector(0.2, 0, 0.96**0.5)
    identity = averaged([person, stranger, person])
    assert identity.kept == (0, 2)
    assert identity.outliers == ((1, pytest.approx(0.2)),)
    assert identity.embedding == pytest.approx(person)


def test_the_face_nearest_to_the_mean_is_drawn_from() -> None:
    # At 0, 20 and 60 degrees the mean of the unit vectors lies at 26.3 degrees.
    angles = np.radians([0, 60, 20])
    identity = averaged([vector(np.cos(angle), np.sin(angle)) for angle in angles])
    assert identity.closest == 2


def test_two_strangers_are_both_kept_and_one_face_is_itself() -> None:
    assert averaged([vector(1, 0), vector(0, 1)]).kept == (0, 1)
    assert averaged([vector(0, 3)]).embedding == pytest.approx([0, 1])
