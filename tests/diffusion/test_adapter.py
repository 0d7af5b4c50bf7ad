"""Adapters do what their authors published, layer by layer, and refuse what they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from limner.diffusion.adapter import Context, attention_names, fit, read, read_adapter
from limner.diffusion.projection import FaceTokens, PlusFaceTokens, Resampler, build_projection
from limner.errors import NetworkUnfit
from tests.diffusion import oracle, tiny, tiny_adapters

CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}


def numbers(*shape: int, seed: int = 7) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def single(part: Any) -> dict[str, torch.Tensor]:
    return {key: value.float() for key, value in part.items()}


@pytest.mark.parametrize("name", tiny.ADAPTERS)
def test_projected_tokens_equal_the_published_arithmetic(weights: Path, name: str) -> None:
    adapter = read_adapter(weights / tiny.FACEID_REPO / name)
    published = single(adapter.image_proj)
    projection = build_projection(adapter.kind, published)
    face = functional.normalize(numbers(2, 512), dim=-1)
    if not tiny.ADAPTERS[name][1]:
        assert type(projection) is FaceTokens
        torch.testing.assert_close(projection(face), oracle.face_tokens(published, face), **CLOSE)
        return
    assert isinstance(projection, PlusFaceTokens)
    seen = numbers(2, 17, tiny.CLIP)
    both: list[torch.Tensor] = []
    for shortcut in (False, True):
        tokens = projection.look(face, seen, shortcut=shortcut)
        expected = oracle.plus_tokens(published, face, seen, shortcut=shortcut)
        torch.testing.assert_close(tokens, expected, **CLOSE)
        both.append(tokens)
    assert (both[0] - both[1]).abs().max() > 0.1, "the shortcut changes nothing"


@pytest.mark.parametrize("reads", [512, tiny.CLIP])
def test_a_resampler_equals_the_published_arithmetic(tmp_path: Path, reads: int) -> None:
    model = tiny.unet("sd15")
    parts = {
        "image_proj": tiny_adapters.resampler_projection(reads, tiny.TEXT),
        "ip_adapter": tiny_adapters.attention_tensors(model, lora=False),
    }
    torch.save(parts, tmp_path / "ip-adapter.bin")
    adapter = read_adapter(tmp_path / "ip-adapter.bin")
    projection = build_projection(adapter.kind, adapter.image_proj)
    seen = numbers(2, 5, reads)
    assert isinstance(projection, Resampler)
    expected = oracle.resampler_tokens(parts["image_proj"], seen)
    torch.testing.assert_close(projection(seen), expected, **CLOSE)


@pytest.mark.parametrize("name", tiny.ADAPTERS)
def test_every_attention_layer_equals_the_published_arithmetic(weights: Path, name: str) -> None:
    family, _ = tiny.ADAPTERS[name]
    model = tiny.unet(family)
    before = {
        layer: {
            **{
                key: value.clone() for key, value in model.get_submodule(layer).state_dict().items()
            },
            "heads": torch.tensor(model.get_submodule(layer).heads),
        }
        for layer in attention_names(model)
    }
    adapter = read_adapter(weights / tiny.FACEID_REPO / name)
    fit(model, [adapter])
    published = single(adapter.ip_adapter)
    text, tokens = numbers(2, 5, tiny.WIDTHS[family]), numbers(2, 4, tiny.WIDTHS[family], seed=8)
    strengths = torch.tensor([0.6, 0.6])
    context = Context(read(model, text, (tokens,)), (strengths,))
    assert len(before) == {"sd15": 32, "sdxl": 140}[family]
    for number, (layer, base) in enumerate(before.items()):
        x = numbers(2, 9, base["to_q.weight"].shape[1], seed=number)
        told = {"encoder_hidden_states": context.of(number // 2)} if number % 2 else {}
        with torch.inference_mode():
            answer = model.get_submodule(layer)(x, **told)
            expected = oracle.attention_layer(base, published, number, x, (text, tokens, 0.6))
        torch.testing.assert_close(answer, expected, **CLOSE)


def test_a_silent_adapter_is_the_same_as_strength_zero(weights: Path) -> None:
    model = tiny.unet("sd15")
    fit(model, [read_adapter(weights / tiny.FACEID_REPO / "ip-adapter-faceid_sd15.bin")])
    layer = model.get_submodule(attention_names(model)[1])
    x, text, tokens = numbers(1, 9, 32), numbers(1, 5, tiny.TEXT), numbers(1, 4, tiny.TEXT)
    layers = read(model, text, (tokens,))
    silent, muted = (
        layer(x, encoder_hidden_states=Context(layers, (strength,)).of(0))
        for strength in (None, torch.tensor([0.0]))
    )
    assert torch.equal(silent, muted)


def test_a_unet_takes_an_adapter_once(weights: Path) -> None:
    """diffusers keeps the first adapter's LoRA under the second (pipelines.md A.8)."""
    model = tiny.unet("sd15")
    fit(model, [read_adapter(weights / tiny.FACEID_REPO / "ip-adapter-faceid-plus_sd15.bin")])
    other = read_adapter(weights / tiny.FACEID_REPO / "ip-adapter-faceid_sd15.bin")
    with pytest.raises(RuntimeError, match="fresh"):
        fit(model, [other])


