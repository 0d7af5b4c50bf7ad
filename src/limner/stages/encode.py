"""Pixels to the bytes of a PNG file that says how it was made.

The mark is IPTC's digital source type in an XMP packet (IPTC Photo Metadata 2023.1), as the EU's
AI act asks of generated pictures (Art. 50). Nothing else is written: no date, no name, no prompt.
Knows Pillow; knows nothing of where the bytes go.
"""

from __future__ import annotations

import io
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

Pixels = npt.NDArray[np.uint8]

#: zlib's level: twice as fast as Pillow's 6, and 4 % larger on our stickers.
COMPRESSION = 4


class Source(StrEnum):
    """How a picture came to be, in IPTC's words (cv.iptc.org/newscodes/digitalsourcetype)."""

    ALGORITHMICALLY_ENHANCED = "algorithmicallyEnhanced"
    TRAINED_ALGORITHMIC_MEDIA = "trainedAlgorithmicMedia"


_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{}"/>'
    "</rdf:RDF></x:xmpmeta>"
)


def encode_png(pixels: Pixels, source: Source) -> bytes:
    """A PNG of RGB [h, w, 3] or RGBA [h, w, 4]; the same pixels always give the same bytes."""
    chunks = PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", _XMP.format(source.value))
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG", pnginfo=chunks, compress_level=COMPRESSION)
    return encoded.getvalue()
