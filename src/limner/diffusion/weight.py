"""A published weight: which files of which repository, on what terms.

Knows names and terms; knows no particular weight (``weights``) and imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass

MB, GB = 10**6, 10**9


@dataclass(frozen=True, slots=True)
class File:
    """One file of a repository. ``size`` in bytes, rounded where only that is published."""

    path: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Weight:
    """Some files of one repository that are used together, and on what terms."""

    #: How Limner's commands call it.
    name: str
    #: ``owner/name`` on the hub; empty where nobody publishes it and the operator brings a file.
    repo: str
    revision: str
    files: tuple[File, ...]
    licence: str
    #: May what is drawn with it be sold? False needs the operator's acceptance of the licence.
    commercial: bool
    what: str

    @property
    def is_pinned(self) -> bool:
        """Whether ``revision`` is a commit, which no one can move."""
        return len(self.revision) == 40 and set(self.revision) <= set("0123456789abcdef")

    @property
    def size(self) -> int | None:
        """Bytes without its small texts; None where the hub must be asked for one of its files."""
        sizes = [file.size for file in self.files if not file.path.endswith((".json", ".txt"))]
        return None if None in sizes else sum(size or 0 for size in sizes)


def _tokenizer(folder: str) -> tuple[File, ...]:
    names = ("merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json")
    return tuple(File(f"{folder}/{name}") for name in names)


def model_files(folder: str, size: int | None, name: str) -> tuple[File, ...]:
    """A network in a folder of its own: its configuration and its numbers."""
    return File(f"{folder}/config.json"), File(f"{folder}/{name}", size)


def base_files(*, xl: bool, vae: bool) -> tuple[File, ...]:
    """The files of a diffusers repository that are used: safetensors, never a pickle.

    SD 1.5's sizes are the default base's. SDXL's come in fp32 or in fp16, half as large, so none
    is written down.
    """
    diffusion, text = "diffusion_pytorch_model.safetensors", "model.safetensors"
    files = (
        File("model_index.json"),
        *model_files("unet", None if xl else 3_440 * MB, diffusion),
        *model_files("text_encoder", None if xl else 492 * MB, text),
        *_tokenizer("tokenizer"),
    )
    if xl:
        files += (*model_files("text_encoder_2", None, text), *_tokenizer("tokenizer_2"))
    return (*files, *model_files("vae", None if xl else 335 * MB, diffusion)) if vae else files
