"""A photo taken in too little light, exposed anew before anything is drawn of it.

Light is judged by the brightest that the person shows (a collar, teeth, the white of the eyes, a
highlight), never by the skin: what is white is white on everybody, and skin is as dark as it is.
Where that is bright enough a photo is left as it is, to the bit. Brightened are all colours alike
in linear light, as a longer exposure would have done it, so that hues stay.

Knows pixels, a matte and landmarks. Knows no colour of lamps: a cast stays. A lamp from one
side stays too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from limner.sketch.features import blob

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: Relative luminance, 0…1, of the person's brightest below which the light was too little. The
#: whites of eyes in well lit photos are above it, whatever the skin (`docs/decisions/0070`).
ENOUGH = 0.30
#: How far a darker photo is brought: 1 up to ENOUGH, more beyond it.
BOLDNESS = 1.3
#: The most that is done, as a factor of the light. Beyond three stops there is mostly noise.
MOST = 8.0
#: What shares of the person and of the eyes may be brighter still: specks and reflections.
PERSON_SPECKS, EYE_SPECKS = 0.5, 1.0


def exposed(rgb: Picture, person: Floats, landmarks: Floats) -> Picture:
    """The photo [h, w, 3] with light enough; the very same array where there was enough.

    ``person`` [h, w] 0…1 is where it shows the person, ``landmarks`` [5, 2] are in its pixels.
    """
    gain = missing(rgb, person, landmarks)
    if gain <= 1:
        return rgb
    brighter = np.minimum(_linear(np.arange(256) / 255) * gain, 1)
    return np.round(255 * _encoded(brighter)).astype(np.uint8)[rgb]


def missing(rgb: Picture, person: Floats, landmarks: Floats) -> float:
    """The factor of light that a photo lacks, 1 (none) … ``MOST``."""
    light = _linear(rgb / np.float32(255)) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    shown = person > 0.5
    whites = _eyes(person.shape, landmarks) & shown
    brightest = (
        max(
            float(np.percentile(light[where], 100 - specks))
            for where, specks in ((shown, PERSON_SPECKS), (whites, EYE_SPECKS))
            if where.any()
        )
        if shown.any()
        else 1.0
    )
    return float(np.clip((ENOUGH / max(brightest, 1e-3)) ** BOLDNESS, 1, MOST))


def _eyes(shape: tuple[int, ...], landmarks: Floats) -> npt.NDArray[np.bool_]:
    right, left = landmarks[:2].astype(np.float64)
    apart = max(float(np.hypot(*(left - right))), 1.0)
    radii = (0.25 * apart, 0.12 * apart)
    angle = float(np.arctan2(*(left - right)[::-1]))
    return np.maximum(blob(shape, right, radii, angle), blob(shape, left, radii, angle)) > 0.5


def _linear(encoded: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Linear light 0…1 of sRGB's 0…1 (IEC 61966-2-1)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _encoded(linear: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
