"""The places a portrait can be set in, each painted from a seed.

Knows scenes by name; nothing of prompts (:mod:`limner.sketch.portrait_words`), people or canvases'
other contents. A scene also says how it lights whoever stands in front of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.sketch import scenery as paint
from limner.sketch.scenery import Chance, Color, Floats
from limner.sketch.vocabulary import SceneName

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False, slots=True)
class Scene:
    """A painted background and its light."""

    #: RGB [h, w, 3].
    rgb: Picture
    #: The colour of the light that rims the figure, and how strong it is, 0…1.
    light: Color
    strength: float
    #: The side it comes from: -1 left, 1 right.
    side: float


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a painter answers: float RGB, the rim light, and how far it is out of focus."""

    picture: Floats
    light: Color
    strength: float
    blur: float


_Size = tuple[int, int]


def paint_scene(name: SceneName, size: _Size, seed: int, color: Color | None, pull: float) -> Scene:
    """The scene ``name`` at ``size`` (width, height); ``color`` is the studio's, if one is asked.

    ``pull`` (1 as usual, 0…3) is how loud its colours and contrasts are.
    """
    chance = np.random.default_rng((seed, 5))
    side = 1.0 if chance.random() < 0.5 else -1.0
    ground = _studio(size, chance, color) if name == "studio" else _PAINTERS[name](size, chance)
    soft = paint.softened(ground.picture, ground.blur)
    strokes = 1.1 if color is not None and name == "studio" else 2.6
    brushed = paint.brushed(soft, chance, strokes)
    grey = brushed.mean(axis=2, keepdims=True)
    loud = grey + (brushed - grey) * np.float32(np.clip(0.55 + 0.45 * pull, 0.3, 1.7))
    middle = np.float32(loud.mean())
    deep = middle + (loud - middle) * np.float32(np.clip(0.8 + 0.2 * pull, 0.7, 1.3))
    strength = float(np.clip(ground.strength * (0.5 + 0.5 * pull), 0, 1))
    return Scene((deep + 0.5).clip(0, 255).astype(np.uint8), ground.light, strength, side)


def _studio(size: _Size, chance: Chance, color: Color | None) -> _Ground:
    """A photographer's hand-painted cloth, lit behind the head."""
    if color is None:
        hue, depth = chance.uniform(0, 180), chance.uniform(95, 150)
        tone = np.array([[[hue, chance.uniform(45, 95), depth]]], np.uint8)
        base = np.asarray(cv2.cvtColor(tone, cv2.COLOR_HSV2RGB)[0, 0], np.float32)
        clouds = paint.noise(size, chance, 2.6, 5)[..., None]
        picture = base * (0.62 + 0.7 * clouds)
        lit: Color = (70, 66, 58)
        picture = paint.glow(picture.astype(np.float32), (0.5, 0.42), 0.42, lit)
        return _Ground(_vignette(picture, 0.35), (255, 244, 226), 0.25, 0.004)
    base = np.array(color, np.float32)
    clouds = paint.noise(size, chance, 2.2, 4)[..., None]
    picture = (base * (0.97 + 0.06 * clouds)).astype(np.float32)
    return _Ground(picture, (255, 255, 255), 0.12, 0.004)


def _city(size: _Size, chance: Chance) -> _Ground:
    """A city by night in neon: a low sun in stripes, towers with lit windows, lights."""
    sky = paint.gradient(
        size,
        [(0, (14, 10, 44)), (0.32, (70, 22, 110)), (0.58, (214, 60, 150)), (0.75, (255, 140, 110))],
    )
    x = 0.5 + chance.uniform(-0.22, 0.22)
    sun = paint.disc(size, (x, 0.4), 0.34)
    rows = np.linspace(0, 1, size[1], dtype=np.float32)[:, None]
    gaps = (np.sin((rows - 0.3) * 120) > (1.35 - 2.6 * (rows - 0.3))) & (rows > 0.36)
    sky = paint.laid(
        sky, sun * ~gaps, paint.gradient(size, [(0.2, (255, 226, 120)), (0.8, (255, 70, 150))])
    )
    sky = paint.glow(sky, (x, 0.4), 0.36, (110, 30, 60))
    for depth, (color, low) in enumerate(
        (((92, 34, 120), 0.62), ((48, 20, 84), 0.72), ((20, 12, 46), 0.84))
    ):
        towers, lit = _towers(size, chance, low, 9 + 5 * depth, depth)
        sky = paint.laid(sky, towers, color)
        sky = paint.laid(
            sky,
            lit * np.float32(0.4 + 0.25 * depth),
            (255, 206, 140) if depth < 2 else (120, 236, 255),
        )
    neon: list[Color] = [(255, 60, 170), (60, 220, 255), (255, 170, 70), (150, 90, 255)]
    sky = paint.bokeh(sky, chance, neon, 26, 0.03, (0.45, 1.0))
    return _Ground(sky, (255, 70, 190), 0.75, 0.005)


