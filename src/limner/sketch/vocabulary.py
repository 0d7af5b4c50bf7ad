"""Every word the sketch engine understands, as one table.

It is small on purpose: a word is here only if it visibly does what it says. Phrases are lower
case; longer ones win. Knows no grammar (:mod:`limner.sketch.prompt`) and no pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Style = Literal["toon", "ink", "pencil", "oil"]
SceneName = Literal["studio", "city", "sea", "mountains", "forest", "space", "desert", "library"]
Color = tuple[int, int, int]

STYLES: tuple[Style, ...] = ("toon", "ink", "pencil", "oil")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that can be asked for, and the phrases that ask for it."""

    #: What a log line calls it: our word, never the caller's.
    meaning: str
    phrases: tuple[str, ...]
    style: Style | None = None
    #: Dial of :class:`limner.sketch.toon.ToonStyle` → factor (``warmth``: Lab units to add).
    tune: Mapping[str, float] = field(default_factory=dict[str, float])
    #: Direction of :mod:`limner.sketch.directions` → strength.
    move: Mapping[str, float] = field(default_factory=dict[str, float])
    background: Color | None = None
    #: Darkness of the shadow under the sticker, 0…1.
    shadow: float | None = None
    #: The place a portrait is set in.
    scene: SceneName | None = None


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words one kind of drawing understands."""

    entries: tuple[Entry, ...]
    #: Words that ask for nothing this engine would not do anyway.
    granted: frozenset[str]


def _style(style: Style, *phrases: str) -> Entry:
    return Entry(f"style {style}", phrases, style=style)


def _tune(meaning: str, *phrases: str, **tune: float) -> Entry:
    return Entry(meaning, phrases, tune=tune)


def _move(direction: str, strength: float, meaning: str, *phrases: str) -> Entry:
    return Entry(meaning, phrases, move={direction: strength})


_COLORS: Mapping[str, Color] = {
    "white": (255, 255, 255),
    "black": (24, 24, 28),
    "grey": (190, 192, 196),
    "gray": (190, 192, 196),
    "red": (222, 72, 66),
    "orange": (246, 158, 70),
    "yellow": (250, 214, 92),
    "green": (126, 194, 120),
    "mint": (178, 226, 204),
    "teal": (70, 170, 168),
    "blue": (98, 156, 226),
    "purple": (160, 120, 208),
    "violet": (160, 120, 208),
    "pink": (246, 172, 196),
    "brown": (160, 120, 90),
    "beige": (236, 222, 198),
}


def _grounds() -> tuple[Entry, ...]:
    return tuple(
        Entry(
            f"{name} background",
            (f"{name} background", f"{name} backdrop", f"on {name}", f"background {name}"),
            background=color,
        )
        for name, color in _COLORS.items()
    )


_LOOKS = (
    _style("toon", "toon", "cartoon", "cartoonish", "vector", "vector art", "flat", "cel shaded"),
    _style("ink", "ink", "inked", "comic", "comic book", "manga", "anime", "line art"),
    _style("pencil", "pencil", "sketch", "sketched", "graphite", "charcoal", "coloured pencil"),
    _style("oil", "oil", "oil painting", "oil paint", "painting", "painted", "van gogh"),
    _tune("black and white", "black and white", "monochrome", "grayscale", "greyscale",
          saturation=0.02, warmth=-1.0),
    _tune("vivid colours", "vivid", "vibrant", "colorful", "colourful", "neon", "saturated",
          "bright colors", "bright colours", "pop art", saturation=1.45),
    _tune("muted colours", "muted", "pastel", "soft colors", "soft colours", "faded", "pale",
          saturation=0.6),
    _tune("warm colours", "warm", "golden", "sunset", "autumn", "summer", warmth=9.0),
    _tune("cool colours", "cool colors", "cool colours", "cold", "icy", "winter", "moonlight",
          warmth=-10.0),
    _tune("sepia", "sepia", "vintage", "retro", "antique", saturation=0.45, warmth=9.0),
    _tune("poster tones", "poster", "pop art", "posterized", "minimalist", "simple", "minimal",
          tones=0.65, detail=0.5, smoothness=1.4),
    _tune("fine detail", "detailed", "highly detailed", "intricate", "realistic", "photorealistic",
          tones=1.6, detail=1.5, smoothness=0.6),
    _tune("bold lines", "bold", "bold lines", "bold outlines", "bold outline", "thick lines",
          "thick outline", "thick outlines", "marker", line_weight=1.8, line_darkness=1.15),
    _tune("fine lines", "delicate", "fine lines", "thin lines", "thin outline", "thin outlines",
          line_weight=0.55),
    _tune("lines", "lines", "outlines", "contours", line_darkness=1.15, line_weight=1.2),
    _tune("no lines", "lineless", "watercolor", "watercolour", line_darkness=0.05, tones=1.4),
    _tune("blur", "blurry", "blurred", "low resolution", "low quality", "lowres", "soft focus",
          detail=0.55, smoothness=1.3),
    Entry("shadow", ("shadow", "drop shadow", "shadows"), shadow=0.45),
)  # fmt: skip

_FACES = (
    _move("glasses", 1.0, "glasses", "glasses", "spectacles", "eyeglasses"),
    _move("sunglasses", 1.0, "sunglasses", "sunglasses", "shades"),
    _move("smile", 1.0, "smile", "smile", "smiling", "happy", "cheerful", "joyful", "grin"),
    _move("open_mouth", 1.0, "open mouth", "laughing", "laugh", "open mouth", "shouting",
          "surprised", "excited"),
    _move("smile", -1.0, "serious", "serious", "sad", "stern", "solemn", "unhappy", "frown"),
    _move("angry", 1.0, "angry", "angry", "furious", "mad", "fierce"),
    _move("older", 1.0, "older", "old", "older", "elderly", "aged", "grandmother", "grandfather"),
    _move("beard", 1.0, "beard", "beard", "bearded", "wizard", "viking"),
    _move("moustache", 1.0, "moustache", "moustache", "mustache"),
    _move("makeup", 1.0, "make-up", "makeup", "make-up", "lipstick", "glamorous"),
    _move("long_hair", 1.0, "long hair", "long hair", "long haired", "long-haired"),
    _move("long_hair", -1.0, "short hair", "short hair", "short haired", "short-haired"),
    _move("blond_hair", 1.0, "blond hair", "blond hair", "blonde hair", "blond", "blonde"),
    _move("dark_hair", 1.0, "dark hair", "dark hair", "black hair", "brown hair", "brunette"),
    _move("red_hair", 1.0, "red hair", "red hair", "redhead", "ginger", "ginger hair"),
    _move("grey_hair", 1.0, "grey hair", "grey hair", "gray hair", "white hair", "silver hair"),
)  # fmt: skip

#: Every entry; a phrase that stands in two asks for both.
ENTRIES: tuple[Entry, ...] = (*_LOOKS, *_FACES, *_grounds())

#: Words that ask for nothing this engine would not do anyway.
TAKEN_FOR_GRANTED = frozenset(
    {
        "a", "an", "the", "of", "in", "on", "at", "with", "and", "or", "as", "by", "for", "from",
        "to", "his", "her", "their", "its", "this", "that", "is", "are", "wearing", "has", "having",
        "very", "person", "man", "woman", "boy", "girl", "lady", "guy", "face", "head", "portrait",
        "photo", "picture", "image", "sticker", "style", "styled", "drawing", "background", "best",
        "quality", "high", "good", "looking", "someone", "people", "shoulders", "art",
        "illustration", "die", "cut", "outline", "color", "colour", "colors", "colours", "hair",
    }
)  # fmt: skip

#: What a sticker understands.
STICKER_WORDS = Lexicon(ENTRIES, TAKEN_FOR_GRANTED)

#: Words that turn the next phrase into its opposite.
NEGATIONS = frozenset({"no", "not", "without", "never"})
