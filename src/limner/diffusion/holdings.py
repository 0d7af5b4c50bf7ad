"""Which weights lie on this machine, and whether they may be used.

A weight is looked for in the operator's own folder (``LIMNER_HOME/weights/<owner>/<name>``), then
in the hub's ordinary cache, which other programs fill too. Beside the folder a small JSON record
keeps what the operator decided: licences accepted, files brought along, bases let in; and the
commit of what was pulled, where the table of weights knows a branch only.

Knows paths and decisions; it downloads nothing and knows no network.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from huggingface_hub import try_to_load_from_cache

from limner.diffusion.base_models import BaseRef
from limner.diffusion.weight import File, Weight
from limner.diffusion.weights import WEIGHTS


class Pin(TypedDict):
    """What was pulled when only a branch was known: ever after exactly this."""

    commit: str
    #: Path in the repository → sha256.
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Record:
    """The operator's decisions, as kept in ``weights.json``."""

    #: Weight → the licence that was accepted for it.
    accepted: dict[str, str] = field(default_factory=dict[str, str])
    #: Weight → the operator's own file.
    brought: dict[str, str] = field(default_factory=dict[str, str])
    #: Base, as callers name it → its folder or file.
    bases: dict[str, str] = field(default_factory=dict[str, str])
    #: Weight or base → the commit that a branch was when it was pulled, and its files' sha256.
    pins: dict[str, Pin] = field(default_factory=dict[str, "Pin"])
    #: Base → the bytes that Limner itself fetched for it, and may remove again.
    fetched: dict[str, int] = field(default_factory=dict[str, int])


class Holdings:
    """The weights of one ``LIMNER_HOME``. Safe to use from several threads and processes."""

    def __init__(self, home: Path, *, commercial: bool) -> None:
        """``home``: the folder ``LIMNER_HOME/weights``; ``commercial``: refuse what forbids it."""
        self._home = home
        self._commercial = commercial

    @property
    def home(self) -> Path:
        """The folder ``LIMNER_HOME/weights``."""
        return self._home

    def folder(self, name: str) -> Path | None:
        """Where all files of a weight lie, at their paths in the repository; None: not all do."""
        weight = WEIGHTS[name]
        if not weight.repo:
            return None
        return self.repository(weight.repo, self.revision(name, weight.revision), weight.files)

    def revision(self, name: str, published: str) -> str:
        """The commit that a weight or base was pinned to, or else the revision ``published``."""
        pin = self.record.pins.get(name)
        return pin["commit"] if pin else published

    def sha256(self, name: str, file: File) -> str | None:
        """The published hash of a file, or else the one it had when it was pulled."""
        pin = self.record.pins.get(name)
        return file.sha256 or (pin["files"].get(file.path) if pin else None)

    def file(self, name: str) -> Path | None:
        """The one file of a weight that has only one: the operator's own, or the published."""
        brought = self.record.brought.get(name)
        if brought is not None and Path(brought).is_file():
            return Path(brought)
        folder = self.folder(name)
        return None if folder is None else folder / WEIGHTS[name].files[0].path

    def size(self, name: str) -> int | None:
        """Bytes that a weight takes on this machine, the operator's own file too; None: none."""
        brought = self.record.brought.get(name)
        if brought is not None:
            return Path(brought).stat().st_size if Path(brought).is_file() else None
        folder = self.folder(name)
        if folder is None:
            return None
        return sum((folder / file.path).stat().st_size for file in WEIGHTS[name].files)

    def repository(self, repo: str, revision: str, files: tuple[File, ...]) -> Path | None:
        """The folder in which all ``files`` of a repository lie, or None."""
        own = self._home / repo
        if all((own / file.path).is_file() for file in files):
            return own
        first = try_to_load_from_cache(repo, files[0].path, revision=revision)
        if not isinstance(first, str):
            return None
        cached = Path(first).parents[len(Path(files[0].path).parts) - 1]
        return cached if all((cached / file.path).is_file() for file in files) else None

    def lacking(self, name: str) -> str | None:
        """Why a weight cannot be used here and what to do about it, or None if it can."""
        weight = WEIGHTS[name]
        if self._commercial and not weight.commercial:
            return f"{name} is not for commercial use ({weight.licence}), this server is"
        if name in self.record.brought:
            return None if self.file(name) else f"{name}: the file that was added is gone"
        if not weight.repo:
            return f"{name} ({weight.what}): `limner models add {name} FILE`"
        if self.folder(name) is None:
            return f"{name} is not on this server: `limner pull {name}`"
        if not self.allowed(weight):
            return f"the licence of {name} is not accepted: `limner pull {name} --accept-license`"
        return None

    def lacking_all(self, names: Iterable[str]) -> str | None:
        """Why these weights cannot all be used, or None if they can."""
        return "; ".join(reason for reason in map(self.lacking, names) if reason) or None

    def allowed(self, weight: Weight) -> bool:
        """Whether the licence asks for nothing, or what it asks for was accepted."""
        return weight.commercial or self.record.accepted.get(weight.name) == weight.licence

    def base(self, ref: BaseRef) -> Path | None:
        """Folder or file of a base that was let in, or None. The default bases are weights."""
        where = self.record.bases.get(ref.name)
        if where is None:
            return None
        return Path(where) if Path(where).exists() else None

    @property
    def record(self) -> Record:
        """What is decided now; read afresh, since another process may decide."""
        try:
            return Record(**json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return Record()

    def accept(self, name: str) -> None:
        """Remember that the licence of a weight was accepted."""
        self._decide("accepted", name, WEIGHTS[name].licence)

    def bring(self, name: str, file: Path) -> None:
        """Remember the operator's own file for a weight."""
        self._decide("brought", name, str(file.resolve()))

    def let_in(self, ref: BaseRef, where: Path) -> None:
        """Let callers use a base that lies at ``where``."""
        self._decide("bases", ref.name, str(where.resolve()))

    def pin(self, name: str, pin: Pin) -> None:
        """Remember what was pulled. The first pull stays: forget the name to pull anew."""
        if name not in self.record.pins:
            self._decide("pins", name, pin)

    def has_fetched(self, name: str, size: int) -> None:
        """Remember that Limner fetched so many bytes for a base."""
        self._decide("fetched", name, size + self.record.fetched.get(name, 0))

    def forget(self, name: str) -> bool:
        """Drop every decision about a weight or a base; whether there was one."""
        record = asdict(self.record)
        found = [part for part in record.values() if part.pop(name, None) is not None]
        self._keep(record)
        return bool(found)

    @property
    def _path(self) -> Path:
        return self._home / "weights.json"

    def _decide(self, part: str, name: str, value: object) -> None:
        record = asdict(self.record)
        record[part][name] = value
        self._keep(record)

    def _keep(self, record: dict[str, Any]) -> None:
        """Written whole or not at all."""
        self._home.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._home, delete=False) as file:
            json.dump(record, file, indent=2)
        Path(file.name).replace(self._path)
