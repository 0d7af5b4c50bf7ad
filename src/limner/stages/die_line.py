"""A sticker as a page for a printer: the picture with bleed, and the knife's path as a spot colour.

What print shops ask for (docs/sticker-craft.md): 300 dots per inch at final size; a vector path in
a Separation called ``CutContour``, shown as magenta, overprinting, 0.25 pt, in a layer of its own;
colour that runs on beyond the cut. Knows PDF (ISO 32000-1) by pikepdf; no platform but this.
"""

# isal's own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import io
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
from isal import isal_zlib
from pikepdf import Array, Dictionary, Name, Pdf

from limner.stages.cut_line import CutLine, cut_line
from limner.stages.encode import filtered_rows
from limner.stages.provenance import Source, made_how
from limner.stages.see_through import Pixels

Floats = npt.NDArray[np.float32]

#: Dots per inch, and the pixels of a millimetre and points of a pixel that follow.
DPI = 300
PX_PER_MM = DPI / 25.4
_PT_PER_PX = 72 / DPI
#: How far colour runs on beyond the cut, and what is clear around that. Millimetres.
BLEED, _CLEAR = 2.0, 1.0
#: The tightest turn of the knife, in millimetres.
KNIFE = 1.0
#: Pixels that a sticker [h, w] must have clear on each side before it is given to `die_line_page`.
ROOM = round((BLEED + _CLEAR + KNIFE) * PX_PER_MM)


def die_line_page(sticker: Pixels, source: Source | None) -> tuple[bytes, tuple[int, int]]:
    """A PDF of one page with a sticker [h, w, 4] that has ``ROOM`` around it; its (width, height).

    The size is in pixels at ``DPI``. The same sticker always gives the same bytes.
    """
    line = cut_line(sticker[..., 3].astype(np.float32) / np.float32(255), KNIFE * PX_PER_MM)
    height, width = sticker.shape[:2]
    pdf = Pdf.new()
    pdf.add_blank_page(page_size=(width * _PT_PER_PX, height * _PT_PER_PX))
    page = pdf.pages[0].obj
    art, cut = (
        pdf.make_indirect(Dictionary(Type=Name.OCG, Name=name))
        for name in ("Artwork", "CutContour")
    )
    page.Resources = Dictionary(
        XObject=Dictionary(Sticker=_picture(pdf, with_bleed(sticker, line))),
        ColorSpace=Dictionary(Cut=_spot_colour()),
        ExtGState=Dictionary(Over=Dictionary(Type=Name.ExtGState, OP=True, op=True, OPM=1)),
        Properties=Dictionary(Art=art, Cut=cut),
    )
    page.Contents = pdf.make_stream(_content(line, width, height))
    page.TrimBox, page.BleedBox = (_box(line, height, more) for more in (0, BLEED * PX_PER_MM))
    layers = Array([art, cut])
    pdf.Root.OCProperties = Dictionary(
        OCGs=layers, D=Dictionary(Name="Layers", Order=layers, ON=layers)
    )
    if source is not None:
        pdf.Root.Metadata = pdf.make_stream(_packet(source), Type=Name.Metadata, Subtype=Name.XML)
    file = io.BytesIO()
    pdf.save(file, min_version="1.6", deterministic_id=True)
    return file.getvalue(), (width, height)


def with_bleed(sticker: Pixels, line: CutLine) -> Pixels:
    """A sticker [h, w, 4] whose colours run on ``BLEED`` beyond the line; opaque up to there."""
    solid = sticker[..., 3] > 250
    if not solid.any():
        solid = sticker[..., 3] == sticker[..., 3].max()
    _, labels = cv2.distanceTransformWithLabels(
        1 - solid.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = cast("npt.NDArray[np.int32]", labels)
    own = np.zeros((int(nearest.max()) + 1, 3), np.uint8)
    own[nearest[solid]] = sticker[solid][:, :3]
    alpha = sticker[..., 3:].astype(np.float32) / np.float32(255)
    rgb = sticker[..., :3] * alpha + own[nearest] * (1 - alpha)
    shown = np.clip(BLEED * PX_PER_MM + 0.5 - line.distance, 0, 1) * 255
    # Colour is kept where nothing is shown: viewers mix colour and mask apart from each other.
    return (np.dstack([rgb, shown]) + 0.5).clip(0, 255).astype(np.uint8)


def _picture(pdf: Pdf, rgba: Pixels) -> Any:
    """An image XObject with its alpha as a soft mask (ISO 32000-1, 8.9.5 and 11.6.5.3)."""

    def image(samples: Pixels, space: Name) -> Any:
        height, width, channels = samples.shape
        row = Dictionary(Predictor=15, Colors=channels, BitsPerComponent=8, Columns=width)
        return pdf.make_stream(
            isal_zlib.compress(filtered_rows(samples)),
            Type=Name.XObject,
            Subtype=Name.Image,
            Width=width,
            Height=height,
            ColorSpace=space,
            BitsPerComponent=8,
            Filter=Name.FlateDecode,
            DecodeParms=row,
        )

    whole = image(np.ascontiguousarray(rgba[..., :3]), Name.DeviceRGB)
    whole.SMask = image(np.ascontiguousarray(rgba[..., 3:]), Name.DeviceGray)
    return whole


def _spot_colour() -> Array:
    """The Separation that cutters look for by its name, seen as magenta (8.6.6.4)."""
    tint = Dictionary(FunctionType=2, Domain=[0, 1], C0=[0, 0, 0, 0], C1=[0, 1, 0, 0], N=1)
    return Array([Name.Separation, Name.CutContour, Name.DeviceCMYK, tint])


def _content(line: CutLine, width: int, height: int) -> bytes:
    """The page's operators, in pixels from the upper left."""
    words = [
        f"{_PT_PER_PX:g} 0 0 {-_PT_PER_PX:g} 0 {height * _PT_PER_PX:g} cm",
        f"/OC /Art BDC q {width} 0 0 {-height} 0 {height} cm /Sticker Do Q EMC",
        f"/OC /Cut BDC q /Over gs /Cut CS 1 SCN {0.25 / _PT_PER_PX:.4f} w 1 j 1 J",
    ]
    for curve in line.curves:
        start = curve[-1, 2]
        words.append(f"{start[0]:.2f} {start[1]:.2f} m")
        words += [" ".join(f"{value:.2f}" for value in part.ravel()) + " c" for part in curve]
        words.append("h S")
    return "\n".join([*words, "Q EMC\n"]).encode()


def _box(line: CutLine, height: int, more: float) -> Array:
    """What is cut, and ``more`` pixels around it, in points from the lower left."""
    left, top, right, bottom = line.box
    sides = (left - more, height - bottom - more, right + more, height - top + more)
    return Array([round(side * _PT_PER_PX, 3) for side in sides])


def _packet(source: Source) -> bytes:
    """The XMP packet in the wrapper by which scanners find it (ISO 16684-1, 7.3.2)."""
    head = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'.encode()
    return head + made_how(source) + b'<?xpacket end="r"?>'
