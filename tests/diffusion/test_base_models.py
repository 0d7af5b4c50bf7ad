"""What callers may name as a base, and what a folder or a file must be to be one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from limner.diffusion.base_models import BaseRef, base_kind, check_folder, parse_base
from limner.diffusion.sniff import UnetKind
from limner.errors import FeatureNotSupported, NetworkUnfit
from tests.diffusion import tiny

HUB = "https://huggingface.co"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/name", BaseRef("org/name", "org/name")),
        (" org/na.me_1 ", BaseRef("org/na.me_1", "org/na.me_1")),
        ("org/name@v2", BaseRef("org/name@v2", "org/name", "v2")),
        (f"{HUB}/org/name", BaseRef("org/name", "org/name")),
        (f"{HUB}/org/name/tree/main", BaseRef("org/name", "org/name")),
        (f"{HUB}/org/name/tree/abc/", BaseRef("org/name@abc", "org/name", "abc")),
        (
            f"{HUB}/org/name/resolve/main/a/b.safetensors?download=true",
            BaseRef("org/name:a/b.safetensors", "org/name", "main", "a/b.safetensors"),
        ),
        (
            "https://civitai.com/api/download/models/7",
            BaseRef("https://civitai.com/api/download/models/7"),
        ),
        ("my-model", BaseRef("my-model")),
    ],
)
def test_a_base_has_one_spelling_however_it_is_named(text: str, expected: BaseRef) -> None:
    assert parse_base(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/etc/passwd",
        "../up",
        "org/..",
        "..",
        "org/name/more",
        "http://huggingface.co/org/name",
        f"{HUB}/org",
        f"{HUB}/org/name/resolve/main/model.ckpt",
        f"{HUB}/org/name/resolve/main/../../x.safetensors",
        f"{HUB}/org/name/resolve/main/%2e%2e/x.safetensors",
        "file:///etc/passwd",
        "org/name@",
        "org/name\n",
        "o" * 97 + "/name",
    ],
)
def test_what_names_no_base_is_refused(text: str) -> None:
    if text == "org/name\n":
        assert parse_base(text).name == "org/name"
        return
    with pytest.raises(FeatureNotSupported):
        parse_base(text)


def folder_with(weights: Path, tmp_path: Path, **changes: object) -> Path:
    """The SD 1.5 base's configurations alone, with a changed ``model_index.json``."""
    source, folder = weights / tiny.BASES["sd15"], tmp_path / "base"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    index = json.loads((source / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, **changes}))
    return folder


def test_the_two_families_are_told_apart(weights: Path) -> None:
    assert check_folder(weights / tiny.BASES["sd15"]) is False
    assert check_folder(weights / tiny.BASES["sdxl"]) is True
    assert base_kind(weights / tiny.BASES["sdxl"]) == UnetKind(tiny.WIDTHS["sdxl"], 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"_class_name": "FluxPipeline"},
        {"_class_name": ["StableDiffusionPipeline"]},
        {"unet": ["os", "system"]},
        {"unet": ["my_module", "UNet2DConditionModel"]},
        {"text_encoder": ["transformers", "AutoModel"]},
        {"vae": None},
    ],
)
def test_a_base_made_of_other_classes_is_refused(
    weights: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(NetworkUnfit):
        check_folder(folder_with(weights, tmp_path, **changes))


@pytest.mark.parametrize(
    ("channels", "width", "said"),
    [
        (4, 768, "the UNet of Stable Diffusion 1.5 (text width 768)"),
        (4, 1024, "the UNet of Stable Diffusion 2 (text width 1024)"),
        (4, 2048, "the UNet of Stable Diffusion XL (text width 2048)"),
        (9, 768, "an inpainting UNet (9 input channels)"),
    ],
)
def test_a_single_file_is_known_by_its_header(
    tmp_path: Path, channels: int, width: int, said: str
) -> None:
    block = "4.1" if width == 2048 else "2.1"
    stem = "model.diffusion_model.input_blocks"
    tensors = {
        f"{stem}.0.0.weight": torch.zeros(320, channels, 3, 3),
        f"{stem}.{block}.transformer_blocks.0.attn2.to_k.weight": torch.zeros(8, width),
    }
    save_file(tensors, tmp_path / "download")
    assert str(base_kind(tmp_path / "download")) == said


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02pickle", b"\xff" * 64, b"\x02" + bytes(7) + b"[]"]
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(NetworkUnfit):
        base_kind(tmp_path / "model.safetensors")


def test_a_lora_is_no_base(tmp_path: Path) -> None:
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(2, 2)}, tmp_path / "lora.safetensors")
    with pytest.raises(NetworkUnfit, match="LoRA"):
        base_kind(tmp_path / "lora.safetensors")
