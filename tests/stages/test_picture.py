"""Any bytes become an upright sRGB picture, or an InputProblem that says why not."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from limner.errors import (
    ImageLoadError,
    ImageTooLarge,
    ImageTooSmall,
    InputProblem,
    UnsupportedImageFormat,
)
from limner.stages.picture import open_picture
from limner.stages.skeleton import MOST_SCANS

FACES = Path(__file__).parents[1] / "faces"


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def corners() -> Image.Image:
    """40 wide, 24 high: red, green / blue, black quarters, so every turn shows."""
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[:12, :20] = (255, 0, 0)
    pixels[:12, 20:] = (0, 255, 0)
    pixels[12:, :20] = (0, 0, 255)
    return Image.fromarray(pixels)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to no pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(64)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


PHOTOS = {  # name: (height, width, transparent somewhere)
    "01_astronaut_frontal.png": (192, 192, False),
    "03_obama_frontal_dark_skin.jpg": (640, 512, False),
    "04_obama_speaking.jpg": (640, 334, False),
    "05_obama_partial_face.jpg": (640, 276, False),
    "06_biden_closeup.jpg": (640, 640, False),
    "07_biden_small_face.jpg": (1100, 484, False),
    "08_two_people.jpg": (470, 800, False),
    "11_vermeer_painting_threequarter.jpg": (512, 512, False),
    "13_ai_woman_extreme_closeup.jpg": (424, 424, False),
    "14_ai_woman_redhead.jpg": (480, 480, False),
    "15_ai_girl_halfbody.jpg": (420, 420, False),
    "16_ai_fantasy_drawing.jpg": (480, 480, False),
    "17_statue_profile.jpg": (420, 419, False),
    "21_noface_rocket.jpg": (427, 640, False),
    "23_exif_orientation6.jpg": (640, 512, False),
    "24_gray_L_mode.png": (192, 192, False),
    "25_occluded_mask.png": (192, 192, False),
    "26_tiny_face_40px.jpg": (960, 1280, False),
    "27_cmyk.jpg": (400, 400, False),
    "28_rgba.png": (160, 160, True),
    "29_upside_down.png": (192, 192, False),
    "30_lowres_96px.jpg": (96, 96, False),
}


@pytest.mark.parametrize("name", PHOTOS)
def test_every_photo_opens(name: str) -> None:
    height, width, transparent = PHOTOS[name]
    picture = open_picture((FACES / name).read_bytes())
    assert picture.rgb.shape == (height, width, 3)
    assert picture.rgb.dtype == np.uint8
    assert (picture.alpha is not None) == transparent


def test_every_photo_is_described_and_small() -> None:
    sources = (FACES / "SOURCES.md").read_text()
    photos = {path.name for path in FACES.iterdir() if path.suffix in {".jpg", ".png"}}
    assert photos == set(PHOTOS)
    for name in photos:
        assert f"| {name} |" in sources
        assert (FACES / name).stat().st_size < 100_000


def test_the_turned_photo_looks_like_its_upright_original() -> None:
    upright = open_picture((FACES / "03_obama_frontal_dark_skin.jpg").read_bytes()).rgb
    turned = open_picture((FACES / "23_exif_orientation6.jpg").read_bytes()).rgb
    assert np.abs(upright.astype(int) - turned).mean() < 4


def test_the_cmyk_photo_has_its_true_colours() -> None:
    plain = Image.open(FACES / "01_astronaut_frontal.png").resize((64, 64))
    cmyk = open_picture((FACES / "27_cmyk.jpg").read_bytes()).rgb
    small = np.asarray(Image.fromarray(cmyk).resize((64, 64)))
    assert np.abs(small.astype(int) - np.asarray(plain)).mean() < 6


# Where the red corner of `corners()` is stored for each orientation, so that it shows upright.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation(orientation: int, form: str) -> None:
    turn = STORED[orientation]
    stored = corners() if turn is None else corners().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {}
    picture = open_picture(encoded(stored, form, exif=exif, **options))
    assert picture.rgb.shape == (24, 40, 3)
    assert np.abs(picture.rgb.astype(int) - np.asarray(corners())).mean() < 12


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_unknown_orientation_means_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = open_picture(encoded(corners(), exif=exif))
    np.testing.assert_array_equal(picture.rgb, np.asarray(corners()))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_formats(form: str) -> None:
    assert open_picture(encoded(corners(), form)).rgb.shape == (24, 40, 3)


def test_mpo_shows_its_first_picture() -> None:
    second = Image.new("RGB", (40, 24), "white")
    mpo = encoded(Image.new("RGB", (40, 24), "red"), "MPO", save_all=True, append_images=[second])
    assert open_picture(mpo).rgb[12, 20, 1] < 20


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animation_shows_its_first_frame(form: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    moving = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    red, green, blue = open_picture(moving).rgb[16, 16].tolist()
    assert red > 240
    assert green < 10
    assert blue < 10


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "I;16", "F"])
def test_opaque_modes_keep_the_light(mode: str) -> None:
    gray = np.full((20, 20), 200, np.uint8)
    gray[:10] = 0
    image = Image.fromarray(gray)
    if mode == "1":
        image = image.point(lambda value: 255 if value else 0)
    if mode == "I;16":
        stored = Image.fromarray(gray.astype(np.uint16) * 257)
    elif mode == "F":
        stored = Image.fromarray(gray.astype(np.float32) / 255)
    else:
        stored = image.convert(mode)
    picture = open_picture(encoded(stored, "TIFF" if mode in {"CMYK", "YCbCr", "F"} else "PNG"))
    assert picture.alpha is None
    bright = 255 if mode == "1" else 199 if mode == "F" else 200
    assert np.abs(picture.rgb[15, 5].astype(int) - bright).max() <= 2
    assert picture.rgb[5, 5].max() <= 2


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(16, 0)
    seen = open_picture(encoded(Image.fromarray(ramp))).rgb[0, :, 0]
    np.testing.assert_array_equal(seen, np.arange(256))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    rgba = np.zeros((20, 20, 4), np.uint8)
    rgba[:10, :, 3] = 255
    image = Image.fromarray(rgba)
    if mode == "PA":
        flat = Image.new("P", (20, 20), 0)
        flat.putpalette([0, 0, 0, 255, 255, 255])
        flat.paste(1, (0, 10, 20, 20))
        stored = encoded(flat, transparency=1)
    else:
        stored = encoded(image.convert(mode))
    picture = open_picture(stored)
    assert picture.alpha is not None
    assert picture.alpha[5, 5] == 255
    assert picture.alpha[15, 5] == 0
    assert picture.rgb[5, 5].tolist() == [0, 0, 0]
    assert picture.rgb[15, 5].tolist() == [255, 255, 255]


def test_half_transparent_black_is_gray() -> None:
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 128))
    assert open_picture(encoded(image)).rgb[3, 3].tolist() == [127, 127, 127]


def test_an_opaque_alpha_channel_is_no_alpha() -> None:
    assert open_picture(encoded(corners().convert("RGBA"))).alpha is None


def test_alpha_turns_with_the_picture() -> None:
    image = corners().convert("RGBA")
    image.putalpha(Image.new("L", image.size, 9))
    exif = Image.Exif()
    exif[0x0112] = 6
    alpha = open_picture(encoded(image, exif=exif)).alpha
    assert alpha is not None
    assert alpha.shape == (40, 24)


def test_pixels_are_read_only() -> None:
    assert not open_picture(encoded(corners())).rgb.flags.writeable


@pytest.mark.parametrize("icc", [b"", b"nonsense", b"\x00" * 200])
def test_a_broken_profile_is_ignored(icc: bytes) -> None:
    picture = open_picture(encoded(corners(), icc_profile=icc))
    np.testing.assert_array_equal(picture.rgb, np.asarray(corners()))


def test_an_srgb_profile_changes_nothing() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = open_picture(encoded(corners(), icc_profile=icc))
    np.testing.assert_array_equal(picture.rgb, np.asarray(corners()))


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
