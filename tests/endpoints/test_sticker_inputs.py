"""Every input of face-to-sticker changes the picture, and nothing else does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.endpoints.conftest import Draw


@pytest.mark.parametrize(
    ("plain", "changed"),
    [
        ({}, {"prompt": "a person in black and white"}),
        ({}, {"prompt": "ink"}),
        ({}, {"prompt": "a person with glasses"}),
        ({}, {"negative_prompt": "lines"}),
        ({}, {"image_url": "03_obama_frontal_dark_skin.jpg"}),
        ({}, {"image_size": {"width": 320, "height": 400}}),
        ({}, {"num_inference_steps": 60}),
        ({}, {"guidance_scale": 6}),
        ({}, {"instant_id_strength": 0.6}),
        ({}, {"ip_adapter_weight": 0.4}),
        ({}, {"ip_adapter_noise": 1.0}),
        ({}, {"seed": 8}),
        ({}, {"seed": 0}),
        ({}, {"upscale": True}),
        ({"upscale": True}, {"upscale": True, "upscale_steps": 60}),
        ({"prompt": "ink, vivid"}, {"prompt": "ink, vivid", "guidance_scale": 12}),
        ({"prompt": "pencil"}, {"prompt": "pencil", "num_inference_steps": 5}),
        ({"prompt": "pencil"}, {"prompt": "pencil", "instant_id_strength": 0.5}),
        ({"prompt": "pencil"}, {"prompt": "pencil", "ip_adapter_weight": 0.9}),
        ({"prompt": "pencil"}, {"prompt": "pencil", "ip_adapter_noise": 0.0}),
        ({"prompt": "pencil"}, {"prompt": "pencil", "negative_prompt": "smile"}),
        ({"prompt": "oil"}, {"prompt": "oil", "seed": 8}),
    ],
    ids=lambda wishes: "-".join(f"{key}={value}" for key, value in wishes.items()) or "usual",
)
def test_each_input_changes_both_pictures(
    draw: Draw, plain: dict[str, Any], changed: dict[str, Any]
) -> None:
    wishes = dict(changed)
    photo = wishes.pop("image_url", "01_astronaut_frontal.png")
    before, after = draw(**plain), draw(photo, **wishes)
    for kind in ("plain", "cutout"):
        old, new = getattr(before, kind), getattr(after, kind)
        if old.shape == new.shape:
            # By more than stray bits: a visible share of the pixels, by a visible amount.
            assert (np.abs(old.astype(int) - new) > 2).mean() > 0.005, kind


def test_the_same_request_and_seed_give_the_same_bytes_whatever_else_is_drawn(draw: Draw) -> None:
    alone = draw(prompt="ink, glasses", negative_prompt="smile")
    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(draw, seed=number, prompt="pencil") for number in range(3)]
        again = pool.submit(draw, prompt="ink, glasses", negative_prompt="smile")
        assert again.result().files == alone.files
        assert len({other.result().files[0] for other in others}) == 3


def test_toon_gives_the_same_bytes_again(draw: Draw) -> None:
    assert draw().files == draw().files


def test_without_a_seed_one_is_drawn_and_told_and_can_be_asked_for(draw: Draw) -> None:
    first, second = draw(seed=None), draw(seed=None)
    assert first.output.seed != second.output.seed
    assert draw(seed=first.output.seed).files == first.files


def test_the_prompts_own_words_are_in_no_log_line(draw: Draw) -> None:
    drawn = draw(prompt="a zyxomma eating quincunxes with glasses", negative_prompt="frobnication")
    assert "Understood of the prompt: glasses" in drawn.said
    # "eating", the two animals and the noun of the negative prompt.
    assert "beyond the sketch engine: 4." in drawn.said
    for word in ("zyxomma", "quincunx", "frobnication", "eating"):
        assert word not in drawn.said


def test_progress_only_grows(draw: Draw) -> None:
    shares = [step.progress for step in draw(upscale=True).steps if step.progress is not None]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] <= 1


def test_scores_are_in_the_answer_when_asked_for_and_in_the_log_anyway(draw: Draw) -> None:
    plain, scored = draw(), draw(return_scores=True)
    assert "scores" not in plain.output.model_dump(exclude_unset=True)
    said = scored.output.model_dump(exclude_unset=True)["scores"]
    assert said["recogniser"] == "SFace"
    assert f"Likeness to the photo: {said['similarity']:.2f}" in scored.said
    assert said["similarity"] > 0.5
    assert scored.files == plain.files
