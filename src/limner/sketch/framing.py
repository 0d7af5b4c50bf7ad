"""Where a person goes in a portrait: head and shoulders, framed as a portrait painter would.

The eyes lie a little above the middle and the shoulders run out of the picture. Where the photo
itself ends earlier, its edge is laid on the picture's edge; where that cannot be, the figure
fades into the background there, as an unfinished painting does.

Knows a subject and a canvas; nothing of styles, backgrounds or networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.sketch.stylizer import SIZE, align
from limner.sketch.subject import Subject
from limner.stages.lift import own_colours
from limner.stages.silhouette import Box, person_only

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: Height of the face as a share of the canvas's shorter side: as wished, and at most.
FACE, LARGEST_FACE = 0.40, 0.60
#: Height of the eyes as a share of the canvas's: as wished, and the lowest.
EYES, LOWEST_EYES = 0.43, 0.62
#: Less below the chin than this share of the face makes a photo a close-up.
CLOSE = 0.4
#: How far a seed may move the head aside, as a share of the canvas's width.
ASIDE = 0.035


@dataclass(frozen=True, eq=False, slots=True)
class Sitter:
    """The person of the photo, placed on the canvas.

    ``rgb`` [h, w, 3] at the canvas's size; around the person it goes on in the person's own
    colours. ``alpha`` [h, w] 0…1, and ``solid``, the same where nothing fades. ``landmarks``
    [5, 2] and ``face`` in the canvas's pixels. ``crop`` [256, 256, 3] is the face as the
    networks want it, cut from the photo itself, and ``outward`` the affine 2×3 from its pixels
    to the canvas's.
    """

    rgb: Picture
    alpha: Floats
    solid: Floats
    landmarks: Floats
    face: Box
    crop: Picture
    outward: Floats

    @property
    def crop_landmarks(self) -> Floats:
        """The landmarks [5, 2] in pixels of the crop."""
        inward = _inverse(self.outward)
        return (self.landmarks @ inward[:, :2].T + inward[:, 2]).astype(np.float32)


def seat(subject: Subject, canvas: tuple[int, int], seed: int) -> Sitter:
    """The subject placed on a canvas (width, height); the seed moves it a little aside."""
    width, height = canvas
    alpha = _cut_free(subject)
    cuts = _cuts(alpha)
    scale, left, top = _placed(subject, cuts, canvas, seed)
    onto = np.array([[scale, 0, left], [0, scale, top]], np.float32)
    faded = alpha * _fading(alpha.shape, subject.face.box, cuts, (scale, left, top), canvas)
    x, y, w, h = subject.face.box
    crop, inward = align(subject.rgb, subject.face.landmarks)
    placed = _warped(faded, onto, (width, height), empty=True).clip(0, 1).astype(np.float32)
    return Sitter(
        rgb=own_colours(cast("Picture", _warped(subject.rgb, onto, (width, height))), placed),
        alpha=placed,
        solid=_warped(alpha, onto, (width, height)).clip(0, 1).astype(np.float32),
        landmarks=(subject.face.landmarks * scale + np.array([left, top])).astype(np.float32),
        face=(x * scale + left, y * scale + top, w * scale, h * scale),
        crop=crop,
        outward=_after(onto, _inverse(inward)),
    )


def _cut_free(subject: Subject) -> Floats:
    """The matte of this one person [h, w] 0…1, with its soft hair, solid inside."""
    unit = max(subject.face.box[3], 8.0)
    body = person_only(subject.alpha, subject.face.box, subject.others).astype(np.float32)
    near = cv2.GaussianBlur(_grown(body, unit * 0.06), (0, 0), max(0.7, unit * 0.02))
    inner = cv2.GaussianBlur(1 - _grown(1 - body, unit * 0.045), (0, 0), max(0.7, unit * 0.015))
    return np.maximum(subject.alpha * near, inner).clip(0, 1).astype(np.float32)


def _grown(mask: Floats, radius: float) -> Floats:
    side = 2 * max(1, round(radius)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(mask, disc), np.float32)


@dataclass(frozen=True, slots=True)
class _Cuts:
    """Whether the photo's edge cuts through the person."""

    left: bool
    top: bool
    right: bool
    bottom: bool


def _cuts(alpha: Floats) -> _Cuts:
    solid = alpha > 0.5

    def cut(edge: npt.NDArray[np.bool]) -> bool:
        return float(edge.mean()) > 0.03

    return _Cuts(cut(solid[:, 0]), cut(solid[0]), cut(solid[:, -1]), True)


