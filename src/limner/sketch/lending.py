"""A generator's drawing lent what is the person's own: the photo's, in the drawing's hand.

What tells a person from another is the middle of the picture's frequencies: how eyes, nose, mouth
and folds lie and are shaped. What makes a drawing a drawing is what lies below, its tones and
colours, and what lies above, its strokes and grain. So the middle band of the face is taken from
the photo, and the rest stays the drawing's (a hybrid image, Oliva et al. 2006). Of what the person
wears, hair and clothes, the generator knows nothing: there all but the strokes is the photo's.

Knows two aligned pictures of one face; nothing of networks, recipes or likeness.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.sketch.features import blob
from limner.sketch.toon import to_lab, to_rgb

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: The band's finest and coarsest structure: Gaussians' sigmas, in pixels of the aligned 256.
FINEST, COARSEST = 1.0, 14.0
#: How much of it in colour, which says less of a person and more of the hand.
COLOUR = 0.6
#: The coarsest stroke that hair and clothes keep of the drawing: a Gaussian's sigma, as above.
STROKE = 2.5
#: How much stronger those strokes are there than the generator drew them.
EMPHASIS = 1.3


def lent(drawing: Picture, crop: Picture, share: float, kept: Floats | None = None) -> Picture:
    """The drawing [256, 256, 3] with ``share`` (0…1) of the crop's features.

    Both are aligned faces whose features lie on each other. ``kept`` [256, 256] 0…1 is where the
    drawing is left alone: where words changed it.
    """
    side = drawing.shape[0]
    # Face and ears, hairline to chin, as an aligned face is.
    face = blob((side, side), (side / 2, side * 0.477), (side * 0.305, side * 0.39), soft=0.35)
    where = face * np.float32(share)
    if kept is not None:
        where *= 1 - kept
    ours, theirs = to_lab(drawing), to_lab(crop)
    own, photo = _band(ours), _band(theirs)
    # As strong as this hand draws, so that a pale drawing stays pale.
    strength = _strength(own[..., 0], face) / max(_strength(photo[..., 0], face), 1e-3)
    gain = np.array([np.clip(strength, 0.8, 1.6), 1, 1], np.float32)
    amount = np.array([1, COLOUR, COLOUR], np.float32)
    return to_rgb((ours + where[..., None] * amount * (gain * photo - own)).astype(np.float32))


def clothed(
    drawing: Picture, crop: Picture, person: Floats, share: float, kept: Floats | None = None
) -> Picture:
    """The drawing [256, 256, 3] with ``share`` (0…1) of the crop's hair and clothes.

    A generator gives everybody its training's hair and paints a sky beside it. ``person``
    [256, 256] 0…1 is where the crop shows the person; ``kept`` is where words changed the drawing.
    """
    side = drawing.shape[0]
    # Brows to chin, cheek to cheek: what is skin whoever it is, and the generator's own to draw.
    inner = blob((side, side), (side / 2, side * 0.56), (side * 0.2, side * 0.26), soft=0.5)
    where = (1 - inner) * person * np.float32(share)
    if kept is not None:
        where *= 1 - kept
    ours, theirs = to_lab(drawing), to_lab(crop)
    # Weighed by the person, so that nothing of what lies behind seeps into an edge.
    weight = np.asarray(np.dstack([person] * 3) + 1e-3, np.float32)
    tones = _soft(theirs * weight) / _soft(weight)
    strokes = (ours - _soft(ours)) * np.array([EMPHASIS, 1, 1], np.float32)
    return to_rgb((ours + where[..., None] * (tones + strokes - ours)).astype(np.float32))


def without_green(drawing: Picture, crop: Picture, landmarks: Floats) -> Picture:
    """The drawing [256, 256, 3] with a mouth no greener, there no yellower, than the crop's own.

    The oil generator learnt teeth as green as the shadows of its paintings. ``landmarks`` [5, 2]
    are the crop's. What is red enough, and all around the mouth, stays as it was drawn.
    """
    right, left = landmarks[3:].astype(np.float64)
    across = left - right
    wide, angle = max(float(np.hypot(*across)), 1.0), float(np.arctan2(across[1], across[0]))
    where = blob(drawing.shape, (right + left) / 2, (0.55 * wide, 0.33 * wide), angle, 0.4)
    inside = where > 0.5
    if not inside.any():
        return drawing
    lab, photo = to_lab(drawing), to_lab(crop)[inside]
    # Teeth are the least red of a mouth and the least yellow.
    least, yellow = np.percentile(photo[:, 1], 10), np.percentile(photo[:, 2], 25)
    green = np.clip((least - lab[..., 1]) / 6, 0, 1).astype(np.float32)
    share = cv2.GaussianBlur(green, (0, 0), 1) * where
    lab[..., 1] += share * (np.maximum(lab[..., 1], least) - lab[..., 1])
    lab[..., 2] += share * (np.minimum(lab[..., 2], yellow) - lab[..., 2])
    return to_rgb(lab.astype(np.float32))


def _soft(values: Floats) -> Floats:
    return cast("Floats", cv2.GaussianBlur(values, (0, 0), STROKE))


def _band(lab: Floats) -> Floats:
    """What is coarser than the strokes and finer than the tones."""
    fine, coarse = (cv2.GaussianBlur(lab, (0, 0), sigma) for sigma in (FINEST, COARSEST))
    return cast("Floats", fine - coarse)


def _strength(band: Floats, where: Floats) -> float:
    """The band's root mean square within the face."""
    return float(np.sqrt((band * band * where).sum() / where.sum()))
