"""The picture of a face's five points that InstantID's ControlNet reads.

As InstantID draws it (github InstantID/InstantID, Apache-2.0): a limb from each point to the
nose at 0.6 of its colour, then dots. Drawn at the output's size, so that the strokes are as thick
as in its training. Knows points and canvases; knows no network.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from limner.stages.face import Face

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

#: Red, green, blue of each point: the eye on the image's left, the other, nose, mouth's corners.
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
#: Each limb goes from a point to the nose and has the point's colour.
LIMBS = (0, 1, 3, 4)
NOSE = 2

HALF_WIDTH, DOT = 4, 10
#: How bright limbs are.
DIM = 0.6

#: A sticker's face: its size in the canvas' shorter side, and its middle in the height.
FACE_SHARE, FACE_MIDDLE = 0.42, 0.47


def on_canvas(face: Face, size: tuple[int, int]) -> Points:
    """The face's landmarks [5, 2] moved and scaled to where a sticker's face lies in ``size``.

    The head keeps its tilt; nothing of it is cut off, wherever it was in the photo.
    """
    scale, shift = _place(face, size)
    return (face.landmarks * scale + shift).astype(np.float64)


def depth_on_canvas(near: Pixels, face: Face, size: tuple[int, int]) -> Pixels:
    """The photo's nearness [h, w] moved as its face is, as a picture [height, width, 3].

    Beyond the photo everything is far.
    """
    scale, shift = _place(face, size)
    # Pixels' middles lie half a pixel in.
    matrix = np.hstack([np.eye(2) * scale, (shift + (scale - 1) / 2)[:, None]])
    moved = cv2.warpAffine(near, matrix, size, flags=cv2.INTER_LINEAR, borderValue=(0,))
    return np.dstack([moved] * 3).astype(np.uint8)


def _place(face: Face, size: tuple[int, int]) -> tuple[float, Points]:
    """The scale and then the shift [2] that lay a photo's face on the canvas."""
    width, height = size
    x, y, face_width, face_height = face.box
    scale = FACE_SHARE * min(size) / max(face_width, face_height)
    middle = np.array([x + face_width / 2, y + face_height / 2])
    return scale, np.array([width / 2, height * FACE_MIDDLE]) - middle * scale


def draw_keypoints(points: Points, size: tuple[int, int]) -> Pixels:
    """Red, green, blue [height, width, 3] on black."""
    width, height = size
    canvas = np.zeros((height, width, 3), np.uint8)
    for number in LIMBS:
        (x, y), (to_x, to_y) = points[number], points[NOSE]
        length = math.hypot(x - to_x, y - to_y)
        angle = int(math.degrees(math.atan2(y - to_y, x - to_x)))
        centre = int((x + to_x) / 2), int((y + to_y) / 2)
        limb = cv2.ellipse2Poly(centre, (int(length / 2), HALF_WIDTH), angle, 0, 360, 1)
        cv2.fillConvexPoly(canvas, np.array(limb, np.int32), COLOURS[number])
    canvas = (canvas * DIM).astype(np.uint8)
    for (x, y), colour in zip(points, COLOURS, strict=True):
        cv2.circle(canvas, (int(x), int(y)), DOT, colour, -1)
    return canvas
