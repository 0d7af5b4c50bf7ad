"""Drawing over a large picture tile by tile, so that no seam is seen and memory stays flat.

Tiles overlap, and are mixed over their whole overlap. What would make them differ there is shared:
the noise is one sheet for the whole picture, of which each tile has its part, and the steps take no
randomness of their own. Only one tile's latents and pixels are at work at a time.

Knows bases, tasks and tiles; knows no prompt, no face and no request.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock

import numpy as np
import numpy.typing as npt
from torch import Tensor

from limner.diffusion.decode import Pixels, decode, encode
from limner.diffusion.load import Base
from limner.diffusion.sampling import VAE_SCALE, Draft, Progress, Task, noise

#: How much of the way from noise is drawn anew: the picture stays, its detail is redrawn.
STRENGTH = 0.2

#: A tile this dark all over may come back black.
DARK = 16

Floats = npt.NDArray[np.float32]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a picture is laid out in tiles, in pixels: multiples of 8.

    ``overlap`` is at most a third of ``side``: no place lies in three tiles of a row.
    """

    #: Longest side of a tile: what SDXL is at home at, and a little for the overlap.
    side: int = 1088
    #: How much of its neighbour a tile sees, but for the grid's 8 pixels.
    overlap: int = 128

    def spans(self, length: int) -> list[Span]:
        """Equally long spans that cover 0…``length`` with as few of them as can be.

        ``length``, as every start and end, is a multiple of 8.
        """
        if length <= self.side:
            return [(0, length)]
        number = math.ceil((length - self.overlap) / (self.side - self.overlap))
        grid = VAE_SCALE
        own = math.ceil((length + (number - 1) * self.overlap) / number / grid) * grid
        starts = [(length - own) * at // (number - 1) // grid * grid for at in range(number)]
        return [(start, start + own) for start in starts]

    def tiles(self, size: Span) -> list[Tile]:
        """Tiles over a picture of ``size`` (width, height), row by row."""
        width, height = size
        across, down = self.spans(width), self.spans(height)
        slopes_x, slopes_y = _slopes(across), _slopes(down)
        return [
            Tile(x, y, np.outer(slope_y, slope_x)[..., None].astype(np.float32))
            for y, slope_y in zip(down, slopes_y, strict=True)
            for x, slope_x in zip(across, slopes_x, strict=True)
        ]


@dataclass(frozen=True, eq=False, slots=True)
class Tile:
    """Part of a picture. ``share`` [h, w, 1]: how much of each pixel is this tile's, 0…1."""

    x: Span
    y: Span
    share: Floats

    @property
    def size(self) -> Span:
        """(width, height)"""
        return self.x[1] - self.x[0], self.y[1] - self.y[0]

    @property
    def place(self) -> tuple[slice, slice]:
        """Where it lies in an array [height, width, …]."""
        return slice(*self.y), slice(*self.x)

    def of_latents(self, latents: Tensor) -> Tensor:
        """Its part of latents [1, 4, height / 8, width / 8]."""
        y, x = (slice(*(edge // VAE_SCALE for edge in span)) for span in (self.y, self.x))
        return latents[..., y, x]


def _slopes(spans: list[Span]) -> list[Floats]:
    """For each span its share at each pixel: 1, and a straight slope where two overlap.

    The slope takes the middle half of an overlap: close to a tile's edge, where networks see
    nothing beyond, they draw otherwise. At each pixel the shares add up to 1.
    """
    slopes = [np.ones(end - start, np.float32) for start, end in spans]
    for at, ((_, end), (start, _)) in enumerate(pairwise(spans)):
        both = end - start
        if both:
            at_pixels = (np.arange(both, dtype=np.float32) + np.float32(0.5)) / np.float32(both)
            rising = (2 * at_pixels - np.float32(0.5)).clip(0, 1)
            slopes[at][-both:] *= rising[::-1]
            slopes[at + 1][:both] *= rising
    return slopes


@dataclass(frozen=True, eq=False, slots=True)
class Retouch:
    """What is drawn over a picture, the same for all tiles of it."""

    #: A tile's task, of ``schedule(steps)`` steps of which only the last ``steps`` are taken.
    task: Callable[[Tile], Task]
    #: Draws over a tile: yields after each step, returns its latents.
    paint: Callable[[Task, Draft], Generator[Progress, None, Tensor]]
    steps: int
    seed: int
    #: Held while a tile is encoded or decoded.
    decoding: Lock
    tiling: Tiling = Tiling()


def schedule(steps: int) -> int:
    """Steps of the whole way of which the last ``steps`` are the last STRENGTH of it."""
    return round(steps / STRENGTH)


def refine(base: Base, rgb: Pixels, retouch: Retouch) -> Generator[float, None, Pixels]:
    """Yield how much is done, 0…1; return ``rgb`` [h, w, 3] with its detail drawn anew.

    Sides are multiples of 8. Raises BrokenPicture where numbers stop being a picture.
    """
    size = rgb.shape[1], rgb.shape[0]
    tiles = retouch.tiling.tiles(size)
    sheet = noise([retouch.seed], size)[0][0]
    mixed = np.zeros(rgb.shape, np.float32)
    first = schedule(retouch.steps) - retouch.steps
    for number, tile in enumerate(tiles):
        seen = rgb[tile.place]
        with retouch.decoding:
            begun = encode(base.vae, seen)
        draft = Draft(begun, tile.of_latents(sheet), first)
        steps = retouch.paint(retouch.task(tile), draft)
        while True:
            try:
                done = next(steps).done
            except StopIteration as end:
                latent = end.value
                break
            yield (number + done) / len(tiles)
        with retouch.decoding:
            drawn = decode(base.vae, latent, may_be_black=bool(seen.max() < DARK))
        mixed[tile.place] += tile.share * drawn
    return mixed.round().clip(0, 255).astype(np.uint8)
