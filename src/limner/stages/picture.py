"""Opening a caller's picture: any bytes in, upright sRGB pixels out.

Knows Pillow, the formats we read and the ways in which a picture can be bad. It does not know
where the bytes came from, which field of a request they belong to, or what is shown in them.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from limner.errors import (
    ImageLoadError,
    ImageTooLarge,
    ImageTooSmall,
    InputProblem,
    UnsupportedImageFormat,
)
from limner.stages.skeleton import check_skeleton

Pixels = NDArray[np.uint8]

#: The extensions of what we read, as fal's ``supported_formats`` has them.
SUPPORTED_FORMATS = (
    ".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".mpo",
)  # fmt: skip

# An allow-list: Pillow's rarer decoders are an attack surface nobody's photo needs.
# MPO is absent because Pillow has no opener for it: its JPEG opener returns one.
_OPENERS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

#: OpenCV's warps count columns in 16 bits; a longer side would fail there, as our fault.
MAX_SIDE = 32_766

#: No face is found in less.
MIN_SIDE = 16

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112

# Recognised by their first bytes alone, so that naming a format never runs its decoder.
_OTHER_FORMATS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftyphevc", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypmsf1", "HEIF"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"8BPS", "PSD"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"\x00\x00\x02\x00", "CUR"),
    (0, b"icns", "ICNS"),
    (0, b"qoif", "QOI"),
    (0, b"DDS ", "DDS"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"%!PS-Adobe", "EPS"),
    (0, b"P1\n", "PBM"),
    (0, b"P2\n", "PGM"),
    (0, b"P3\n", "PPM"),
    (0, b"P4\n", "PBM"),
    (0, b"P5\n", "PGM"),
    (0, b"P6\n", "PPM"),
    (0, b"<svg", "SVG"),
)


@dataclass(frozen=True)
class Picture:
    """An upright picture in sRGB.

    ``rgb``: uint8 [H,W,3], laid on white where the file was transparent. ``alpha``: uint8
    [H,W], 255 = opaque, or None where the picture is opaque everywhere. Both are read-only.
    """

    rgb: Pixels
    alpha: Pixels | None


def open_picture(encoded: bytes, *, max_pixels: int = 64_000_000) -> Picture:
    """The picture in a file's bytes: upright, its first frame, in sRGB.

    Sizes are judged from the header, before any pixel is decoded. Raises ImageTooLarge (more
    than ``max_pixels``, or a side over MAX_SIDE), ImageTooSmall (a side under MIN_SIDE),
    UnsupportedImageFormat, ImageLoadError (no picture, or a broken one); nothing else,
    whatever the bytes.
    """
    if not encoded:
        raise ImageLoadError("The file is empty: there is no picture in it. Send it again.")
    check_skeleton(encoded)
    try:
        with _open_header(encoded, max_pixels) as image:
            _check_size(image.size, max_pixels)
            image.load()
            return _develop(image)
    except InputProblem:
        raise
    except Exception as fault:
        # Decoders fail in countless ways on hostile bytes; to the caller they are all one.
        raise ImageLoadError(
            "The picture is damaged or cut short. Save it anew and send it again."
        ) from fault


def _open_header(encoded: bytes, max_pixels: int) -> Image.Image:
    """The picture with only its header read."""
    try:
        return Image.open(io.BytesIO(encoded), formats=_OPENERS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
        raise _too_large("The picture is", max_pixels) from bomb
    except UnidentifiedImageError as fault:
        other = _other_format(encoded)
        if other is None:
            raise ImageLoadError(
                f"The file is not a picture. Send one of: {', '.join(SUPPORTED_FORMATS)}."
            ) from fault
        raise UnsupportedImageFormat(
            f"{other} pictures are not supported. Use one of: {', '.join(SUPPORTED_FORMATS)}.",
            ctx={"supported_formats": list(SUPPORTED_FORMATS)},
        ) from fault


def _other_format(encoded: bytes) -> str | None:
    """The name of a picture format we know of but do not read, from the first bytes."""
    head = encoded[:512]
    for offset, magic, name in _OTHER_FORMATS:
        if head.startswith(magic, offset):
            return name
    is_xml = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<?xml", b"<!DOCTYPE svg"))
    if is_xml and (b"<svg" in head or b"<!DOCTYPE svg" in head):
        return "SVG"
    return None


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels or max(size) > MAX_SIDE:
        raise _too_large(f"The picture is {width}×{height},", max_pixels)
    if min(size) < MIN_SIDE:
        raise ImageTooSmall(
            f"The picture is {width}×{height}; both sides must be at least {MIN_SIDE} pixels. "
            "Send a larger one.",
            ctx={"min_height": MIN_SIDE, "min_width": MIN_SIDE},
        )


def _too_large(subject: str, max_pixels: int) -> ImageTooLarge:
    # The limit is an area; fal's context has sides, so name the square that always fits.
    side = min(math.isqrt(max_pixels), MAX_SIDE)
    return ImageTooLarge(
        f"{subject} larger than allowed: at most {max_pixels / 1e6:g} megapixels"
        f" and {MAX_SIDE} pixels on a side. Send a smaller one.",
        ctx={"max_height": side, "max_width": side},
    )


def _develop(image: Image.Image) -> Picture:
    """A decoded Pillow image as an upright sRGB Picture."""
    # Asked only after load(): Pillow turns TIFFs itself while loading and clears the tag.
    turn = _TURNS.get(_orientation(image))
    icc = image.info.get("icc_profile")
    colour, alpha = _take_apart(image)
    if turn is not None:
        colour = colour.transpose(turn)
        alpha = None if alpha is None else alpha.transpose(turn)
    # Pillow hands over its pixels as bytes, which numpy can hold without a copy of its own.
    rgb = np.asarray(_to_srgb(colour, icc), dtype=np.uint8)
    if alpha is None:
        return _sealed(rgb, None)
    opacity = np.array(alpha, dtype=np.uint8)
    if int(opacity.min()) == 255:
        return _sealed(rgb, None)
    return _sealed(_on_white(rgb, opacity), opacity)


def _sealed(rgb: Pixels, alpha: Pixels | None) -> Picture:
    for pixels in (rgb, alpha):
        if pixels is not None:
            pixels.setflags(write=False)
    return Picture(rgb, alpha)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none or EXIF is unreadable."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001
        # Damaged metadata is no reason to refuse a sound picture.
        return 1


def _take_apart(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colour (mode L, RGB or CMYK, the space its ICC profile speaks of) and alpha (L) or None."""
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_gray(image), None
    gray = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        whole = image.convert("RGBA")
        return whole.convert("L" if gray else "RGB"), whole.getchannel("A")
    if gray:
        return image.convert("L"), None
    if image.mode in ("RGB", "CMYK"):
        return image, None
    return image.convert("RGB"), None


