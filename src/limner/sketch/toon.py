"""Toon: the default style. Redraws the person in the photo with flat colour and ink, no network.

Structure-preserving: nothing is invented, so the person stays the person. Colour is smoothed
edge-preservingly and laid in a few soft tones (Winnemöller et al. 2006, "Real-time video
abstraction"), ink follows the contours (:mod:`limner.sketch.lines`), eyes and mouth keep the
photo's detail. Lightness and colour are CIE Lab: L 0…100, a and b about -100…100.

Knows pixels, an alpha channel and five landmarks; nothing of prompts, canvases or outlines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.sketch.features import Features, find_features
from limner.sketch.lines import edges, flow, strayed

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
    tones: float = 6.0
    #: How much the steps show, 0 (continuous) … 1 (flat).
    flatness: float = 0.85
    #: Strength of colour, 0 (grey) … 2.
    saturation: float = 1.25
    #: Shift towards yellow (positive) or blue (negative), in Lab units, about -12…12.
    warmth: float = 1.0
    #: How far colours are smoothed, 0.3 … 2.
    smoothness: float = 1.0
    #: How much of the photo's own detail eyes, mouth and hair keep, 0 … 1.
    detail: float = 0.55
    #: Times the colours are smoothed, 1 … 5.
    passes: int = 2
    #: How far the lines stray as a hand's do, in hundredths of the face's eye distance, 0 … 3.
    wobble: float = 0.4
    #: Decides where they stray.
    seed: int = 0


def draw(rgb: Picture, alpha: Floats, landmarks: Floats, style: ToonStyle) -> Picture:
    """The person drawn as a toon: RGB uint8 [h, w, 3] of the same size.

    ``rgb`` [h, w, 3] with the background already replaced by the person's own colours,
    ``alpha`` [h, w] 0…1, ``landmarks`` [5, 2] pixels (eyes, nose, corners of the mouth).
    """
    lab = balanced(rgb, alpha)
    features = find_features(lab, landmarks)
    base = smoothed(lab, features, style)
    lines = inked(base, lab, alpha, features, style)
    painted = colored(detailed(toned(base, features, style), lab, base, features, style), style)
    ink = np.array([8.0, 2.0, -3.0], np.float32)
    # Ink takes a little of the colour it lies on, which is kinder than pure black.
    under = painted * np.array([0.12, 0.35, 0.35], np.float32) + ink
    covered = lines[..., None] * np.float32(style.line_darkness)
    return to_rgb((painted + (under - painted) * covered).astype(np.float32))


def to_lab(rgb: Picture) -> Floats:
    """CIE Lab float32 of RGB uint8."""
    return cast("Floats", cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab))


def to_rgb(lab: Floats) -> Picture:
    """RGB uint8 of CIE Lab; colours outside sRGB are clipped."""
    clipped = lab.copy()
    clipped[..., 0] = clipped[..., 0].clip(0, 100)
    rgb = cv2.cvtColor(clipped, cv2.COLOR_Lab2RGB)
    return (rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def balanced(rgb: Picture, alpha: Floats) -> Floats:
    """Lab [h, w, 3] with a dull photo's exposure and colour cast mended, as far as it is dull.

    Judged by the person alone. The cast is read from what is nearly grey (hair, eyes, cloth);
    lightness is stretched and its middle lifted by no more than a photographer would.
    """
    lab = to_lab(rgb)
    seen = lab[alpha > 0.5] if (alpha > 0.5).any() else lab.reshape(-1, 3)
    low, middle, high = (float(value) for value in np.percentile(seen[:, 0], (1, 50, 99)))
    low, high = min(low, 18.0), max(high, 78.0)
    t = ((lab[..., 0] - low * 0.8) / max(high + 2 - low * 0.8, 1)).clip(0, 1)
    wanted = np.clip(middle / 100, 0.42, 0.66)
    now = np.clip((middle - low * 0.8) / max(high + 2 - low * 0.8, 1), 0.08, 0.92)
    gamma = float(np.clip(np.log(wanted) / np.log(now), 0.72, 1.2))
    lab[..., 0] = 100 * t**gamma
    grey = seen[(np.abs(seen[:, 1:]).max(axis=1) < 14) & (seen[:, 0] > 12) & (seen[:, 0] < 92)]
    if len(grey) > 0.02 * len(seen):
        lab[..., 1:] -= (0.5 * np.median(grey[:, 1:], axis=0)).clip(-5, 5).astype(np.float32)
    return lab


def smoothed(lab: Floats, features: Features, style: ToonStyle) -> Floats:
    """Lab with texture gone and edges kept; skin smoother than the rest, eyes and mouth less."""
    size = max(lab.shape[:2])
    fine = lab
    reach = style.smoothness * size / 300
    for _ in range(style.passes):
        fine = cv2.bilateralFilter(fine, _odd(reach * 1.6), 9.0 * style.smoothness, reach)
    half = cv2.resize(fine, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    broad = max(1.5, style.smoothness * features.unit * 0.035)
    for _ in range(2):
        half = cv2.bilateralFilter(half, _odd(broad * 1.8), 11.0, broad)
    soft = cv2.resize(half, lab.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    keep = np.maximum(features.eyes, features.mouth)
    skin = (features.skin * (1 - keep))[..., None] * np.float32(0.9)
    return cast("Floats", fine + (soft - fine) * skin)


def toned(base: Floats, features: Features, style: ToonStyle) -> Floats:
    """Lightness laid in soft steps (Winnemöller's luminance quantisation)."""
    light = cv2.GaussianBlur(base[..., 0], (0, 0), max(0.7, max(base.shape) / 700))
    step = 100 / style.tones
    nearest = (np.floor(light / step) + 0.5) * step
    # The middle of a tone is flat, its border a short ramp: never a jagged step.
    offset = (light - nearest) / (step / 2)
    stepped = nearest + (step / 2) * np.sign(offset) * np.abs(offset) ** 4
    keep = 1 - 0.75 * np.maximum(features.eyes, features.mouth)
    painted = base.copy()
    painted[..., 0] += (stepped - base[..., 0]) * style.flatness * keep
    return painted


def detailed(
    painted: Floats, lab: Floats, base: Floats, features: Features, style: ToonStyle
) -> Floats:
    """The photo's fine contrast given back, most at eyes and mouth, least on skin."""
    size = max(lab.shape[:2])
    coarse = cv2.GaussianBlur(lab[..., 0], (0, 0), size / 90)
    clean = cv2.GaussianBlur(lab[..., 0], (0, 0), max(0.6, size / 900))
    contrast = clean - coarse
    keep = np.maximum(features.eyes, features.mouth)
    amount = style.detail * (1.1 * keep + 0.35 * (1 - keep) * (1 - features.skin))
    result = painted.copy()
    result[..., 0] += amount * (clean - base[..., 0]) + 0.45 * amount * contrast
    return result


def colored(painted: Floats, style: ToonStyle) -> Floats:
    """Colour made vivid, weak colours more than strong ones, and warmer or cooler."""
    result = painted.copy()
    strength = np.hypot(painted[..., 1], painted[..., 2])
    gain = np.full_like(strength, style.saturation)
    if style.saturation > 1:
        # Beyond about 60 a colour only burns out.
        gain = 1 + (style.saturation - 1) * np.clip(1.25 - strength / 75, 0, 1.25)
    result[..., 1:] *= gain[..., None]
    result[..., 2] += style.warmth
    return result


def inked(base: Floats, lab: Floats, alpha: Floats, features: Features, style: ToonStyle) -> Floats:
    """Ink [h, w] 0…1: contours inside, thick and thin, and the person's own outer contour."""
    size = max(base.shape[:2])
    light = base[..., 0] * 0.6 + 0.4 * cv2.GaussianBlur(lab[..., 0], (0, 0), max(0.7, size / 700))
    along = flow(cast("Floats", light), size / 110)
    width = style.line_weight * size / 430
    response = edges(cast("Floats", light), along, width, size / 90)
    keep = np.maximum(features.eyes, features.mouth)
    # Skin shows a line only where there is a real fold; around eyes and mouth a faint one too.
    least = 1.5 + 2.0 * features.skin * (1 - keep) - 0.5 * keep
    lines = np.clip((response - least) / 1.8, 0, 1)
    rim = _rim(alpha, style.line_weight * size / 170)
    drawn = np.maximum(lines * lines * (3 - 2 * lines), rim).astype(np.float32)
    return strayed(drawn, style.wobble * features.unit / 100, features.unit / 3, style.seed)


def _rim(alpha: Floats, width: float) -> Floats:
    """A line just inside of the person's contour, heavier below and to the right."""
    inner = cv2.GaussianBlur(alpha, (0, 0), max(0.8, width * 0.6))
    shift = np.array([[1, 0, -width * 0.3], [0, 1, -width * 0.4]], np.float32)
    moved = cv2.warpAffine(inner, shift, alpha.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    t = np.clip((0.88 - np.minimum(moved, inner * 1.02)) / 0.28, 0, 1)
    return (t * alpha).astype(np.float32)


def _odd(value: float) -> int:
    return int(np.clip(2 * round(value) + 1, 3, 25))
