"""Files say how they were made to readers that are not ours, or say nothing at all.

ExifTool is asked where it is installed; everywhere Pillow finds the packet of PNG and WebP and
pikepdf that of PDF, and Python's own XML parser reads it.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pikepdf
import pytest
from PIL import Image

from limner.stages.encode import encode_png
from limner.stages.export import export
from limner.stages.finish import Finish, piece_of
from limner.stages.platforms import PLATFORMS
from limner.stages.provenance import Source

#: IPTC's own namespace and scheme (Photo Metadata 2023.1; cv.iptc.org).
TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
SCHEME = "http://cv.iptc.org/newscodes/digitalsourcetype/"

#: WhatsApp takes no metadata.
KINDS = ("png", "print", *(name for name, platform in PLATFORMS.items() if platform.marked))


def file_of(kind: str, source: Source | None) -> bytes:
    """A dot, as a picture of the answer or as a platform's file."""
    rows, columns = np.indices((700, 700)) / 700 - 0.5
    alpha = np.where(np.hypot(rows, columns) < 0.4, 255, 0).astype(np.uint8)
    dot = np.dstack([np.full((700, 700, 3), 90, np.uint8), alpha])
    if kind == "png":
        return encode_png(dot, source)
    piece = piece_of(dot, Finish())
    assert piece is not None
    return export(piece, kind, source).content


def packet_of(content: bytes) -> str | None:
    """The XMP packet of a file; None when it has none."""
    if content[:4] == b"%PDF":
        with pikepdf.open(io.BytesIO(content)) as pdf:
            there = "/Metadata" in pdf.Root
            return bytes(pdf.Root.Metadata.read_bytes()).decode() if there else None
    info = Image.open(io.BytesIO(content)).info
    found = info.get("XML:com.adobe.xmp") or info.get("xmp")
    return found.decode() if isinstance(found, bytes) else found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", Source)
def test_a_file_says_how_it_was_made(kind: str, source: Source) -> None:
    packet = packet_of(file_of(kind, source))
    assert packet is not None
    # Without a PDF's wrapper, two processing instructions around the packet.
    tree = ElementTree.fromstring(packet[packet.index("<x:xmpmeta") :].partition("<?")[0])
    said = [value for each in tree.iter() for name, value in each.items() if name == TYPE]
    assert said == [SCHEME + source.value]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_a_mark_says_nothing(kind: str) -> None:
    content = file_of(kind, None)
    assert packet_of(content) is None
    assert b"xmpmeta" not in content.lower()


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="ExifTool is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_exiftool_reads_the_mark(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(file_of(kind, Source.TRAINED_ALGORITHMIC_MEDIA))
    command = ["exiftool", "-json", "-n", "-XMP-iptcExt:DigitalSourceType", str(file)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert told[0]["DigitalSourceType"] == f"{SCHEME}trainedAlgorithmicMedia"