def _deep_gray(image: Image.Image) -> Image.Image:
    """A gray picture of 16 or 32 bits, or of floats, brought to 8 bits (mode L).

    Pillow's own conversion of these modes clips instead of scaling. The file does not say
    where white is, so it is taken to be 65535 (255 if nothing is brighter; 1.0 for floats).
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)
    brightest = float(values.max())
    if image.mode.startswith("I;16"):
        white = 65535.0
    elif image.mode == "F" and brightest <= 1.0:
        white = 1.0
    else:
        white = 255.0 if brightest <= 255.0 else max(65535.0, brightest)
    scaled = np.clip(values * (255.0 / white) + 0.5, 0.0, 255.0)
    return Image.fromarray(scaled.astype(np.uint8))


def _to_srgb(colour: Image.Image, icc: object) -> Image.Image:
    """``colour`` as mode RGB in sRGB, by its ICC profile where that is usable."""
    if isinstance(icc, bytes) and icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            if "sRGB" in ImageCms.getProfileDescription(profile) and colour.mode == "RGB":
                return colour
            turned = ImageCms.profileToProfile(colour, profile, _srgb(), outputMode="RGB")
            if turned is not None:
                return turned
        except Exception:  # noqa: BLE001
            # Broken, or for another colour space: every viewer then shows the plain colours.
            pass
    # Pillow copies also what is of that mode already: 36 MB of a phone's photo.
    return colour if colour.mode == "RGB" else colour.convert("RGB")


def _srgb() -> ImageCms.ImageCmsProfile:
    create: Any = getattr(ImageCms, "createProfile")  # noqa: B009  # its stub is half untyped
    return ImageCms.ImageCmsProfile(create("sRGB"))


def _on_white(rgb: Pixels, alpha: Pixels) -> Pixels:
    """``rgb`` [H,W,3] laid on white through ``alpha`` [H,W], rounded to nearest, uint8."""
    white = Image.new("RGB", (rgb.shape[1], rgb.shape[0]), "white")
    white.paste(Image.fromarray(rgb), mask=Image.fromarray(alpha))
    return np.array(white, dtype=np.uint8)
