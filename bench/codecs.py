"""Limner's PNG encoder against others, on a sticker and on a photo: ``python -m bench.codecs``.

All in turns in one run, one thread, in seconds of this process's CPU, which others on the machine
hardly change; every file is decoded again and compared. libdeflate and zlib-ng have a row where the
packages ``deflate`` and ``zlib-ng`` are installed. Knows encoders; knows nothing of requests.
"""

from __future__ import annotations

import importlib
import io
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from time import process_time
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.table import Table
from tests.conftest import ROOT

from bench.sketch import FACE, Album, open_sketch, run
from limner.endpoints import ENDPOINTS
from limner.stages import encode
from limner.stages.encode import Source, encode_png

Pixels = npt.NDArray[np.uint8]
Encoder = Callable[[Pixels], bytes]

#: The one that every ratio is to: what a program does that thinks nothing of it.
FLOOR = "Pillow, level 6 (default)"
ROUNDS = 5


def encoders() -> dict[str, Encoder]:
    """Name → encoder, of those that are installed."""
    found: dict[str, Encoder] = {
        FLOOR: lambda pixels: _pillow(pixels, 6),
        "Limner: Up, ISA-L 1": lambda pixels: encode_png(pixels, Source.ALGORITHMICALLY_ENHANCED),
        "Pillow, level 1": lambda pixels: _pillow(pixels, 1),
        "OpenCV": _opencv,
        "Up, zlib 1": lambda pixels: _with(pixels, zlib.compress, 1),
    }
    for title, module, function, level in (
        ("Up, libdeflate 1", "deflate", "zlib_compress", 1),
        ("Up, zlib-ng 1", "zlib_ng.zlib_ng", "compress", 1),
        ("Up, zlib-ng 2", "zlib_ng.zlib_ng", "compress", 2),
    ):
        try:
            compress = getattr(importlib.import_module(module), function)
        except ImportError:
            continue
        found[title] = lambda pixels, one=compress, at=level: _with(pixels, one, at)
    return found


def _pillow(pixels: Pixels, level: int) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG", compress_level=level)
    return encoded.getvalue()


def _opencv(pixels: Pixels) -> bytes:
    turn = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return cv2.imencode(".png", cv2.cvtColor(pixels, turn))[1].tobytes()


def _with(pixels: Pixels, compress: Callable[[Any, int], bytes], level: int) -> bytes:
    """Our own file around another package's deflate."""
    ours = encode.isal_zlib.compress
    try:
        encode.isal_zlib.compress = lambda body, _: compress(body, level)  # pyright: ignore
        return encode_png(pixels, Source.ALGORITHMICALLY_ENHANCED)
    finally:
        encode.isal_zlib.compress = ours  # pyright: ignore


def pictures() -> dict[str, Pixels]:
    """Both pictures of a sticker, and a photo, all 1024 x 1024."""
    home = Path(os.environ.get("LIMNER_HOME", ROOT / ".limner"))
    (endpoint,) = (one for one in ENDPOINTS if one.id == "fal-ai/face-to-sticker")
    photo = (ROOT / "tests" / "faces" / FACE).read_bytes()
    album = Album({FACE: photo})
    run(open_sketch(endpoint, home / "networks"), endpoint, {"image_url": FACE, "seed": 7}, album)
    plain, cutout = (np.asarray(Image.open(io.BytesIO(file))) for file in album.kept)
    resized = Image.open(io.BytesIO(photo)).convert("RGB").resize((1024, 1024))
    return {"sticker RGB": plain, "cut-out RGBA": cutout, "photo RGB": np.asarray(resized)}


def measure(pixels: Pixels, known: Mapping[str, Encoder]) -> dict[str, tuple[float, int]]:
    """Encoder → its least seconds of CPU, and the file's size in bytes."""
    best: dict[str, tuple[float, int]] = {}
    for _ in range(ROUNDS):
        for name, encoder in known.items():
            began = process_time()
            file = encoder(pixels)
            taken = process_time() - began
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(file))), pixels), name
            best[name] = (min(taken, best.get(name, (taken, 0))[0]), len(file))
    return best


def main() -> None:
    """A row an encoder; milliseconds, how many times as fast as the floor, and as large."""
    cv2.setNumThreads(1)
    known = encoders()
    table = Table(
        title="PNG, 1024 x 1024: ms (times as fast, times as large)", title_justify="left"
    )
    table.add_column("encoder")
    columns: list[dict[str, tuple[float, int]]] = []
    for name, pixels in pictures().items():
        table.add_column(name, justify="right")
        columns.append(measure(pixels, known))
    for name in known:
        cells: list[str] = []
        for column in columns:
            (taken, size), (slow, large) = column[name], column[FLOOR]
            cells.append(f"{1e3 * taken:.1f} ({slow / taken:.1f}, {size / large:.2f})")
        table.add_row(name, *cells)
    console = Console(width=110)
    console.print(table)
    console.print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
