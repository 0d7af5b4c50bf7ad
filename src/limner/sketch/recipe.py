"""A request's words, numbers and seed made into the dials of the drawing hand.

Every number fal's models take changes something here that can be seen; what, is said at each.
Knows the readings and the dials; draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from limner.sketch.prompt import Reading
from limner.sketch.toon import ToonStyle
from limner.sketch.vocabulary import STYLES, Color, Style


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a caller sets, in fal's names and ranges; the defaults are face-to-sticker's."""

    #: 0…20: how far the prompt moves the drawing away from the plain one.
    guidance_scale: float = 4.5
    #: 0…1: how much of the person's features is kept.
    instant_id_strength: float = 0.7
    #: 0…1: how much of the photo's own look (its light and colours) is kept.
    ip_adapter_weight: float = 0.2
    #: 0…1: how far a seed may vary colours, lines and latent, and hair and clothes stray.
    ip_adapter_noise: float = 0.5
    #: 1…100: how often the hand goes over the drawing.
    num_inference_steps: int = 20
    seed: int = 0


#: With these, and nothing understood of the prompt, a drawing is the plain one.
USUAL = Numbers()


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one picture is drawn."""

    style: Style
    toon: ToonStyle
    #: Direction → strength, for the styles that a generator draws.
    moves: Mapping[str, float]
    #: How much of the person's latent is kept against the average's: 0 nobody, 1 as encoded.
    truncation: float
    #: The same for the rows of the latent that say colour.
    colour_truncation: float
    #: How much of the photo's features a generator's drawing is lent, 0…1.
    lent: float
    #: The same of the photo's hair and clothes.
    worn: float
    #: Spread of the latent's chance, as a share of its distance from the average.
    jitter: float
    #: Strength of the generator's grain, 0 none … 1 as trained.
    grain: float
    background: Color
    shadow: float
    seed: int

    @property
    def moves_hair(self) -> bool:
        """Do words ask for other hair than the photo's?"""
        return any(name.endswith("_hair") for name in self.moves)


def cook(reading: Reading, numbers: Numbers) -> Recipe:
    """The recipe of one request; the same reading and numbers always give the same."""
    chance = np.random.default_rng(numbers.seed)
    pull = numbers.guidance_scale / USUAL.guidance_scale
    kept = numbers.instant_id_strength
    ground = tuple(int(value) for value in _pastel(chance.uniform(0, 360)))
    return Recipe(
        style=_style(reading),
        toon=_toon(reading, numbers, chance),
        moves={name: strength * pull for name, strength in reading.moves.items()},
        truncation=0.4 + kept,
        colour_truncation=(0.9 + 0.5 * numbers.ip_adapter_weight) * (0.4 + kept) / 1.1,
        lent=kept**0.8,
        worn=min(1.0, 1.1 - 0.4 * numbers.ip_adapter_noise),
        jitter=0.3 * numbers.ip_adapter_noise,
        grain=float(np.clip(20 / numbers.num_inference_steps, 0.25, 2)),
        background=reading.background or (ground[0], ground[1], ground[2]),
        shadow=0.3 if reading.shadow is None else reading.shadow,
        seed=numbers.seed,
    )


def _style(reading: Reading) -> Style:
    """What was asked for; else toon, which keeps the person best, unless it cannot do what was."""
    if reading.style is not None and reading.style not in reading.refused:
        return reading.style
    order: tuple[Style, ...] = ("pencil", "ink", "oil", "toon") if reading.moves else STYLES
    allowed: list[Style] = [style for style in order if style not in reading.refused]
    return allowed[0] if allowed else "toon"


def _toon(reading: Reading, numbers: Numbers, chance: np.random.Generator) -> ToonStyle:
    plain = ToonStyle()
    pull = numbers.guidance_scale / USUAL.guidance_scale
    # High guidance is known for strong colour and contrast; at the default nothing changes.
    vigour = (0.5 + 0.5 * pull) ** 0.3
    lost = USUAL.instant_id_strength - numbers.instant_id_strength
    look = numbers.ip_adapter_weight - USUAL.ip_adapter_weight
    worked = numbers.num_inference_steps / USUAL.num_inference_steps
    spread = numbers.ip_adapter_noise * chance.standard_normal(4)
    wish = {name: factor**pull for name, factor in reading.tune.items() if name != "warmth"}
    warmth = plain.warmth + reading.tune.get("warmth", 0.0) * pull + 3.5 * spread[0]
    saturation = plain.saturation * vigour * wish.get("saturation", 1.0)
    return replace(
        plain,
        # Black and white is not coloured by chance.
        warmth=float(np.clip(warmth, -16, 16)) if saturation > 0.3 else 0.0,
        saturation=float(np.clip(saturation * np.exp(0.12 * spread[1]) * (1 - 0.25 * look), 0, 2)),
        line_weight=_dial(
            plain.line_weight * wish.get("line_weight", 1.0) * np.exp(0.16 * spread[2]), 0.35, 2.5
        ),
        line_darkness=_dial(
            plain.line_darkness * vigour**0.5 * wish.get("line_darkness", 1.0), 0.0, 1.0
        ),
        tones=_dial(
            plain.tones * wish.get("tones", 1.0) * np.exp(0.1 * spread[3]) * (1 - 0.4 * lost), 3, 16
        ),
        flatness=_dial(plain.flatness * wish.get("flatness", 1.0) * (1 - 0.7 * look), 0.0, 1.0),
        detail=_dial(plain.detail * wish.get("detail", 1.0) * (1 - lost / 0.7), 0.0, 1.0),
        smoothness=_dial(
            wish.get("smoothness", 1.0) * (1 + 0.9 * lost) * worked**0.12 * (1 - 0.4 * look), 0.3, 2
        ),
        passes=int(np.clip(round(worked * plain.passes), 1, 5)),
        wobble=numbers.ip_adapter_noise * 0.8,
        seed=numbers.seed,
    )


def _dial(value: float, low: float, high: float) -> float:
    return float(np.clip(value, low, high))


def _pastel(hue: float) -> Color:
    """A light colour of a hue in degrees, as RGB (a plain HSV-like wheel at low saturation)."""
    phases = np.radians(hue) - np.array([0, 2, 4]) * np.pi / 3
    red, green, blue = 196 + 44 * np.cos(phases)
    return round(red), round(green), round(blue)
