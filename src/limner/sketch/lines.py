"""Ink: coherent lines along the contours of a picture.

A difference of Gaussians finds the dark side of edges (Winnemöller et al. 2012, "XDoG") and is
averaged along the edges' own direction, so that lines run on instead of breaking into dots (Kang
et al. 2007, "Coherent line drawing"). Knows luminance and directions; nothing of faces or styles.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def flow(lightness: Floats, breadth: float) -> Floats:
    """The direction in which contours run: unit vectors [h, w, 2] (x, y).

    ``lightness`` [h, w]; ``breadth`` in pixels is how far neighbours agree on a direction. The
    smoothed structure tensor's minor eigenvector (Brox et al. 2006).
    """
    half = cv2.resize(lightness, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    gx = cv2.Scharr(half, cv2.CV_32F, 1, 0)
    gy = cv2.Scharr(half, cv2.CV_32F, 0, 1)
    tensor = cv2.GaussianBlur(cv2.merge([gx * gx, gy * gy, gx * gy]), (0, 0), max(1.0, breadth / 2))
    xx, yy, xy = cv2.split(tensor)
    # Angle of the gradient; contours run across it.
    angle = 0.5 * cv2.phase(xx - yy, 2 * xy) + np.float32(np.pi / 2)
    along = cv2.merge([np.cos(angle), np.sin(angle)])
    return cast("Floats", cv2.resize(along, lightness.shape[::-1], interpolation=cv2.INTER_NEAREST))


def edges(lightness: Floats, along: Floats, width: float, length: float) -> Floats:
    """How much darker a point is than its surroundings [h, w], in units of lightness.

    ``width`` is the line's half width and ``length`` the stroke's half length, in pixels.
    """
    narrow = cv2.GaussianBlur(lightness, (0, 0), max(0.5, width))
    wide = cv2.GaussianBlur(lightness, (0, 0), max(0.8, width * 1.6))
    return along_flow(cast("Floats", wide - narrow), along, length)


def along_flow(values: Floats, along: Floats, length: float) -> Floats:
    """``values`` [h, w] averaged along the directions, ``length`` pixels to both sides."""
    height, width = values.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    step = max(1.0, length / 4)
    total, weight = values.copy(), 1.0
    for sign in (-1.0, 1.0):
        x, y = columns.copy(), rows.copy()
        heading = along * np.float32(sign)
        for number in range(1, 5):
            x += heading[..., 0] * step
            y += heading[..., 1] * step
            share = float(np.exp(-0.5 * (number / 2.2) ** 2))
            total += share * cv2.remap(
                values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            weight += share
            if number < 4:
                ahead = cv2.remap(along, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
                # A direction has no sign: keep going the way we came.
                same = np.sign((ahead * heading).sum(axis=2, dtype=np.float32))[..., None]
                heading = ahead * same
    return total / np.float32(weight)


def strayed(lines: Floats, far: float, breadth: float, seed: int) -> Floats:
    """Lines [h, w] moved by about ``far`` pixels, smoothly over ``breadth`` pixels, by chance."""
    if far <= 0:
        return lines
    height, width = lines.shape
    coarse = (2 + int(height / breadth), 2 + int(width / breadth), 2)
    chance = np.random.default_rng(seed).standard_normal(coarse, np.float32)
    moved = cv2.resize(chance, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(far)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return cast(
        "Floats",
        cv2.remap(lines, columns + moved[..., 0], rows + moved[..., 1], cv2.INTER_LINEAR),
    )
