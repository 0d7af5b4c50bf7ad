"""What is no picture we read is refused with why: other bytes, other kinds, other sizes."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from limner.errors import (
    ImageLoadError,
    ImageTooLarge,
    ImageTooSmall,
    InputProblem,
    UnsupportedImageFormat,
)
from limner.stages.picture import open_picture
from limner.stages.skeleton import MOST_SCANS
from tests.stages.encoded import corners, encoded


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to no pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(64)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def test_size_is_judged_before_decoding() -> None:
    # These files hold no such pixels: decoding them would give ImageLoadError.
    for side in (8001, 12_000, 30_000, 2**31 - 1):
        with pytest.raises(ImageTooLarge) as caught:
            open_picture(png_header(side, side))
        assert caught.value.ctx == {"max_height": 8000, "max_width": 8000}


def test_a_side_too_long_for_opencv_is_too_large() -> None:
    with pytest.raises(ImageTooLarge):
        open_picture(png_header(40_000, 20))


def test_limits_are_inclusive() -> None:
    assert open_picture(encoded(corners()), max_pixels=960).rgb.shape[0] == 24
    with pytest.raises(ImageTooLarge):
        open_picture(encoded(corners()), max_pixels=959)
    assert open_picture(encoded(Image.new("RGB", (16, 17)))).rgb.shape == (17, 16, 3)
    with pytest.raises(ImageTooSmall) as caught:
        open_picture(png_header(17, 15))
    assert caught.value.ctx == {"min_height": 16, "min_width": 16}


@pytest.mark.parametrize("form", ["ICO", "JPEG2000", "AVIF", "PPM", "DDS", "QOI"])
def test_other_formats_are_named(form: str) -> None:
    with pytest.raises(UnsupportedImageFormat) as caught:
        open_picture(encoded(corners(), form))
    assert caught.value.ctx is not None
    assert ".webp" in caught.value.ctx["supported_formats"]


@pytest.mark.parametrize(
    ("brand", "name"),
    [("heic", "HEIC"), ("heix", "HEIC"), ("hevc", "HEIC"), ("mif1", "HEIF"), ("msf1", "HEIF")],
)
def test_a_telephones_heic_is_named_with_what_to_send_instead(brand: str, name: str) -> None:
    head = struct.pack(">I4s4sI4s4s", 24, b"ftyp", brand.encode(), 0, b"mif1", b"heic")
    with pytest.raises(UnsupportedImageFormat, match=rf"^{name} pictures .* Use one of: \.jpg"):
        open_picture(head + bytes(100))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00", b"hello", b"%PDF-1.7 ...", b"<html></html>", b"PK\x03\x04", b"\xff\xd8\xff"],
)
def test_what_is_no_picture(content: bytes) -> None:
    with pytest.raises(ImageLoadError):
        open_picture(content)


@pytest.mark.parametrize(
    "svg",
    [
        b"<svg xmlns='x'/>",
        b"<?xml version='1.0'?>\n<svg/>",
        b"<?xml version='1.0'?><!DOCTYPE svg [" + b"<!ENTITY a 'b'>" * 100 + b"]><svg/>",
        b"<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'http://www.w3.org/'><svg/>",
    ],
)
def test_svg_is_a_picture_we_do_not_read(svg: bytes) -> None:
    with pytest.raises(UnsupportedImageFormat):
        open_picture(svg)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_file(form: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    whole = encoded(Image.fromarray(noise), form)
    with pytest.raises(ImageLoadError):
        open_picture(whole[: len(whole) // 2])


def with_scans(number: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    whole = encoded(corners(), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * (number - whole.count(b"\xff\xda")) + b"\xff\xd9"


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded() -> None:
    assert open_picture(with_scans(MOST_SCANS)).rgb.shape == (24, 40, 3)
    with pytest.raises(ImageLoadError, match="scans"):
        open_picture(with_scans(MOST_SCANS + 1))
    # What a phone appends to its photo is no part of it.
    film = b"\xff\xda" * 1000
    assert open_picture(with_scans(10) + film).rgb.shape == (24, 40, 3)


def test_a_jpeg_of_countless_segments_is_refused() -> None:
    whole = encoded(corners(), "JPEG")
    comment = b"\xff\xfe\x00\x02"
    assert open_picture(whole[:2] + comment * 1000 + whole[2:]).rgb.shape == (24, 40, 3)
    with pytest.raises(ImageLoadError):
        open_picture(whole[:2] + comment * 20_000 + whole[2:])


SEEDS = [encoded(corners(), form) for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO")]


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=12),
    st.integers(0, 4000),
)
def test_damaged_files_raise_only_input_problems(
    seed: bytes, edits: list[tuple[int, int]], keep: int
) -> None:
    damaged = bytearray(seed)
    for place, value in edits:
        damaged[place % len(damaged)] = value
    try:
        picture = open_picture(bytes(damaged[: keep or None]), max_pixels=1_000_000)
    except InputProblem:
        return
    assert picture.rgb.ndim == 3


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_raise_only_input_problems(content: bytes) -> None:
    with pytest.raises(InputProblem):
        open_picture(content)
