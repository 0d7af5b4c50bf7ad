"""What the desk's page of models may do with this home: the sketch engine's networks.

The diffusion engine's weights are in :mod:`limner.cli.weight_shelf`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from limner.cli.house import networks_folder, package_index
from limner.cli.weight_shelf import WeightShelf
from limner.errors import NetworkMissing, NetworkUnfit
from limner.server.desk.errands import Told
from limner.server.desk.models import Model, Shelf
from limner.settings import Settings
from limner.sketch import shelf
from limner.sketch.catalogue import NETWORKS, InstalledPackage, NetworkSpec
from limner.sketch.networks import locate


def shelves(settings: Settings) -> tuple[Shelf, ...]:
    """Every kind of model of this home."""
    return NetworkShelf(settings), WeightShelf(settings)


class NetworkShelf:
    """The networks that the sketch engine draws with, under ``LIMNER_HOME/networks``."""

    engine = "sketch"

    def __init__(self, settings: Settings) -> None:
        self._home = networks_folder(settings)
        self._index_url = package_index()

    def folder(self) -> Path:
        """See Shelf."""
        return self._home

    def models(self) -> Iterator[Model]:
        """See Shelf."""
        for spec in NETWORKS.values():
            present = locate(spec.name, self._home) is not None
            installed = isinstance(spec.source, InstalledPackage)
            yield Model(
                name=spec.name,
                purpose=spec.purpose,
                origin=spec.origin,
                licence=spec.licence,
                terms="",
                note=spec.licence_note,
                commercial=True,
                accepted=True,
                bytes=sum(member.size for member in spec.members),
                whole=True,
                present=present,
                obstacle=_not_installed(spec) if installed and not present else None,
                removable=not installed,
                needed_by=(),
            )

    def accept(self, name: str) -> None:
        """See Shelf; these licences ask for nothing."""

    def fetch(self, name: str, told: Told) -> None:
        """See Shelf."""
        from limner.sketch.pull import pull  # the index's client takes a tenth of a second

        pull([name], self._home, lambda _, done, total: told(done, total), self._index_url)

    def verify(self, name: str, told: Told) -> str | None:
        """See Shelf. A network that was translated here is compared by size alone."""
        spec = NETWORKS[name]
        told(0, 0)
        found = locate(name, self._home)
        if found is None:
            raise NetworkMissing(f"{name} is not in {self._home}, or its size has changed.")
        if spec.conversion is not None:
            return "made on this machine out of a published file: only its size can be compared"
        for member in spec.members:
            if not shelf.is_same(found.parent / member.name, member.sha256):
                raise NetworkUnfit(
                    f"{name}: {member.name} has another sha256 than is published. Remove it and"
                    " fetch it again."
                )
        return None

    def remove(self, name: str) -> None:
        """See Shelf."""
        shelf.remove(self._home, name)


def _not_installed(spec: NetworkSpec) -> str:
    source = spec.source
    return f"It comes with a package: pip install {source.package}=={source.version}"
