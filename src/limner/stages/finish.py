"""What a cut-out wears: an outline all around it, a shadow under it, and room about it.

The same for whoever drew it. The outline is a level of a smoothed distance to the cut-out, so it
runs evenly around hair and corners, and its edge is antialiased by construction.
Knows pixels with straight alpha; nothing of engines, platforms or files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.stages.see_through import Pixels, placed, resized, straight, visible

Floats = npt.NDArray[np.float32]
Color = tuple[int, int, int]

#: The shadow, in shares of the sticker's longer side: the deviation of its soft part, of the part
#: where the sticker touches the ground, and how far it falls.
_SOFT, _CONTACT, _FALL = 0.016, 0.004, 0.012
#: How dark it is under the sticker, 0…1, and how much of that is the soft part.
_DARKNESS, _SOFT_SHARE = 0.42, 0.7
#: Deviations after which less than half a level of 255 is left of it.
_TAIL = 2.5
#: Over how much of its width an outline is smoothed.
_SMOOTHING = 0.35


@dataclass(frozen=True, slots=True)
class Finish:
    """What is wished for; lengths in pixels of the cut-out."""

    #: Width of the outline; 0 is none.
    outline: float = 0
    color: Color = (255, 255, 255)
    shadow: bool = False
    #: Is the picture cropped to what is seen?
    trim: bool = False
    #: Clear pixels between what is seen and the picture's edge.
    margin: int = 0

    @property
    def is_plain(self) -> bool:
        """Does it leave every cut-out as it is?"""
        return not (self.outline or self.shadow or self.trim or self.margin)


@dataclass(frozen=True, slots=True)
class Piece:
    """A cut-out without the empty room around it, and what it wears when it is that large."""

    #: [h, w, 4], straight alpha.
    rgba: Pixels
    #: Its lengths are of the piece as it is.
    finish: Finish
    #: How large it is in its own picture, 0…1.
    scale: float = 1

    def span(self) -> tuple[float, float]:
        """(width, height) in pixels of the piece with all that it wears."""
        height, width = self.rgba.shape[:2]
        soft = _TAIL * _SOFT * max(width, height) if self.finish.shadow else 0
        around = 2 * (self.finish.outline + soft)
        return width + around, height + around

    def dressed(self, scale: float) -> tuple[Pixels, tuple[int, int]]:
        """All that is seen of it at ``scale`` times its size, RGBA without empty rows.

        With it, where the piece's own middle is in that: (x, y) in pixels.
        """
        height, width = self.rgba.shape[:2]
        size = max(1, round(width * scale)), max(1, round(height * scale))
        finish = replace(self.finish, outline=self.finish.outline * scale)
        room = _room(finish, max(size))
        canvas = size[0] + 2 * room, size[1] + 2 * room
        worn = _worn(placed(resized(self.rgba, size), canvas, (room, room)), finish, max(size))
        left, top, right, bottom = visible(worn) or (0, 0, *canvas)
        middle = canvas[0] // 2 - left, canvas[1] // 2 - top
        return worn[top:bottom, left:right], middle

    def fitted(
        self, room: tuple[int, int], largest: float = math.inf
    ) -> tuple[Pixels, tuple[int, int]]:
        """It, dressed, as large as fits into (width, height) pixels and at most ``largest``."""
        wide, tall = self.span()
        scale = min(largest, room[0] / wide, room[1] / tall)
        while True:
            worn, middle = self.dressed(scale)
            over = max(worn.shape[1] / room[0], worn.shape[0] / room[1])
            if over <= 1 or max(worn.shape[:2]) <= 8:
                return worn[: room[1], : room[0]], middle
            # Whole pixels: an edge reached into one more than there is room for.
            scale /= over * 1.001


def piece_of(cutout: Pixels, finish: Finish) -> Piece | None:
    """What is seen of a cut-out [h, w, 4], in its finish; None if nothing is.

    Where the picture has too little room for what it wears, the sticker is made smaller and the
    outline is not: beside the piece as it is, it is that much wider.
    """
    box = visible(cutout)
    if box is None:
        return None
    left, top, right, bottom = box
    rgba = cutout[top:bottom, left:right]
    bare = Piece(rgba, replace(finish, outline=0)).span()
    rooms = (side - 2 * (finish.margin + finish.outline) for side in cutout.shape[1::-1])
    scale = min(1.0, *(max(1.0, room) / side for room, side in zip(rooms, bare, strict=True)))
    return Piece(rgba, replace(finish, outline=finish.outline / scale), scale)


def finished(cutout: Pixels, finish: Finish) -> Pixels:
    """A cut-out [h, w, 4] in its finish, of the same size unless it is trimmed.

    The sticker stays where and as large as it is, as far as margin, outline and shadow leave room.
    """
    box, piece = visible(cutout), piece_of(cutout, finish)
    if finish.is_plain or box is None or piece is None:
        return cutout
    canvas, margin = (cutout.shape[1], cutout.shape[0]), finish.margin
    room = max(1, canvas[0] - 2 * margin), max(1, canvas[1] - 2 * margin)
    worn, middle = piece.fitted(room, piece.scale)
    size = (worn.shape[1], worn.shape[0])
    if finish.trim:
        return placed(worn, (size[0] + 2 * margin, size[1] + 2 * margin), (margin, margin))
    corner: list[int] = []
    for axis in (0, 1):
        # Its middle stays where it was; then it is moved off the edges.
        wished = (box[axis] + box[axis + 2]) // 2 - middle[axis]
        corner.append(min(max(wished, margin), canvas[axis] - margin - size[axis]))
    return placed(worn, canvas, (corner[0], corner[1]))


def _room(finish: Finish, longer: int) -> int:
    """Pixels around a piece in which all it wears is drawn undisturbed by the picture's edge."""
    smoothing = 3 * _SMOOTHING * finish.outline
    falling = (3 * _SOFT + _FALL) * longer if finish.shadow else 0
    return math.ceil(finish.outline + max(smoothing, falling)) + 3


