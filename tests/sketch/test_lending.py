"""What a drawing is lent of a photo: the middle frequencies of the face, hair and clothes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from limner.sketch.lending import SPARE, as_red, clothed, lent
from limner.sketch.toon import to_lab

Pixels = npt.NDArray[np.uint8]
SIDE = 256
MIDDLE = (slice(90, 160), slice(90, 160))


def waves(period: float, level: float = 128, height: float = 30) -> Pixels:
    """Grey stripes [256, 256, 3] of so many pixels' period."""
    rows = np.arange(SIDE, dtype=np.float32)[:, None]
    grey = level + height * np.sin(2 * np.pi * rows / period)
    return np.repeat(np.broadcast_to(grey, (SIDE, SIDE))[..., None], 3, 2).astype(np.uint8)


def contrast(picture: Pixels, period: float) -> float:
    """How strongly stripes of a period show in the middle of the face, 0…127."""
    rows = np.arange(SIDE)[MIDDLE[0]]
    lines = picture[MIDDLE].mean(axis=(1, 2))
    lines = lines - lines.mean()
    return float(2 * abs((lines * np.exp(2j * np.pi * rows / period)).mean()))


def test_features_are_the_photos_and_tones_and_strokes_the_drawings() -> None:
    photo = waves(10)
    strokes, tones = waves(2.5, height=20), waves(200)
    assert contrast(photo, 10) > 25
    for drawing, period in ((strokes, 2.5), (tones, 200)):
        got = lent(drawing, photo, 1.0)
        assert contrast(got, 10) > 12
        assert contrast(got, period) > 0.8 * contrast(drawing, period)


def test_a_drawings_own_features_give_way_by_the_share() -> None:
    photo, drawing = np.full((SIDE, SIDE, 3), 128, np.uint8), waves(10)
    left = [contrast(lent(drawing, photo, share), 10) for share in (0.0, 0.5, 1.0)]
    assert left[0] == pytest.approx(contrast(drawing, 10), rel=0.02)
    assert left[1] == pytest.approx((left[0] + left[2]) / 2, rel=0.1)
    assert left[2] < 0.25 * left[0]


def test_nothing_is_lent_beyond_the_face_nor_where_words_changed_the_drawing() -> None:
    photo, drawing = waves(10), np.full((SIDE, SIDE, 3), (180, 120, 90), np.uint8)
    corner = (slice(0, 40), slice(0, 40))
    got = lent(drawing, photo, 1.0)
    assert np.abs(got[corner].astype(int) - drawing[corner]).max() <= 1
    assert np.abs(got[MIDDLE].astype(int) - drawing[MIDDLE]).max() > 10
    everywhere = np.ones((SIDE, SIDE), np.float32)
    untouched = lent(drawing, photo, 1.0, everywhere)
    assert np.abs(untouched.astype(int) - drawing).max() <= 1


def test_a_pale_drawing_stays_pale() -> None:
    photo = waves(10, height=60)
    pale, bold = waves(14, height=12), waves(14, height=60)
    strong = [contrast(lent(drawing, photo, 1.0), 10) for drawing in (pale, bold)]
    assert strong[0] < strong[1]


HAIR, CLOTHES = (slice(10, 30), slice(100, 156)), (slice(244, 256), slice(100, 156))
CHEEK = (slice(135, 155), slice(110, 146))
EVERYWHERE = np.ones((SIDE, SIDE), np.float32)


def plain(red: int, green: int, blue: int) -> Pixels:
    return np.full((SIDE, SIDE, 3), (red, green, blue), np.uint8)


def test_hair_and_clothes_are_the_photos_and_the_skin_is_the_drawings() -> None:
    photo, drawing = plain(160, 60, 20), plain(90, 90, 140)
    got = clothed(drawing, photo, EVERYWHERE, 1.0)
    for part in HAIR, CLOTHES:
        assert np.abs(got[part].astype(int) - photo[part]).max() <= 2
    assert np.abs(got[CHEEK].astype(int) - drawing[CHEEK]).max() <= 2


