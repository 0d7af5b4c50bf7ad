"""Draws a face in a style: an aligned photo → W+ latent → drawing.

The networks are BlazeStyleGAN's (Tang et al. 2023, arXiv 2304.05887) as
:mod:`limner.sketch.translate` makes them. The latent may be moved in between
(:mod:`limner.sketch.directions`).

Knows nothing of finding faces, cutting out, prompts or where the networks' files are kept.
"""

# onnxruntime's own annotations are partial.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.stages.runtime import open_session

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: Sides of the pictures the networks read and draw, in pixels.
SIZE = 256
_NOISE_SHAPE = (11, 128, 128, 1)


def align(picture: Picture, landmarks: npt.ArrayLike, size: int = SIZE) -> tuple[Picture, Floats]:
    """Cut the face out as the encoder expects it: upright, centred, with hair and chin.

    ``picture`` is RGB [h, w, 3]; ``landmarks`` are five (x, y) pixels as YuNet tells them: the
    eye on the left of the picture, the other eye, nose, the mouth's left and right corner.
    Answers the RGB crop [size, size, 3] and the affine 2×3 that maps pixels of the picture to
    pixels of the crop. What lies outside the picture is mirrored.

    The square is FFHQ's (Karras et al. 2019) as MediaPipe's ``face_to_rect_calculator`` takes
    it: centre = eyes + 0.1·(mouth - eyes), side = max(4·eye distance, 3.6·eyes to mouth).
    """
    left_eye, right_eye, _, left_mouth, right_mouth = np.asarray(landmarks, np.float64)
    eyes = (left_eye + right_eye) / 2
    across = right_eye - left_eye
    down = (left_mouth + right_mouth) / 2 - eyes
    # Halfway between the eyes' line and the mouth's perpendicular, as FFHQ does it.
    x = across + np.array([down[1], -down[0]])
    x *= max(np.hypot(*across) * 2.0, np.hypot(*down) * 1.8) / max(np.hypot(*x), 1e-9)
    y = np.array([-x[1], x[0]])
    centre = eyes + 0.1 * down
    corners = np.array([centre - x - y, centre + x - y, centre - x + y], np.float32)
    square = np.array([[0, 0], [size, 0], [0, size]], np.float32)
    affine = cv2.getAffineTransform(corners, square)
    shrunk = _shrink(picture, np.hypot(*x) * 2 / size)
    factors = np.array(picture.shape[1::-1]) / shrunk.shape[1::-1]
    warp = affine.copy()
    warp[:, :2] *= factors
    warp[:, 2] += affine[:, :2] @ ((factors - 1) / 2)  # pixels are known by their centres
    crop = cv2.warpAffine(
        shrunk, warp, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return cast("Picture", crop), affine.astype(np.float32)


def _shrink(picture: Picture, factor: float) -> Picture:
    """The picture averaged down, if the warp would make it more than twice smaller.

    ``warpAffine`` reads a few pixels around each point only; a large photo would alias.
    """
    if factor < 2:
        return picture
    height, width = (max(1, round(side / factor)) for side in picture.shape[:2])
    return cast("Picture", cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


class Stylizer:
    """The encoder and the generators, loaded. Safe to call from several threads at once.

    ``generators`` maps a style's name to its ONNX file; ``threads`` is how many one call may use.
    The same input always gives the same bytes on one machine.
    """

    def __init__(self, encoder: Path, generators: Mapping[str, Path], threads: int) -> None:
        self._encoder = open_session(encoder, threads)
        self._generators = {
            style: open_session(path, threads) for style, path in generators.items()
        }

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles that can be drawn."""
        return tuple(self._generators)

    def encode(self, aligned: Picture) -> Floats:
        """The W+ latent [12, 512] of an aligned face, RGB uint8 [256, 256, 3].

        The first rows say pose and shape, the last ones colour.
        """
        if aligned.shape != (SIZE, SIZE, 3):
            raise ValueError(f"an aligned face is {SIZE}×{SIZE} RGB, not {aligned.shape}")
        image = aligned[None].astype(np.float32) / np.float32(255)
        return cast("Floats", self._encoder.run(["wplus"], {"image": image})[0])[0]

    def draw(self, style: str, wplus: Floats, seed: int, noise_scale: float = 1.0) -> Picture:
        """Draw a W+ latent [12, 512] as RGB uint8 [256, 256, 3].

        ``seed`` (0 or more) decides the grain; ``noise_scale`` how strong it is: 0 none,
        1 as trained.
        """
        noise = np.random.default_rng(seed).standard_normal(_NOISE_SHAPE, np.float32)
        feed = {"wplus": wplus[None].astype(np.float32), "noise": noise * np.float32(noise_scale)}
        image = cast("Floats", self._generators[style].run(["image"], feed)[0])[0]
        return (image.clip(0, 1) * 255).round().astype(np.uint8)
