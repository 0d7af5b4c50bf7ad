"""Edits of an aligned face's hair: its colour, its length.

Knows nothing of latents or networks.
"""

from __future__ import annotations

import cv2
import numpy as np
from aligned_face import Face, blend


def _tinted(
    face: Face, colour: tuple[int, int, int], brightness: float, rng: np.random.Generator
) -> np.ndarray:
    """The hair in another colour, its strands kept."""
    hair = face.hair()
    lab = cv2.cvtColor(face.picture, cv2.COLOR_RGB2LAB).astype(np.float32)
    goal = cv2.cvtColor(np.uint8([[colour]]), cv2.COLOR_RGB2LAB)[0, 0].astype(np.float32)
    weight = hair.sum() + 1e-6
    mean = (lab[..., 0] * hair).sum() / weight
    lab[..., 0] = np.clip(goal[0] + (lab[..., 0] - mean) * brightness, 0, 255)
    lab[..., 1:] = goal[1:] + (lab[..., 1:] - goal[1:]) * 0.15
    tinted = cv2.cvtColor(lab.clip(0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB).astype(np.float32)
    return blend(face.picture, tinted, np.clip(hair * 1.4, 0, 1) * rng.uniform(0.9, 1.0))


def blond(face: Face, rng: np.random.Generator) -> np.ndarray:
    return _tinted(face, (222, 190, 128), 0.7, rng)


def dark_hair(face: Face, rng: np.random.Generator) -> np.ndarray:
    return _tinted(face, (34, 26, 24), 0.4, rng)


def red_hair(face: Face, rng: np.random.Generator) -> np.ndarray:
    return _tinted(face, (176, 74, 30), 0.7, rng)


def grey_hair(face: Face, rng: np.random.Generator) -> np.ndarray:
    return _tinted(face, (205, 205, 208), 0.7, rng)


def long_hair(face: Face, rng: np.random.Generator) -> np.ndarray:
    hair = face.hair()
    weight = hair[..., None] + 1e-6
    colour = (face.picture * weight).sum((0, 1)) / weight.sum()
    across, down = face.grid()
    edge = 0.95 - 0.05 * np.clip(down, 0, 2)
    outer = 1.45 + 0.1 * np.clip(down, 0, 2)
    curtain = (np.abs(across) > edge) & (np.abs(across) < outer) & (down > -0.6)
    cap = ((across / 1.35) ** 2 + ((down + 0.2) / 1.35) ** 2 < 1) & (down < -0.2)
    cap &= (across / 0.95) ** 2 + ((down - 0.35) / 1.3) ** 2 > 1
    strands = cv2.GaussianBlur(
        rng.normal(size=(256, 256)).astype(np.float32), (0, 0), sigmaX=1.2, sigmaY=12
    )
    strands /= strands.std()
    painted = colour + strands[..., None] * 14
    return blend(
        face.picture, painted, cv2.GaussianBlur((curtain | cap).astype(np.float32), (0, 0), 2)
    )
