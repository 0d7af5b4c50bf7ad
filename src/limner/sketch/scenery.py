"""What a portrait's background is painted of: skies, noise, ridges, lights, brush strokes.

Every function paints on float RGB 0…255 and takes its chance from a generator it is handed.
Knows colours and shapes; which scene they make up is :mod:`limner.sketch.scenes`' affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.sketch.lines import along_flow, flow

Floats = npt.NDArray[np.float32]
Chance = np.random.Generator
Color = tuple[int, int, int]


def gradient(size: tuple[int, int], stops: Sequence[tuple[float, Color]]) -> Floats:
    """[h, w, 3]: colours from top to bottom; ``stops`` are (0…1 from the top, colour)."""
    width, height = size
    at = np.linspace(0, 1, height, dtype=np.float32)
    places = [place for place, _ in stops]
    channels = [np.interp(at, places, [color[c] for _, color in stops]) for c in range(3)]
    column = np.stack(channels, axis=-1).astype(np.float32)[:, None]
    return np.repeat(column, width, axis=1)


def noise(size: tuple[int, int], chance: Chance, cells: float, octaves: int = 4) -> Floats:
    """[h, w] about 0…1: smooth fractal noise with ``cells`` hills across the longer side."""
    width, height = size
    total, weight, strength = np.zeros((height, width), np.float32), 0.0, 1.0
    for _ in range(octaves):
        per = cells / max(width, height)
        grid = (2 + round(height * per), 2 + round(width * per))
        hills = chance.random(grid, np.float32)
        total += strength * cv2.resize(hills, (width, height), interpolation=cv2.INTER_CUBIC)
        weight += strength
        strength *= 0.5
        cells *= 2
    return np.clip((total / np.float32(weight) - 0.5) * 1.6 + 0.5, 0, 1).astype(np.float32)


def ridge(size: tuple[int, int], chance: Chance, level: float, rough: float, cells: int) -> Floats:
    """[h, w] 0…1: what is below a skyline of hills around ``level`` (0…1 from the top)."""
    width, height = size
    line = np.full(width, level, np.float32)
    strength = rough
    for _ in range(6):
        points = chance.uniform(-1, 1, cells + 2)
        line += strength * np.interp(
            np.linspace(0, cells + 1, width), np.arange(cells + 2), points
        ).astype(np.float32)
        strength *= 0.5
        cells *= 2
    rows = np.arange(height, dtype=np.float32)[:, None]
    return np.clip(rows - line[None] * height + 0.5, 0, 1).astype(np.float32)


def laid(picture: Floats, mask: Floats, color: Sequence[float] | Floats) -> Floats:
    """The picture with a colour [3] or a picture [h, w, 3] laid on where the mask [h, w] is."""
    return cast("Floats", picture + (np.asarray(color, np.float32) - picture) * mask[..., None])


def glow(picture: Floats, centre: tuple[float, float], reach: float, color: Color) -> Floats:
    """Light [3] added around ``centre`` (shares of width and height), fading over ``reach``."""
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    side = max(width, height) * reach
    far = np.hypot(columns - centre[0] * width, rows - centre[1] * height) / side
    return cast("Floats", picture + np.exp(-far * far)[..., None] * np.array(color, np.float32))


def disc(
    size: tuple[int, int], centre: tuple[float, float], radius: float, soft: float = 1.5
) -> Floats:
    """[h, w] 0…1: a disc around ``centre`` (shares); ``radius`` is a share of the shorter side."""
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    far = np.hypot(columns - centre[0] * width, rows - centre[1] * height)
    return np.clip((radius * min(size) - far) / soft + 0.5, 0, 1).astype(np.float32)


def bokeh(
    picture: Floats,
    chance: Chance,
    colors: Sequence[Color],
    count: int,
    radius: float,
    band: tuple[float, float] = (0.0, 1.0),
) -> Floats:
    """Lights out of focus: translucent discs, brighter at their rim, within a band of heights."""
    height, width = picture.shape[:2]
    short = min(width, height)
    lights = np.zeros_like(picture)
    for _ in range(count):
        color = np.array(colors[int(chance.integers(len(colors)))], np.float32)
        x, y = chance.uniform(-0.05, 1.05) * width, chance.uniform(*band) * height
        r = max(1.5, short * radius * chance.uniform(0.45, 1.3))
        strength = chance.uniform(0.12, 0.5)
        reach = round(1.1 * r) + 3
        left, top = max(0, round(x) - reach), max(0, round(y) - reach)
        part = lights[top : max(0, round(y) + reach), left : max(0, round(x) + reach)]
        spot = np.zeros(part.shape[:2], np.float32)
        if spot.size == 0:
            continue
        place = (round(x * 16) - 16 * left, round(y * 16) - 16 * top)
        cv2.circle(spot, place, round(r * 16), (0.75,), -1, cv2.LINE_AA, 4)
        cv2.circle(spot, place, round(r * 16), (1.0,), max(1, round(r * 0.09)), cv2.LINE_AA, 4)
        part += spot[..., None] * color * np.float32(strength)
    soft = cast("Floats", cv2.GaussianBlur(lights, (0, 0), max(0.8, short * 0.0022)))
    # As light adds up on film: never beyond white.
    return cast("Floats", 255 - (255 - picture.clip(0, 255)) * (1 - soft.clip(0, 255) / 255))


def brushed(picture: Floats, chance: Chance, strength: float) -> Floats:
    """The paint's own relief: strokes that follow the shapes, as strong as ``strength`` in L."""
    height, width = picture.shape[:2]
    short = min(width, height)
    light = cast("Floats", picture.mean(axis=2))
    # A little chance in the direction, or a plain ground would have no strokes at all.
    light = light + noise((width, height), chance, 5, 2) * 22
    along = flow(cast("Floats", light), short / 22)
    bristles = chance.standard_normal((height, width), np.float32)
    fine = cv2.GaussianBlur(bristles, (0, 0), max(0.7, short / 520))
    strokes = along_flow(cast("Floats", fine), along, short / 26)
    strokes /= max(float(strokes.std()), 1e-6)
    return cast("Floats", picture * (1 + np.float32(strength / 100) * strokes[..., None]))


def softened(picture: Floats, blur: float) -> Floats:
    """Out of focus by ``blur``, a share of the shorter side."""
    radius = blur * min(picture.shape[:2])
    return cast("Floats", cv2.GaussianBlur(picture, (0, 0), radius)) if radius > 0.3 else picture
