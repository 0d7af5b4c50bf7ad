"""The line a knife follows around a sticker: smooth, closed, and with no corner too sharp for it.

The edge is the zero level of a smoothed signed distance, found to a fraction of a pixel and drawn
as cubic Bézier curves through evenly spaced points (Catmull & Rom 1974).
Knows shapes; nothing of colours, pages or file formats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.stages.silhouette import without_holes

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

#: Over how much of the knife's radius the edge is smoothed.
_SMOOTHING = 0.35
#: Pieces smaller than a square of so many knife radii are not cut: they would be lost.
_LEAST = 4


@dataclass(frozen=True, slots=True)
class CutLine:
    """What is cut out of a picture."""

    #: How far each pixel [h, w] is outside of the line; negative inside. Pixels.
    distance: Floats
    #: Closed curves: each [n, 3, 2] of two control points and an end, (x, y) in pixels from the
    #: picture's upper left corner. A curve begins where its last segment ends.
    curves: tuple[Floats, ...]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) in pixels of everything inside."""
        points = np.concatenate([curve[:, 2] for curve in self.curves])
        left, top = points.min(axis=0)
        right, bottom = points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)


def cut_line(alpha: Floats, radius: float) -> CutLine:
    """The line around what ``alpha`` [h, w] 0…1 covers, which must leave room at the edges.

    Holes are not cut. ``radius``: the tightest turn of the knife in pixels; notches and tips
    that are narrower than twice that are rounded off.
    """
    solid = without_holes((alpha > min(0.5, float(alpha.max()) / 2)).astype(np.uint8))
    closed = without_holes(_shrunk(_grown(solid, radius), radius))
    opened = _grown(_shrunk(closed, radius), radius)
    # What is nowhere as thick as the knife's turn is cut around.
    shape = _pieces(opened if opened.any() else _grown(closed, radius), _LEAST * radius)
    # Distances are to the middle of the next pixel; the edge runs half a pixel nearer.
    signed = _away(shape) - _away(1 - shape)
    signed += np.where(shape > 0, np.float32(0.5), np.float32(-0.5))
    distance = cast("Floats", cv2.GaussianBlur(signed, (0, 0), max(1.0, radius * _SMOOTHING)))
    inside = (distance < 0).astype(np.uint8)
    chains, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = [chain[:, 0].astype(np.float32) for chain in chains if len(chain) >= 8]
    curves = [_curve(_even(_onto(each, distance), radius / 2), distance) for each in points]
    return CutLine(distance, tuple(curves))


def _away(shape: Bytes) -> Floats:
    """How far each pixel [h, w] is from the shape, middle to middle; 0 in it."""
    away = cv2.distanceTransform(1 - shape, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return cast("Floats", away)


def _grown(shape: Bytes, radius: float) -> Bytes:
    return (_away(shape) <= radius).astype(np.uint8)


def _shrunk(shape: Bytes, radius: float) -> Bytes:
    return (_away(1 - shape) > radius).astype(np.uint8)


def _pieces(shape: Bytes, side: float) -> Bytes:
    """The parts of at least ``side``² pixels, or the largest."""
    labels = cast("npt.NDArray[np.int32]", cv2.connectedComponents(shape)[1])
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    kept = areas >= min(side**2, int(areas.max()))
    kept[0] = False
    return kept[labels].astype(np.uint8)


def _onto(points: Floats, distance: Floats) -> Floats:
    """Points [n, 2], (x, y) as indices, moved along the slope onto the zero level."""
    right, down = np.array([0.5, 0], np.float32), np.array([0, 0.5], np.float32)
    for _ in range(3):
        here = _at(distance, points)
        dx = _at(distance, points + right) - _at(distance, points - right)
        dy = _at(distance, points + down) - _at(distance, points - down)
        steep = np.maximum(dx * dx + dy * dy, 0.05)
        move = np.stack([dx, dy], axis=1) * (here / steep)[:, None]
        points = (points - move.clip(-1, 1)).astype(np.float32)
    return points


def _at(field: Floats, points: npt.NDArray[np.floating]) -> Floats:
    """The field's values between its pixels."""
    x, y = (np.ascontiguousarray(points[:, axis], np.float32) for axis in (0, 1))
    values = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cast("Floats", values)[:, 0]


def _even(points: Floats, spacing: float) -> Floats:
    """The closed line through ``points`` in steps of about ``spacing`` pixels."""
    ring = np.concatenate([points, points[:1]]).astype(np.float64)
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(ring, axis=0).T))])
    length = float(along[-1])
    stops = np.linspace(0, length, max(8, round(length / spacing)), endpoint=False)
    x, y = (np.interp(stops, along, ring[:, axis]) for axis in (0, 1))
    return np.stack([x, y], axis=1).astype(np.float32)


def _curve(points: Floats, distance: Floats) -> Floats:
    """Catmull and Rom's closed spline through the points as Bézier segments [n, 3, 2]."""
    # An index is the middle of its pixel.
    points = _onto(points, distance) + np.float32(0.5)
    following = np.roll(points, -1, axis=0)
    first = points + (following - np.roll(points, 1, axis=0)) / 6
    second = following - (np.roll(points, -2, axis=0) - points) / 6
    return np.stack([first, second, following], axis=1).astype(np.float32)
