"""The outline of a base: its configurations and tokenizers, everything but its weights.

A single-file checkpoint holds weights alone; with these files it is opened without any network. The
configurations are those of Stable Diffusion 1.5 and XL; the tokenizers are CLIP's, whose merges
(OpenAI, MIT) are kept once and spread from there.

Knows files; knows no network.
"""

from __future__ import annotations

import gzip
import json
from importlib import resources
from pathlib import Path
from typing import Any, cast

TOKENIZERS = ("tokenizer", "tokenizer_2")


def write_outline(folder: Path, *, xl: bool) -> Path:
    """Write the outline into ``folder`` as a diffusers repository has it; the folder again."""
    shipped = resources.files("limner.diffusion") / "outlines"
    name = "sdxl.json" if xl else "sd15.json"
    outline = cast("dict[str, Any]", json.loads((shipped / name).read_text()))
    for path, content in outline.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(content))
    merges = gzip.decompress((shipped / "clip_merges.txt.gz").read_bytes()).decode()
    words = json.dumps({word: number for number, word in enumerate(_words(merges))})
    for tokenizer in TOKENIZERS[: 1 + xl]:
        (folder / tokenizer / "merges.txt").write_text(merges)
        (folder / tokenizer / "vocab.json").write_text(words)
    return folder


def _words(merges: str) -> list[str]:
    """CLIP's vocabulary in its order: bytes, bytes that end a word, merges, begin and end."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    # Bytes that cannot be shown have letters beyond Latin-1 instead, in their order.
    letters = [chr(byte) for byte in shown] + [
        chr(256 + extra) for extra in range(256 - len(shown))
    ]
    pairs = [line.replace(" ", "") for line in merges.splitlines()[1:]]
    ends = [f"{letter}</w>" for letter in letters]
    return [*letters, *ends, *pairs, "<|startoftext|>", "<|endoftext|>"]
