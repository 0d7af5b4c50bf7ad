"""One portrait on the easel: its layers, and how they become a picture.

Below lies the person of the photo, redrawn; over the face a generator's drawing, bent to fit;
behind both a scene that lights them. How much of the photo's structure each feature keeps is
``lent``, and may be changed as often as one likes: a part of the picture is composed in a few
milliseconds, and is to the last bit what the whole picture will show there.

Knows layers and pixels; nothing of requests, recognisers or where the layers come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from limner.sketch.features import blob, find_features
from limner.sketch.framing import CROP, Sitter
from limner.sketch.scenes import Scene
from limner.sketch.toon import to_lab

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
#: Rows and columns of a part of the picture.
Window = tuple[slice, slice]

#: The features that may each be lent more of the photo's structure, in the order of ``lent``.
FEATURES = ("eyes", "mouth", "nose", "brow", "contour")


@dataclass(frozen=True, slots=True)
class Look:
    """How the layers are weighed. Shares are 0…1."""

    #: How much of the photo's structure (its lightness) the face keeps over the drawing's.
    structure: float
    #: The same for its colours.
    colour: float
    #: How much the scene's light tints the figure.
    ambience: float = 0.10
    #: Film grain, in units of RGB (standard deviation).
    grain: float = 0.0
    #: 1 as it is; more is harder.
    contrast: float = 1.0


@dataclass(frozen=True, eq=False, slots=True)
class Layer:
    """A generator's drawing fitted to the photo's crop: RGB [256, 256, 3], and maps 0…1."""

    drawing: Picture
    #: Where it may be used.
    agreement: Floats
    #: Where words changed it, so that it is used in any case.
    edited: Floats | None = None


class Easel:
    """The layers of one portrait, all at the size of the canvas [h, w]."""

    def __init__(
        self, sitter: Sitter, painted: Picture, scene: Scene, look: Look, seed: int
    ) -> None:
        """``painted`` RGB [h, w, 3] is the redrawn person of the whole canvas."""
        self._look = look
        self._alpha = sitter.alpha
        self._outward = sitter.outward
        self._painted = _tinted(to_lab(painted), scene, look.ambience)
        self._scene = scene.rgb.astype(np.float32) / np.float32(255)
        self._rim = _rim(sitter, scene)
        self._features = _feature_maps(sitter)
        self._dust = _dust(sitter.alpha.shape, look.grain, seed)
        height, width = sitter.alpha.shape
        self._whole: Window = (slice(0, height), slice(0, width))
        self._edited = np.zeros((height, width), np.float32)
        # What no pose changes, and how much lightness the drawing would add where it may.
        self._settled = self._painted
        self._slope = np.zeros((height, width), np.float32)
        self.window = _around_face(sitter)
        self.landmarks = (
            sitter.landmarks - np.array([self.window[1].start, self.window[0].start])
        ).astype(np.float32)

    def lay(self, layer: Layer) -> None:
        """Lay a drawing over the face, in place of the one that lies there."""
        side = CROP
        oval = blob((side, side), (side * 0.5, side * 0.475), (side * 0.34, side * 0.42), soft=0.25)
        trusted = layer.agreement
        if layer.edited is not None:
            trusted = np.maximum(trusted, layer.edited)
            self._edited = self._placed(layer.edited * oval)
        # Where less than the whole can be trusted, the rest is the photo's.
        reach = self._placed((oval * trusted).astype(np.float32))
        drawn = self._placed(layer.drawing, cv2.BORDER_REPLICATE)
        apart = to_lab(drawn.clip(0, 255).astype(np.uint8)) - self._painted
        self._settle(reach, apart, _spread_tone(apart, reach * self._alpha))

    def cover(self, drawing: Picture) -> None:
        """Lay a drawing of the whole person, RGB [h, w, 3], that fits as it is."""
        apart = to_lab(drawing) - self._painted
        self._settle(np.ones(apart.shape[:2], np.float32), apart, np.zeros_like(apart))

    def _settle(self, reach: Floats, apart: Floats, tone: Floats) -> None:
        """Take the drawing's difference to the photo, and its tone beyond the face."""
        look = self._look
        colour = reach * (1 - np.float32(look.colour) * (1 - self._edited))
        beyond = [0.7 * (1 - look.structure), *(2 * (0.9 * (1 - look.colour),))]
        settled = self._painted + (1 - reach)[..., None] * tone * np.array(beyond, np.float32)
        settled[..., 1:] += colour[..., None] * apart[..., 1:]
        self._settled, self._slope = settled, reach * apart[..., 0]

    def picture(self, lent: npt.NDArray[np.floating]) -> Picture:
        """The whole portrait, RGB [h, w, 3]. ``lent`` [5]: see ``FEATURES``, added shares."""
        return self._composed(lent, self._whole)

    def face(self, lent: npt.NDArray[np.floating]) -> Picture:
        """The part of :meth:`picture` around the face that is in ``window``, the same pixels."""
        return self._composed(lent, self.window)

    def _composed(self, lent: npt.NDArray[np.floating], window: Window) -> Picture:
        look = self._look
        maps = self._features[:, window[0], window[1]]
        more = sum(np.float32(share) * each for share, each in zip(lent, maps, strict=True))
        keep = np.clip(np.float32(look.structure) + more, 0, 1) * (1 - self._edited[window])
        lab = self._settled[window].copy()
        lab[..., 0] += self._slope[window] * (1 - keep)
        figure = cast("Floats", cv2.cvtColor(lab, cv2.COLOR_Lab2RGB))
        figure = 1 - (1 - figure.clip(0, 1)) * (1 - self._rim[window])
        over = self._alpha[window][..., None]
        rgb = figure * over + self._scene[window] * (1 - over)
        if look.contrast != 1:
            rgb = np.float32(0.45) + (rgb - np.float32(0.45)) * np.float32(look.contrast)
        return ((rgb + self._dust[window]).clip(0, 1) * 255 + 0.5).astype(np.uint8)

    def _placed(self, picture: npt.NDArray[Any], border: int = 0) -> Floats:
        """A picture or map of the crop, at its place on the canvas; nothing outside of it."""
        height, width = self._alpha.shape
        placed = cv2.warpAffine(
            np.asarray(picture, np.float32),
            self._outward,
            (width, height),
            flags=cv2.INTER_CUBIC,
            borderMode=border,
        )
        return np.asarray(placed, np.float32).clip(0, 255 if picture.ndim == 3 else 1)


