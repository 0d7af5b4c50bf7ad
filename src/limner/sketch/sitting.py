"""One sample of a portrait: everything drawn for one seed, and its likeness in any pose.

The person of the photo is redrawn, a generator draws the face from its latent, a scene is painted
behind them (:mod:`limner.sketch.easel` makes one picture of it). A pose moves the latent and
says how much of the photo's structure each feature keeps.

Knows the networks and the layers; nothing of requests, searching or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from limner.sketch import toon
from limner.sketch.directions import average
from limner.sketch.easel import Easel, Layer, Look
from limner.sketch.framing import seat
from limner.sketch.instruments import Instruments
from limner.sketch.merging import Fit, agreement, fit_of
from limner.sketch.portrait import cleansed, fitted, shaped
from limner.sketch.recipe import Recipe
from limner.sketch.refinement import ROW_GROUPS, START, Pose
from limner.sketch.scenes import paint_scene
from limner.sketch.subject import Subject
from limner.sketch.vocabulary import Color, SceneName
from limner.stages.face import Face
from limner.stages.likeness import likeness

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Model:
    """Who is drawn: the photo's subject, the latent [12, 512] and the embedding [128]."""

    subject: Subject
    latent: Floats
    embedding: Floats
    #: Whether likeness is the mean of the face's and its mirror image's.
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How one sample is drawn."""

    recipe: Recipe
    look: Look
    #: The most that a feature may be lent beyond the look's structure.
    most_lent: float
    scene: SceneName
    #: The studio's colour, if one was asked for.
    ground: Color | None
    #: 1 as usual: how loud the scene is.
    pull: float
    #: How crisp everything is: 0 as painted, more is sharper, less than 0 out of focus.
    focus: float
    #: (width, height) to draw at, in pixels.
    canvas: tuple[int, int]


class Sitting:
    """A sample, drawn layer by layer; safe to use from one thread."""

    def __init__(self, model: Model, plan: Plan, instruments: Instruments) -> None:
        self._model, self._plan, self._tools = model, plan, instruments
        recipe = plan.recipe
        self.has_latent = recipe.style != "toon"
        self.most_lent = plan.most_lent
        self._sitter = seat(model.subject, plan.canvas, recipe.seed)
        scene = paint_scene(plan.scene, plan.canvas, recipe.seed, plan.ground, plan.pull)
        scene = replace(scene, rgb=_focused(scene.rgb, plan.focus))
        painted = _focused(self._redrawn(_fine(recipe.toon)), plan.focus)
        self._easel = Easel(self._sitter, painted, scene, plan.look, recipe.seed)
        self._layers: dict[bytes, Layer] = {}
        self._lying: bytes | None = None
        if not self.has_latent:
            self._easel.cover(self._redrawn(recipe.toon))

    def likeness(self, pose: Pose) -> float:
        """Cosine of this pose's face to the model's embedding, -1…1."""
        self._take(pose)
        rgb, landmarks = self._easel.face(pose.lent), self._easel.landmarks
        alike = self._measured(rgb, landmarks)
        if self._model.mirrored:
            turned = landmarks[[1, 0, 2, 4, 3]].copy()
            turned[:, 0] = rgb.shape[1] - 1 - turned[:, 0]
            alike = (alike + self._measured(np.ascontiguousarray(rgb[:, ::-1]), turned)) / 2
        return alike

    def picture(self, pose: Pose) -> Picture:
        """The portrait in this pose, RGB [h, w, 3] at the plan's size."""
        self._take(pose)
        return self._easel.picture(pose.lent)

    def _measured(self, rgb: Picture, landmarks: Floats) -> float:
        height, width = rgb.shape[:2]
        face = Face((0, 0, width, height), landmarks, 1.0)
        return likeness(self._model.embedding, self._tools.recogniser.embed(rgb, face))

    def _take(self, pose: Pose) -> None:
        """Have this pose's drawing lie on the easel."""
        key = pose.pull.tobytes()
        if not self.has_latent or key == self._lying:
            return
        if key not in self._layers:
            # The best so far and the one that is tried: no search looks back further.
            kept = {START.pull.tobytes(), self._lying}
            self._layers = {each: layer for each, layer in self._layers.items() if each in kept}
            self._layers[key] = self._drawn(pose)
        self._easel.lay(self._layers[key])
        self._lying = key

    def _drawn(self, pose: Pose) -> Layer:
        recipe = self._plan.recipe
        middle = average()
        nearer = 1 + np.repeat(pose.pull, len(middle) // ROW_GROUPS)[:, None]
        latent = (middle + nearer * (self._model.latent - middle)).astype(np.float32)
        stylizer, crop = self._tools.stylizer(recipe.style), self._sitter.crop

        def imagined(moves: Mapping[str, float]) -> Picture:
            wanted = shaped(latent, replace(recipe, moves=moves))
            return stylizer.draw(recipe.style, wanted, recipe.seed, recipe.grain)

        def fit(plain: Picture, drawn: Floats | None) -> Fit:
            return fit_of(plain, crop, drawn, self._sitter.crop_landmarks)

        drawing, changed = fitted(imagined, recipe.moves, fit, self._tools.detector)
        if recipe.style == "oil":
            own = self._sitter.crop_landmarks
            drawing = cleansed(drawing, crop, own, recipe.moves, changed)
        return Layer(drawing, agreement(drawing, crop), changed)

    def _redrawn(self, style: toon.ToonStyle) -> Picture:
        sitter = self._sitter
        return toon.draw(sitter.rgb, sitter.alpha, sitter.landmarks, style)


def _focused(picture: Picture, amount: float) -> Picture:
    """Edges strengthened by ``amount`` (an unsharp mask), or weakened where it is negative."""
    if amount == 0:
        return picture
    soft = cv2.GaussianBlur(picture, (0, 0), max(0.8, min(picture.shape[:2]) / 260))
    crisp = picture + np.float32(amount) * (picture.astype(np.float32) - soft)
    return (crisp + 0.5).clip(0, 255).astype(np.uint8)


def _fine(style: toon.ToonStyle) -> toon.ToonStyle:
    """The toon's dials turned to a painter's: more tones, softer steps, thinner ink."""
    return replace(
        style,
        tones=min(16.0, 2 * style.tones),
        flatness=0.65 * style.flatness,
        detail=min(0.9, 1.3 * style.detail),
        smoothness=0.8 * style.smoothness,
        saturation=0.9 * style.saturation,
        line_darkness=0.65 * style.line_darkness,
        line_weight=0.9 * style.line_weight,
    )
