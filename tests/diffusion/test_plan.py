"""The memory plan: its numbers counted again on the published shapes, and what it decides."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bench.published import on_meta

from limner.diffusion import plan as plans
from limner.diffusion.plan import (
    GIB,
    Memory,
    Offload,
    Parts,
    Plan,
    card,
    choose_dtype,
    face_id_parts,
    plan,
    sticker_parts,
)
from limner.diffusion.weight import GB, MB
from limner.diffusion.weights import MODEL_TYPES, WEIGHTS
from tests.diffusion.live import most_alive

made = functools.cache(on_meta)


def count(network: Any) -> int:
    return sum(each.numel() for each in network.parameters())


def test_parameters_are_those_of_the_published_shapes() -> None:
    counted = {name: count(made(name)) for name in ("unet-sd15", "unet-sdxl", "controlnet-sdxl")}
    assert counted == {
        "unet-sd15": plans.UNET[False],
        "unet-sdxl": plans.UNET[True],
        "controlnet-sdxl": plans.CONTROLNET,
    }
    assert count(made("vae")) == plans.VAE
    assert count(made("clip-l")) == plans.CLIP_L
    assert count(made("clip-g")) == plans.CLIP_G
    assert count(made("clip-vision")) == plans.CLIP_VISION


@pytest.mark.parametrize(("name", "xl"), [("unet-sd15", False), ("unet-sdxl", True)])
def test_an_adapters_keys_and_the_largest_block_are_counted_layer_by_layer(
    name: str, xl: bool
) -> None:
    unet = made(name)
    width = unet.config.cross_attention_dim
    readers = [each for each in unet.attn_processors if ".attn2." in each]
    layers = [unet.get_submodule(each.removesuffix(".processor")) for each in readers]
    assert sum(2 * layer.inner_dim * width for layer in layers) == plans.KEYS[xl]
    blocks = [block for part in (unet.down_blocks, unet.up_blocks) for block in part]
    always = count(unet) - sum(map(count, blocks))
    assert always + max(map(count, blocks)) == plans.LARGEST[xl]


def test_the_largest_block_of_a_controlnet_is_not_larger_than_the_unets() -> None:
    control = made("controlnet-sdxl")
    blocks = list(control.down_blocks)
    always = count(control) - sum(map(count, blocks)) - count(control.controlnet_down_blocks)
    assert always + max(map(count, blocks)) < plans.LARGEST[True]


@pytest.mark.parametrize(
    ("weight", "file", "parameters", "width"),
    [
        ("realistic-vision-v4", "unet/diffusion_pytorch_model.safetensors", plans.UNET[False], 4),
        ("realistic-vision-v4", "text_encoder/model.safetensors", plans.CLIP_L, 4),
        ("vae-ft-mse", "diffusion_pytorch_model.safetensors", plans.VAE, 4),
        ("clip-vit-h", "models/image_encoder/model.safetensors", plans.CLIP_VISION, 4),
        (
            "instantid",
            "ControlNetModel/diffusion_pytorch_model.safetensors",
            plans.CONTROLNET,
            2,
        ),
        ("instantid", "ip-adapter.bin", plans.IDENTITY + plans.KEYS[True], 4),
        (
            "plus-face-sdxl",
            "sdxl_models/ip-adapter-plus-face_sdxl_vit-h.safetensors",
            plans.LOOK + plans.KEYS[True],
            2,
        ),
    ],
)
def test_parameters_agree_with_the_sizes_of_the_published_files(
    weight: str, file: str, parameters: int, width: int
) -> None:
    """Sizes are published in three digits; a header is some hundred kB."""
    size = next(each.size for each in WEIGHTS[weight].files if each.path == file)
    assert size is not None
    assert abs(parameters * width - size) < max(0.004 * size, MB)


def test_what_is_between_the_layers_is_what_lives_at_once() -> None:
    """From one size to the next, so that the weights, of which some calls make views, drop out."""

    def numbers(name: str, call: Callable[[int], Any], rows: int) -> float:
        network_alive = [most_alive(lambda side=side: call(side)) for side in (64, 128)]
        return (network_alive[1] - network_alive[0]) / (rows * (1024**2 - 512**2)) / 2

    def empty(*shape: int) -> torch.Tensor:
        return torch.empty(*shape, device="meta", dtype=torch.bfloat16)

    def unet(name: str, width: int) -> Callable[[int], Any]:
        added = {"text_embeds": empty(2, 1280), "time_ids": empty(2, 6)}
        time = torch.empty((), device="meta")
        return lambda side: made(name)(
            empty(2, 4, side, side),
            time,
            encoder_hidden_states=empty(2, 77, width),
            added_cond_kwargs=added,
            return_dict=False,
        )

    small = numbers("unet-sd15", unet("unet-sd15", 768), 2)
    large = numbers("unet-sdxl", unet("unet-sdxl", 2048), 2)
    decoding = numbers("vae", lambda side: made("vae").decode(empty(1, 4, side, side)), 1)
    assert 0.75 * plans.UNET_LIVE[False] < small <= 1.01 * plans.UNET_LIVE[False]
    assert 0.95 * plans.UNET_LIVE[True] < large <= 1.01 * plans.UNET_LIVE[True]
    assert 0.95 * plans.VAE_LIVE < decoding <= 1.01 * plans.VAE_LIVE


def face_id(name: str, at_once: int = 4) -> Parts:
    kind = MODEL_TYPES[name]
    return face_id_parts(kind, 1 if kind.xl else at_once)


def weights_alone(parts: Parts) -> float:
    """GB in half precision."""
    return (parts.readers + parts.painters + parts.residents) * 2 / GB


def test_weights_are_what_the_pipelines_were_measured_to_have() -> None:
    """pipelines.md F: SD 1.5 2.2–3.5 GB, SDXL 7.7–9.3 GB, a sticker 14.9 GB with a second
    ControlNet (2.5), which Limner has not."""
    assert weights_alone(face_id("1_5-v1")) == pytest.approx(2.2, abs=0.06)
    assert weights_alone(face_id("1_5-v2-plus")) == pytest.approx(3.5, abs=0.06)
    assert weights_alone(face_id("SDXL-v1")) == pytest.approx(7.7, abs=0.07)
    assert weights_alone(face_id("SDXL-v2-plus")) == pytest.approx(9.3, abs=0.06)
    assert weights_alone(sticker_parts()) == pytest.approx(14.9 - 2.5, abs=0.06)


HERE, TURNS, BLOCKS = Offload.NONE, Offload.NETWORKS, Offload.BLOCKS


@pytest.mark.parametrize(
    ("parts", "side", "ways"),
    [
        (face_id("1_5-v1"), 512, (HERE, HERE, HERE, HERE)),
        (face_id("1_5-v2-plus"), 512, (HERE, HERE, HERE, HERE)),
        (face_id("SDXL-v1"), 512, (TURNS, HERE, HERE, HERE)),
        (face_id("SDXL-v2-plus"), 1024, (BLOCKS, HERE, HERE, HERE)),
        (sticker_parts(), 1024, (BLOCKS, TURNS, HERE, HERE)),
    ],
)
def test_cards_of_8_12_16_and_24_gb_hold_what_they_can(
    parts: Parts, side: int, ways: tuple[Offload, ...]
) -> None:
    made = [plan(parts, side**2, card(gib), "bfloat16") for gib in (8, 12, 16, 24)]
    assert tuple(each.offload for each in made) == ways
    assert all(each.fits for each in made)
    assert all(each.peak < gib * GIB for each, gib in zip(made, (8, 12, 16, 24), strict=True))


def test_a_sticker_is_decoded_in_tiles_where_its_networks_leave_no_room() -> None:
    def sticker(gib: float) -> Plan:
        return plan(sticker_parts(), 1024**2, card(gib), "bfloat16")

    assert sticker(24).whole >= 1024**2
    assert sticker(16).whole < 1024**2
    # 12.4 GB of weights, 1.6 GB for a tile: 512² pixels, 769 numbers, four times, two bytes.
    assert sticker(16).peak == pytest.approx(12.40e9 + 512**2 * 769 * 4 * 2, rel=0.001)


def test_how_a_picture_is_decoded_depends_on_the_card_and_not_on_what_else_is_there() -> None:
    """Tiles change a picture a little: the same request has the same bytes on the same card."""
    alone = plan(sticker_parts(), 1024**2, card(24), "bfloat16")
    crowded = plan(sticker_parts(), 1024**2, Memory(card(24).total, 11e9), "bfloat16")
    assert crowded.offload > alone.offload
    assert crowded.whole == alone.whole


def test_what_fits_nowhere_is_said_and_the_host_moves_nothing() -> None:
    assert not plan(sticker_parts(), 4096**2, card(8), "bfloat16").fits
    host = plan(sticker_parts(), 1024**2, Memory(16e9, 4e9), "float32", host=True)
    assert host.offload is Offload.NONE
    assert not host.fits


def test_fp16_decodes_in_fp32_and_needs_room_for_it() -> None:
    half, brain = (
        plan(face_id("1_5-v1"), 2048**2, card(24), dtype) for dtype in ("float16", "bfloat16")
    )
    assert half.whole == pytest.approx(brain.whole / 2, rel=0.02)


def test_numbers_are_those_the_device_was_made_for() -> None:
    assert choose_dtype("cuda", bf16=True) == "bfloat16"
    assert choose_dtype("cuda", bf16=False) == "float16"
    assert choose_dtype("cpu", bf16=True) == "bfloat16"
    assert choose_dtype("cpu", bf16=False) == "float32"


def test_networks_that_draw_are_converted_where_the_host_has_room_for_them_twice() -> None:
    """SD 1.5 in fp32: four bytes for each of 878.7 M parameters of the painters twice, of 210.4 M
    others, and of the numbers alive in a call of eight rows, four times."""

    def on_a_host(gib: float, free: float, **told: Any) -> Plan:
        memory = Memory(gib * GIB, free * GIB)
        return plan(face_id("1_5-v1"), 512**2, memory, "bfloat16", host=True, **told)

    made = on_a_host(32, 20, converts=True)
    assert (made.converted, made.dtype, made.fits) == (True, "float32", True)
    drawing = 8 * 512**2 * 130 * 4
    assert made.peak == pytest.approx((2 * 878.7e6 + 210.4e6 + drawing) * 4, rel=0.001)
    crowded = on_a_host(32, 1, converts=True)
    assert (crowded.converted, crowded.fits) == (True, False), "what else is there decides nothing"
    small = on_a_host(12, 12, converts=True)
    assert (small.converted, small.dtype, small.fits) == (False, "bfloat16", True)
    assert on_a_host(32, 20).dtype == "bfloat16"
