"""Too little light is mended by the person's whites, never by the skin."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from limner.sketch.light import BOLDNESS, ENOUGH, MOST, exposed, missing

Pixels = npt.NDArray[np.uint8]
SIDE = 128
LANDMARKS = np.array([[44, 50], [84, 50], [64, 70], [50, 90], [78, 90]], np.float32)
PERSON = np.ones((SIDE, SIDE), np.float32)
DARK_SKIN, LIGHT_SKIN = (0.05, 0.025, 0.015), (0.45, 0.30, 0.22)
CHEEK = (80, 64)


def srgb(linear: npt.ArrayLike) -> Pixels:
    """The pixels of linear light, by IEC 61966-2-1."""
    light = np.asarray(linear, float).clip(0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * encoded).astype(np.uint8)


def linear(pixels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    value = np.asarray(pixels, float) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def person(skin: tuple[float, float, float], light: float) -> Pixels:
    """A face all of skin but for the whites of its eyes, which send back 0.4 of the light."""
    shown = np.full((SIDE, SIDE, 3), skin)
    for x, y in LANDMARKS[:2].astype(int):
        shown[y - 2 : y + 3, x - 6 : x + 7] = 0.4
    return srgb(shown * light)


def test_a_dark_skinned_face_in_good_light_is_left_as_it_is_to_the_bit() -> None:
    for skin in (DARK_SKIN, LIGHT_SKIN):
        photo = person(skin, 1.0)
        assert exposed(photo, PERSON, LANDMARKS) is photo


def test_a_dark_photo_is_exposed_longer_and_keeps_its_hues() -> None:
    photo = person(DARK_SKIN, 1 / 4)
    # The whites are at 0.1: what is missing to ENOUGH is a factor of three.
    gain = (ENOUGH / 0.1) ** BOLDNESS
    assert missing(photo, PERSON, LANDMARKS) == pytest.approx(gain, rel=0.05)
    before, after = linear(photo[CHEEK]), linear(exposed(photo, PERSON, LANDMARKS)[CHEEK])
    assert after / before == pytest.approx([gain] * 3, rel=0.15)


def test_skin_is_never_what_decides() -> None:
    """In the same bad light light skin and dark skin are given the same, and stay as far apart."""
    # The whites are at 0.2.
    gain = (ENOUGH / 0.2) ** BOLDNESS
    for skin in (DARK_SKIN, (0.15, 0.15, 0.15)):
        assert missing(person(skin, 1 / 2), PERSON, LANDMARKS) == pytest.approx(gain, rel=0.03)


def test_a_collar_in_good_light_says_that_light_is_enough() -> None:
    photo = person(DARK_SKIN, 1 / 4)
    photo[120:, 30:100] = 200
    assert exposed(photo, PERSON, LANDMARKS) is photo
    # Behind the person, a window says nothing of the light on the face.
    behind = PERSON.copy()
    behind[115:] = 0
    assert missing(photo, behind, LANDMARKS) > 2


def test_what_is_black_is_not_made_day_and_nobody_is_no_fault() -> None:
    black = np.zeros((SIDE, SIDE, 3), np.uint8)
    assert missing(black, PERSON, LANDMARKS) == MOST
    assert not exposed(black, PERSON, LANDMARKS).any()
    assert exposed(black, 0 * PERSON, LANDMARKS) is black
