"""What a request leaves of itself, and where in bytes it can be found again.

A trace is found wherever 64 bytes of it in a row stand, at any place: those hold a whole block of
32 of the trace's own, whose blocks are known. Texts are found whole. Knows bytes and folders;
knows nothing of Limner.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

#: Bytes of a trace that are known together; any 63 in a row hold such a block whole.
BLOCK = 32

#: A block with fewer different bytes says nothing of whose it is: zeros, a flat colour, a header.
LEAST_VARIETY = 12

#: Bits of a block's beginning by which most places are ruled out at once.
_SIEVE = 24


class Traces:
    """What to look for, by name."""

    def __init__(self) -> None:
        self._blocks: dict[bytes, str] = {}
        self._texts: dict[bytes, str] = {}
        self._sieve = np.zeros(1 << _SIEVE, bool)

    def text(self, name: str, words: str) -> None:
        """Words that stand nowhere else, as UTF-8 and as UTF-16."""
        for encoding in ("utf-8", "utf-16-le"):
            self._texts[words.encode(encoding)] = f"{name} ({encoding})"

    def content(self, name: str, content: bytes) -> None:
        """Bytes of a file or of numbers, as they are and as base64."""
        for how, said in (("bytes", content), ("base64", base64.b64encode(content))):
            for start in range(0, len(said) - BLOCK + 1, BLOCK):
                block = said[start : start + BLOCK]
                if len(set(block)) >= LEAST_VARIETY:
                    self._blocks[block] = f"{name} ({how})"
                    self._sieve[_beginning(block)] = True

    def picture(self, name: str, content: bytes) -> None:
        """A picture's file, and its pixels as programs hold them: RGB and BGR."""
        self.content(name, content)
        pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        self.content(f"{name}'s pixels", pixels.tobytes())
        self.content(f"{name}'s pixels, BGR", pixels[..., ::-1].tobytes())

    def found_in(self, content: bytes) -> set[str]:
        """Names of the traces that stand in ``content``."""
        found = {name for words, name in self._texts.items() if words in content}
        padded = content + bytes(-len(content) % 8 + 8)
        for shift in range(8):
            words = np.frombuffer(padded, "<u8", (len(padded) - shift) // 8, shift)
            for at in np.flatnonzero(self._sieve[_mixed(words)]):
                start = int(at) * 8 + shift
                name = self._blocks.get(content[start : start + BLOCK])
                if name is not None:
                    found.add(name)
        return found

    def found_under(self, *folders: Path) -> dict[str, set[str]]:
        """The files under folders in which traces stand, or whose names tell one."""
        places = ((str(path), content) for path, content in every_file(folders))
        return self.found_among(places)

    def found_among(self, places: Iterable[tuple[str, bytes]]) -> dict[str, set[str]]:
        """The places, by name, in whose bytes or name traces stand."""
        found = {place: self.found_in(place.encode() + b"\0" + at) for place, at in places}
        return {place: names for place, names in found.items() if names}


def every_file(folders: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """Every file under folders and its bytes; links are not followed."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            try:
                yield path, path.read_bytes()
            except FileNotFoundError:
                continue  # gone since: a server lives here


def _mixed(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Where in the sieve 8 bytes fall (Fibonacci hashing: Knuth, volume 3, 6.4)."""
    return (words * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - _SIEVE)


def _beginning(block: bytes) -> int:
    return int(_mixed(np.frombuffer(block, "<u8", 1))[0])
