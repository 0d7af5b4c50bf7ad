"""The sticker's craft: a person cut out of a photo, framed, die-cut and laid on a canvas.

``around`` says which part of a photo to look at, ``lift`` takes head and shoulders off it at
the size they will be drawn at, ``die_cut`` gives a drawing its outline, ``on_background`` and
``cut_out`` are the two pictures fal answers with.

Knows pixels and one face's place; nothing of styles, networks, requests or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.stages.silhouette import Box, bust_cut, person_only

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Color = tuple[int, int, int]

#: How much of the canvas's limiting side the sticker fills, outline included.
FILL = 0.88
#: Nothing is drawn larger than this; larger canvases are resampled from it. Pixels.
LARGEST = 2048
#: Nothing is drawn smaller than this, however small the canvas is. Pixels of the longer side.
SMALLEST = 448
WHITE: Color = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Person:
    """Head and shoulders lifted off the photo, at the size they will be drawn at.

    ``rgb`` [h, w, 3]: outside of the person it goes on in the person's own colours, so that no
    filter sees the background. ``alpha`` [h, w] 0…1. ``landmarks`` [5, 2] and ``face``
    (x, y, width, height) in pixels of ``rgb``. ``outline`` is the die cut's width in pixels,
    for which there is room on every side.
    """

    rgb: Picture
    alpha: Floats
    landmarks: Floats
    face: Box
    outline: float


def around(face: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the part of a photo that a sticker of ``face`` can show.

    Room for tall hair, a hat and both shoulders, within the photo of ``width`` x ``height``.
    """
    x, y, w, h = face
    unit = max(h, 1.15 * w)
    centre = x + w / 2
    left, right = centre - 1.75 * unit, centre + 1.75 * unit
    top, bottom = y - 1.1 * unit, y + h + 1.15 * unit
    return (
        max(0, round(left)),
        max(0, round(top)),
        min(width, round(right)),
        min(height, round(bottom)),
    )


def lift(
    rgb: Picture,
    alpha: Floats,
    face: Box,
    landmarks: Floats,
    canvas: tuple[int, int],
    others: Sequence[Box] = (),
) -> Person:
    """Take head and shoulders off a photo, ready to be drawn for a canvas (width, height).

    ``rgb`` and its matte ``alpha`` are the part of the photo that ``around`` told; boxes and
    landmarks are pixels of it. ``others`` are further faces, which are left out.
    """
    silhouette = person_only(alpha, face, others) * bust_cut(alpha.shape, face)
    left, top, right, bottom = _extent(silhouette)
    span = (right - left, bottom - top)
    width, height = fitted(span, canvas)
    scale = width / span[0]
    outline = outline_width(width, height)
    margin = int(np.ceil(outline * 1.6)) + 3
    shift = np.array([margin - left * scale, margin - top * scale])
    size = (int(round(width)) + 2 * margin, int(round(height)) + 2 * margin)
    drawn_rgb = _place(rgb, scale, shift, size)
    drawn_alpha = _crisp(_place(silhouette, scale, shift, size, outside_empty=True))
    x, y, w, h = face
    return Person(
        rgb=own_colours(drawn_rgb, drawn_alpha),
        alpha=drawn_alpha,
        landmarks=(landmarks * scale + shift).astype(np.float32),
        face=(x * scale + shift[0], y * scale + shift[1], w * scale, h * scale),
        outline=outline,
    )


def fitted(span: tuple[float, float], canvas: tuple[int, int]) -> tuple[float, float]:
    """(width, height) in pixels at which a person of proportions ``span`` is drawn.

    The size on the canvas, outline excluded, kept between ``SMALLEST`` and ``LARGEST``.
    """
    room = FILL / (1 + 2 * _OUTLINE)
    scale = min(canvas[0] * room / span[0], canvas[1] * room / span[1])
    longest = max(span) * scale
    scale *= min(max(longest, SMALLEST), LARGEST) / longest
    return span[0] * scale, span[1] * scale


_OUTLINE = 0.021


def outline_width(width: float, height: float) -> float:
    """Width in pixels of the white outline of a person drawn at this size."""
    return _OUTLINE * float(np.sqrt(width * height))


