"""The contract of a file store.

A file has an unguessable name made by the store, and is known by nothing else. Every store
passes the same contract tests. Knows nothing of HTTP, requests or pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What the store knows of a file besides its bytes."""

    #: ``{random}_{safe file name}`` or ``{random}.{ext}``; [A-Za-z0-9._-] only, ≤ 160 characters.
    name: str
    content_type: str
    #: Size in bytes.
    size: int
    #: SHA-256 of the bytes in hex; the ETag.
    sha256: str
    #: Unix seconds.
    created_at: float
    #: Unix seconds after which the file is gone; None for never.
    expires_at: float | None


class FileStore(Protocol):
    """Keeps files. Safe to call from several threads and processes at once."""

    def save(
        self,
        content: bytes | BinaryIO,
        *,
        content_type: str,
        file_name: str | None = None,
        expires_at: float | None = None,
    ) -> StoredFile:
        """Keep ``content`` durably under a fresh name. A reader sees all of it or nothing."""
        ...

    def find(self, name: str) -> StoredFile | None:
        """What is known of a file; None when there is none, it expired, or the name is no name."""
        ...

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """The bytes ``start``…``stop`` (exclusive) of a file; None when there is none."""
        ...

    def stream(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The same bytes in chunks; nothing when there is no such file."""
        ...

    def delete(self, name: str) -> bool:
        """Remove a file; True when it was there."""
        ...

    def expire(self, now: float) -> int:
        """Remove every file whose time has come; how many there were."""
        ...

    def begin_upload(
        self, *, content_type: str, file_name: str | None = None, expires_at: float | None = None
    ) -> str:
        """Open a multipart upload and answer its unguessable id; the id is no file name yet."""
        ...

    def save_part(self, upload: str, number: int, content: bytes | BinaryIO) -> str | None:
        """Keep part ``number`` (1…10000) and answer its ETag (hex MD5); None: no such upload."""
        ...

    def finish_upload(self, upload: str, parts: list[int]) -> StoredFile | None:
        """Join the parts in ascending order of number. None when upload or a part is missing.

        Finishing twice answers the same file.
        """
        ...
