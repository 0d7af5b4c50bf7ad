"""The contract of a file store.

A file has an unguessable name made by the store, and is known by nothing else. A name can be
reserved before there is content, because fal's clients are told a file's URL before they send it.
Every store passes the same contract tests. Knows nothing of HTTP, requests or pictures.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from limner.errors import OurFault

#: What a name may look like; anything else is no name and finds nothing.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{20}[A-Za-z0-9._-]{0,120}")

#: How the path of a file's URL ends, whatever host, port and prefix go before it.
_OWN_PATH = re.compile(rf"/files/({NAME.pattern})$")

#: Longer URLs are data URIs, which name no file.
_MOST_URL = 8192

#: An upload in parts has at most this many.
MOST_PARTS = 10_000


def reserve(file_name: str | None = None) -> str:
    """A fresh unguessable name (126 random bits) that ends as fal's do.

    ``portrait.png`` becomes ``{21 characters}_portrait.png``, ``.png`` becomes ``{21}.png``.
    """
    plain = unicodedata.normalize("NFKD", file_name or "").encode("ascii", "ignore").decode()
    kept = re.sub(r"[^A-Za-z0-9._-]+", "_", plain.rpartition("/")[2].rpartition("\\")[2])[-100:]
    token = "A" * (not (random := secrets.token_urlsafe(16)[:21])[0].isalnum()) + random
    return token[:21] + (kept if kept.startswith(".") or not kept else f"_{kept}")


def named_by(url: str) -> str | None:
    """The name in the URL of a file that a store of ours may keep; None when it names none.

    A name is unguessable, so whoever says one means that file, by whatever host name or prefix
    the URL reached the caller.
    """
    if len(url) > _MOST_URL:
        return None
    try:
        match = _OWN_PATH.search(urlsplit(url).path)
    except ValueError:
        return None  # not a URL at all, which the door says in its own words
    return match[1] if match else None


class StoreAway(OurFault):
    """The file store does not answer: what was asked is not done, or not all of it. Ask again."""


@dataclass(frozen=True, slots=True)
class Description:
    """What is said of a file when it is kept."""

    content_type: str
    #: Unix seconds after which the file is gone; None for never.
    expires_at: float | None = None
    #: Public part of the key for which it is kept; empty where none is needed.
    owner: str = ""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What the store knows of a file besides its bytes."""

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
    #: Public part of the key for which it is kept; empty where none is needed.
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Overdue:
    """What the next sweep removes: a file, or what is left of an upload that was never finished."""

    name: str
    #: Size in bytes, of all its parts together.
    size: int


class FileStore(Protocol):
    """Keeps files. Safe to call from several threads and processes at once.

    One that is elsewhere raises StoreAway from any of these while it does not answer.
    """

    def save(self, name: str, content: Iterable[bytes], said: Description) -> StoredFile:
        """Keep ``content`` durably under a reserved name. A reader sees all of it or nothing.

        Raises ValueError when ``name`` is not one that :func:`reserve` makes.
        """
        ...

    def find(self, name: str) -> StoredFile | None:
        """What is known of a file; None when there is none, or it expired."""
        ...

    def stream(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes ``start``…``stop`` (exclusive) in chunks; none when there is no such file.

        Looked up by the call itself: what expires afterwards is still read to its end, so that a
        download keeps to the length it announced.
        """
        ...

    def delete(self, name: str) -> bool:
        """Remove a file; True when it was there."""
        ...

    def listing(self) -> Iterator[StoredFile]:
        """Every file that :meth:`find` would find, in no order; it looks at every one there is."""
        ...

    def expire(self, now: float) -> int:
        """Remove every file whose time has come, and parts of uploads a day old; how many files."""
        ...

    def overdue(self, now: float) -> Iterator[Overdue]:
        """What :meth:`expire` would remove; it looks at every file there is."""
        ...

    def save_part(self, name: str, number: int, content: Iterable[bytes]) -> str:
        """Keep part ``number`` (1…10000) of a file to be; its ETag (hex SHA-256).

        Raises ValueError for a number or name that cannot be.
        """
        ...

    def join_parts(self, name: str, numbers: Sequence[int], said: Description) -> StoredFile | None:
        """Make a file of its parts, in ascending order of number; None when one is missing.

        Joining again answers the same file.
        """
        ...


def delete_own(store: FileStore, names: Iterable[str], owner: str) -> list[str]:
    """Remove those of the files that are kept for ``owner``; the names of those that went.

    Whoever knows a file's URL may give it to a request, but not take it from the one who keeps it.
    """
    gone: list[str] = []
    for name in names:
        file = store.find(name)
        if file is not None and file.owner == owner and store.delete(name):
            gone.append(name)
    return gone


def read(store: FileStore, name: str) -> bytes | None:
    """All bytes of a file; None when there is none."""
    return b"".join(store.stream(name)) if store.find(name) is not None else None
