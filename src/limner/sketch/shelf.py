"""The folder that keeps networks: ``home/<name>/`` with the files and a receipt.

A network's folder appears in one rename once everything in it was verified, so no reader and
no second process ever sees half of one, whatever is interrupted. The receipt says what was
verified; later starts compare sizes only and never hash again.

Knows nothing of package indexes, archives or what the networks compute.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from limner.sketch.catalogue import InstalledPackage, NetworkSpec

RECEIPT = "receipt.json"
_PARTIAL = ".partial-"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was verified when a network was put on the shelf."""

    #: SHA-256 in hex of each member as the catalogue pins it; another pin makes it stale.
    pins: tuple[str, ...]
    #: File name → size in bytes.
    sizes: dict[str, int]
    #: Version of the translator that made the files; None if they are kept as they came.
    converter: str | None
    #: The distribution they came from, for people.
    origin: str

    def write(self, folder: Path) -> None:
        """Write this receipt into ``folder``."""
        text = json.dumps(
            {
                "pins": list(self.pins),
                "sizes": self.sizes,
                "converter": self.converter,
                "origin": self.origin,
            },
            indent=2,
        )
        (folder / RECEIPT).write_text(text + "\n", encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> Receipt | None:
        """The receipt in ``folder``; None when there is none or it cannot be understood."""
        try:
            found: Any = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
            return Receipt(
                tuple(cast("list[str]", found["pins"])),
                dict(cast("dict[str, int]", found["sizes"])),
                cast("str | None", found["converter"]),
                str(found["origin"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def find(spec: NetworkSpec, home: Path) -> Path | None:
    """The network's main file if it is here, whole and current; None otherwise."""
    if isinstance(spec.source, InstalledPackage):
        return _find_installed(spec, spec.source)
    receipt = Receipt.read(home / spec.name)
    if receipt is None or receipt.pins != tuple(member.sha256 for member in spec.members):
        return None
    if receipt.converter != (spec.conversion and spec.conversion.version):
        return None
    if spec.filename not in receipt.sizes:
        return None
    for name, size in receipt.sizes.items():
        if not _has_size(home / spec.name / name, size):
            return None
    return home / spec.name / spec.filename


def _find_installed(spec: NetworkSpec, source: InstalledPackage) -> Path | None:
    found = find_spec(source.module)  # of a top-level module: finds it, runs nothing of it
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0], spec.members[0].path)
    return path if _has_size(path, spec.members[0].size) else None


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def is_same(path: Path, sha256: str) -> bool:
    """Has a file the hash (in hex) that is published for it?"""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


@contextmanager
def workbench(home: Path) -> Generator[Path]:
    """Lock the shelf against other processes and threads; a scratch folder on its disk.

    Waits while another holds the lock. Whoever holds it is the only writer, so scratch folders
    left by a killed process can be swept away.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when closed, however the process ends
        for stale in home.glob(_PARTIAL + "*"):
            shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=home) as scratch:
            yield Path(scratch)


def put(finished: Path, home: Path, name: str, scratch: Path) -> None:
    """Move the ``finished`` folder to ``home/name`` in one rename, replacing what was there.

    Call only inside :func:`workbench`, with its ``scratch``.
    """
    target = home / name
    if target.exists():
        target.rename(scratch / f"{name}.replaced")
    finished.rename(target)


def remove(home: Path, name: str) -> bool:
    """Take a network off the shelf; False when it was not there. Who has it open keeps it."""
    with workbench(home) as scratch:
        if not (home / name).exists():
            return False
        (home / name).rename(scratch / f"{name}.removed")
        return True