def _placed(
    subject: Subject, cuts: _Cuts, canvas: tuple[int, int], seed: int
) -> tuple[float, float, float]:
    """(scale, left, top) of the photo's part on the canvas, in the canvas's pixels."""
    width, height = canvas
    tall, wide = subject.alpha.shape
    face = max(subject.face.box[3], 1.15 * subject.face.box[2])
    eyes_x, eyes_y = (float(value) for value in subject.face.landmarks[:2].mean(axis=0))
    short = min(width, height)
    scale, most = FACE * short / face, LARGEST_FACE * short / face
    # The shoulders reach the lower edge, and a cut-off head the upper one.
    scale = max(scale, min(most, height * (1 - LOWEST_EYES) / max(tall - eyes_y, 1)))
    if cuts.top:
        scale = max(scale, min(most, height / tall))
    # A shoulder that the photo cuts is cut by the picture too.
    for cut, room in ((cuts.left, eyes_x), (cuts.right, wide - eyes_x)):
        if cut:
            scale = max(scale, min(most, 0.5 * width / max(room, 1)))
    if tall - (subject.face.box[1] + subject.face.box[3]) < CLOSE * face:
        # A close-up stays one: there is no neck to fade.
        scale = max(scale, height / tall)
        if cuts.left and cuts.right:
            scale = max(scale, min(1.15 * scale, width / wide))
    aside = float(np.random.default_rng((seed, 11)).uniform(-ASIDE, ASIDE)) * width
    left = width / 2 + aside - eyes_x * scale
    # What a larger scale does not do, a shift does: a small one, or all of it for half a face.
    reach = subject.face.box[0], wide - subject.face.box[0] - subject.face.box[2]
    if cuts.left and not cuts.right:
        left -= float(np.clip(left, 0, (0.1 if reach[0] > 0.1 * face else 1) * width))
    if cuts.right and not cuts.left:
        gap = width - left - wide * scale
        left += float(np.clip(gap, 0, (0.1 if reach[1] > 0.1 * face else 1) * width))
    if cuts.left and cuts.right and wide * scale >= width:
        left = float(np.clip(left, width - wide * scale, 0))
    top = EYES * height - eyes_y * scale
    lower = height - tall * scale
    top = max(top, min(lower, LOWEST_EYES * height - eyes_y * scale))
    if cuts.top:
        top = min(top, 0.0)
    return scale, left, top


def _fading(
    shape: tuple[int, ...],
    face: Box,
    cuts: _Cuts,
    placed: tuple[float, float, float],
    canvas: tuple[int, int],
) -> Floats:
    """[h, w] 0…1: falls to nothing towards edges of the photo that lie inside the canvas."""
    tall, wide = shape
    scale, left, top = placed
    unit = max(face[3], 1.15 * face[2])
    rows, columns = np.mgrid[0:tall, 0:wide].astype(np.float32)
    # Never into the face itself.
    reach_down = float(np.clip(tall - (face[1] + face[3] * 1.02), 0.02 * unit, 0.75 * unit))
    faded = np.ones((tall, wide), np.float32)
    if top + tall * scale < canvas[1] - 1:
        faded *= _ramp((tall - 1 - rows) / reach_down)
    reach_left = float(np.clip(face[0] - 0.08 * unit, 0.02 * unit, 0.7 * unit))
    reach_right = float(np.clip(wide - face[0] - face[2] - 0.08 * unit, 0.02 * unit, 0.7 * unit))
    if cuts.left and left > 1:
        faded *= _ramp(columns / reach_left)
    if cuts.right and left + wide * scale < canvas[0] - 1:
        faded *= _ramp((wide - 1 - columns) / reach_right)
    if cuts.top and top > 1:
        faded *= _ramp(rows / max(0.02 * unit, min(0.3 * unit, face[1])))
    return faded


def _ramp(t: Floats) -> Floats:
    t = np.clip(t, 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _warped(
    picture: npt.NDArray[Any], onto: Floats, size: tuple[int, int], empty: bool = False
) -> npt.NDArray[Any]:
    """The picture scaled and shifted onto (width, height), averaged where it shrinks."""
    matrix = onto.copy()
    shrink = float(matrix[0, 0])
    if shrink < 0.7:
        whole = (max(1, round(picture.shape[1] * shrink)), max(1, round(picture.shape[0] * shrink)))
        picture = np.asarray(cv2.resize(picture, whole, interpolation=cv2.INTER_AREA))
        matrix[0, 0] = matrix[1, 1] = 1
    border = cv2.BORDER_CONSTANT if empty else cv2.BORDER_REPLICATE
    return np.asarray(
        cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=border)
    )


def _inverse(affine: Floats) -> Floats:
    return np.asarray(cv2.invertAffineTransform(affine), np.float32)


def _after(second: Floats, first: Floats) -> Floats:
    """The affine that does ``first`` and then ``second``."""
    whole = np.vstack([second, [0, 0, 1]]) @ np.vstack([first, [0, 0, 1]])
    return whole[:2].astype(np.float32)


#: The crop's side, for whoever draws on it.
CROP = SIZE
