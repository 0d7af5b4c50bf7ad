"""The best looking file of a see-through picture that keeps to a number of bytes.

What is tried, best first, was measured on stickers over white and over black: lossless, then the
highest quality of lossy WebP (47 dB at 100, 44 at 90); for PNG colours of 7 to 4 bits (55, 50, 45
and 38 dB), whose files are a fifth smaller each, and only then a palette (34 dB).
Knows Pillow's encoders; nothing of platforms. The same picture always gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image, PngImagePlugin

from limner.stages.see_through import Pixels

#: libwebp's effort: 6 is a hundred times slower on pictures with alpha and saves 4 %.
_EFFORT = 4
#: Highest first; below these an edge shows steps.
_ALPHA_QUALITIES = (100, 50, 10, 0)
_BITS = (7, 6, 5, 4)
_PALETTES = (256, 64, 16)


def webp_within(rgba: Pixels, max_bytes: int, xmp: bytes = b"") -> bytes | None:
    """A WebP of RGBA [h, w, 4] in at most ``max_bytes``; None if there is none.

    ``xmp`` is kept in it.
    """
    picture = Image.fromarray(rgba)

    def encoded(quality: int, alpha: int, *, lossless: bool = False) -> bytes:
        file = io.BytesIO()
        picture.save(
            file,
            "WEBP",
            quality=quality,
            alpha_quality=alpha,
            lossless=lossless,
            method=_EFFORT,
            xmp=xmp,
        )
        return file.getvalue()

    exact = encoded(80, 100, lossless=True)
    if len(exact) <= max_bytes:
        return exact
    for alpha in _ALPHA_QUALITIES:
        best = encoded(0, alpha)
        if len(best) > max_bytes:
            continue
        low, high = 0, 100
        while low < high:
            quality = (low + high + 1) // 2
            file = encoded(quality, alpha)
            if len(file) <= max_bytes:
                low, best = quality, file
            else:
                high = quality - 1
        return best
    return None


def png_within(
    rgba: Pixels, max_bytes: int, xmp: bytes = b"", *, reducible: bool = True
) -> bytes | None:
    """A PNG of RGBA [h, w, 4] in at most ``max_bytes``; None if there is none.

    ``xmp`` is kept in it. ``reducible``: may colours have fewer than 8 bits, or a palette?
    """
    words = PngImagePlugin.PngInfo()
    if xmp:
        words.add_itxt("XML:com.adobe.xmp", xmp.decode())
    for picture in _lighter(rgba) if reducible else [Image.fromarray(rgba)]:
        file = io.BytesIO()
        # 72 dots per inch is the least that any platform names.
        picture.save(file, "PNG", optimize=True, pnginfo=words, dpi=(72, 72))
        if file.tell() <= max_bytes:
            return file.getvalue()
    return None


def _lighter(rgba: Pixels) -> Iterator[Image.Image]:
    """The picture, and then ever rougher ones that take fewer bytes."""
    whole = Image.fromarray(rgba)
    yield whole
    for bits in _BITS:
        steps = np.float32(2**bits - 1) / 255
        rough = (np.rint(np.rint(rgba * steps) / steps)).astype(np.uint8)
        rough[..., 3] = rgba[..., 3]
        yield Image.fromarray(rough)
    for colors in _PALETTES:
        # The only method of Pillow's own that reduces alpha too.
        yield whole.quantize(colors, Image.Quantize.FASTOCTREE, dither=Image.Dither.FLOYDSTEINBERG)
