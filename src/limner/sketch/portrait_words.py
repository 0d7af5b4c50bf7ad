"""The words that only a portrait understands: places, and the flaws of a picture.

Added to the sticker's own (:mod:`limner.sketch.vocabulary`); a word is here only if it visibly
does what it says. Knows no grammar and no pixels.
"""

from __future__ import annotations

from limner.sketch.vocabulary import (
    ENTRIES,
    TAKEN_FOR_GRANTED,
    Entry,
    Lexicon,
    SceneName,
)


def _scene(name: SceneName, *phrases: str) -> Entry:
    return Entry(f"set in: {name}", phrases, scene=name)


_PLACES = (
    _scene("studio", "studio", "plain background", "backdrop", "headshot", "passport photo"),
    _scene("city", "city", "night city", "cyberpunk", "synthwave", "vaporwave", "neon",
           "neon lights", "city lights", "cityscape", "skyline", "street", "urban", "futuristic",
           "metropolis", "downtown", "tokyo", "skyscrapers"),
    _scene("sea", "sea", "ocean", "beach", "seaside", "coast", "sunset", "sunrise", "tropical",
           "island", "harbour", "harbor"),
    _scene("mountains", "mountains", "mountain", "alps", "snow", "snowy", "winter", "hills",
           "viking"),
    _scene("forest", "forest", "woods", "jungle", "garden", "park", "trees", "nature", "meadow",
           "spring", "leaves", "outdoors", "elf"),
    _scene("space", "space", "galaxy", "stars", "starry", "cosmos", "cosmic", "nebula", "planet",
           "astronaut", "science fiction", "sci-fi", "scifi", "outer space"),
    _scene("desert", "desert", "dunes", "sand", "sahara", "egypt", "western", "cowboy"),
    _scene("library", "library", "books", "bookshop", "bookshelf", "bookshelves", "office",
           "study", "university", "indoors", "professor", "wizard"),
)  # fmt: skip

_FLAWS = (
    Entry("grain", ("grain", "grainy", "noisy", "noisey", "noise", "film grain", "analog"),
          tune={"grain": 2.2}),
    Entry("hard contrast", ("dramatic", "cinematic", "high contrast", "chiaroscuro", "moody"),
          tune={"contrast": 1.22}),
    Entry("flaws", ("bad", "ugly", "pixelated", "interpolated", "compression artifacts",
          "jpeg artifacts", "low detail", "deformed", "disfigured"),
          tune={"detail": 0.8}),
)  # fmt: skip

_GRANTED = frozenset(
    {"resolution", "sharp", "hyper", "extremely", "ultra", "masterpiece", "focus", "beautiful",
     "handsome", "close-up", "closeup", "4k", "8k", "hd", "dslr", "photography", "photograph",
     "night", "young", "adult", "front", "view", "standing", "lights", "lighting"}
)  # fmt: skip

#: What a portrait understands.
PORTRAIT_WORDS = Lexicon((*ENTRIES, *_PLACES, *_FLAWS), TAKEN_FOR_GRANTED | _GRANTED)
