"""A generator's drawing laid over a photo's face so that every feature falls on its own.

Two pictures of one face, merged as they are, have four eyes. The drawing is first moved by the
five landmarks, then bent along the dense flow between the two (DIS, Kroeger et al. 2016), and
where they still disagree (a hand, a hat, a profile the generator cannot draw) it is left out.

Knows two aligned pictures of a face; nothing of canvases, recipes or likeness.
"""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.sketch.toon import to_lab, to_rgb

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: The flow bends the drawing by no more than this, in pixels of the aligned 256.
FARTHEST = 12.0


def fitted(
    drawing: Picture,
    crop: Picture,
    drawn: Floats | None,
    own: Floats,
    where: Floats | None = None,
) -> Picture:
    """The drawing [256, 256, 3] bent so that its features lie on the crop's.

    ``own`` are the crop's landmarks [5, 2], ``drawn`` the drawing's, if a face was found in it.
    ``where`` [256, 256] 0…1 says how far it may be bent; everywhere if it is None.
    """
    if drawn is not None:
        # OpenCV answers None, which its types do not say, for points that fall together.
        affine = cast("Any", cv2.estimateAffinePartial2D(drawn, own, method=cv2.LMEDS)[0])
        if affine is not None and _is_gentle(affine):
            drawing = _moved(drawing, affine)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    along = flow.calc(_contrast(crop), _contrast(drawing), cast("Floats", None))
    smooth = np.clip(cv2.GaussianBlur(along, (0, 0), 5), -FARTHEST, FARTHEST)
    if where is not None:
        smooth = smooth * where[..., None]
    rows, columns = np.mgrid[0 : crop.shape[0], 0 : crop.shape[1]].astype(np.float32)
    bent = cv2.remap(
        drawing,
        columns + smooth[..., 0],
        rows + smooth[..., 1],
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.asarray(bent, np.uint8)


def toned(drawing: Picture, crop: Picture) -> Picture:
    """The drawing with the skin's own lightness and some of its colour given back.

    Styles are learnt from light skin and would bleach dark one; contrast and line stay theirs.
    """
    lab = [to_lab(drawing), to_lab(crop)]
    side = crop.shape[0]
    # The middle of the face is skin, whoever it is.
    inner = (slice(int(0.3 * side), int(0.8 * side)), slice(int(0.28 * side), int(0.72 * side)))
    lost = lab[1][inner].mean(axis=(0, 1)) - lab[0][inner].mean(axis=(0, 1))
    lab[0] += (lost * np.array([0.85, 0.4, 0.4])).astype(np.float32)
    return to_rgb(lab[0])


def agreement(drawing: Picture, crop: Picture) -> Floats:
    """How well the two agree around each pixel [256, 256] 0…1.

    Local correlation of their lightness; where both are flat there is nothing to disagree on.
    """
    one, other = (
        np.asarray(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY), np.float32) for each in (drawing, crop)
    )

    def mean(values: npt.NDArray[Any]) -> Floats:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), 7), np.float32)

    a, b = one - mean(one), other - mean(other)
    var_a, var_b = mean(a * a), mean(b * b)
    alike = (mean(a * b) + 60) / (np.sqrt(var_a * var_b) + 60)
    t = np.clip((alike - 0.1) / 0.5, 0, 1)
    return cast("Floats", cv2.GaussianBlur((t * t * (3 - 2 * t)).astype(np.float32), (0, 0), 4))


def edited(moved: Picture, unmoved: Picture) -> Floats:
    """Where words changed the drawing [256, 256] 0…1: glasses, a beard, the hair's colour."""
    apart = np.abs(to_lab(moved) - to_lab(unmoved)).max(axis=2)
    change = np.asarray(cv2.GaussianBlur(apart, (0, 0), 3), np.float32)
    t = np.clip((change - 7) / 10, 0, 1)
    return cast("Floats", cv2.GaussianBlur((t * t * (3 - 2 * t)).astype(np.float32), (0, 0), 3))


def _contrast(picture: Picture) -> Picture:
    """Lightness with its local mean and strength taken away: what two styles have in common."""
    light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    apart = light - cv2.GaussianBlur(light, (0, 0), 12)
    spread = np.sqrt(cv2.GaussianBlur(apart * apart, (0, 0), 12)) + 3
    return np.clip(apart / spread * 50 + 128, 0, 255).astype(np.uint8)


def _is_gentle(affine: Floats) -> bool:
    """Whether a correction is small enough to be true: a drawing is aligned as the crop is."""
    scale = float(np.hypot(affine[0, 0], affine[1, 0]))
    turn = float(np.degrees(np.arctan2(affine[1, 0], affine[0, 0])))
    return 0.8 < scale < 1.25 and abs(turn) < 15


def _moved(picture: Picture, affine: Floats) -> Picture:
    size = (picture.shape[1], picture.shape[0])
    moved = cv2.warpAffine(
        picture, affine, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(moved, np.uint8)
