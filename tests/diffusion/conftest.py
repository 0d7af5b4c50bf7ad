"""Tiny checkpoints, built once for all tests of the diffusion engine, and networks opened once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from limner.diffusion import sticker as stickers
from limner.diffusion.adapter import read_adapter
from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.faceid import FaceId, join
from limner.diffusion.holdings import Holdings
from limner.diffusion.load import load_base, load_clip_vision, load_controlnet
from limner.diffusion.lora import fuse_lora
from limner.diffusion.machine import Machine
from limner.diffusion.weights import ENDPOINT_NEEDS, MODEL_TYPES, WEIGHTS
from tests.diffusion import tiny, tiny_eyes, tiny_homes

#: Networks this small are slower on several threads than on one.
torch.set_num_threads(1)

MACHINE = Machine(torch.device("cpu"), torch.float32)

#: The types whose adapters are published.
PUBLISHED = ("1_5-v1", "1_5-v1-plus", "1_5-v2-plus", "SDXL-v1", "SDXL-v2-plus")

Open = Callable[[str], FaceId]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``<owner>/<name>/<file>`` for every file that ip-adapter-face-id needs. Do not change."""
    return tiny_homes.build(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def opened(weights: Path) -> Open:
    """A model type on its default base, opened once."""
    return functools.cache(lambda name: open_type(weights, name))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stickers need besides: their adapters, their ControlNet, their LoRA. Do not change."""
    root = tmp_path_factory.mktemp("sticker")
    tiny_homes.build_sticker(root)
    return root


@pytest.fixture(scope="session")
def sticker_home(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights with all that stickers need, its licences accepted. Do not change."""
    folder = tmp_path_factory.mktemp("sticker-home")
    tiny_homes.build_sticker(folder)
    (folder / "frankjoshua").mkdir()
    (folder / "frankjoshua" / "albedobaseXL_v13").symlink_to(weights / tiny.BASES["sdxl"])
    (folder / "h94/IP-Adapter/models").symlink_to((weights / tiny.CLIP_FOLDER).parent)
    (folder / "Falconsai").symlink_to(weights / "Falconsai")
    tiny_eyes.write_arcface(folder / "DIAMONIK7777/antelopev2/glintr100.onnx")
    tiny_eyes.write_cutter(folder / "onnx-community/BiRefNet_lite-ONNX/onnx/model.onnx")
    for name in ENDPOINT_NEEDS["fal-ai/face-to-sticker"]:
        if not WEIGHTS[name].commercial:
            Holdings(folder, commercial=False).accept(name)
    return folder


def linked(home: Path, folder: Path, *, without: str = "") -> Path:
    """A folder of weights of its own, as ``home`` but for one owner's."""
    folder.mkdir()
    for each in home.iterdir():
        if each.name != without:
            (folder / each.name).symlink_to(each)
    return folder


def open_sticker(
    weights: Path, files: Path, *, lora: bool = True, depth: Path | None = None
) -> stickers.Sticker:
    """Fresh networks for stickers."""
    base = load_base(weights / tiny.BASES["sdxl"], MACHINE, xl=True)
    if lora:
        fuse_lora(base, files / tiny.STICKER_LORA)
    adapters = (
        read_adapter(files / tiny.INSTANTID_REPO / "ip-adapter.bin"),
        read_adapter(files / tiny.PLUS_FACE),
    )
    control = load_controlnet(files / tiny.INSTANTID_REPO / "ControlNetModel", MACHINE)
    clip = load_clip_vision(weights / tiny.CLIP_FOLDER, MACHINE)
    second = None if depth is None else load_controlnet(depth, MACHINE)
    return stickers.join(MACHINE, base, adapters, clip, (control, second), Denoiser())


def open_type(weights: Path, name: str) -> FaceId:
    """A fresh FaceId of the type called ``name``."""
    kind = MODEL_TYPES[name]
    family = "sdxl" if kind.xl else "sd15"
    vae = None if kind.xl else weights / tiny.VAE_REPO
    base = load_base(weights / tiny.BASES[family], MACHINE, xl=kind.xl, vae=vae)
    clip = load_clip_vision(weights / tiny.CLIP_FOLDER, MACHINE) if kind.plus else None
    adapter = read_adapter(weights / tiny.FACEID_REPO / WEIGHTS[kind.adapter].files[0].path)
    return join(kind, MACHINE, base, adapter, clip, Denoiser())
