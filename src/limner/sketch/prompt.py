"""What a prompt asks for, as far as the sketch engine can do it, and how much it cannot.

Words are looked up in :mod:`limner.sketch.vocabulary`; there is no language model here, and
nothing is guessed. Knows words; knows no pixels, networks or requests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from limner.sketch.vocabulary import (
    NEGATIONS,
    STICKER_WORDS,
    Color,
    Entry,
    Lexicon,
    SceneName,
    Style,
)

#: Letters of a prompt that are read; a model reads some 77 words. Megabytes would take minutes.
LONGEST_READ = 20_000

_WORD = re.compile(r"[a-z0-9]+(?:[-'][a-z0-9]+)*")


@dataclass(slots=True)
class Reading:
    """What was understood of a prompt and a negative prompt."""

    style: Style | None = None
    #: Dial → exponent-weighted factors, already multiplied; ``warmth`` is added up instead.
    tune: dict[str, float] = field(default_factory=dict[str, float])
    #: Direction → strength.
    moves: dict[str, float] = field(default_factory=dict[str, float])
    background: Color | None = None
    shadow: float | None = None
    #: What was understood, in our own words, in the order of the prompt.
    understood: list[str] = field(default_factory=list[str])
    #: Styles that were asked not to be.
    refused: set[Style] = field(default_factory=set[Style])
    #: The places that were asked for, in order, and those that were asked not to be.
    scenes: list[SceneName] = field(default_factory=list[SceneName])
    avoided: set[SceneName] = field(default_factory=set[SceneName])
    #: How many words ask for something this engine does not know.
    beyond: int = 0


def read_prompt(
    prompt: str, negative_prompt: str = "", lexicon: Lexicon = STICKER_WORDS
) -> Reading:
    """Read both prompts. What is asked away is the opposite of what is asked for.

    What follows the first ``LONGEST_READ`` letters is not read.
    """
    reading = Reading()
    for text, sign in ((prompt, 1.0), (negative_prompt, -1.0)):
        for entries, turned in _phrases(text, lexicon, reading):
            for entry in entries:
                _take(reading, entry, sign * turned)
    return reading


def _phrases(text: str, lexicon: Lexicon, reading: Reading) -> Iterator[tuple[list[Entry], float]]:
    """The entries each phrase asks for, longest phrases first, and -1 where it is negated.

    Counts on the way the words that are in no phrase.
    """
    words = _WORD.findall(text[:LONGEST_READ].lower())
    longest = max(len(phrase.split()) for entry in lexicon.entries for phrase in entry.phrases)
    turned, at = 1.0, 0
    while at < len(words):
        for length in range(min(longest, len(words) - at), 0, -1):
            phrase = " ".join(words[at : at + length])
            entries = [entry for entry in lexicon.entries if phrase in entry.phrases]
            if entries:
                yield entries, turned
                turned, at = 1.0, at + length
                break
        else:
            if words[at] in NEGATIONS:
                turned = -1.0
            elif words[at] not in lexicon.granted:
                reading.beyond += 1
                turned = 1.0
            at += 1


def _take(reading: Reading, entry: Entry, sign: float) -> None:
    meaning = entry.meaning if sign > 0 else f"no {entry.meaning}"
    if meaning in reading.understood:
        return  # asked for twice is not asked for twice as much
    reading.understood.append(meaning)
    if entry.scene is not None:
        if sign > 0:
            reading.scenes.append(entry.scene)
        else:
            reading.avoided.add(entry.scene)
    if entry.style is not None:
        if sign < 0:
            reading.refused.add(entry.style)
        elif reading.style is None:
            reading.style = entry.style
    for dial, amount in entry.tune.items():
        if dial == "warmth":
            reading.tune[dial] = reading.tune.get(dial, 0.0) + sign * amount
        else:
            # The opposite of nearly nothing is not nearly endless.
            factor = amount if sign > 0 else min(1 / amount, 1.6)
            reading.tune[dial] = reading.tune.get(dial, 1.0) * factor
    for direction, strength in entry.move.items():
        reading.moves[direction] = reading.moves.get(direction, 0.0) + sign * strength
    if entry.background is not None and sign > 0:
        reading.background = entry.background
    if entry.shadow is not None:
        reading.shadow = entry.shadow if sign > 0 else 0.0
