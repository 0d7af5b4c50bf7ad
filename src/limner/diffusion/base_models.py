"""What a caller may name as the model under the adapter, and whether it can be one.

A name is the hub's ``owner/name`` (with ``@revision`` if wanted), an address of the hub, an https
address of one safetensors file, or a name that the operator gave. It is only ever compared with
what the operator let in: a request downloads nothing and opens no address.

Knows names, configurations and the headers of files; knows no network and no request.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from limner.diffusion.sniff import UNREADABLE, UnetKind, sniff_single_file, sniff_unet_config
from limner.errors import FeatureNotSupported, NetworkUnfit

_PART = r"[\w.-]{1,96}"
_REPO = re.compile(rf"(?P<repo>{_PART}/{_PART})(@(?P<revision>[\w./-]{{1,96}}))?", re.ASCII)
_LOCAL = re.compile(_PART, re.ASCII)
_HUB_PATH = re.compile(
    rf"/(?P<repo>{_PART}/{_PART})"
    rf"(/(?:tree|blob|resolve)/(?P<revision>{_PART})(?:/(?P<file>[\w./-]+))?)?/?",
    re.ASCII,
)
_HUB = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})

#: The classes a base may be made of. The library's name in ``model_index.json`` is a module that
#: a pipeline would import, so it is compared and never used.
CLASSES: dict[str, frozenset[tuple[str, str]]] = {
    "unet": frozenset({("diffusers", "UNet2DConditionModel")}),
    "vae": frozenset({("diffusers", "AutoencoderKL")}),
    "text_encoder": frozenset({("transformers", "CLIPTextModel")}),
    "text_encoder_2": frozenset({("transformers", "CLIPTextModelWithProjection")}),
    "tokenizer": frozenset(
        {("transformers", "CLIPTokenizer"), ("transformers", "CLIPTokenizerFast")}
    ),
    "tokenizer_2": frozenset(
        {("transformers", "CLIPTokenizer"), ("transformers", "CLIPTokenizerFast")}
    ),
}
PIPELINES = {"StableDiffusionPipeline": False, "StableDiffusionXLPipeline": True}


@dataclass(frozen=True, slots=True)
class BaseRef:
    """A base as it was named. ``repo`` is empty for an address elsewhere or a local name."""

    #: The one spelling under which the operator lets it in and callers use it.
    name: str
    repo: str = ""
    revision: str = "main"
    #: A single-file checkpoint in the repository; empty: the whole diffusers folder.
    file: str = ""


def parse_base(text: str) -> BaseRef:
    """Read a base's name. Raises FeatureNotSupported (no field set) for what is none."""
    text = text.strip()
    if text[:8].lower() == "https://":
        return _address(text)
    match = _REPO.fullmatch(text)
    if match and not _climbs(text):
        return _hub_ref(match["repo"], match["revision"] or "main", "")
    if _LOCAL.fullmatch(text) and not _climbs(text):
        return BaseRef(text)
    raise FeatureNotSupported(
        "This names no base model. Give owner/name on Hugging Face, with @revision if you like, or"
        " the https address of a safetensors file."
    )


def _address(text: str) -> BaseRef:
    try:
        parts = urlsplit(text)
    except ValueError:
        raise FeatureNotSupported("This is no address at all.") from None
    if parts.hostname not in _HUB:
        return BaseRef(text)
    match = _HUB_PATH.fullmatch(unquote(parts.path))
    if (
        not match
        or _climbs(match["file"] or "")
        or not (match["file"] or ".safetensors").endswith(".safetensors")
    ):
        raise FeatureNotSupported(
            "This address on Hugging Face is neither a repository nor a .safetensors file in one."
        )
    return _hub_ref(match["repo"], match["revision"] or "main", match["file"] or "")


def _hub_ref(repo: str, revision: str, file: str) -> BaseRef:
    at = "" if revision == "main" else f"@{revision}"
    return BaseRef(f"{repo}{at}{':' + file if file else ''}", repo, revision, file)


def _climbs(path: str) -> bool:
    """Whether a path has a part that leads elsewhere."""
    return any(part in (".", "..") for part in path.split("/"))


def check_folder(folder: Path) -> bool:
    """Whether a diffusers folder is SDXL's kind of pipeline; False: SD 1.5's.

    Raises NetworkUnfit if it is any other, or names a class that no base is made of.
    """
    try:
        index = cast("dict[str, Any]", json.loads((folder / "model_index.json").read_bytes()))
        kind = PIPELINES[str(index["_class_name"])]
        parts = {name: _class(index.get(name)) for name in CLASSES}
    except UNREADABLE as reason:
        raise NetworkUnfit(f"{folder.name} is no Stable Diffusion 1.5 or XL pipeline.") from reason
    needed = [name for name in CLASSES if kind or not name.endswith("_2")]
    for name in needed:
        if parts[name] not in CLASSES[name]:
            raise NetworkUnfit(f"The base's {name} is {parts[name]}, which no base is made of.")
    return kind


def _class(said: Any) -> tuple[str, str]:
    """A library and a class of it, as ``model_index.json`` names them. Raises what JSON can."""
    library, name = said or ("", "")
    return str(library), str(name)


def base_kind(where: Path) -> UnetKind:
    """What the UNet of a base is: of a folder, or of a single file. Raises NetworkUnfit."""
    if where.is_dir():
        check_folder(where)
        return sniff_unet_config(where / "unet" / "config.json")
    return sniff_single_file(where)
