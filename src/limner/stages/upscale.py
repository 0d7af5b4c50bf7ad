"""Making a picture exactly twice as large with a real super-resolution network, tile by tile.

The networks are ncnn's (SPAN, Wan et al. 2024, arXiv 2311.12770; Real-ESRGAN's animevideov3),
fully convolutional: a tile with enough of its surroundings gives the pixels the whole would.
Knows ncnn; knows nothing of faces, stickers or where the files are.
"""

# ncnn ships no usable types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import cv2
import ncnn
import numpy as np
import numpy.typing as npt

from limner.errors import NetworkMissing

Pixels = npt.NDArray[np.uint8]

#: Side of a tile's own part, in pixels: what keeps memory flat and lets work be given up soon.
TILE = 192
#: What a tile sees around itself, in pixels.
HALO = 24


class Upscaler:
    """A network that enlarges by ``scale``, from an ncnn ``.param`` with its ``.bin`` beside it.

    Safe to share between threads. Raises NetworkMissing if a file is not there.
    """

    def __init__(self, param: Path, scale: int, threads: int) -> None:
        weights = param.with_suffix(".bin")
        if not param.is_file() or not weights.is_file():
            raise NetworkMissing(f"The upscaler {param} is not there.")
        self.scale = scale
        self._net = cast("Any", ncnn.Net())
        self._net.opt.use_vulkan_compute = False
        self._net.opt.num_threads = threads
        # Halves would differ between processors that have them and those that have not.
        self._net.opt.use_fp16_packed = False
        self._net.opt.use_fp16_storage = False
        self._net.opt.use_fp16_arithmetic = False
        self._net.opt.use_bf16_storage = False
        self._net.load_param(str(param))
        self._net.load_model(str(weights))
        # The names ncnn itself found: the converters do not agree on what the output is called.
        self._input, self._output = self._net.input_names()[0], self._net.output_names()[0]

    def tiles(self, rgb: Pixels, enlarged: Pixels) -> Iterator[float]:
        """Fill ``enlarged`` [scale·h, scale·w, 3] from ``rgb`` [h, w, 3]; yields 0…1 as it goes.

        Stop iterating and it stops. A tile of one colour is not run: it would stay that colour.
        """
        height, width = rgb.shape[:2]
        corners = [(y, x) for y in range(0, height, TILE) for x in range(0, width, TILE)]
        padded = np.pad(rgb, ((HALO, HALO), (HALO, HALO), (0, 0)), mode="symmetric")
        scale = self.scale
        for number, (y, x) in enumerate(corners, 1):
            tall, wide = min(TILE, height - y), min(TILE, width - x)
            seen = padded[y : y + tall + 2 * HALO, x : x + wide + 2 * HALO]
            part = enlarged[y * scale : (y + tall) * scale, x * scale : (x + wide) * scale]
            if (seen == seen[0, 0]).all():
                part[:] = seen[0, 0]
            else:
                inner = slice(HALO * scale, (HALO + tall) * scale)
                part[:] = self._run(seen)[inner, HALO * scale : (HALO + wide) * scale]
            yield number / len(corners)

    def __call__(self, rgb: Pixels) -> Pixels:
        """``rgb`` [h, w, 3] enlarged to [scale·h, scale·w, 3]."""
        enlarged = np.empty((rgb.shape[0] * self.scale, rgb.shape[1] * self.scale, 3), np.uint8)
        for _ in self.tiles(rgb, enlarged):
            pass
        return enlarged

    def _run(self, rgb: Pixels) -> Pixels:
        given = np.ascontiguousarray(rgb.transpose(2, 0, 1), np.float32) / np.float32(255)
        extractor = self._net.create_extractor()
        extractor.input(self._input, ncnn.Mat(given))
        _, answer = extractor.extract(self._output)
        image = np.asarray(answer, np.float32).transpose(1, 2, 0)
        return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def refined(rgb: Pixels, enlarged: Pixels, steps: int) -> Pixels:
    """How firmly the network's detail is drawn: between plain interpolation and beyond it.

    ``rgb`` [h, w, 3] and its enlargement [k·h, k·w, 3]. 10 ``steps`` are the network's own
    answer; fewer lean to bicubic interpolation, more (up to 100) exaggerate what it added.
    """
    strength = np.float32(2 * steps / (steps + 10))
    size = (enlarged.shape[1], enlarged.shape[0])
    plain = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC), np.float32)
    return (plain + (enlarged - plain) * strength + 0.5).clip(0, 255).astype(np.uint8)
