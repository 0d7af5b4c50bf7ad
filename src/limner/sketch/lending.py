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
#: How much greener than the photo's skin a stroke may be, in Lab's a: a painter's own colours.
SPARE = 2.0


def lent(drawing: Picture, crop: Picture, share: float, kept: Floats | None = None) -> Picture:
    """The drawing [256, 256, 3] with ``share`` (0…1) of the crop's features.

    Both are aligned faces whose features lie on each other. ``kept`` [256, 256] 0…1 is where the
    drawing is left alone: where words changed it.
    """
    side = drawing.shape[0]
    face = _face(side)
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


def as_red(
    drawing: Picture,
    crop: Picture,
    landmarks: Floats,
    kept: Floats | None = None,
    own_mouth: bool = True,
) -> Picture:
    """The drawing [256, 256, 3] with a face nowhere greener than the crop's own.

    The oil generator learnt skin greener than anybody's, most of all in the shade, and teeth
    greener still. A stroke whose Lab a lies more than ``SPARE`` below the crop's around it is
    brought up to that, and is then yellower by no more either; redder strokes stay as drawn, and
    so does lightness. ``landmarks`` [5, 2] are the crop's; ``kept`` [256, 256] 0…1 is where words
    gave the drawing other colours. ``own_mouth``: whether the mouth drawn is the crop's; if not,
    nothing there lies on its like: teeth become one strip as light as drawn, what is no tooth the
    skin around.
    """
    where = _face(drawing.shape[0])
    if kept is not None:
        where = where * (1 - kept)
    lab, near = to_lab(drawing), _soft(to_lab(crop))
    if not own_mouth:
        lab, near = _another_mouth(lab, near, landmarks)
    lack = np.maximum(near[..., 1] - SPARE - lab[..., 1], 0)
    share = where * np.clip(lack / 4, 0, 1)
    lab[..., 1] += where * lack
    lab[..., 2] += share * (np.minimum(lab[..., 2], near[..., 2] + SPARE) - lab[..., 2])
    return to_rgb(lab.astype(np.float32))


def _another_mouth(lab: Floats, near: Floats, landmarks: Floats) -> tuple[Floats, Floats]:
    """A drawing's Lab with its teeth one strip, and the crop's with such a mouth's colours."""
    mouth, wider = _mouth(lab.shape, landmarks), _mouth(lab.shape, landmarks, 1.7)
    inside, ring = mouth > 0.5, (wider > 0.5) & (mouth <= 0)
    if not inside.any() or not ring.any():
        return lab, near
    # Among all that this generator paints too green, teeth are the greenest.
    green = np.clip((np.median(lab[ring][:, 1]) - lab[..., 1] - 5) / 6, 0, 1).astype(np.float32)
    teeth = cv2.GaussianBlur(green, (0, 0), 2) * mouth
    teeth = np.clip(1.6 * teeth - 0.3, 0, 1)
    # Of the crop's mouth teeth are the least red and the least yellow.
    least = (np.percentile(near[inside][:, 1], 10), np.percentile(near[inside][:, 2], 25))
    skin, pale = np.median(near[ring], axis=0), np.array([0, *least])
    colours = skin + teeth[..., None] * (pale - skin)
    wide = float(np.hypot(*(landmarks[4] - landmarks[3])))
    even = lab.copy()
    even[..., 0] += teeth * (_filled(lab[..., 0], wide) - lab[..., 0])
    return even, (near + mouth[..., None] * (colours - near)).astype(np.float32)


def _face(side: int) -> Floats:
    """Face and ears, hairline to chin, as an aligned face [side, side] is."""
    return blob((side, side), (side / 2, side * 0.477), (side * 0.305, side * 0.39), soft=0.35)


def _mouth(shape: tuple[int, ...], landmarks: Floats, size: float = 1.0) -> Floats:
    """An ellipse [h, w] around the corners of the mouth, ``size`` times its own."""
    right, left = landmarks[3:].astype(np.float64)
    across = left - right
    wide, angle = max(float(np.hypot(*across)), 1.0), float(np.arctan2(across[1], across[0]))
    return blob(shape, (right + left) / 2, (0.55 * wide * size, 0.33 * wide * size), angle, 0.4)


def _filled(light: Floats, wide: float) -> Floats:
    """Lightness [h, w] without upright dark strokes thinner than a fifth of a mouth's width."""
    across = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (max(3, round(0.2 * wide)) | 1, 3))
    closed = cv2.morphologyEx(light, cv2.MORPH_CLOSE, across)
    return cast("Floats", cv2.GaussianBlur(closed, (0, 0), 1.5))


def _soft(values: Floats) -> Floats:
    return cast("Floats", cv2.GaussianBlur(values, (0, 0), STROKE))


def _band(lab: Floats) -> Floats:
    """What is coarser than the strokes and finer than the tones."""
    fine, coarse = (cv2.GaussianBlur(lab, (0, 0), sigma) for sigma in (FINEST, COARSEST))
    return cast("Floats", fine - coarse)


def _strength(band: Floats, where: Floats) -> float:
    """The band's root mean square within the face."""
    return float(np.sqrt((band * band * where).sum() / where.sum()))
