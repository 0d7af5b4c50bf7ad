"""Previews are small, and never of what the safety check keeps back."""

from __future__ import annotations

import io
from typing import cast

import numpy as np
import pytest
from PIL import Image

from limner.stages.preview import LONGEST, MOST_BYTES, preview
from limner.stages.safety import SafetyChecker


class Stern:
    """A stand-in for the classifier: no picture that is unsafe can be kept in a repository."""

    def unsafe(self, rgb: object) -> bool:  # noqa: ARG002
        return True


def opened(encoded: bytes | None) -> Image.Image:
    assert encoded is not None
    return Image.open(io.BytesIO(encoded))


@pytest.mark.parametrize("size", [(256, 256), (1024, 512), (3, 2000), (64, 64), (1, 1)])
def test_the_hardest_picture_fits(size: tuple[int, int]) -> None:
    """White noise is what compresses least."""
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    encoded = preview(noise, None)
    picture = opened(encoded)
    assert len(encoded or b"") <= MOST_BYTES
    assert picture.format == "WEBP"
    height, width = (max(1, round(side * min(1, LONGEST / max(size)))) for side in size)
    assert picture.size == (width, height)


def test_red_stays_red_and_what_is_cut_away_is_white() -> None:
    picture = np.zeros((400, 400, 3), np.uint8)
    picture[..., 0] = 200
    alpha = np.zeros((400, 400), np.float32)
    alpha[:, :200] = 1
    seen = np.asarray(opened(preview(picture, None, alpha)).convert("RGB"), np.int16)
    assert np.abs(seen[:, :100] - (200, 0, 0)).max() < 20
    assert seen[:, 160:].min() > 245


def test_what_is_not_safe_is_not_shown() -> None:
    assert preview(np.zeros((9, 9, 3), np.uint8), cast("SafetyChecker", Stern())) is None
