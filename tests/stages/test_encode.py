"""What is encoded is what other people's PNG decoders read, to the last bit, in a sound file."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from limner.stages.encode import encode_png
from limner.stages.provenance import Source

FACES = Path(__file__).parents[1] / "faces"


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([3, 4]), st.integers(0, 2**32 - 1))
def test_pillow_and_opencv_read_back_every_pixel(
    height: int, width: int, channels: int, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    pixels = chance.integers(0, 256, (height, width, channels), np.uint8)
    file = encode_png(pixels, Source.TRAINED_ALGORITHMIC_MEDIA)
    image = Image.open(io.BytesIO(file))
    assert (image.mode, image.format) == ({3: "RGB", 4: "RGBA"}[channels], "PNG")
    assert np.array_equal(np.asarray(image), pixels)
    bgr = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    assert bgr is not None
    turn = cv2.COLOR_BGRA2RGBA if channels == 4 else cv2.COLOR_BGR2RGB
    assert np.array_equal(cv2.cvtColor(bgr, turn), pixels)


def test_a_part_of_a_picture_is_encoded_as_its_copy_is() -> None:
    whole = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
    part = whole[7:41:2, 60:3:-3]
    copy = np.ascontiguousarray(part)
    source = Source.ALGORITHMICALLY_ENHANCED
    assert encode_png(part, source) == encode_png(copy, source)


def test_every_chunk_has_its_checksum_and_none_says_more_than_how_it_was_made() -> None:
    file = encode_png(np.full((9, 7, 3), 200, np.uint8), Source.ALGORITHMICALLY_ENHANCED)
    names, at = list[bytes](), 8
    while at < len(file):
        length = int.from_bytes(file[at : at + 4])
        names.append(file[at + 4 : at + 8])
        told = int.from_bytes(file[at + 8 + length : at + 12 + length])
        assert told == zlib.crc32(file[at + 4 : at + 8 + length]), names[-1]
        at += 12 + length
    assert names == [b"IHDR", b"iTXt", b"IDAT", b"IEND"]
    xmp = Image.open(io.BytesIO(file)).info["XML:com.adobe.xmp"]
    assert xmp.count("http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced") == 1


def test_a_photo_takes_little_more_room_than_in_pillows_usual_way() -> None:
    """The bound is the one that ``python -m bench`` watches on stickers."""
    photo = Image.open(FACES / "03_obama_frontal_dark_skin.jpg").convert("RGB")
    theirs = io.BytesIO()
    photo.save(theirs, "PNG")
    ours = encode_png(np.asarray(photo), Source.ALGORITHMICALLY_ENHANCED)
    assert len(ours) <= 1.3 * len(theirs.getvalue())
