"""A generator's drawing laid on a photo's face: what words add to it is not bent away."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from limner.sketch.merging import Fit, edited, fit_of

Pixels = npt.NDArray[np.uint8]
SIDE = 256
#: Where a face's landmarks would be; the drawing has them four pixels further right.
OWN = np.array([[95, 115], [160, 115], [128, 145], [104, 175], [152, 175]], np.float32)
APART = np.array([4, 0], np.float32)
LENSES = (slice(100, 130), slice(75, 185))
REST = (slice(150, 200), slice(80, 176))


def face(seed: int = 1) -> Pixels:
    """Blots of skin's colour [256, 256, 3]: something that two pictures can agree on."""
    blots = np.random.default_rng(seed).standard_normal((SIDE, SIDE, 1)).astype(np.float32)
    soft = cv2.GaussianBlur(blots, (0, 0), 5)[..., None]
    return (np.array([190, 150, 130]) + 45 * soft / soft.std()).clip(0, 255).astype(np.uint8)


def shifted(picture: Pixels) -> Pixels:
    move = np.array([[1, 0, APART[0]], [0, 1, APART[1]]], np.float32)
    return np.asarray(
        cv2.warpAffine(picture, move, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT), np.uint8
    )


def in_sunglasses(drawing: Pixels) -> Pixels:
    worn = drawing.copy()
    worn[LENSES] = (10, 10, 30)
    return worn


def apart(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_a_drawings_features_come_to_lie_on_the_photos() -> None:
    photo = face()
    drawing = shifted(photo)
    for drawn in (OWN + APART, None):
        # By its landmarks, and by the flow alone.
        fit = fit_of(drawing, photo, drawn, OWN)
        assert apart(fit(drawing)[REST], photo[REST]) < 0.25 * apart(drawing[REST], photo[REST])


def test_what_words_add_changes_neither_place_nor_tone_of_the_rest() -> None:
    photo = face()
    drawing = shifted(photo)
    fit = fit_of(drawing, photo, OWN + APART, OWN)
    plain, worn = fit(drawing), fit(in_sunglasses(drawing))
    assert apart(worn[REST], plain[REST]) < 1
    # They are as wide and as straight as they were drawn, and moved as all is.
    changed = (edited(worn, plain) > 0.5)[115]
    assert abs(int(changed.sum()) - 110) <= 12
    assert (worn[105:125, 75:175].astype(int).max(axis=(0, 1)) < 60).all()


def test_dark_skin_is_not_bleached_by_a_drawing_of_light_skin() -> None:
    photo, drawing = (face() * 0.4).astype(np.uint8), face()
    got = fit_of(drawing, photo, OWN, OWN)(drawing)
    assert abs(float(got[REST].mean()) - float(photo[REST].mean())) < 25
    assert float(drawing[REST].mean()) - float(photo[REST].mean()) > 80


def test_landmarks_that_fall_together_leave_the_drawing_where_it_is() -> None:
    photo = face()
    together = np.full((5, 2), 128, np.float32)
    assert fit_of(photo, photo, together, OWN).affine is None
    assert fit_of(photo, photo, OWN * 2, OWN).affine is None, "half the size is no small mistake"


def test_a_frame_stays_straight_where_a_turned_face_is_bent() -> None:
    """Half of the face is pulled down by ten pixels; what does not bend is only tilted by it."""
    flow = np.zeros((SIDE, SIDE, 2), np.float32)
    flow[:, 140:, 1] = -10
    where = np.zeros((SIDE, SIDE), np.float32)
    where[LENSES] = 1
    drawing = np.full((SIDE, SIDE, 3), 200, np.uint8)
    drawing[112:118, 75:185] = 10
    fit = Fit(None, flow, np.zeros(3, np.float32))
    assert kinks(fit.bent(drawing)) > 2
    assert kinks(fit.stiff(where).bent(drawing)) < 0.5
    # A turn, a shift and a scale are kept as they are.
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    turn = np.stack([0.1 * (rows - 90) + 3, -0.1 * (columns - 70) - 2], axis=-1)
    assert np.abs(Fit(None, turn, fit.tone).stiff(where).flow - turn).max() < 0.01


def kinks(picture: Pixels) -> float:
    """How far the dark bar's middle strays from a straight line, in pixels (r.m.s.)."""
    columns = np.arange(80, 180)
    dark = 200.0 - picture[60:180, 80:180].mean(axis=2)
    middle = (dark * np.arange(60, 180)[:, None]).sum(axis=0) / dark.sum(axis=0)
    straight = np.polyval(np.polyfit(columns, middle, 1), columns)
    return float(np.sqrt(((middle - straight) ** 2).mean()))
