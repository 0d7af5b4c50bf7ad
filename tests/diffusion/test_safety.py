"""Nothing leaves the diffusion engine that nothing looked at."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from limner.diffusion.holdings import Holdings
from limner.diffusion.load import load_nsfw
from limner.diffusion.safety import NsfwClassifier, Safety
from limner.endpoints.base import Workshop
from limner.endpoints.face_to_sticker.diffusion import DiffusionSticker, open_engine
from limner.endpoints.ip_adapter_face_id.diffusion import open_engine as open_face_id
from limner.endpoints.verdict import on_white
from limner.errors import NetworkUnfit
from limner.stages.safety import SafetyChecker
from tests.diffusion import test_endpoint, tiny, tiny_eyes
from tests.diffusion.conftest import MACHINE, linked
from tests.diffusion.test_sticker_endpoint import Drawn, drawn_by

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RGB = np.random.default_rng(2).integers(0, 256, (150, 90, 3), dtype=np.uint8)

Opened = Callable[..., DiffusionSticker]


@pytest.fixture
def opened(sticker_home: Path, networks: Path, tmp_path: Path) -> Opened:
    """The engine with a safety network that leans to ``flags``; None: with none."""

    def open(flags: float | None) -> DiffusionSticker:
        home = linked(sticker_home, tmp_path / "home", without="Falconsai")
        if flags is not None:
            tiny_eyes.write_nsfw(home / tiny.NSFW_REPO, flags)
        return open_engine(Workshop(networks, may_fetch=False, threads=1, weights=home))

    return open


def warned(drawn: Drawn) -> str:
    return "\n".join(step.message for step in drawn.steps if step.level == "WARN")


def test_the_score_is_what_transformers_own_processor_and_network_say(weights: Path) -> None:
    model = load_nsfw(weights / tiny.NSFW_REPO, MACHINE)
    given = ViTImageProcessorPil()(Image.fromarray(RGB), return_tensors="pt").pixel_values
    with torch.inference_mode():
        expected = float(model(given).logits.softmax(-1)[0, 1])
    assert NsfwClassifier(model).score(RGB) == pytest.approx(expected, abs=1e-5)
    assert 0 < expected < 0.5


def test_what_is_flagged_is_black_and_said_to_be(opened: Opened) -> None:
    engine = opened(4.0)
    drawn = drawn_by(engine)
    assert drawn.output.has_nsfw_concepts == {
        "sticker_image": True,
        "sticker_image_background_removed": True,
    }
    assert not drawn.picture(0).any()
    assert not drawn.picture(1).any()
    assert drawn.picture(1).shape[2] == 4
    assert "Not safe for work" in warned(drawn)
    unlooked = drawn_by(engine, enable_safety_checker=False)
    assert not any(unlooked.output.has_nsfw_concepts.values())
    assert unlooked.picture(0).any()


def test_without_the_network_another_looks_and_it_is_said(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a ``false`` that nobody found."""
    engine = opened(None)
    drawn = drawn_by(engine)
    assert "open_nsfw alone" in warned(drawn)
    assert "`limner pull nsfw-falconsai`" in warned(drawn)
    assert not any(drawn.output.has_nsfw_concepts.values())
    monkeypatch.setattr(SafetyChecker, "score", lambda *_: 0.9)
    assert all(drawn_by(engine).output.has_nsfw_concepts.values())
    monkeypatch.setattr(SafetyChecker, "score", _broken)
    with pytest.raises(RuntimeError):
        drawn_by(engine)


def _broken(*_: Any) -> float:
    raise RuntimeError("the network cannot be opened")


@pytest.mark.parametrize("bad", [0, 1])
def test_both_pictures_are_looked_at_and_one_bad_one_is_enough(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, bad: int
) -> None:
    seen: list[np.ndarray[Any, Any]] = []

    def looked(self: NsfwClassifier, rgb: np.ndarray[Any, Any]) -> float:
        seen.append(rgb)
        return 0.9 if len(seen) == bad + 1 else 0.1

    monkeypatch.setattr(NsfwClassifier, "score", looked)
    drawn = drawn_by(opened(-1.0), num_inference_steps=1)
    assert [each.shape for each in seen] == [(96, 64, 3)] * 2
    assert not np.array_equal(seen[0], seen[1])
    assert all(drawn.output.has_nsfw_concepts.values())
    assert not drawn.picture(0).any()


def test_a_cutout_is_looked_at_on_white() -> None:
    cutout = np.array([[[10, 20, 30, 255], [0, 0, 0, 0], [100, 0, 200, 128]]], np.uint8)
    assert on_white(cutout).tolist() == [[[10, 20, 30], [255, 255, 255], [177, 127, 227]]]


def test_numbers_that_are_none_count_as_unsafe(weights: Path) -> None:
    model = load_nsfw(weights / tiny.NSFW_REPO, MACHINE)
    with torch.no_grad():
        model.classifier.bias.fill_(torch.nan)
    assert NsfwClassifier(model).unsafe(RGB)


def test_a_network_of_other_classes_is_refused(weights: Path) -> None:
    model = load_nsfw(weights / tiny.NSFW_REPO, MACHINE)
    model.config.id2label = {0: "cat", 1: "dog"}
    with pytest.raises(NetworkUnfit, match="no nsfw"):
        NsfwClassifier(model)


def test_a_server_that_sells_looks_with_the_same_network(weights: Path) -> None:
    safety = Safety(Holdings(weights, commercial=True), MACHINE)
    assert safety.lacking is None
    assert safety.classifier() is not None


def test_a_portrait_is_looked_at_too(weights: Path, networks: Path, tmp_path: Path) -> None:
    home = linked(weights, tmp_path / "home", without="Falconsai")
    for name in ("faceid-sd15", "arcface-buffalo-l"):
        Holdings(home, commercial=False).accept(name)
    for flags in (-4.0, 4.0):
        tiny_eyes.write_nsfw(home / tiny.NSFW_REPO, flags)
        engine = open_face_id(Workshop(networks, may_fetch=False, threads=1, weights=home))
        drawn = test_endpoint.drawn_by(engine, num_inference_steps=1)
        picture = np.asarray(Image.open(io.BytesIO(drawn.files[0])))
        assert ("Not safe for work" in drawn.said) == (flags > 0)
        assert picture.any() == (flags < 0)
