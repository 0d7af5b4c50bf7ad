"""What a drawing is lent of a photo: the face's middle frequencies, and nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from limner.sketch.lending import lent

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
