"""The file store in a bucket of any S3, for machines that share no disk.

``about/NAME`` says what ``content/EXPIRY/NAME/RANDOM`` holds, and makes a file appear: it is
written last, and only where there is none (``If-None-Match: *``), so that of many who save a name
the first wins whole. The expiry stands in the content's key because S3 lists keys in order: a sweep
sees what is due first and looks no further.

Callers never see the bucket. Its files are read through the server like those of a disk, so a URL
stays as unguessable, as short-lived and as deletable as the name in it (decision 0036).
Knows the contract and S3's verbs; knows no HTTP.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from limner.files.bucket import asking
from limner.files.store import MOST_PARTS, NAME, Description, Overdue, StoredFile

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

#: Content up to this size goes in one request, above in parts of it; S3's smallest part, bytes.
PIECE = 5 * 1024 * 1024

#: Bytes handed to a reader at once.
CHUNK = 1 << 18

#: Seconds after which parts that were never joined are thrown away.
PARTS_LIFE = 86_400

NEVER = "never"


class S3Store:
    """Files in one bucket, under one prefix."""

    def __init__(self, bucket: ObjectStore, clock: Callable[[], float] = time.time) -> None:
        """``bucket``: as ``files.bucket`` opens it."""
        self._bucket = bucket
        self._clock = clock

    @asking()
    def save(self, name: str, content: Iterable[bytes], said: Description) -> StoredFile:
        """See FileStore. A name that is kept already stays as it is."""
        _check(name)
        expiry = NEVER if said.expires_at is None else f"{math.ceil(said.expires_at):012d}"
        key = f"content/{expiry}/{name}/{os.urandom(8).hex()}"
        size, sha256 = self._write(key, content)
        stored = StoredFile(
            name, said.content_type, size, sha256, self._clock(), said.expires_at, said.owner
        )
        about = json.dumps({**dataclasses.asdict(stored), "content": key}).encode()
        while not self._create(f"about/{name}", about):
            if (there := self._about(name)) is not None and there["content"] == key:
                break  # our own: the answer was lost, and the client asked again
            if (kept := self.find(name)) is not None:
                self._bucket.delete(key)
                return kept
            self._remove(name)  # expired, and not yet swept
        return stored

    @asking()
    def find(self, name: str) -> StoredFile | None:
        """See FileStore."""
        found = self._find(name)
        return found[0] if found else None

    @asking()
    def stream(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """See FileStore."""
        found = self._find(name)
        if found is None:
            return iter(())
        stored, key = found
        last = stored.size if stop is None else min(stop, stored.size)
        return self._slice(key, start, last)

    @asking()
    def delete(self, name: str) -> bool:
        """See FileStore.

        The content first: if S3 fails in between, the file can still be found, and deleted again.
        """
        about = self._about(name) if NAME.fullmatch(name) else None
        if about is None:
            return False
        self._bucket.delete(about["content"])
        self._bucket.delete(f"about/{name}")
        return True

    def listing(self) -> Iterator[StoredFile]:
        """See FileStore."""
        with asking():
            for about in self._objects("about"):
                stored = self.find(about["path"].rpartition("/")[2])
                if stored is not None:
                    yield stored

    def overdue(self, now: float) -> Iterator[Overdue]:
        """See FileStore."""
        with asking():
            for due in self._due(now):
                yield Overdue(due["path"].split("/")[2], due["size"])
            for part in self._given_up(now):
                yield Overdue(part["path"].split("/")[1], part["size"])

    @asking()
    def expire(self, now: float) -> int:
        """See FileStore."""
        gone = 0
        for due in self._due(now):
            key = due["path"]
            name = key.split("/")[2]
            about = self._about(name)
            # The name may have been saved anew since.
            if about is None or about["content"] != key:
                self._bucket.delete(key)
            else:
                gone += self._remove(name)
        for part in self._given_up(now):
            self._bucket.delete(part["path"])
        return gone

    @asking()
    def save_part(self, name: str, number: int, content: Iterable[bytes]) -> str:
        """See FileStore."""
        _check(name)
        if not 1 <= number <= MOST_PARTS:
            raise ValueError(f"part {number} is not between 1 and {MOST_PARTS}")
        return self._write(f"parts/{name}/{number:05d}", content)[1]

    @asking()
    def join_parts(self, name: str, numbers: Sequence[int], said: Description) -> StoredFile | None:
        """See FileStore."""
        if not NAME.fullmatch(name):
            return None
        sent = {part["path"] for part in self._objects(f"parts/{name}")}
        if (already := self.find(name)) is not None:
            # Parts that came after the first joining are of no file.
            self._bucket.delete(sorted(sent))
            return already
        parts = [f"parts/{name}/{number:05d}" for number in sorted(set(numbers))]
        if not parts or not sent.issuperset(parts):
            return self.find(name)  # unless another call has just joined them
        try:
            pieces = (piece for part in parts for piece in self._bucket.get(part).stream(CHUNK))
            stored = self.save(name, _read_apart(map(bytes, pieces)), said)
        except FileNotFoundError:
            return self.find(name)  # another call joined them first
        self._bucket.delete(sorted(sent))
        return stored

    def _find(self, name: str) -> tuple[StoredFile, str] | None:
        if not NAME.fullmatch(name) or (about := self._about(name)) is None:
            return None
        key = about.pop("content")
        stored = StoredFile(**about)
        if stored.expires_at is not None and stored.expires_at <= self._clock():
            return None
        return stored, key

    def _about(self, name: str) -> dict[str, Any] | None:
        try:
            return json.loads(bytes(self._bucket.get(f"about/{name}").bytes()))
        except FileNotFoundError:
            return None

    def _create(self, key: str, content: bytes) -> bool:
        """Write an object where there is none; False when there is one."""
        from obstore.exceptions import AlreadyExistsError

        try:
            self._bucket.put(key, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True

    def _write(self, key: str, content: Iterable[bytes]) -> tuple[int, str]:
        """Write an object, whole or not at all; its size and SHA-256 in hex."""
        digest, size = hashlib.sha256(), 0

        def measured() -> Iterator[bytes]:
            nonlocal size
            for chunk in content:
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        chunks = measured()
        first = bytearray()
        for chunk in chunks:
            first += chunk
            if len(first) > PIECE:
                self._bucket.put(key, chain([bytes(first)], chunks), chunk_size=PIECE)
                break
        else:
            self._bucket.put(key, bytes(first), use_multipart=False)
        return size, digest.hexdigest()

    def _slice(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        """The bytes ``start``…``stop`` in chunks; none when the file was deleted meanwhile."""
        if start >= stop:
            return
        try:
            got = self._bucket.get(key, options={"range": (start, stop)})
        except FileNotFoundError:
            return
        for piece in got.stream(CHUNK):
            yield bytes(piece)

    def _given_up(self, now: float) -> Iterator[ObjectMeta]:
        """Parts of uploads that nobody goes on with."""
        for part in self._objects("parts"):
            if part["last_modified"].timestamp() < now - PARTS_LIFE:
                yield part

    def _due(self, now: float) -> Iterator[ObjectMeta]:
        """Content whose time has come."""
        for found in self._objects("content"):
            expiry = found["path"].split("/")[1]
            if expiry == NEVER or int(expiry) > now:
                return
            yield found

    def _objects(self, prefix: str) -> Iterator[ObjectMeta]:
        """Every object under a prefix, in order of their keys."""
        batches = cast(
            "Iterable[Sequence[ObjectMeta]]",
            self._bucket.list(prefix, chunk_size=1000),  # pyright: ignore[reportUnknownMemberType]
        )
        return chain.from_iterable(batches)

    def _remove(self, name: str) -> bool:
        """Out of sight first, then out of the bucket."""
        about = self._about(name)
        if about is None:
            return False
        self._bucket.delete(f"about/{name}")
        self._bucket.delete(about["content"])
        return True


def _read_apart(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """``pieces``, each read on a thread of its own: obstore, which writes them, runs on this one.

    It cannot be asked again from within, and panics.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="parts") as reader:
        while (piece := reader.submit(next, pieces, None).result()) is not None:
            yield piece


def _check(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError("not a name that this store makes")
