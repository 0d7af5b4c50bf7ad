"""What each ``model_type`` and number of ip-adapter-face-id means to the sketch engine.

Knows fal's names and the dials of the drawing hand; draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from limner.endpoints.ip_adapter_face_id.schema import IpAdapterFaceIdInput, ModelType
from limner.sketch.easel import Look
from limner.sketch.prompt import Reading
from limner.sketch.recipe import USUAL, Numbers, Recipe, cook
from limner.sketch.sitting import Plan
from limner.sketch.vocabulary import SceneName, Style


@dataclass(frozen=True, slots=True)
class TypeRecipe:
    """One model type: who draws, how much of the photo shows through, at which size."""

    style: Style
    #: Share of the photo's structure over the generator's; the rest of 1 is the identity alone.
    structure: float
    #: The same for its colours.
    colour: float
    #: How much of the person's latent is kept against the average's.
    latent: float
    #: The longer side that is drawn at, in pixels: at least, at most.
    smallest: int
    largest: int
    #: Whether the embedding is the mean of the face's and its mirror image's.
    mirrored: bool = False


#: ``v1`` knows the identity above all; ``plus`` also sees the photo, ``v2-plus`` sees more of it
#: (as the adapters' CLIP path does); SDXL draws larger; auraface measures in its own way.
TYPES: Mapping[ModelType, TypeRecipe] = {
    "1_5-v1": TypeRecipe("pencil", 0.42, 0.36, 0.95, 512, 1024),
    "1_5-v1-plus": TypeRecipe("pencil", 0.52, 0.45, 1.0, 512, 1024),
    "1_5-v2-plus": TypeRecipe("ink", 0.68, 0.55, 1.0, 512, 1024),
    "SDXL-v1": TypeRecipe("oil", 0.50, 0.50, 0.95, 768, 1280),
    "SDXL-v2-plus": TypeRecipe("pencil", 0.74, 0.62, 1.05, 768, 1280),
    "1_5-auraface-v1": TypeRecipe("ink", 0.44, 0.45, 1.0, 512, 1024, mirrored=True),
}

#: fal's usual guidance for this endpoint; at it, words are taken at face value.
USUAL_GUIDANCE = 7.5
#: Sides of pictures are multiples of this, as a latent's are.
GRID = 8
#: How much more structure a feature may be lent by the refinement.
MOST_LENT = 0.16
#: A drawing's shorter side, where the longer one allows it, in pixels.
NARROWEST = 96
#: How far words about sharpness and blur sharpen the layers, or soften them.
FOCUS = 2.2
#: Strength of film grain as it comes, in units of RGB.
GRAIN = 1.6


def rounded(side: int) -> int:
    """A side in pixels as it is drawn: the nearest multiple of ``GRID``."""
    return max(GRID, (side + GRID // 2) // GRID * GRID)


def style_of(model_type: ModelType, reading: Reading) -> Style:
    """What the prompt asks for, else the model type's own; never one that was asked away."""
    own = TYPES[model_type].style
    if reading.style is not None and reading.style not in reading.refused:
        return reading.style
    if own not in reading.refused:
        return own
    order: tuple[Style, ...] = ("pencil", "ink", "oil")
    left: list[Style] = [style for style in order if style not in reading.refused]
    return left[0] if left else "toon"


def plan(input: IpAdapterFaceIdInput, reading: Reading, seed: int) -> Plan:
    """How the sample with ``seed`` is drawn."""
    own = TYPES[input.model_type]
    pull = input.guidance_scale / USUAL_GUIDANCE
    recipe = _cooked(own, style_of(input.model_type, reading), reading, pull, seed)
    wish = {name: factor**pull for name, factor in reading.tune.items() if name != "warmth"}
    flat = 0.5 if recipe.style == "toon" else 1.0  # a toon is a likeness already
    look = Look(
        structure=own.structure * flat,
        colour=own.colour * flat,
        grain=float(np.clip(GRAIN * wish.get("grain", 1.0), 0, 9)),
        contrast=float(np.clip(wish.get("contrast", 1.0), 0.6, 1.6)),
    )
    return Plan(
        recipe=recipe,
        look=look,
        most_lent=MOST_LENT,
        scene=scene_of(reading),
        ground=reading.background,
        pull=float(np.clip(pull, 0, 2.7)),
        focus=float(np.clip(-FOCUS * np.log(wish.get("smoothness", 1.0)), -1, 1)),
        canvas=working_size(rounded(input.width), rounded(input.height), own),
    )


def scene_of(reading: Reading) -> SceneName:
    """The first place that was asked for and not asked away; a studio without one."""
    wished: list[SceneName] = [scene for scene in reading.scenes if scene not in reading.avoided]
    return wished[0] if wished else "studio"


def working_size(width: int, height: int, own: TypeRecipe) -> tuple[int, int]:
    """(width, height) that a picture is drawn at before it is brought to its own size."""
    longer, shorter = max(width, height), min(width, height)
    scale = min(max(longer, own.smallest), own.largest) / longer
    scale = min(max(scale, NARROWEST / shorter), max(1.0, own.largest / longer))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _cooked(own: TypeRecipe, style: Style, reading: Reading, pull: float, seed: int) -> Recipe:
    numbers = Numbers(guidance_scale=USUAL.guidance_scale * pull, seed=seed)
    cooked = cook(reading, numbers)
    return replace(
        cooked, style=style, truncation=own.latent, colour_truncation=0.9 * own.latent, grain=0.6
    )
