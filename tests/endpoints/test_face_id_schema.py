"""ip-adapter-face-id's schema is fal's page to the letter, and says what it cannot take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from limner.endpoints.accept import accept
from limner.endpoints.fields import EXTENSION
from limner.endpoints.ip_adapter_face_id.schema import IpAdapterFaceIdInput, IpAdapterFaceIdOutput
from limner.errors import InvalidInput

PAGE = Path(__file__).parent / "ip_adapter_face_id.fal.txt"
#: Words of the page for JSON schema's types.
TYPES = {"string": "string", "integer": "integer", "float": "number", "ModelTypeEnum": "string"}


def on_fals_page() -> dict[str, dict[str, Any]]:
    """Field → type, required, description, default and enum as the page prints them, in order."""
    text = PAGE.read_text(encoding="utf-8")
    section = text[text.index("Input#\n") + 7 : text.index("\n{\n")]
    fields: dict[str, dict[str, Any]] = {}
    parts = re.split(rf"^(\w+)\n({'|'.join(TYPES)})\n", section, flags=re.MULTILINE)
    for name, kind, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        enum = re.search(r"\nPossible enum values: (.*)", body)
        words = body[: enum.start()] if enum else body.rstrip("\n")
        default = re.search(r' ?Default value: (".*"|[\d.]+)$', words)
        words = words[: default.start()] if default else words
        fields[name] = {
            "type": TYPES[kind],
            "required": words.startswith("* required"),
            "description": words.removeprefix("* required"),
            "default": default and default.group(1).strip('"'),
            "enum": enum and enum.group(1).split(", "),
        }
    return fields


def test_names_order_types_texts_defaults_and_choices_are_fals() -> None:
    schema = IpAdapterFaceIdInput.model_json_schema()
    own = {name: field for name, field in schema["properties"].items() if EXTENSION not in field}
    page = on_fals_page()
    assert list(own) == list(page)
    assert len(page) == 14
    for name, told in page.items():
        field = own[name]
        kinds = [branch["type"] for branch in field.get("anyOf", [field])]
        assert kinds[0] == told["type"], name
        assert field["description"] == told["description"], name
        assert (name in schema["required"]) == told["required"], name
        default = field.get("default")
        assert (None if default is None else str(default)) == told["default"], name
        assert field.get("enum") == told["enum"], name


def test_the_extras_are_marked_and_left_out_unless_asked_for() -> None:
    for model in (IpAdapterFaceIdInput, IpAdapterFaceIdOutput):
        properties = model.model_json_schema()["properties"]
        extras = [name for name, field in properties.items() if field.get(EXTENSION)]
        assert extras == list(properties)[-len(extras) :]
    assert list(IpAdapterFaceIdOutput.model_json_schema()["properties"])[:2] == ["image", "seed"]


@pytest.mark.parametrize(
    "name",
    [
        "SG161222/Realistic_Vision_V4.0_noVAE",
        "a/b@main",
        "a/b@refs/pr/3",
        "https://huggingface.co/SG161222/RealVisXL_V3.0",
        "https://huggingface.co/o/n/resolve/main/model.safetensors?download=true",
        "https://civitai.com/files/dream.safetensors?token=1",
    ],
)
def test_names_of_base_models_are_taken(name: str) -> None:
    for field in ("base_1_5_model_repo", "base_sdxl_model_repo"):
        accept(IpAdapterFaceIdInput, {"prompt": "x", field: name})


@pytest.mark.parametrize(
    "name",
    [
        "",
        "model",
        "../../etc/passwd",
        "a/../b",
        "/srv/models/x.safetensors",
        "https://example.com/model.ckpt",
        "http://example.com/model.safetensors",
        "file:///model.safetensors",
        "a/b/c",
        "a/b\n",
        "https://huggingface.co.evil.example/a/b",
    ],
)
def test_what_names_no_base_model_is_refused_at_its_field(name: str) -> None:
    raw = {"prompt": "x", "base_1_5_model_repo": name, "base_sdxl_model_repo": name}
    with pytest.raises(InvalidInput) as caught:
        accept(IpAdapterFaceIdInput, raw)
    places = [entry["loc"] for entry in caught.value.entries]
    assert places == [["body", "base_1_5_model_repo"], ["body", "base_sdxl_model_repo"]]
    assert {entry["type"] for entry in caught.value.entries} == {"value_error"}
    assert "Hugging Face id" in caught.value.entries[0]["msg"]


def test_every_number_has_bounds() -> None:
    raw = {
        "prompt": "x", "seed": -1, "guidance_scale": 21, "num_inference_steps": 0,
        "num_samples": 0, "width": 63, "height": 2049, "face_id_det_size": 0, "model_type": "1_5",
    }  # fmt: skip
    with pytest.raises(InvalidInput) as caught:
        accept(IpAdapterFaceIdInput, raw)
    assert {entry["loc"][1] for entry in caught.value.entries} == set(raw) - {"prompt"}
