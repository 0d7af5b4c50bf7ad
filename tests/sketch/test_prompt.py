"""Any words and any numbers that a schema lets through make a recipe that can be drawn from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from limner.sketch.prompt import LONGEST_READ, read_prompt
from limner.sketch.recipe import Numbers, cook
from limner.sketch.vocabulary import ENTRIES, NEGATIONS

PHRASES = sorted({phrase for entry in ENTRIES for phrase in entry.phrases} | set(NEGATIONS))
PROMPT = st.lists(st.sampled_from(PHRASES) | st.text(max_size=12), max_size=12).map(" ".join)
SHARE = st.floats(0, 1)


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, int | float):
        yield value


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    PROMPT,
    PROMPT,
    st.builds(
        Numbers,
        guidance_scale=st.floats(0, 20),
        instant_id_strength=SHARE,
        ip_adapter_weight=SHARE,
        ip_adapter_noise=SHARE,
        num_inference_steps=st.integers(1, 100),
        seed=st.integers(0, 2**32 - 1),
    ),
)
def test_every_recipe_is_finite(prompt: str, negative: str, wished: Numbers) -> None:
    recipe = asdict(cook(read_prompt(prompt, negative), wished))
    assert all(math.isfinite(number) for number in numbers(recipe))
    assert all(0 <= channel <= 255 for channel in recipe["background"])
    # The same words and numbers are the same recipe.
    assert asdict(cook(read_prompt(prompt, negative), wished)) == recipe


def test_an_endless_prompt_is_read_from_its_beginning_only() -> None:
    filler = "word " * (LONGEST_READ // 5)
    assert read_prompt("pencil " + filler).style == "pencil"
    assert read_prompt(filler + "pencil").style is None
    assert read_prompt("x " * 5_000_000).beyond == LONGEST_READ // 2