def test_the_strokes_in_hair_stay_the_drawings() -> None:
    photo, strokes = plain(160, 60, 20), waves(3, height=20)
    light = clothed(strokes, photo, EVERYWHERE, 1.0)[HAIR].astype(float).mean(axis=2)
    assert light.std() > 5
    assert light.mean() == pytest.approx(80, abs=6)


def test_what_lies_behind_the_person_seeps_into_no_edge() -> None:
    """Red hair before a blue wall: at its very border it is as red as in its middle."""
    photo, person = plain(160, 60, 20), EVERYWHERE.copy()
    photo[:, :80], person[:, :80] = (20, 60, 200), 0
    got = clothed(plain(128, 128, 128), photo, person, 1.0)
    edge, middle = got[10:30, 80:83].astype(int), got[10:30, 120].astype(int)
    assert np.abs(edge - middle[:, None]).max() <= 6
    assert np.abs(got[:, :70].astype(int) - 128).max() <= 1


def test_hair_that_words_changed_stays_as_it_was_drawn() -> None:
    photo, drawing = plain(160, 60, 20), plain(90, 90, 140)
    for got in (
        clothed(drawing, photo, EVERYWHERE, 1.0, EVERYWHERE),
        clothed(drawing, photo, EVERYWHERE, 0.0),
    ):
        assert np.abs(got.astype(int) - drawing).max() <= 1


LANDMARKS = np.array([[95, 115], [160, 115], [128, 145], [104, 175], [152, 175]], np.float32)
TEETH, CHIN = (slice(171, 180), slice(112, 145)), (slice(200, 205), slice(112, 145))


def luminance(part: Pixels) -> float:
    """Mean relative luminance 0…1 (IEC 61966-2-1, BT.709's weights): how light it is."""
    linear = ((part / 255 + 0.055) / 1.055) ** 2.4
    return float((linear @ np.array([0.2126, 0.7152, 0.0722])).mean())


def test_green_skin_is_as_red_as_the_photos_and_as_light_as_it_was_drawn() -> None:
    photo, drawing = plain(190, 140, 115), plain(130, 160, 100)
    got = as_red(drawing, photo, LANDMARKS)
    for part in CHEEK, TEETH:
        ours, theirs = (to_lab(each[part]).reshape(-1, 3).mean(axis=0) for each in (got, photo))
        assert ours[1:] == pytest.approx(theirs[1:], abs=SPARE + 1)
        assert luminance(got[part]) == pytest.approx(luminance(drawing[part]), rel=0.06)
    # Nothing but the face: a sky stays green.
    assert np.abs(got[:20, :20].astype(int) - drawing[:20, :20]).max() <= 1


def test_redder_strokes_and_what_words_coloured_stay_as_drawn() -> None:
    photo, drawing = plain(190, 140, 115), plain(200, 90, 80)
    assert np.abs(as_red(drawing, photo, LANDMARKS).astype(int) - drawing).max() <= 1
    green = plain(130, 160, 100)
    assert np.abs(as_red(green, photo, LANDMARKS, EVERYWHERE).astype(int) - green).max() <= 1


def test_green_teeth_that_are_not_the_photos_are_one_strip() -> None:
    """Teeth cut by dark strokes, in a smile that the photo has not: it has a closed mouth."""
    photo, drawing = plain(190, 140, 115), plain(150, 150, 110)
    photo[171:181, 108:149] = (170, 95, 90)
    drawing[TEETH] = (120, 180, 60)
    drawing[TEETH[0], 114:145:6] = (40, 70, 20)
    got = as_red(drawing, photo, LANDMARKS, own_mouth=False)
    middle = (slice(173, 178), slice(116, 141))
    ours, drawn = to_lab(got[middle]), to_lab(drawing[middle])
    assert ours[..., 0].std() < 0.25 * drawn[..., 0].std()
    # As light as the teeth were drawn, not as the strokes between them, and not green.
    assert np.median(ours[..., 0]) == pytest.approx(float(np.median(drawn[..., 0])), abs=4)
    assert ours[..., 1].min() > 0
    # The skin around them is skin's, not teeth's nor lips'.
    assert to_lab(got[CHIN])[..., 1:].mean(axis=(0, 1)) == pytest.approx(
        to_lab(photo[CHIN])[..., 1:].mean(axis=(0, 1)), abs=SPARE + 1
    )