def test_a_unet_with_an_adapter_is_never_called_without_tokens(weights: Path) -> None:
    model = tiny.unet("sd15")
    fit(model, [read_adapter(weights / tiny.FACEID_REPO / "ip-adapter-faceid_sd15.bin")])
    with pytest.raises(TypeError, match="Context"):
        model(numbers(1, 4, 8, 8), 1, encoder_hidden_states=numbers(1, 5, tiny.TEXT))


def test_a_safetensors_twin_is_read_as_the_pickled_file(weights: Path, tmp_path: Path) -> None:
    pickled = read_adapter(weights / tiny.FACEID_REPO / "ip-adapter-faceid-plusv2_sd15.bin")
    flat = {f"image_proj.{key}": value.clone() for key, value in pickled.image_proj.items()}
    flat |= {f"ip_adapter.{key}": value.clone() for key, value in pickled.ip_adapter.items()}
    save_file(flat, tmp_path / "twin.safetensors")
    twin = read_adapter(tmp_path / "twin.safetensors")
    assert twin.kind == pickled.kind
    for mine, theirs in (
        (twin.image_proj, pickled.image_proj),
        (twin.ip_adapter, pickled.ip_adapter),
    ):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_an_adapter_of_the_other_family_is_refused_naming_both(weights: Path) -> None:
    xl = read_adapter(weights / tiny.FACEID_REPO / "ip-adapter-faceid_sdxl.bin")
    with pytest.raises(NetworkUnfit, match=r"width 128, the UNet reads 64"):
        fit(tiny.unet("sd15"), [xl])


@pytest.mark.parametrize(
    ("part", "key"),
    [("ip_adapter", "31.to_v_ip.weight"), ("ip_adapter", "0.to_out_lora.up.weight")],
)
def test_a_file_with_a_tensor_missing_is_refused_by_its_name(
    weights: Path, tmp_path: Path, part: str, key: str
) -> None:
    path = weights / tiny.FACEID_REPO / "ip-adapter-faceid_sd15.bin"
    whole = torch.load(path, weights_only=True)
    del whole[part][key]
    torch.save(whole, tmp_path / "cut.bin")
    with pytest.raises(NetworkUnfit, match=key):
        fit(tiny.unet("sd15"), [read_adapter(tmp_path / "cut.bin")])


def test_a_projection_with_a_tensor_too_much_is_refused_by_its_name(weights: Path) -> None:
    adapter = read_adapter(weights / tiny.FACEID_REPO / "ip-adapter-faceid_sd15.bin")
    surplus = {**adapter.image_proj, "surplus.weight": torch.zeros(1)}
    with pytest.raises(NetworkUnfit, match=r"surplus\.weight"):
        build_projection(adapter.kind, surplus)


def test_a_pickle_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"image_proj": {}, "ip_adapter": {"x": Payload()}}, tmp_path / "evil.bin")
    with pytest.raises(NetworkUnfit):
        read_adapter(tmp_path / "evil.bin")
    assert not (tmp_path / "ran").exists()
