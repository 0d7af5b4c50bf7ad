"""A sticker on its ground: the same picture at every size, and a shadow that costs no more."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from limner.stages import sticker
from limner.stages.sticker import cut_out, die_cut, laid, on_background

GROUND = np.full((1, 1, 3), (160, 190, 240), np.uint8)


def disc() -> sticker.Picture:
    alpha = np.zeros((300, 300), np.float32)
    cv2.circle(alpha, (150, 150), 100, (1.0,), -1)
    return die_cut(np.full((300, 300, 3), (200, 60, 40), np.uint8), alpha, 8)


def test_a_cut_out_laid_on_the_ground_is_the_picture_with_background() -> None:
    piece = disc()
    canvas = (256, 320)
    plain = on_background(piece, GROUND, canvas, 0.3)
    assert np.array_equal(laid(cut_out(piece, canvas), GROUND, 0.3), plain)


def test_a_large_canvas_has_the_small_ones_shadow(monkeypatch: pytest.MonkeyPatch) -> None:
    cutout = cut_out(disc(), (512, 512))
    exact = laid(cutout, GROUND, 0.45)
    monkeypatch.setattr(sticker, "LARGEST", 256)
    quick = laid(cutout, GROUND, 0.45)
    assert np.abs(quick.astype(int) - exact).max() <= 6
    assert not np.array_equal(quick, exact)
    below = exact[470:500, 200:312].astype(int)
    assert below.min() < 150, "there is a shadow to compare"


def test_what_is_all_transparent_is_no_fault() -> None:
    nothing = np.zeros((40, 30, 4), np.uint8)
    assert cut_out(nothing, (64, 48)).max() == 0
    assert (on_background(nothing, GROUND, (64, 48), 0.3) == GROUND).all()
    assert (laid(nothing, GROUND, 0.3) == GROUND).all()
    empty = die_cut(np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20), np.float32), 2)
    assert empty[..., 3].max() == 0


@pytest.mark.parametrize("canvas", [(1, 1), (1, 300), (300, 1)])
def test_a_canvas_of_one_pixels_side_is_drawn(canvas: tuple[int, int]) -> None:
    assert cut_out(disc(), canvas).shape == (canvas[1], canvas[0], 4)
    assert on_background(disc(), GROUND, canvas, 0.3).shape == (canvas[1], canvas[0], 3)