def _worn(rgba: Pixels, finish: Finish, longer: int) -> Pixels:
    """Outline and shadow laid under a piece that has room for them around it."""
    if not (finish.outline or finish.shadow):
        return rgba
    alpha = rgba[..., 3].astype(np.float32) / np.float32(255)
    covered = outlined(alpha, finish.outline) if finish.outline else alpha
    # Wisps that reach out of the outline end with it.
    own = np.minimum(alpha, covered)[..., None]
    paper = covered[..., None] - own
    weighed = rgba[..., :3] * own + np.array(finish.color, np.float32) * paper
    if finish.shadow:
        # Black adds no colour, only alpha.
        covered = covered + (1 - covered) * _shadow(covered, longer)
    return straight(np.asarray(weighed, np.float32), np.asarray(covered, np.float32))


def outlined(alpha: Floats, width: float) -> Floats:
    """How much of each pixel [h, w] 0…1 the cut-out covers together with its outline.

    ``width`` in pixels. Gaps that the outline would fill from both sides are closed.
    """
    solid = (alpha > min(0.5, float(alpha.max()) / 2)).astype(np.uint8)
    outside = cast("Floats", cv2.distanceTransform(1 - solid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
    grown = (outside < width).astype(np.uint8)
    # Closing: back from the grown edge by as much, so that a gap narrower than two outlines and
    # a notch sharper than one are gone.
    inside = cast("Floats", cv2.distanceTransform(grown, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
    closed = np.maximum(solid, inside > width).astype(np.uint8)
    away = cv2.distanceTransform(1 - closed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    within = cv2.distanceTransform(closed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Distances are to the middle of the next pixel; the edge runs half a pixel nearer.
    signed = cast("Floats", away - within) + np.where(closed, np.float32(0.5), np.float32(-0.5))
    smooth = _blurred(signed, max(0.7, width * _SMOOTHING))
    return np.clip(width + 0.5 - smooth, 0, 1).astype(np.float32)


def _shadow(alpha: Floats, longer: int) -> Floats:
    """How dark the ground is [h, w] 0…1: a soft shadow that falls, and one of contact."""
    fall = np.array([[1, 0, 0], [0, 1, _FALL * longer]], np.float32)
    fallen = cv2.warpAffine(alpha, fall, alpha.shape[::-1])
    soft = _blurred(cast("Floats", fallen), max(0.8, _SOFT * longer))
    contact = _blurred(alpha, max(0.5, _CONTACT * longer))
    shade = _SOFT_SHARE * soft + (1 - _SOFT_SHARE) * contact
    return cast("Floats", np.float32(_DARKNESS) * shade)


def _blurred(field: Floats, deviation: float) -> Floats:
    """A Gaussian blur; a wide one as three boxes, whose time does not grow with their width.

    Three boxes are within 3 % of a Gaussian (Wells 1986) and end after three deviations.
    """
    if deviation < 6:
        return cast("Floats", cv2.GaussianBlur(field, (0, 0), deviation))
    side = 2 * round(math.sqrt(4 * deviation**2 + 1) / 2 - 0.5) + 1
    for _ in range(3):
        field = cast("Floats", cv2.blur(field, (side, side)))
    return field
