"""Any picture that is read becomes an upright sRGB one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from limner.stages.picture import open_picture
from tests.stages.encoded import corners, encoded

FACES = Path(__file__).parents[1] / "faces"


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
