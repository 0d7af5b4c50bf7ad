"""A printed page holds the picture and a knife's path where the sticker ends.

Read by PDFium, which had no part in writing it; the spot colour's words by qpdf.
"""

# pypdfium2's raw bindings are untyped.
# pyright: basic, reportAttributeAccessIssue=false
from __future__ import annotations

import ctypes
import io
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pikepdf
import pypdfium2
import pypdfium2.raw as pdfium
import pytest

from limner.stages.die_line import BLEED, KNIFE, PX_PER_MM, ROOM, die_line_page
from limner.stages.export import export
from limner.stages.finish import Finish, Piece
from limner.stages.provenance import Source

Pixels = npt.NDArray[np.uint8]
GREEN = (20, 160, 60)
MADE = Source.ALGORITHMICALLY_ENHANCED
#: Points (1/72 inch) of a pixel of 300 to the inch.
PT = 0.24


def disc(side: int, radius: float) -> Pixels:
    rows, columns = np.indices((side, side)) + 0.5
    away = np.hypot(rows - side / 2, columns - side / 2)
    alpha = np.clip(radius + 0.5 - away, 0, 1) * 255
    return np.dstack([np.full((side, side, 3), GREEN), np.rint(alpha)]).astype(np.uint8)


def paths(content: bytes) -> list[list[tuple[float, float, int, bool]]]:
    """Every path of the page: its points in pixels from the upper left, what each is, if it ends.

    A point is a move (2), a line (0) or of a Bézier curve (1), as PDFium numbers them.
    """
    with pypdfium2.PdfDocument(content) as pdf:
        page = pdf[0]
        height = page.get_height()
        found: list[list[tuple[float, float, int, bool]]] = []
        for thing in page.get_objects([pdfium.FPDF_PAGEOBJ_PATH]):
            matrix = thing.get_matrix()
            points: list[tuple[float, float, int, bool]] = []
            for number in range(pdfium.FPDFPath_CountSegments(thing)):
                segment = pdfium.FPDFPath_GetPathSegment(thing, number)
                x, y = ctypes.c_float(), ctypes.c_float()
                assert pdfium.FPDFPathSegment_GetPoint(segment, x, y)
                at = matrix.on_point(x.value, y.value)
                kind = pdfium.FPDFPathSegment_GetType(segment)
                closed = bool(pdfium.FPDFPathSegment_GetClose(segment))
                points.append((at[0] / PT, (height - at[1]) / PT, kind, closed))
            found.append(points)
        return found


def rendered(content: bytes) -> npt.NDArray[np.int16]:
    """The page as PDFium draws it, at 300 dots per inch."""
    with pypdfium2.PdfDocument(content) as pdf:
        scale = cast("Any", 1 / PT)  # annotated as a whole number, and none
        return np.asarray(pdf[0].render(scale=scale).to_pil().convert("RGB"), np.int16)


def ends(path: list[tuple[float, float, int, bool]]) -> npt.NDArray[np.float64]:
    """The points that lie on the path: the move, and the last of each three of a curve."""
    move, *curve = path
    assert move[2] == pdfium.FPDF_SEGMENT_MOVETO
    drawn = [point for point in curve if point[2] == pdfium.FPDF_SEGMENT_BEZIERTO]
    return np.array([point[:2] for point in [move, *drawn[2::3]]])


def test_the_path_runs_once_around_the_sticker_and_is_closed() -> None:
    side = 2 * ROOM + 400
    content, size = die_line_page(disc(side, 195), MADE)
    assert size == (side, side)
    (path,) = paths(content)
    # The pen ends where it began, and the path is closed besides.
    assert path[-1][3]
    assert not any(point[3] for point in path[:-1])
    assert path[0][:2] == pytest.approx(path[-1][:2], abs=0.02)
    points = ends(path) - side / 2
    away = np.hypot(*points.T)
    assert away == pytest.approx(np.full(len(away), 195), abs=0.4)
    turns = np.unwrap(np.arctan2(*points.T))
    assert abs(turns[-1] - turns[0]) == pytest.approx(2 * np.pi, abs=0.01)


def test_the_page_is_rendered_with_the_cut_on_the_edge_and_colour_beyond_it() -> None:
    side = 2 * ROOM + 400
    page = rendered(die_line_page(disc(side, 195), MADE)[0])
    assert page.shape == (side, side, 3)
    rows, columns = np.indices((side, side)) + 0.5
    away = np.hypot(rows - side / 2, columns - side / 2)
    # A quarter of a point is one pixel of magenta: less green than the sticker or the paper has.
    magenta = page[..., 1] < 100
    assert np.abs(away[magenta] - 195).max() < 1.6
    on_the_line = np.abs(away - 195) < 0.5
    assert (page[on_the_line][:, 1] < 150).mean() > 0.9
    bleed = (away > 198) & (away < 195 + BLEED * PX_PER_MM - 2)
    for part in (away < 192, bleed):
        assert np.abs(page[part] - GREEN).max() <= 3
    assert (page[away > 195 + BLEED * PX_PER_MM + 2.5] == 255).all()


