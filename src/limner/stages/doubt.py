"""A matte that contradicts the face is drawn again from the picture's own colours.

A matting network loses small and blurred people. Where a face was found there is a head around
it and shoulders below; GrabCut (Rother et al. 2004) finds their border by colour. Knows pixels,
a matte and one face's box; nothing of networks or stickers.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from limner.stages.silhouette import Box, Floats

Pixels = npt.NDArray[np.uint8]

#: Of the face's inner oval, the share that a trustworthy matte covers.
TRUSTED = 0.97
#: The longer side at which colours are compared, in pixels.
SIDE = 256
ROUNDS = 6


def agrees(alpha: Floats, face: Box) -> bool:
    """Whether the matte [h, w] covers the face, which is person if anything is."""
    inner = _ellipse(alpha.shape, face, (0.36, 0.4), 0.0) > 0
    return bool(inner.any()) and float((alpha[inner] > 0.5).mean()) >= TRUSTED


def redrawn(rgb: Pixels, alpha: Floats, face: Box) -> Floats:
    """A matte [h, w] 0…1 of the person with ``face`` in ``rgb`` [h, w, 3].

    ``alpha`` is the network's doubtful one: it breaks the tie where colours do not tell.
    """
    height, width = alpha.shape
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    hint = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    x, y, w, h = (side * scale for side in face)
    trimap = _trimap(hint.shape, (x, y, w, h), np.asarray(hint, np.float32))
    cv2.setRNGSeed(0)  # GrabCut begins with k-means, which begins with chance
    ground, person, nowhere = np.zeros((1, 65)), np.zeros((1, 65)), (0, 0, 0, 0)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    # It writes its answer into the trimap.
    cv2.grabCut(bgr, trimap, nowhere, ground, person, ROUNDS, cv2.GC_INIT_WITH_MASK)
    found = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    soft = cv2.GaussianBlur(found, (0, 0), 1.2)
    back = cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip((back - 0.3) / 0.4, 0, 1).astype(np.float32)


def _trimap(shape: tuple[int, ...], face: Box, hint: Floats) -> npt.NDArray[np.uint8]:
    """What is surely person, surely not, and probably either, as GrabCut wants it."""
    head = _ellipse(shape, face, (0.86, 0.95), -0.14)
    body = _shoulders(shape, face, 1.55, 0.1)
    likely = (_ellipse(shape, face, (0.66, 0.74), -0.12) > 0) | (_shoulders(shape, face, 1.1, 0.3))
    trimap = np.full(shape, cv2.GC_BGD, np.uint8)
    possible = (head > 0) | body
    trimap[possible] = cv2.GC_PR_BGD
    trimap[possible & (likely | (hint > 0.9))] = cv2.GC_PR_FGD
    trimap[_ellipse(shape, face, (0.4, 0.44), 0.0) > 0] = cv2.GC_FGD
    trimap[_shoulders(shape, face, 0.45, 0.45)] = cv2.GC_FGD
    return trimap


def _ellipse(
    shape: tuple[int, ...], face: Box, radii: tuple[float, float], up: float
) -> npt.NDArray[np.uint8]:
    """An ellipse of ``radii`` (in widths and heights of the face) around the face's middle."""
    x, y, w, h = face
    drawn = np.zeros(shape[:2], np.uint8)
    centre = (round(x + w / 2), round(y + h * (0.5 + up)))
    axes = (max(1, round(w * radii[0])), max(1, round(h * radii[1])))
    cv2.ellipse(drawn, centre, axes, 0, 0, 360, (1,), -1)
    return drawn


def _shoulders(shape: tuple[int, ...], face: Box, wide: float, down: float) -> npt.NDArray[np.bool]:
    """Below the chin: a neck that widens to shoulders of ``wide`` face heights to each side."""
    x, y, w, h = face
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    below = (rows - (y + h * (0.9 + down / 2))) / h
    reach = np.clip(0.3 + below * 1.6, 0, wide) * h
    return (below > 0) & (np.abs(columns - (x + w / 2)) < reach)
