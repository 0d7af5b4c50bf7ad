"""What a picture says of how it was made, for machines to read.

IPTC's digital source type in an XMP packet (IPTC Photo Metadata 2023.1), as the EU's AI act asks of
generated pictures (Art. 50, 2). Knows IPTC's words; knows no file format and no pixels.
"""

from __future__ import annotations

import re
from enum import StrEnum

#: Where IPTC's sources are told.
SCHEME = "http://cv.iptc.org/newscodes/digitalsourcetype/"

_SAID = re.compile(rb'Iptc4xmpExt:DigitalSourceType="' + re.escape(SCHEME).encode() + rb'(\w+)"')


class Source(StrEnum):
    """How a picture came to be, in IPTC's words (cv.iptc.org/newscodes/digitalsourcetype)."""

    ALGORITHMICALLY_ENHANCED = "algorithmicallyEnhanced"
    TRAINED_ALGORITHMIC_MEDIA = "trainedAlgorithmicMedia"


_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="{}"/>'
    "</rdf:RDF></x:xmpmeta>"
)


def made_how(source: Source | None) -> bytes:
    """The XMP packet that says so, and nothing else; nothing at all for None."""
    return b"" if source is None else _XMP.format(SCHEME + source.value).encode()


def said_in(content: bytes) -> Source | None:
    """What a file of ours says of how it was made; None when it says nothing."""
    said = _SAID.search(content)
    return Source(said[1].decode()) if said else None
