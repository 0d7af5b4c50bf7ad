"""LCM-LoRA: what diffusers draws with its own LCMScheduler, in networks that are nobody else's."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_lcm import LCMScheduler

from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.faceid import FaceId
from limner.diffusion.holdings import Holdings
from limner.diffusion.load import load_base
from limner.diffusion.lora import fuse_lora
from limner.diffusion.plan import GIB, Memory
from limner.diffusion.studio import Studio
from limner.diffusion.weights import MODEL_TYPES, WEIGHTS
from limner.endpoints.base import Workshop
from limner.endpoints.ip_adapter_face_id.diffusion import DiffusionFaceId, open_engine
from limner.errors import FeatureNotSupported, NetworkUnfit
from tests.diffusion import tiny
from tests.diffusion.conftest import MACHINE, linked
from tests.diffusion.test_endpoint import drawn_by
from tests.diffusion.test_faceid import WISH, latents, stock, stock_latents

LCM = {"lcm_steps": 3}


def accepted(folder: Path) -> Path:
    """A folder of weights whose licences are all accepted."""
    for weight in WEIGHTS.values():
        if not weight.commercial:
            Holdings(folder, commercial=False).accept(weight.name)
    return folder


@pytest.fixture(scope="module")
def home(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return accepted(linked(weights, tmp_path_factory.mktemp("lcm") / "home"))


@pytest.fixture(scope="module")
def studio(home: Path) -> Studio:
    holdings = Holdings(home, commercial=False)
    return Studio(holdings, MACHINE, 1, Denoiser(), lambda _: Memory(64 * GIB, 64 * GIB))


@pytest.fixture(scope="module")
def engine(home: Path, networks: Path) -> DiffusionFaceId:
    return open_engine(Workshop(networks, may_fetch=False, threads=1, weights=home))


def with_lcm(studio: Studio, name: str) -> FaceId:
    kind = MODEL_TYPES[name]
    base = "SG161222/RealVisXL_V3.0" if kind.xl else "SG161222/Realistic_Vision_V4.0_noVAE"
    return studio.open(kind, studio.check(kind, base, lcm=True), (64, 96), lcm=True)


def stock_with_lcm(weights: Path, name: str) -> Any:
    """As the LoRA's card says: diffusers' loader, its fusing, and LCMScheduler.from_config."""
    pipe = stock(weights, name)
    file = weights / tiny.LCM_LORAS["sdxl" if MODEL_TYPES[name].xl else "sd15"]
    pipe.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="lcm")
    pipe.fuse_lora(adapter_names=["lcm"])
    pipe.unload_lora_weights()
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
    return pipe


@pytest.mark.parametrize(
    ("name", "guidance"), [("1_5-v1", 1.0), ("1_5-v1", 1.5), ("SDXL-v2-plus", 1.0)]
)
def test_a_drawing_equals_the_stock_pipelines_with_the_same_lora(
    weights: Path, studio: Studio, name: str, guidance: float
) -> None:
    wish = dataclasses.replace(WISH, guidance=guidance, steps=4, seeds=(3, 4))
    expected = stock_latents(stock_with_lcm(weights, name), MODEL_TYPES[name], wish)
    faceid = with_lcm(studio, name)
    own = torch.cat(latents(faceid, guidance=guidance, steps=4, seeds=wish.seeds))
    torch.testing.assert_close(own, expected, atol=1e-4, rtol=1e-4)


def test_the_lora_and_its_steps_are_both_needed(studio: Studio) -> None:
    """Either alone is another picture: nothing of it is left out unseen."""
    few, usual = with_lcm(studio, "1_5-v1"), _usual(studio, "1_5-v1")
    drawn = latents(few, guidance=1.0, steps=4)[0]
    without_lora = dataclasses.replace(usual, scheduler=few.scheduler)
    without_steps = dataclasses.replace(few, scheduler=usual.scheduler)
    for other in (without_lora, without_steps):
        assert (latents(other, guidance=1.0, steps=4)[0] - drawn).abs().max() > 1e-2


def _usual(studio: Studio, name: str) -> FaceId:
    kind = MODEL_TYPES[name]
    where = studio.check(kind, "SG161222/Realistic_Vision_V4.0_noVAE")
    return studio.open(kind, where, (64, 96))


def test_its_networks_are_its_own(studio: Studio) -> None:
    few, usual = with_lcm(studio, "1_5-v1"), _usual(studio, "1_5-v1")
    assert few.network is not usual.network
    assert with_lcm(studio, "1_5-v1") is few
    assert _usual(studio, "1_5-v1") is usual


def test_a_lora_of_the_other_family_is_refused(weights: Path) -> None:
    base = load_base(weights / tiny.BASES["sd15"], MACHINE, xl=False, vae=weights / tiny.VAE_REPO)
    with pytest.raises(NetworkUnfit, match="no LoRA for this base"):
        fuse_lora(base, weights / tiny.LCM_LORAS["sdxl"])


def test_a_request_is_drawn_in_so_few_steps_and_the_next_one_as_ever(
    engine: DiffusionFaceId,
) -> None:
    usual = drawn_by(engine).files
    few = drawn_by(engine, x_fast=LCM)
    assert "drawn by LCM in 3 steps with guidance of 1" in few.said
    assert [step.message for step in few.steps if step.message.startswith("Step")] == [
        f"Step {number} of 3" for number in (1, 2, 3)
    ]
    unread = {"num_inference_steps": 9, "guidance_scale": 20, "negative_prompt": "sea"}
    assert drawn_by(engine, x_fast=LCM, **unread).files == few.files
    guided = drawn_by(engine, x_fast={**LCM, "lcm_guidance": 2})
    assert len({*usual, *few.files, *guided.files}) == 3
    assert drawn_by(engine).files == usual


def test_without_the_lora_it_is_said_what_the_operator_can_do(
    weights: Path, networks: Path, tmp_path: Path
) -> None:
    folder = accepted(linked(weights, tmp_path / "home", without="latent-consistency"))
    engine = open_engine(Workshop(networks, may_fetch=False, threads=1, weights=folder))
    with pytest.raises(FeatureNotSupported, match="`limner pull lcm-lora-sdxl`") as raised:
        drawn_by(engine, model_type="SDXL-v1", x_fast=LCM)
    assert raised.value.loc == ("body", "x_fast", "lcm_steps")
