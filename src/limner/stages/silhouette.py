"""A matte made into one clean silhouette: this person only, no holes, no ragged cuts.

Knows alpha channels and face boxes; nothing of colours, styles or networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
#: (x, y, width, height) in pixels.
Box = tuple[float, float, float, float]


def person_only(alpha: Floats, face: Box, others: Sequence[Box] = ()) -> Floats:
    """The matte [h, w] 0…1 of the one person whose face is given.

    The face itself is always solid, holes are closed, whatever does not hang together with the
    face goes, and so does what is nearer to another face.
    """
    solid = np.maximum(alpha, _face_oval(alpha.shape, face))
    for other in others:
        solid = solid * _this_side(solid.shape, face, other)
    unit = face[3]
    body = (solid > 0.5).astype(np.uint8)
    # Threads thinner than this tie scraps of background to the person.
    body = cv2.morphologyEx(body, cv2.MORPH_OPEN, _disc(unit * 0.035))
    body = _holding(cast("Bytes", body), face)
    body = without_holes(body)
    near = cv2.dilate(body, _disc(unit * 0.07)).astype(np.float32)
    near = cv2.GaussianBlur(near, (0, 0), max(0.7, unit * 0.015))
    return np.maximum(solid * near, body.astype(np.float32) * (solid > 0.5)).clip(0, 1) + (
        _inside(body, unit) * (1 - solid.clip(0, 1))
    )


def bust_cut(shape: tuple[int, ...], face: Box) -> Floats:
    """Where a bust may be [h, w] 0…1: everything but below a round line under the shoulders.

    The line hangs like a plate's rim; where the photo itself ends earlier, it is moved up, and
    the photo's corners are rounded so that no straight cut meets another.
    """
    height, width = shape[:2]
    x, y, w, h = face
    unit = max(h, 1.15 * w)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    lowest = min(y + h + 0.95 * unit, height - 1.0)
    depth = min(0.42 * unit, max(0.0, (lowest - y - h)) * 0.6 + 0.06 * unit)
    across = np.abs(columns - (x + w / 2)) / (1.75 * unit)
    line = lowest - depth * np.minimum(across, 1.2) ** 2.2
    below = line - rows
    return _rounded(np.minimum(columns, width - 1 - columns), np.minimum(rows, below), 0.3 * unit)


def rounded_frame(shape: tuple[int, ...], radius: float) -> Floats:
    """1 within the photo [h, w] and 0 in its corners, which are rounded by ``radius`` pixels."""
    height, width = shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return _rounded(
        np.minimum(columns, width - 1 - columns), np.minimum(rows, height - 1 - rows), radius
    )


def _rounded(across: Floats, down: Floats, radius: float) -> Floats:
    """1 inside of two edges so many pixels away, whose corner is an arc of ``radius``."""
    dx, dy = np.maximum(radius - across, 0), np.maximum(radius - down, 0)
    return np.clip(radius - np.hypot(dx, dy) + 0.5, 0, 1).astype(np.float32)


def _face_oval(shape: tuple[int, ...], face: Box) -> Floats:
    x, y, w, h = face
    oval = np.zeros(shape[:2], np.float32)
    centre = (round((x + w / 2) * 16), round((y + h * 0.5) * 16))
    axes = (max(1, round(w * 0.46 * 16)), max(1, round(h * 0.47 * 16)))
    cv2.ellipse(oval, centre, axes, 0, 0, 360, (1.0,), -1, cv2.LINE_AA, 4)
    return oval


def _this_side(shape: tuple[int, ...], face: Box, other: Box) -> Floats:
    """1 where the face is nearer than the other, with a soft border halfway."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    ours = np.array([face[0] + face[2] / 2, face[1] + face[3]])
    theirs = np.array([other[0] + other[2] / 2, other[1] + other[3]])
    apart = theirs - ours
    length = max(float(np.hypot(*apart)), 1e-3)
    along = ((columns - ours[0]) * apart[0] + (rows - ours[1]) * apart[1]) / length
    border = length * face[3] / (face[3] + other[3])
    return np.clip(border - along + 0.5, 0, 1).astype(np.float32)


def _holding(body: Bytes, face: Box) -> Bytes:
    """The connected part that holds the face."""
    count, labels = cv2.connectedComponents(body)
    x, y, w, h = (round(side) for side in face)
    inside = labels[max(0, y) : max(1, y + h), max(0, x) : max(1, x + w)]
    present = np.bincount(inside[inside > 0].ravel(), minlength=count)
    if not present.any():
        return body
    return (labels == int(present.argmax())).astype(np.uint8)


def without_holes(body: Bytes) -> Bytes:
    """Enclosed gaps filled; a gap that is open to the photo's edge stays."""
    flooded = cv2.copyMakeBorder(body, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    cv2.floodFill(flooded, None, (0, 0), (2,))
    return (flooded[1:-1, 1:-1] != 2).astype(np.uint8)


def _inside(body: Bytes, unit: float) -> Floats:
    """1 well inside of the body: there nothing may shine through."""
    return cv2.erode(body, _disc(unit * 0.03)).astype(np.float32)


def _disc(radius: float) -> Bytes:
    side = 2 * max(1, round(radius)) + 1
    return cast("Bytes", cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))


def extent(alpha: Floats) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what is not transparent."""
    solid = alpha > 0.02
    columns, rows = np.flatnonzero(solid.any(axis=0)), np.flatnonzero(solid.any(axis=1))
    if not len(columns):
        return 0, 0, alpha.shape[1], alpha.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
