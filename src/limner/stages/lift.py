"""Taking a person off a photo: head and shoulders, framed at the size they will be drawn at.

``around`` says which part of a photo to look at, ``lift`` takes the person off it.
Knows pixels, a matte and one face's place; nothing of styles, networks, requests or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.stages.silhouette import Box, bust_cut, extent, person_only
from limner.stages.sticker import FILL, LARGEST

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: Nothing is drawn smaller than this, however small the canvas is. Pixels of the longer side.
SMALLEST = 448
#: The outline's width as a share of the drawing's size.
OUTLINE = 0.021


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
    left, top, right, bottom = extent(silhouette)
    span = (right - left, bottom - top)
    width, height = fitted(span, canvas)
    scale = width / span[0]
    outline = outline_width(width, height)
    margin = int(np.ceil(outline * 1.6)) + 3
    shift = np.array([margin - left * scale, margin - top * scale])
    size = (round(width) + 2 * margin, round(height) + 2 * margin)
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
    room = FILL / (1 + 2 * OUTLINE)
    scale = min(canvas[0] * room / span[0], canvas[1] * room / span[1])
    longest = max(span) * scale
    scale *= min(max(longest, SMALLEST), LARGEST) / longest
    return span[0] * scale, span[1] * scale


def outline_width(width: float, height: float) -> float:
    """Width in pixels of the white outline of a person drawn at this size."""
    return OUTLINE * float(np.sqrt(width * height))


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
    # A strip is not shrunk to nothing.
    limit = min(max(rgb.shape[:2]) / 2, min(rgb.shape[:2]))
    levels: list[tuple[Floats, Floats]] = []
    while reach < limit:
        shrink = 1 / reach
        colours = cv2.resize(spread, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        weights = cv2.resize(known, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        levels.append((_blurred(colours), _blurred(weights)))
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


def _place(
    picture: npt.NDArray[Any],
    scale: float,
    shift: npt.NDArray[np.float64],
    size: tuple[int, int],
    outside_empty: bool = False,
) -> npt.NDArray[Any]:
    """The picture scaled and shifted onto (width, height), averaged when it shrinks."""
    shrink = min(1.0, scale)
    if shrink < 1:
        whole = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        picture = np.asarray(cv2.resize(picture, whole, interpolation=cv2.INTER_AREA))
        scale = 1.0
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    border = cv2.BORDER_CONSTANT if outside_empty else cv2.BORDER_REPLICATE
    placed = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=border)
    return np.asarray(placed)


def _crisp(alpha: Floats) -> Floats:
    """A drawn edge: as soft as a pen, not as a lens. Wisps under a third go, the rest is solid."""
    soft = cv2.GaussianBlur(alpha, (0, 0), max(0.7, max(alpha.shape) / 700))
    t = np.clip((soft - 0.34) / 0.32, 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _blurred(picture: npt.NDArray[Any]) -> Floats:
    return cast("Floats", cv2.GaussianBlur(picture, (0, 0), 1.0))