def test_notches_holes_whiskers_and_scraps_are_not_cut() -> None:
    sticker = np.zeros((500, 700, 4), np.uint8)
    sticker[150:350, 150:550] = (*GREEN, 255)
    sticker[220:280, 200:260] = 0  # a hole
    sticker[150:250, 400:412] = 0  # a notch a millimetre wide
    sticker[250:256, 550:620] = (*GREEN, 255)  # a whisker half as wide
    sticker[100:104, 100:104] = (*GREEN, 255)  # a scrap
    (path,) = paths(die_line_page(sticker, MADE)[0])
    points = ends(path)
    # The corners are rounded, and of the whisker there is a swelling of a third of a millimetre.
    assert points.min(axis=0) == pytest.approx((150, 150), abs=1)
    assert points.max(axis=0) == pytest.approx((550, 350), abs=4)
    inside = np.minimum(points - (150, 150), np.array((550, 350)) - points).min(axis=1)
    assert inside.max() < 5
    # No turn is tighter than the knife's, within what a polygon of the points can tell.
    steps = np.diff(points, axis=0)
    turns = np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])))
    tightest = (np.hypot(*steps[1:].T) / np.maximum(np.abs(turns), 1e-9)).min()
    assert tightest > 0.9 * KNIFE * PX_PER_MM


def test_two_pieces_are_cut_one_by_one() -> None:
    two = np.concatenate([disc(300, 80), disc(300, 90)], axis=1)
    both = paths(die_line_page(two, MADE)[0])
    assert len(both) == 2
    assert all(path[-1][3] for path in both)


def test_a_cutter_finds_its_colour_by_name_on_a_layer_of_its_own() -> None:
    content, size = die_line_page(disc(2 * ROOM + 200, 95), MADE)
    with pikepdf.open(io.BytesIO(content)) as pdf:
        assert pdf.check_pdf_syntax() == []
        page: Any = pdf.pages[0].obj
        assert [float(side) for side in page.MediaBox] == pytest.approx(
            [0, 0, size[0] * PT, size[1] * PT], abs=0.01
        )
        kind, name, alternate, tint = page.Resources.ColorSpace.Cut
        assert (str(kind), str(name)) == ("/Separation", "/CutContour")
        assert str(alternate) == "/DeviceCMYK"
        assert [float(ink) for ink in tint.C1] == [0, 1, 0, 0]
        over = page.Resources.ExtGState.Over
        assert (over.OP, over.op, int(over.OPM)) == (True, True, 1)
        layers = [str(layer.Name) for layer in pdf.Root.OCProperties.OCGs]
        assert layers == ["Artwork", "CutContour"]
        picture = page.Resources.XObject.Sticker
        assert (int(picture.Width), int(picture.Height)) == size
        assert (int(picture.SMask.Width), int(picture.SMask.Height)) == size
        words = [str(step.operator) for step in pikepdf.parse_content_stream(page)]
        assert words[words.index("CS") : words.index("CS") + 3] == ["CS", "SCN", "w"]
        trim, bleed = ([float(side) for side in box] for box in (page.TrimBox, page.BleedBox))
        # What is cut is 190 pixels long: 16.1 mm.
        assert trim[2] - trim[0] == pytest.approx(190 * PT, abs=0.3)
        assert trim[0] - bleed[0] == pytest.approx(BLEED / 25.4 * 72, abs=0.01)
        assert b"algorithmicallyEnhanced" in pdf.Root.Metadata.read_bytes()
        assert "/CreationDate" not in pdf.docinfo


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (30, 30), (700, 500)])
def test_anything_can_be_printed_the_same_twice_and_never_too_small_to_hold(
    shape: tuple[int, int],
) -> None:
    piece = Piece(np.full((*shape, 4), 255, np.uint8), Finish(outline=2, shadow=True))
    file = export(piece, "print", MADE)
    assert export(piece, "print", MADE) == file
    assert (file.content_type, file.file_name) == ("application/pdf", "sticker-print.pdf")
    assert max(file.size) - 2 * ROOM >= 0.97 * 5 / 2.54 * 300
    assert paths(file.content)
    # A shadow would be cut off: none is printed.
    bare = export(replace(piece, finish=Finish(outline=2)), "print", MADE)
    assert bare == file
