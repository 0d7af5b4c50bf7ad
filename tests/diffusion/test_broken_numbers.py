"""Both endpoints when a network's numbers break: seen, drawn once more in fp32, then an error.

On a machine of half precision, by checkpoints whose numbers are too large for it: in fp32 a norm
brings them back, in fp16 (65504 at most) they are infinite before it is reached.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from limner.diffusion.base_models import parse_base
from limner.diffusion.holdings import Holdings
from limner.diffusion.machine import Machine
from limner.endpoints import painting
from limner.endpoints.base import Workshop
from limner.endpoints.face_to_sticker import diffusion as sticker_engine
from limner.endpoints.ip_adapter_face_id import diffusion as face_engine
from limner.errors import BrokenPicture
from tests.diffusion import test_endpoint, test_sticker_endpoint, tiny
from tests.diffusion.conftest import linked

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CPU = torch.device("cpu")
FULL, HALF, BRAIN = (Machine(CPU, d) for d in (torch.float32, torch.float16, torch.bfloat16))
AGAIN = "The numbers broke in half precision: drawn once more in fp32"

#: A checkpoint's folder, and what is done to one of its tensors.
Harm = tuple[str, str, Callable[[torch.Tensor], torch.Tensor]]
TOO_LARGE: Harm = ("unet", "conv_in.weight", lambda weight: weight * 1e6)
NO_NUMBER: Harm = ("unet", "conv_out.bias", lambda bias: bias * torch.nan)
BLIND: Harm = ("vae", "decoder.conv_out.bias", lambda bias: bias * torch.nan)
BLACK: Harm = ("vae", "decoder.conv_out.bias", lambda bias: bias * 0 - 100)


def harmed(weights: Path, base: Path, family: str, harm: Harm) -> Path:
    """A copy of a base of which one tensor is not what it was."""
    shutil.copytree(weights / tiny.BASES[family], base)
    part, name, change = harm
    file = base / part / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    tensors[name] = change(tensors[name])
    save_file(tensors, file, metadata={"format": "pt"})
    return base


class Drawing:
    """What came of a request: its files, and whether it was drawn once more."""

    def __init__(self, drawn: Any) -> None:
        self.files: list[bytes] = drawn.files
        self.again = [step.message for step in drawn.steps].count(AGAIN)


Draw = Callable[..., Drawing]


@pytest.fixture
def face_id(
    weights: Path, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Harm], Draw]:
    """Draws a portrait on a harmed base, on a machine of some precision."""

    def prepare(harm: Harm) -> Draw:
        home = linked(weights, tmp_path / "home")
        holdings = Holdings(home, commercial=False)
        for name in ("faceid-sd15", "arcface-buffalo-l"):
            holdings.accept(name)
        holdings.let_in(
            parse_base("someone/harmed"), harmed(weights, tmp_path / "base", "sd15", harm)
        )

        def draw(machine: Machine, **wishes: Any) -> Drawing:
            monkeypatch.setattr(painting, "this_machine", lambda **_: machine)
            workshop = Workshop(networks, may_fetch=False, threads=1, weights=home)
            engine = face_engine.open_engine(workshop)
            asked = {"base_1_5_model_repo": "someone/harmed", "num_inference_steps": 1, **wishes}
            return Drawing(test_endpoint.drawn_by(engine, **asked))

        return draw

    return prepare


@pytest.fixture
def sticker(
    weights: Path,
    sticker_home: Path,
    networks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Harm], Draw]:
    """Draws a sticker on a harmed base, on a machine of some precision."""

    def prepare(harm: Harm) -> Draw:
        home = linked(sticker_home, tmp_path / "home", without="frankjoshua")
        harmed(weights, home / "frankjoshua" / "albedobaseXL_v13", "sdxl", harm)

        def draw(machine: Machine, **wishes: Any) -> Drawing:
            monkeypatch.setattr(painting, "this_machine", lambda **_: machine)
            workshop = Workshop(networks, may_fetch=False, threads=1, weights=home)
            engine = sticker_engine.open_engine(workshop)
            asked = {"num_inference_steps": 1, **wishes}
            return Drawing(test_sticker_endpoint.drawn_by(engine, **asked))

        return draw

    return prepare


@pytest.mark.parametrize("endpoint", ["face_id", "sticker"])
def test_a_unet_that_overflows_in_half_precision_draws_as_fp32_would(
    endpoint: str, request: pytest.FixtureRequest
) -> None:
    draw: Draw = request.getfixturevalue(endpoint)(TOO_LARGE)
    half, full = draw(HALF), draw(FULL)
    assert (half.again, full.again) == (1, 0)
    assert half.files == full.files


def test_a_sticker_whose_detail_breaks_is_redrawn_in_fp32_from_there(
    sticker: Callable[[Harm], Draw], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drawing stands; only going over the enlarged picture broke, and is done again."""
    draw = sticker(("unet", "conv_out.bias", lambda bias: bias))
    real = sticker_engine.redraw
    precisions: list[torch.dtype] = []

    def redraw(opened: Any, *rest: Any) -> Any:
        precisions.append(opened.machine.dtype)
        if opened.machine.dtype != torch.float32:
            raise BrokenPicture("The UNet's numbers are not finite.")
        return real(opened, *rest)

    monkeypatch.setattr(sticker_engine, "redraw", redraw)
    drawn = draw(BRAIN, upscale=True, upscale_steps=1)
    assert drawn.again == 1
    assert precisions == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("endpoint", ["face_id", "sticker"])
@pytest.mark.parametrize("harm", [NO_NUMBER, BLIND, BLACK], ids=["unet", "vae", "black"])
def test_what_breaks_in_fp32_too_is_a_typed_error_and_no_file(
    endpoint: str, harm: Harm, request: pytest.FixtureRequest
) -> None:
    """Also where only the VAE breaks: no black picture is handed over."""
    draw: Draw = request.getfixturevalue(endpoint)(harm)
    with pytest.raises(BrokenPicture):
        draw(BRAIN)


@pytest.mark.parametrize("endpoint", ["face_id", "sticker"])
def test_a_vae_that_breaks_only_in_half_precision_costs_no_second_drawing(
    endpoint: str, request: pytest.FixtureRequest
) -> None:
    """fp16 machines decode in fp32; the latents are good and are decoded from."""
    grown: Harm = ("vae", "decoder.conv_in.weight", lambda weight: weight * 1e5)
    draw: Draw = request.getfixturevalue(endpoint)(grown)
    drawn = draw(HALF)
    assert drawn.again == 0
    assert drawn.files
