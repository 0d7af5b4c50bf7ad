"""An outline is as wide as asked, smooth and of one colour; nothing is where no room was given."""

from __future__ import annotations

from math import erf, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.stages.finish import Finish, Piece, finished, piece_of
from limner.stages.see_through import visible

Pixels = npt.NDArray[np.uint8]
RED, PINK, BLUE = (200, 20, 30), (255, 60, 120), (0, 0, 255)


def disc(side: int, radius: float, color: tuple[int, int, int] = RED) -> Pixels:
    """A disc in the middle, antialiased; where it is not, a colour that must never be seen."""
    rows, columns = np.indices((side, side)) + 0.5
    away = np.hypot(rows - side / 2, columns - side / 2)
    alpha = np.clip(radius + 0.5 - away, 0, 1)
    rgb = np.where(alpha[..., None] > 0, np.array(color), np.array(BLUE))
    return np.dstack([rgb, np.rint(alpha * 255)]).astype(np.uint8)


@pytest.mark.parametrize("width", [2, 8, 20])
def test_an_outline_is_as_wide_as_asked_all_around(width: int) -> None:
    out = finished(disc(240, 80), Finish(outline=width, color=PINK))
    area = out[..., 3].sum() / 255
    assert np.sqrt(area / np.pi) == pytest.approx(80 + width, abs=0.35)
    rows, columns = np.indices((240, 240)) + 0.5
    away = np.hypot(rows - 120, columns - 120)
    assert (out[..., 3][away < 79 + width] == 255).all()
    assert not out[away > 81.5 + width].any()
    ring = (away > 82) & (away < 79 + width)
    assert (out[ring] == (*PINK, 255)).all()
    assert (out[away < 78] == (*RED, 255)).all()


def test_its_edge_is_straight_along_a_slanted_edge_and_antialiased() -> None:
    """A matte cut hard at a slope of 1 in 9 has steps of a pixel; the outline has none."""
    rows, columns = np.indices((300, 300)) + 0.5
    below = rows - 150 - (columns - 150) / 9
    cutout = np.zeros((300, 300, 4), np.uint8)
    cutout[(below > 0) & (below < 60) & (abs(columns - 150) < 120)] = (*RED, 255)
    out = finished(cutout, Finish(outline=12))
    # Where the outline begins in each column, to a fraction of a pixel.
    middle = slice(90, 210)
    top = 150 - out[:150, middle, 3].sum(axis=0) / 255
    x = np.arange(90, 210) + 0.5
    slope, start = np.polyfit(x, top, 1)
    assert slope == pytest.approx(1 / 9, abs=0.01)
    assert np.abs(top - (slope * x + start)).max() < 0.05
    # 12 pixels across the slope, seen along a column.
    expected = 150 + (x.mean() - 150) / 9 - 12 * np.hypot(1, 1 / 9)
    assert top.mean() == pytest.approx(expected, abs=0.6)


def test_around_hair_it_has_no_kinks() -> None:
    cutout = np.zeros((300, 300, 4), np.uint8)
    cutout[150:200, 30:270] = (*RED, 255)
    random = np.random.default_rng(3)
    for x in range(40, 260, 7):
        cutout[150 - random.integers(0, 12) : 150, x : x + 2] = (*RED, 255)
    out = finished(cutout, Finish(outline=12))
    top = 150 - out[:150, 60:240, 3].sum(axis=0) / 255
    # The bend from one pixel's column to the next; of the hair itself it is up to 11.
    assert np.abs(np.diff(top, 2)).max() < 0.3
    assert np.ptp(top) > 2


@pytest.mark.parametrize(
    "finish",
    [
        Finish(outline=9, color=PINK),
        Finish(margin=70),
        Finish(shadow=True, margin=70),
        Finish(outline=30, color=PINK, shadow=True, trim=True, margin=30),
    ],
)
def test_nothing_seeps_in_from_where_nothing_is(finish: Finish) -> None:
    out = finished(disc(240, 100), finish)
    seen = out[..., 3] > 0
    # Red, pink and black in any mixture have less blue than red.
    assert (out[seen][:, 2] <= out[seen][:, 0]).all()
    assert not out[~seen].any()


def test_a_narrow_gap_is_closed_and_a_wide_one_is_not() -> None:
    cutout = np.zeros((200, 300, 4), np.uint8)
    for left, right in ((40, 100), (112, 170), (220, 260)):
        cutout[60:140, left:right] = (*RED, 255)
    alpha = finished(cutout, Finish(outline=10))[..., 3]
    assert (alpha[60:140, 100:112] == 255).all()
    assert (alpha[100, 185:205] == 0).all()