def own_colours(rgb: Picture, alpha: Floats) -> Picture:
    """The picture with the background replaced by the person's nearest colours.

    At the soft edge a photo's pixel is person and background mixed. Colours are estimated from
    the surely opaque side by blurs weighted with alpha, coarse to fine (after Germer et al.
    2020 and Forte 2021, "Approximate fast foreground colour estimation").
    """
    sure = np.clip((alpha - 0.9) * 10, 0, 1).astype(np.float32)
    weight = sure[..., None]
    filled = rgb.astype(np.float32) * weight
    known = sure.copy()
    spread = filled.copy()
    reach = 2.0
    limit = max(rgb.shape[:2]) / 2
    levels: list[tuple[Floats, Floats]] = []
    while reach < limit:
        shrink = 1 / reach
        colours = cv2.resize(spread, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        weights = cv2.resize(known, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        levels.append((_blur(colours), _blur(weights)))
        reach *= 2
    size = (rgb.shape[1], rgb.shape[0])
    result = np.zeros_like(filled)
    got = np.zeros_like(known)
    for colours, weights in reversed(levels):
        estimate = colours / np.maximum(weights, 1e-4)[..., None]
        trust = np.clip(weights * 12, 0, 1)
        if got.any():
            before = cv2.resize(result, weights.shape[::-1], interpolation=cv2.INTER_LINEAR)
            estimate = before + (estimate - before) * trust[..., None]
        result = estimate.astype(np.float32)
        got = weights
    around_person = cv2.resize(result, size, interpolation=cv2.INTER_LINEAR)
    mixed = rgb.astype(np.float32) * weight + around_person * (1 - weight)
    return mixed.clip(0, 255).astype(np.uint8)


def die_cut(drawing: Picture, alpha: Floats, outline: float, color: Color = WHITE) -> Picture:
    """A drawing with a smooth outline all around it: RGBA [h, w, 4], straight alpha.

    ``outline`` is its width in pixels. Everything inside it is opaque: no holes, no scraps.
    """
    solid = (alpha > 0.5).astype(np.uint8)
    reach = max(1, round(outline))
    # A gap narrower than the outline would be a slit in the paper.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    padded = cv2.copyMakeBorder(solid, *(4 * (2 * reach,)), cv2.BORDER_CONSTANT)
    padded = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)
    closed = cast("Picture", padded[2 * reach : -2 * reach, 2 * reach : -2 * reach])
    smooth = cv2.GaussianBlur(closed.astype(np.float32), (0, 0), max(0.8, outline * 0.45))
    distance = cv2.distanceTransform((smooth < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    edge = (distance < outline).astype(np.float32)
    edge = cv2.GaussianBlur(edge, (0, 0), max(0.8, outline * 0.3))
    slope = max(0.8, outline * 0.3) * 2.5
    paper = filled_holes(np.clip((edge - 0.5) * slope + 0.5, 0, 1).astype(np.float32))
    ink = np.minimum(alpha, paper)[..., None]
    white = np.array(color, np.float32)
    rgb = drawing.astype(np.float32) * ink + white * (1 - ink)
    rgba = np.dstack([rgb, paper * 255])
    return (rgba + 0.5).clip(0, 255).astype(np.uint8)


def filled_holes(alpha: Floats) -> Floats:
    """Alpha made opaque wherever it is enclosed by opaque parts."""
    flooded = cv2.copyMakeBorder((alpha > 0.5).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    cv2.floodFill(flooded, None, (0, 0), (2,))
    return np.where(flooded[1:-1, 1:-1] == 0, np.float32(1), alpha)


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
    placed = _centred(sticker, working)
    paper = placed[..., 3].astype(np.float32) / 255
    ground = _resized(background, working).astype(np.float32)
    if shadow > 0:
        ground *= 1 - shadow * _shadow(paper)[..., None]
    over = paper[..., None]
    flat = (placed[..., :3] * over + ground * (1 - over) + 0.5).clip(0, 255).astype(np.uint8)
    return _resized(flat, canvas) if enlarge else flat


def _shadow(paper: Floats) -> Floats:
    """What light the paper keeps from the ground: a contact shadow and a soft, lower one."""
    side = min(paper.shape)
    soft = max(1.0, side * 0.02)
    fallen = np.float32([[1, 0, 0], [0, 1, side * 0.012]])
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
    left, top, right, bottom = _extent(sticker[..., 3].astype(np.float32) / 255)
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


def _extent(alpha: Floats) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what is not transparent."""
    solid = alpha > 0.02
    columns, rows = np.flatnonzero(solid.any(axis=0)), np.flatnonzero(solid.any(axis=1))
    if not len(columns):
        return 0, 0, alpha.shape[1], alpha.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _place(
    picture: Any, scale: float, shift: npt.NDArray[Any], size: tuple[int, int],
    outside_empty: bool = False,
) -> Any:
    """The picture scaled and shifted onto (width, height), averaged when it shrinks."""
    shrink = min(1.0, scale)
    if shrink < 1:
        whole = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        picture = cv2.resize(picture, whole, interpolation=cv2.INTER_AREA)
        scale = 1.0
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    border = cv2.BORDER_CONSTANT if outside_empty else cv2.BORDER_REPLICATE
    return cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=border)


def _crisp(alpha: Floats) -> Floats:
    """A drawn edge: as soft as a pen, not as a lens. Wisps under a third go, the rest is solid."""
    soft = cv2.GaussianBlur(alpha, (0, 0), max(0.7, max(alpha.shape) / 700))
    t = np.clip((soft - 0.34) / 0.32, 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _blur(picture: Floats) -> Floats:
    return cast("Floats", cv2.GaussianBlur(picture, (0, 0), 1.0))


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
