"""A generator's drawing laid over a photo's face so that every feature falls on its own.

Two pictures of one face, merged as they are, have four eyes. The drawing is first moved by the
five landmarks, then bent along the dense flow between the two (DIS, Kroeger et al. 2016), and
where they still disagree (a hand, a hat, a profile the generator cannot draw) it is left out.

Knows two aligned pictures of a face; nothing of canvases, recipes or likeness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.sketch.toon import to_lab, to_rgb

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: The flow bends the drawing by no more than this, in pixels of the aligned 256.
FARTHEST = 12.0


@dataclass(frozen=True, eq=False, slots=True)
class Fit:
    """What makes a generator's drawing fit a photo's face: a move, a bend and a tone.

    Measured on one drawing and done to others of the same face: what words add to a drawing,
    glasses or a smile, is nothing to be bent away or toned down for the photo's sake.
    """

    #: The move, affine 2×3; None where it is as it should be, or cannot be told.
    affine: Floats | None
    #: Where each pixel [256, 256, 2] comes from, as an offset (x, y) in pixels.
    flow: Floats
    #: Lab to add.
    tone: Floats

    def __call__(self, drawing: Picture) -> Picture:
        """The drawing [256, 256, 3] with its features on the photo's and in the skin's tone."""
        return to_rgb(to_lab(self.bent(drawing)) + self.tone)

    def stiff(self, where: Floats) -> Fit:
        """The same for what does not bend: its flow as one shift, turn and scale.

        That which is nearest to the flow (least squares) where ``where`` [256, 256] 0…1 is.
        """
        height, width = where.shape
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        plane = np.stack([np.ones_like(rows), columns - width / 2, rows - height / 2], axis=-1)
        weight = np.sqrt(where + 1e-6)[..., None]
        given = (plane * weight).reshape(-1, 3), (self.flow * weight).reshape(-1, 2)
        shift, by_x, by_y = np.linalg.lstsq(*given, rcond=None)[0]
        grown, turned = (by_x[0] + by_y[1]) / 2, (by_x[1] - by_y[0]) / 2
        matrix = np.stack([shift, [grown, turned], [-turned, grown]])
        return replace(self, flow=(plane @ matrix).astype(np.float32))

    def bent(self, drawing: Picture) -> Picture:
        """The same in its own tone."""
        moved = drawing if self.affine is None else _moved(drawing, self.affine)
        rows, columns = np.mgrid[0 : moved.shape[0], 0 : moved.shape[1]].astype(np.float32)
        bent = cv2.remap(
            moved,
            columns + self.flow[..., 0],
            rows + self.flow[..., 1],
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        )
        return np.asarray(bent, np.uint8)


def fit_of(
    drawing: Picture,
    crop: Picture,
    drawn: Floats | None,
    own: Floats,
    where: Floats | None = None,
) -> Fit:
    """The fit of a drawing [256, 256, 3] without anything that words ask for.

    ``own`` are the crop's landmarks [5, 2], ``drawn`` the drawing's, if a face was found in it.
    ``where`` [256, 256] 0…1 says how far it may be bent; everywhere if it is None.
    """
    affine = None
    if drawn is not None:
        # OpenCV answers None, which its types do not say, for points that fall together.
        affine = cast("Any", cv2.estimateAffinePartial2D(drawn, own, method=cv2.LMEDS)[0])
        if affine is not None and not _is_gentle(affine):
            affine = None
    moved = drawing if affine is None else _moved(drawing, affine)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    along = flow.calc(_contrast(crop), _contrast(moved), cast("Floats", None))
    smooth = np.clip(cv2.GaussianBlur(along, (0, 0), 5), -FARTHEST, FARTHEST)
    if where is not None:
        smooth = smooth * where[..., None]
    untoned = Fit(affine, np.asarray(smooth, np.float32), np.zeros(3, np.float32))
    return replace(untoned, tone=_lost_tone(untoned.bent(drawing), crop))


def _lost_tone(drawing: Picture, crop: Picture) -> Floats:
    """The skin's own lightness and some of its colour, as Lab [3] to give back.

    Styles are learnt from light skin and would bleach dark one; contrast and line stay theirs.
    """
    side = crop.shape[0]
    # The middle of the face is skin, whoever it is.
    inner = (slice(int(0.3 * side), int(0.8 * side)), slice(int(0.28 * side), int(0.72 * side)))
    lost = to_lab(crop)[inner].mean(axis=(0, 1)) - to_lab(drawing)[inner].mean(axis=(0, 1))
    return (lost * np.array([0.85, 0.4, 0.4])).astype(np.float32)


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
