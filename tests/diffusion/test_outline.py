"""Single-file checkpoints open offline: what Limner ships for them is the real thing."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from limner.diffusion.base_models import check_folder
from limner.diffusion.load import load_base, load_single_file
from limner.diffusion.outline import write_outline
from limner.errors import NetworkUnfit
from tests.diffusion import tiny
from tests.diffusion.conftest import MACHINE
from tests.diffusion.single_file import write_single_file


def parameters(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("xl", "unet", "second"), [(False, 859_520_964, None), (True, 2_567_463_684, 694_659_840)]
)
def test_the_outline_is_of_the_published_sizes(
    tmp_path: Path, xl: bool, unet: int, second: int | None
) -> None:
    """pipelines.md F: 859.5 and 2567.5 million in the UNets, 83.7 in the VAE, 123.1 and 694.7."""
    folder = write_outline(tmp_path, xl=xl)
    assert check_folder(folder) is xl
    kinds: Any = UNet2DConditionModel, AutoencoderKL
    with torch.device("meta"):
        models = [
            kind.from_config(json.loads((folder / name / "config.json").read_text()))
            for kind, name in zip(kinds, ("unet", "vae"), strict=True)
        ]
        first = CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder"))
        assert [parameters(model) for model in (*models, first)] == [unet, 83_653_863, 123_060_480]
        if second is not None:
            config = CLIPTextConfig.from_pretrained(folder / "text_encoder_2")
            assert parameters(CLIPTextModelWithProjection(config)) == second


def test_the_tokenizers_are_clips(tmp_path: Path) -> None:
    """Ids as OpenAI's own tokenizer gives them; the two differ in what they fill up with."""
    folder = write_outline(tmp_path, xl=True)
    first, second = (CLIPTokenizer.from_pretrained(folder / f"tokenizer{n}") for n in ("", "_2"))
    assert len(first) == 49408
    assert first("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert (first.pad_token_id, second.pad_token_id) == (49407, 0)
    assert first.model_max_length == 77


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_single_file_opens_offline_as_the_folder_it_was_made_of(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    def no_network(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    xl, folder = family == "sdxl", weights / tiny.BASES[family]
    write_single_file(folder, tmp_path / "download", xl=xl)
    single = load_single_file(tmp_path / "download", MACHINE, xl=xl, like=folder)
    whole = load_base(folder, MACHINE, xl=xl)
    pairs = [(single.unet, whole.unet), (single.vae, whole.vae)]
    pairs += [(a.model, b.model) for a, b in zip(single.encoders, whole.encoders, strict=True)]
    assert len(pairs) == (4 if xl else 3)
    for one, other in pairs:
        own, expected = one.state_dict(), other.state_dict()
        assert own.keys() == expected.keys()
        assert all(torch.equal(own[key], value) for key, value in expected.items())
    assert [each.skip_last for each in single.encoders] == [xl] * len(single.encoders)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_by_itself_a_single_file_is_what_the_published_family_is(
    weights: Path, tmp_path: Path, family: str
) -> None:
    """A narrow one is refused: the shipped outline was read, without a folder beside it."""
    xl = family == "sdxl"
    write_single_file(weights / tiny.BASES[family], tmp_path / "download", xl=xl)
    with pytest.raises(NetworkUnfit, match="download cannot be loaded"):
        load_single_file(tmp_path / "download", MACHINE, xl=xl)
