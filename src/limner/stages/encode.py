"""Pixels to the bytes of a PNG file that says how it was made, and nothing else.

No date, no name, no prompt. Knows the PNG file format (W3C, third edition) and ISA-L's deflate;
nothing of where bytes go.
"""

# isal's own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from limner.stages.provenance import Source, made_how

Pixels = npt.NDArray[np.uint8]

#: ISA-L's level: 0 is 15 % larger and no faster on our stickers, 2 and 3 are not smaller.
COMPRESSION = 1

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: PNG's colour types by the number of channels, and its filter that takes off the row above.
_COLOUR_TYPES = {3: 2, 4: 6}
_UP = 2


def encode_png(pixels: Pixels, source: Source | None) -> bytes:
    """A PNG of RGB [h, w, 3] or RGBA [h, w, 4]; the same pixels always give the same bytes.

    ``source``: None writes no mark.
    Always on one machine. A processor for which ISA-L has another matcher (ARM, an x86-64
    without SSE 4.2) may write other bytes of the same pixels: decision 0008.
    """
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    # An international text chunk: keyword, not compressed, no language, no translated keyword.
    said = made_how(source)
    words = ((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + said),) if said else ()
    body = isal_zlib.compress(filtered_rows(pixels), COMPRESSION)
    chunks = ((b"IHDR", header), *words, (b"IDAT", body), (b"IEND", b""))
    return b"".join([_SIGNATURE, *(part for chunk in chunks for part in _chunk(*chunk))])


def filtered_rows(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """The scanlines [h, 1 + w·channels], each less the one above it (filter type 2, "Up").

    One filter for all rows: choosing per row costs three times the compression itself and saves
    4 % on our stickers, whose flat colours compress well in any case. To PDF it is predictor 15.
    """
    rows = pixels.reshape(len(pixels), -1)
    lines = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    lines[:, 0] = _UP
    lines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    return lines


def _chunk(name: bytes, body: bytes) -> tuple[bytes, bytes, bytes]:
    """Length and name, body, checksum of name and body."""
    checksum = isal_zlib.crc32(body, isal_zlib.crc32(name))
    return struct.pack(">I", len(body)) + name, body, struct.pack(">I", checksum)