def _feature_maps(sitter: Sitter) -> Floats:
    """[5, h, w] 0…1: where each of ``FEATURES`` is."""
    found = find_features(to_lab(sitter.rgb), sitter.landmarks)
    right, left, nose, mouth_right, mouth_left = sitter.landmarks.astype(np.float64)
    eyes, unit = (right + left) / 2, found.unit
    mouth = (mouth_right + mouth_left) / 2
    up = (eyes - mouth) / max(float(np.hypot(*(eyes - mouth))), 1e-6)
    shape = sitter.alpha.shape
    bridge = blob(shape, nose * 0.7 + eyes * 0.3, (unit * 0.24, unit * 0.42))
    brow = blob(shape, eyes + up * unit * 0.45, (unit * 0.85, unit * 0.22))
    inner = np.maximum.reduce([found.eyes, found.mouth, bridge, brow])
    contour = found.face * (1 - inner)
    return np.stack([found.eyes, found.mouth, bridge, brow, contour]).astype(np.float32)


def _around_face(sitter: Sitter) -> Window:
    """The part of the canvas that a recogniser looks at: a little more than its own square.

    That is 112 wide where the eyes are 35 and the mouth 40 apart, around a point a ninth of the
    way from eyes to mouth (ArcFace's template), and turned as the face is.
    """
    height, width = sitter.alpha.shape
    right, left = sitter.landmarks[0], sitter.landmarks[1]
    eyes, mouth = (right + left) / 2, sitter.landmarks[3:].mean(axis=0)
    across, down = left - right, mouth - eyes
    angle = float(np.arctan2(across[1], across[0]))
    reach = max(1.65 * float(np.hypot(*across)), 1.45 * float(np.hypot(*down)))
    reach *= abs(np.cos(angle)) + abs(np.sin(angle))
    centre = eyes + 0.11 * down
    return (
        slice(max(0, int(centre[1] - reach)), min(height, int(centre[1] + reach) + 1)),
        slice(max(0, int(centre[0] - reach)), min(width, int(centre[0] + reach) + 1)),
    )


def _tinted(lab: Floats, scene: Scene, ambience: float) -> Floats:
    """The figure's colours moved a little towards those of the scene it stands in."""
    around = to_lab(cv2.resize(scene.rgb, (32, 32), interpolation=cv2.INTER_AREA).astype(np.uint8))
    air = around.reshape(-1, 3).mean(axis=0)
    tinted = lab.copy()
    tinted[..., 1:] += (air[1:] * np.float32(ambience)).astype(np.float32)
    # A bright figure in a dark place would look pasted in.
    tinted[..., 0] *= np.float32(1 + 0.5 * ambience * (air[0] - 55) / 55)
    return tinted


def _rim(sitter: Sitter, scene: Scene) -> Floats:
    """The scene's light along the figure's edge on its side, [h, w, 3] 0…1."""
    alpha = sitter.solid
    unit = max(sitter.face[3], 8.0)
    soft = cast("Floats", cv2.GaussianBlur(alpha, (0, 0), max(1.0, unit * 0.05)))
    shift = np.array([[1, 0, -scene.side * unit * 0.05], [0, 1, unit * 0.02]], np.float32)
    moved = cv2.warpAffine(soft, shift, alpha.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    band = np.clip((alpha - moved) * 1.6 - 0.12, 0, 1) * alpha
    return (band[..., None] * np.array(scene.light, np.float32) / 255 * scene.strength).astype(
        np.float32
    )


def _spread_tone(apart: Floats, where: Floats) -> Floats:
    """The drawing's tone [h, w, 3] carried on beyond the face, so that no border shows.

    A blur weighted by where the drawing lies, wide, on a small copy.
    """
    height, width = where.shape
    scale = 64 / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    weight = cv2.resize(where, size, interpolation=cv2.INTER_AREA)
    tone = cv2.resize(apart * where[..., None], size, interpolation=cv2.INTER_AREA)
    near, seen = (cv2.GaussianBlur(each, (0, 0), 6) for each in (tone, weight))
    mean = tone.reshape(-1, 3).sum(axis=0) / max(float(weight.sum()), 1e-3)
    carried = (near + 0.02 * mean) / (seen + 0.02)[..., None]
    return np.asarray(
        cv2.resize(carried.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC),
        np.float32,
    )


def _dust(shape: tuple[int, ...], strength: float, seed: int) -> Floats:
    """Film grain [h, w, 1] of a standard deviation of ``strength`` units of 255."""
    if strength <= 0:
        return np.zeros((*shape[:2], 1), np.float32)
    grains = np.random.default_rng((seed, 7)).standard_normal(shape[:2], np.float32)
    soft = cv2.GaussianBlur(grains, (0, 0), 0.7)
    return (soft / soft.std() * strength / 255)[..., None].astype(np.float32)
