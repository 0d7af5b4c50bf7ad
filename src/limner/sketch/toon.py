"""Toon: the default style. Redraws the person in the photo with flat colour and ink, no network.

Structure-preserving: nothing is invented, so the person stays the person. Colour is smoothed
edge-preservingly and laid in a few soft tones (Winnemöller et al. 2006, "Real-time video
abstraction"), ink follows the flow of the contours (Kang et al. 2007, "Coherent line drawing";
Winnemöller et al. 2012, "XDoG"), eyes and mouth keep the photo's detail.

Knows pixels, an alpha channel and five landmarks; nothing of prompts, canvases or outlines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.sketch.lines import flow, ink

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ToonStyle:
    """How a toon is drawn. Every number is a dial around the default, which looks best."""

    #: Width of the ink, 0.4 (hair) … 2.5 (marker).
    line_weight: float = 1.0
    #: How black the ink is, 0 (none) … 1.
    line_darkness: float = 0.85
    #: Steps of light and shade from black to white, 4 (poster) … 16 (nearly a painting).
    tones: float = 8.0
    #: How much the steps show, 0 (continuous) … 1 (flat).
    flatness: float = 0.72
    #: Strength of colour, 0 (grey) … 2.
    saturation: float = 1.22
    #: Shift towards yellow (positive) or blue (negative), in Lab units, about -12…12.
    warmth: float = 1.5
    #: How far colours are smoothed, 0.3 … 2.
    smoothness: float = 1.0
    #: How much of the photo's own detail eyes, mouth and hair keep, 0 … 1.
    detail: float = 0.55
    #: Times the colours are smoothed, 1 … 5.
    passes: int = 2


@dataclass(frozen=True, slots=True)
class Features:
    """Where the face's parts are [h, w] 0…1, and the distance between the eyes in pixels."""

    eyes: Floats
    mouth: Floats
    skin: Floats
    unit: float


def draw(rgb: Picture, alpha: Floats, landmarks: Floats, style: ToonStyle) -> Picture:
    """The person drawn as a toon: RGB uint8 [h, w, 3] of the same size.

    ``rgb`` [h, w, 3] with the background already replaced by the person's own colours,
    ``alpha`` [h, w] 0…1, ``landmarks`` [5, 2] pixels (eyes, nose, corners of the mouth).
    """
    lab = balanced(rgb, alpha)
    features = find_features(lab, landmarks)
    base = smoothed(lab, features, style)
    painted = toned(base, style)
    painted = with_detail(painted, lab, base, features, style)
    lines = ink(base[..., 0], flow(base), alpha, features, style.line_weight)
    return inked(colored(painted, style), lines, style.line_darkness)