def test_a_shadow_falls_below_the_sticker_and_darkens_whatever_it_lies_on() -> None:
    out = finished(disc(400, 120), Finish(shadow=True))
    above, under = out[70:80, 200, 3].astype(int), out[321:331, 200, 3].astype(int)
    assert under.mean() > 3 * above.mean() > 0
    rows, columns = np.indices((400, 400)) + 0.5
    outside = np.hypot(rows - 200, columns - 200) > 121.5
    assert out[outside][:, 3].any()
    assert not out[outside][:, :3].any()
    # It ends: no hard edge at the border of what it was drawn on.
    assert out[..., 3][[0, -1]].max() == out[..., 3][:, [0, -1]].max() == 0


def test_a_shadow_is_a_soft_and_a_narrow_one_of_so_many_shares_of_the_longer_side() -> None:
    """Below a long straight edge a Gaussian's shadow is its cumulative distribution."""
    cutout = np.zeros((400, 600, 4), np.uint8)
    cutout[100:300, 100:500] = (*RED, 255)
    out = finished(cutout, Finish(shadow=True))
    soft, contact, fall = 0.016 * 400, 0.004 * 400, 0.012 * 400
    for below in (0.5, 2.5, 5.5, 9.5, 14.5):
        dark = 0.7 * normal((fall - below) / soft) + 0.3 * normal(-below / contact)
        got = out[round(299.5 + below), 300, 3]
        assert float(got) == pytest.approx(255 * 0.42 * dark, abs=2), below


def normal(z: float) -> float:
    """The standard normal's cumulative distribution."""
    return (1 + erf(z / sqrt(2))) / 2


def test_a_piece_says_how_much_room_it_needs_with_all_it_wears() -> None:
    bare = np.full((60, 100, 4), 255, np.uint8)
    assert Piece(bare, Finish(outline=5)).span() == (110, 70)
    # A shadow is seen for two and a half deviations of 1.6 % of the longer side.
    assert Piece(bare, Finish(outline=5, shadow=True)).span() == pytest.approx((118, 78))
    worn, middle = Piece(bare, Finish()).dressed(0.556)
    assert worn.shape == (33, 56, 4)
    assert middle == (28, 16)


def test_trimming_alone_crops_to_what_is_seen() -> None:
    cutout = np.zeros((80, 90, 4), np.uint8)
    cutout[20:50, 10:70] = (*RED, 255)
    assert (finished(cutout, Finish(trim=True)) == cutout[20:50, 10:70]).all()


def test_the_picture_of_a_plain_finish_is_the_cut_out() -> None:
    cutout = disc(64, 20)
    assert finished(cutout, Finish(color=PINK)) is cutout
    empty = np.zeros((9, 9, 4), np.uint8)
    assert finished(empty, Finish(outline=3, trim=True)) is empty
    assert piece_of(empty, Finish()) is None


def test_a_sticker_stays_where_it_is_while_there_is_room() -> None:
    cutout = np.zeros((200, 200, 4), np.uint8)
    cutout[20:60, 110:170] = (*RED, 255)
    out = finished(cutout, Finish(outline=8, margin=5))
    assert (out[20:60, 110:170] == cutout[20:60, 110:170]).all()
    moved = finished(cutout, Finish(outline=8, margin=40))
    # 60×40 with 8 around it, moved off the upper and the right edge by the margin.
    assert visible(moved) == (84, 40, 160, 96)


@st.composite
def cut_outs(draw: st.DrawFn) -> Pixels:
    """Blobs, lines, dots and noise of any proportions, also at the picture's edge."""
    height, width = draw(st.integers(8, 120)), draw(st.integers(8, 120))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    rgba = random.integers(0, 256, (height, width, 4), dtype=np.uint8)
    shape = np.zeros((height, width), bool)
    for _ in range(draw(st.integers(1, 3))):
        y, x = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        shape[y : y + draw(st.integers(1, height)), x : x + draw(st.integers(1, width))] = True
    kind = draw(st.sampled_from(["solid", "faint", "noise", "clear"]))
    rgba[..., 3] = {"solid": 255, "faint": 90, "noise": rgba[..., 3], "clear": 0}[kind] * shape
    return rgba


FINISHES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"trim": st.booleans(), "shadow": st.booleans(), "share": st.floats(0, 1)}
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(cutout=cut_outs(), wished=FINISHES)
def test_whatever_is_finished_keeps_its_size_and_its_margin(
    cutout: Pixels, wished: dict[str, Any]
) -> None:
    # As much as a request may take of a side.
    most = min(cutout.shape[:2]) // 4
    outline = round(most * wished["share"])
    finish = Finish(outline, PINK, wished["shadow"], wished["trim"], most - outline)
    out = finished(cutout, finish)
    box = visible(out)
    if visible(cutout) is None:
        assert out is cutout
        return
    assert box is not None
    left, top, right, bottom = box
    height, width = out.shape[:2]
    clear = (left, top, width - right, height - bottom)
    if wished["trim"] and not finish.is_plain:
        assert set(clear) == {finish.margin}
        assert width <= cutout.shape[1]
        assert height <= cutout.shape[0]
    else:
        assert out.shape == cutout.shape
        assert min(clear) >= finish.margin
    assert (finished(cutout, finish) == out).all()
