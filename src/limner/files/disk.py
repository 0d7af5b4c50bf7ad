"""The file store on a disk.

``root/ab/name/`` holds ``content`` and ``about.json`` for a name that begins with ``ab``; a file
appears by one rename of its folder. Knows the contract; knows no HTTP.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from limner.files.store import MOST_PARTS, NAME, Description, Overdue, StoredFile

CHUNK = 1 << 18

#: Seconds after which parts that were never joined are thrown away.
PARTS_LIFE = 86_400

CONTENT, ABOUT = "content", "about.json"


class DiskStore:
    """Files under one folder."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.time) -> None:
        """``root`` is made, for this user's eyes only, when it is not there."""
        self._root = root
        self._clock = clock
        self._unfinished = root / ".unfinished"
        self._parts = root / ".parts"
        for folder in (root, self._unfinished, self._parts):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def save(self, name: str, content: Iterable[bytes], said: Description) -> StoredFile:
        """See FileStore. A name that is kept already stays as it is."""
        place = self._place(name)
        scratch = self._unfinished / f"{name}-{os.urandom(6).hex()}"
        scratch.mkdir(mode=0o700)
        try:
            size, sha256 = _write(scratch / CONTENT, content)
            stored = StoredFile(
                name, said.content_type, size, sha256, self._clock(), said.expires_at, said.owner
            )
            about = json.dumps(dataclasses.asdict(stored)).encode()
            _write(scratch / ABOUT, [about])
            place.parent.mkdir(mode=0o700, exist_ok=True)
            while True:
                try:
                    scratch.rename(place)
                except OSError as taken:
                    if taken.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                        raise
                    if (kept := self.find(name)) is not None:
                        return kept
                    self._remove(place)  # expired, and not yet swept
                else:
                    _sync_folder(place.parent)
                    return stored
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def find(self, name: str) -> StoredFile | None:
        """See FileStore."""
        if not NAME.fullmatch(name):
            return None
        stored = self._read_about(self._place(name))
        if stored is None or (stored.expires_at is not None and stored.expires_at <= self._clock()):
            return None
        return stored

    def stream(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """See FileStore."""
        stored = self.find(name)
        if stored is None:
            return iter(())
        last = stored.size if stop is None else min(stop, stored.size)
        return _slice(self._place(name) / CONTENT, start, last - start)

    def delete(self, name: str) -> bool:
        """See FileStore."""
        return bool(NAME.fullmatch(name)) and self._remove(self._place(name))

    def listing(self) -> Iterator[StoredFile]:
        """See FileStore."""
        for about in self._root.glob(f"[!.]*/*/{ABOUT}"):
            stored = self.find(about.parent.name)
            if stored is not None:
                yield stored

    def expire(self, now: float) -> int:
        """See FileStore."""
        gone = 0
        for place, _ in self._due(now):
            gone += self._remove(place)
        for old in self._given_up(now):
            shutil.rmtree(old, ignore_errors=True)
        return gone

    def overdue(self, now: float) -> Iterator[Overdue]:
        """See FileStore."""
        for _, due in self._due(now):
            yield due
        for old in self._given_up(now):
            with suppress(FileNotFoundError):
                yield Overdue(old.name, sum(part.stat().st_size for part in old.iterdir()))

    def save_part(self, name: str, number: int, content: Iterable[bytes]) -> str:
        """See FileStore."""
        self._place(name)
        if not 1 <= number <= MOST_PARTS:
            raise ValueError(f"part {number} is not between 1 and {MOST_PARTS}")
        folder = self._parts / name
        folder.mkdir(mode=0o700, exist_ok=True)
        scratch = folder / f".{number}-{os.urandom(6).hex()}"
        try:
            _, sha256 = _write(scratch, content)
            scratch.rename(folder / str(number))
        finally:
            scratch.unlink(missing_ok=True)
        return sha256

    def join_parts(self, name: str, numbers: Sequence[int], said: Description) -> StoredFile | None:
        """See FileStore."""
        if (already := self.find(name)) is not None:
            # Parts that came after the first joining are of no file.
            shutil.rmtree(self._parts / name, ignore_errors=True)
            return already
        parts = [self._parts / name / str(number) for number in sorted(set(numbers))]
        if not NAME.fullmatch(name) or not parts or not all(part.exists() for part in parts):
            return self.find(name)  # unless another call has just joined them
        try:
            stored = self.save(name, (chunk for part in parts for chunk in _chunks(part)), said)
        except FileNotFoundError:
            return self.find(name)  # another call joined them first
        shutil.rmtree(self._parts / name, ignore_errors=True)
        return stored

    def _due(self, now: float) -> Iterator[tuple[Path, Overdue]]:
        """Files whose time has come, and what is said of which cannot be read."""
        for about in self._root.glob(f"[!.]*/*/{ABOUT}"):
            place = about.parent
            stored = self._read_about(place)
            if stored is None:
                with suppress(FileNotFoundError):  # gone since
                    if place.stat().st_mtime < now - PARTS_LIFE:
                        yield place, Overdue(place.name, (place / CONTENT).stat().st_size)
            elif stored.expires_at is not None and stored.expires_at <= now:
                yield place, Overdue(stored.name, stored.size)

    def _given_up(self, now: float) -> Iterator[Path]:
        """Folders of parts and of writes that nobody goes on with."""
        for folder in (self._unfinished, self._parts):
            for old in folder.iterdir():
                with suppress(FileNotFoundError):  # finished since
                    if old.stat().st_mtime < now - PARTS_LIFE:
                        yield old

    def _place(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise ValueError("not a name that this store makes")
        return self._root / name[:2].lower() / name

    def _read_about(self, place: Path) -> StoredFile | None:
        try:
            return StoredFile(**json.loads((place / ABOUT).read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError):
            return None  # a broken disk, or a later Limner's; a day later the sweep takes it

    def _remove(self, place: Path) -> bool:
        """Out of sight in one rename, then off the disk."""
        away = self._unfinished / f"deleted-{os.urandom(8).hex()}"
        try:
            place.rename(away)
        except FileNotFoundError:
            return False
        shutil.rmtree(away, ignore_errors=True)
        return True


def _write(path: Path, content: Iterable[bytes]) -> tuple[int, str]:
    """Write and fsync; size and SHA-256 in hex."""
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as out:
        for chunk in content:
            digest.update(chunk)
            size += out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return size, digest.hexdigest()


def _slice(path: Path, start: int, left: int) -> Iterator[bytes]:
    """``left`` bytes from ``start`` on, in chunks; none when the file was deleted meanwhile."""
    try:
        opened = path.open("rb")
    except FileNotFoundError:
        return
    with opened as content:
        content.seek(start)
        while left > 0 and (chunk := content.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as part:
        while chunk := part.read(CHUNK):
            yield chunk


def _sync_folder(folder: Path) -> None:
    """A rename is durable once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
