"""The sticker's craft: a drawing die-cut and laid on a canvas.

``die_cut`` gives a drawing its outline; ``on_background`` and ``cut_out`` are the two pictures
fal answers with, and ``laid`` makes the one of the other. Knows pixels; nothing of faces, styles,
networks, requests or files.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.stages.silhouette import extent, without_holes

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Color = tuple[int, int, int]

#: How much of the canvas's limiting side the sticker fills, outline included.
FILL = 0.88
#: Nothing is drawn larger than this; larger canvases are resampled from it. Pixels.
LARGEST = 2048
WHITE: Color = (255, 255, 255)


def die_cut(drawing: Picture, alpha: Floats, outline: float, color: Color = WHITE) -> Picture:
    """A drawing with a smooth outline all around it: RGBA [h, w, 4], straight alpha.

    ``outline`` is its width in pixels. Everything inside it is opaque: no holes, no scraps.
    """
    solid = (alpha > 0.5).astype(np.uint8)
    reach = max(1, round(outline))
    # A gap narrower than the outline would be a slit in the paper.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    closed = cv2.morphologyEx(np.pad(solid, 2 * reach), cv2.MORPH_CLOSE, disc)
    closed = np.asarray(closed, np.uint8)[2 * reach : -2 * reach, 2 * reach : -2 * reach]
    smooth = cv2.GaussianBlur(closed.astype(np.float32), (0, 0), max(0.8, outline * 0.45))
    distance = cv2.distanceTransform((smooth < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    edge = (distance < outline).astype(np.float32)
    edge = cv2.GaussianBlur(edge, (0, 0), max(0.8, outline * 0.3))
    slope = max(0.8, outline * 0.3) * 2.5
    paper = _without_gaps(np.clip((edge - 0.5) * slope + 0.5, 0, 1).astype(np.float32))
    ink = np.minimum(alpha, paper)[..., None]
    white = np.array(color, np.float32)
    rgb = drawing.astype(np.float32) * ink + white * (1 - ink)
    rgba = np.dstack([rgb, paper * 255])
    return (rgba + 0.5).clip(0, 255).astype(np.uint8)


def _without_gaps(paper: Floats) -> Floats:
    """Opaque wherever it is enclosed by paper."""
    solid = (paper > 0.5).astype(np.uint8)
    return np.where(without_holes(solid) > solid, np.float32(1), paper)


def cut_out(sticker: Picture, canvas: tuple[int, int]) -> Picture:
    """The sticker centred on a transparent canvas (width, height): RGBA [h, w, 4]."""
    working, enlarge = _working(canvas)
    placed = _centred(sticker, working)
    if enlarge:
        placed = _unpremultiply(_resized(_premultiply(placed), canvas))
    placed[placed[..., 3] == 0] = 0
    return placed


def on_background(
    sticker: Picture, background: Picture, canvas: tuple[int, int], shadow: float = 0.3
) -> Picture:
    """The sticker on a background with a soft shadow: RGB [h, w, 3].

    ``background`` is RGB of any size, stretched to the canvas (width, height); ``shadow`` is
    its darkness, 0…1.
    """
    working, enlarge = _working(canvas)
    flat = laid(_centred(sticker, working), background, shadow)
    return _resized(flat, canvas) if enlarge else flat


def laid(cutout: Picture, background: Picture, shadow: float) -> Picture:
    """A cut-out [h, w, 4] on a background with a soft shadow, where and as large as it is: RGB."""
    paper = cutout[..., 3].astype(np.float32) / np.float32(255)
    ground = _resized(background, (cutout.shape[1], cutout.shape[0])).astype(np.float32)
    if shadow > 0:
        ground *= 1 - shadow * _shadow(paper)[..., None]
    over = paper[..., None]
    return (cutout[..., :3] * over + ground * (1 - over) + 0.5).clip(0, 255).astype(np.uint8)


def _shadow(paper: Floats) -> Floats:
    """What light the paper keeps from the ground: a contact shadow and a soft, lower one."""
    side = min(paper.shape)
    soft = max(1.0, side * 0.02)
    fallen = np.array([[1, 0, 0], [0, 1, side * 0.012]], np.float32)
    lower = cv2.warpAffine(paper, fallen, paper.shape[::-1])
    near = cv2.GaussianBlur(paper, (0, 0), max(0.6, side * 0.003))
    return cast("Floats", 0.65 * cv2.GaussianBlur(lower, (0, 0), soft) + 0.35 * near)


def _working(canvas: tuple[int, int]) -> tuple[tuple[int, int], bool]:
    """The size to compose at, and whether it is smaller than the canvas."""
    scale = min(1.0, LARGEST / min(canvas))
    if scale == 1.0:
        return canvas, False
    return (max(1, round(canvas[0] * scale)), max(1, round(canvas[1] * scale))), True


def _centred(sticker: Picture, canvas: tuple[int, int]) -> Picture:
    """RGBA of the canvas's size with the sticker in its middle, filling it by ``FILL``."""
    left, top, right, bottom = extent(sticker[..., 3].astype(np.float32) / np.float32(255))
    span = (right - left, bottom - top)
    scale = min(canvas[0] * FILL / span[0], canvas[1] * FILL / span[1])
    size = (
        max(1, min(canvas[0], round(span[0] * scale))),
        max(1, min(canvas[1], round(span[1] * scale))),
    )
    piece = _unpremultiply(_resized(_premultiply(sticker[top:bottom, left:right]), size))
    placed = np.zeros((canvas[1], canvas[0], 4), np.uint8)
    x, y = (canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2
    placed[y : y + size[1], x : x + size[0]] = piece
    return placed


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    if picture.shape[1::-1] == size:
        return picture
    shrinks = size[0] * size[1] < picture.shape[0] * picture.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cast("Picture", cv2.resize(picture, size, interpolation=how))


def _premultiply(rgba: Picture) -> Picture:
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.dstack([(rgba[..., :3] * alpha + 0.5).astype(np.uint8), rgba[..., 3]])


def _unpremultiply(rgba: Picture) -> Picture:
    alpha = np.maximum(rgba[..., 3:].astype(np.float32), 1) / 255
    rgb = (rgba[..., :3] / alpha + 0.5).clip(0, 255).astype(np.uint8)
    return np.dstack([rgb, rgba[..., 3]])