def _towers(
    size: _Size, chance: Chance, low: float, count: int, depth: int
) -> tuple[Floats, Floats]:
    width, height = size
    towers, lit = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    short = min(size)
    for _ in range(count * max(1, round(width / height))):
        w = round(short * chance.uniform(0.06, 0.16))
        x = round(chance.uniform(-0.05, 1.0) * width)
        top = round(height * (low - chance.uniform(0, 0.34 - 0.04 * depth)))
        towers[max(0, top) :, max(0, x) : x + w] = 1
        lit[max(0, top) :, max(0, x) : x + w] = 0
        step = max(3, round(short * 0.018))
        for wy in range(top + step, height, step):
            for wx in range(x + step // 2, x + w - step // 2, step):
                if chance.random() < 0.28 and 0 <= wx < width and wy >= 0:
                    lit[wy : wy + step // 2, wx : wx + max(1, step // 2)] = 1
    return towers, lit


def _sea(size: _Size, chance: Chance) -> _Ground:
    """The sea under a setting sun."""
    horizon, x = 0.58 + chance.uniform(-0.04, 0.04), 0.5 + chance.uniform(-0.3, 0.3)
    sky = paint.gradient(
        size,
        [
            (0, (70, 110, 180)),
            (0.3, (150, 160, 205)),
            (horizon - 0.12, (255, 190, 130)),
            (horizon, (255, 216, 150)),
            (1, (255, 216, 150)),
        ],
    )
    clouds = np.clip(paint.noise((size[0], size[1] * 3), chance, 5, 5)[::3] * 2 - 1.05, 0, 0.7)
    sky = paint.laid(sky, clouds.astype(np.float32), (255, 226, 214))
    sky = paint.glow(sky, (x, horizon - 0.06), 0.22, (120, 80, 20))
    sky = paint.laid(sky, paint.disc(size, (x, horizon - 0.06), 0.05, 3), (255, 250, 224))
    rows = np.linspace(0, 1, size[1], dtype=np.float32)[:, None]
    water = paint.gradient(
        size, [(horizon, (214, 160, 134)), (0.75, (84, 112, 150)), (1, (30, 62, 104))]
    )
    near = np.clip((rows - horizon) / (1 - horizon), 0, 1)
    waves = paint.noise((max(8, size[0] // 5), size[1]), chance, 60, 3)
    waves = cv2.resize(waves, size, interpolation=cv2.INTER_LINEAR)
    water = cast("Floats", water * (0.86 + 0.3 * waves[..., None]))
    columns = np.linspace(0, 1, size[0], dtype=np.float32)[None]
    path = np.exp(-(((columns - x) / (0.05 + 0.14 * near)) ** 2)) * np.clip(waves * 2.4 - 0.9, 0, 1)
    water = paint.laid(water, path.astype(np.float32), (255, 224, 160))
    below = np.clip((rows - horizon) * size[1] + 0.5, 0, 1) * np.ones_like(columns)
    return _Ground(paint.laid(sky, below.astype(np.float32), water), (255, 196, 120), 0.6, 0.006)


def _mountains(size: _Size, chance: Chance) -> _Ground:
    """Ridge behind ridge, with snow, in morning haze."""
    picture = paint.gradient(
        size, [(0, (88, 138, 200)), (0.45, (196, 216, 236)), (0.7, (246, 232, 220))]
    )
    picture = paint.glow(picture, (chance.uniform(0.1, 0.9), 0.3), 0.3, (40, 34, 20))
    for number in range(4):
        level, far = 0.36 + 0.15 * number, number / 3
        mask = paint.ridge(size, chance, level, 0.13 - 0.02 * number, 4 + number)
        rock = np.array([150, 170, 200]) * (1 - far) + np.array([44, 66, 78]) * far
        texture = 0.82 + 0.36 * paint.noise(size, chance, 14, 4)
        stone = (rock[None, None] * texture[..., None]).astype(np.float32)
        if number < 2:
            depth = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3) / size[1]
            snow = np.clip(1.4 - depth * 11 + (texture - 1) * 4, 0, 1).astype(np.float32)
            stone = paint.laid(stone, snow, (248, 250, 255))
        picture = paint.laid(picture, mask, stone)
    return _Ground(picture, (226, 240, 255), 0.4, 0.005)


def _forest(size: _Size, chance: Chance) -> _Ground:
    """Sun through leaves, far out of focus."""
    picture = paint.gradient(size, [(0, (206, 224, 130)), (0.5, (110, 150, 70)), (1, (38, 62, 34))])
    leaves = paint.noise(size, chance, 9, 4)
    picture = cast("Floats", picture * (0.45 + 0.95 * leaves[..., None]))
    for _ in range(6):
        x, w = chance.uniform(0, 1), chance.uniform(0.012, 0.05)
        columns = np.linspace(0, 1, size[0], dtype=np.float32)[None]
        trunk = np.exp(-(((columns - x) / w) ** 4)) * np.ones((size[1], 1), np.float32)
        picture = paint.laid(picture, (0.6 * trunk).astype(np.float32), (50, 46, 34))
    greens: list[Color] = [(214, 236, 130), (160, 206, 90), (255, 246, 190), (110, 170, 80)]
    picture = paint.bokeh(picture, chance, greens, 70, 0.045, (-0.05, 0.85))
    picture = paint.glow(picture, (chance.uniform(0.15, 0.85), 0.08), 0.34, (90, 84, 40))
    return _Ground(picture, (240, 255, 190), 0.45, 0.01)


def _space(size: _Size, chance: Chance) -> _Ground:
    """A nebula, stars, and a planet's limb."""
    dark = np.zeros((size[1], size[0], 3), np.float32) + np.array([8, 10, 26], np.float32)
    for color in ((120, 40, 150), (30, 90, 170), (190, 80, 90)):
        cloud = np.clip(paint.noise(size, chance, 3.2, 5) * 2.2 - 1, 0, 1) ** 1.4
        dark += cloud[..., None] * np.array(color, np.float32)
    soft = paint.softened(dark, 0.006)
    stars = (chance.random((size[1], size[0])) > 0.9982).astype(np.float32)
    stars *= chance.uniform(0.4, 1, stars.shape).astype(np.float32)
    soft = soft + (cv2.GaussianBlur(stars, (0, 0), max(0.6, min(size) / 900)) * 900)[..., None]
    x, y = chance.choice([0.14, 0.86]), chance.uniform(0.14, 0.3)
    planet = paint.disc(size, (x, y), 0.13)
    shade = np.clip(paint.disc(size, (x - 0.05, y - 0.05), 0.15, min(size) * 0.1), 0.12, 1)
    bands = paint.noise((max(4, size[0] // 12), size[1]), chance, 26, 3)
    surface = cv2.resize(bands, size)[..., None] * np.array([90, 60, 40]) + np.array([120, 90, 80])
    soft = paint.laid(soft, planet, (surface * shade[..., None]).astype(np.float32))
    return _Ground(soft, (120, 150, 255), 0.6, 0.0)


def _desert(size: _Size, chance: Chance) -> _Ground:
    """Dunes under a hot sky."""
    picture = paint.gradient(
        size, [(0, (96, 150, 196)), (0.4, (232, 206, 170)), (0.6, (250, 214, 160))]
    )
    picture = paint.glow(picture, (chance.uniform(0.15, 0.85), 0.2), 0.2, (80, 70, 40))
    for number in range(4):
        mask = paint.ridge(size, chance, 0.5 + 0.12 * number, 0.06, 2)
        far = number / 3
        sand = np.array([226, 176, 116]) * (1 - far) + np.array([178, 104, 54]) * far
        ripples = 0.9 + 0.2 * paint.noise(size, chance, 12 + 8 * number, 3)
        picture = paint.laid(picture, mask, (sand * ripples[..., None]).astype(np.float32))
    return _Ground(picture, (255, 214, 150), 0.5, 0.005)


def _library(size: _Size, chance: Chance) -> _Ground:
    """Shelves of old books in lamp light."""
    width, height = size
    picture = np.zeros((height, width, 3), np.float32) + np.array([44, 28, 18], np.float32)
    shelf = max(24, round(min(size) * 0.24))
    tones = np.array(
        [[122, 52, 40], [58, 78, 66], [150, 112, 62], [70, 56, 84], [176, 150, 110], [44, 62, 92]]
    )
    for top in range(-round(shelf * chance.uniform(0, 0.6)), height, shelf):
        x = 0
        while x < width:
            w = max(3, round(shelf * chance.uniform(0.07, 0.2)))
            tall = round(shelf * chance.uniform(0.62, 0.86))
            upper, lower = max(0, top + shelf - tall), max(0, top + round(shelf * 0.94))
            tone = tones[int(chance.integers(len(tones)))] * chance.uniform(0.7, 1.15)
            across = 0.75 + 0.35 * np.sin(np.linspace(0.3, 2.8, w))[None, :, None]
            part = picture[upper:lower, x : x + w]
            part[:] = (tone * across)[:, : part.shape[1]]
            x += w
    picture = paint.glow(picture, (chance.choice([0.12, 0.88]), 0.2), 0.3, (150, 104, 46))
    picture = paint.bokeh(picture, chance, [(255, 196, 110), (255, 226, 170)], 10, 0.04, (0, 0.6))
    return _Ground(_vignette(picture, 0.3), (255, 204, 130), 0.5, 0.008)


def _vignette(picture: Floats, strength: float) -> Floats:
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    return (picture * (1 - strength * np.clip(rows**2 + columns**2, 0, 2) / 2)[..., None]).astype(
        np.float32
    )


_PAINTERS: Mapping[SceneName, Callable[[_Size, Chance], _Ground]] = {
    "city": _city,
    "sea": _sea,
    "mountains": _mountains,
    "forest": _forest,
    "space": _space,
    "desert": _desert,
    "library": _library,
}
