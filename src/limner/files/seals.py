"""Sealed addresses of files: opened by nothing but the address itself, and by that until it ends.

A file's name cannot be guessed, but it is written in the store, in listings and in backups. Where
a server can be reached from elsewhere, the address also has a *seal*: when it ends, and an HMAC of
that and the name by a key of the server's own. It stands before the name,
``…/sealed/{ends}-{mac}/files/{name}``, because a client of fal's makes the addresses for an
upload in parts by adding to the one it was given.
Knows addresses and HMAC (RFC 2104); knows no store, HTTP or clock.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import re
from urllib.parse import urlsplit

from limner.files.store import NAME, named_by

#: How the base of addresses ends that need a seal.
SEALED = "/sealed"

#: An end in unix seconds, and 128 bits of an HMAC.
_SEAL = re.compile(r"([0-9]{1,12})-([A-Za-z0-9_-]{22})", re.ASCII)

#: How the path of a sealed address ends.
_PATH = re.compile(rf"{SEALED}/([^/]+)/files/{NAME.pattern}$")


class Seals:
    """Makes and checks seals with one key."""

    def __init__(self, key: bytes) -> None:
        """``key``: 32 secret bytes, the same for every server and worker of one ledger."""
        self._key = key

    def address(self, base: str, name: str, ends: float) -> str:
        """The address of a file below ``base``, with a seal until ``ends`` if the base wants one.

        ``ends``: unix seconds.
        """
        if not base.endswith(SEALED):
            return f"{base}/files/{name}"
        whole = math.ceil(ends)
        return f"{base}/{whole}-{self._mac(str(whole), name)}/files/{name}"

    def holds(self, seal: str, name: str, now: float) -> bool:
        """Is this the seal of this name, and has it not ended?"""
        said = _SEAL.fullmatch(seal)
        if said is None or int(said[1]) <= now:
            return False
        return hmac.compare_digest(said[2], self._mac(said[1], name))

    def opens(self, url: str, now: float) -> bool:
        """Is ``url`` a sealed address whose seal holds?"""
        name = named_by(url)
        found = _PATH.search(urlsplit(url).path) if name is not None else None
        return name is not None and found is not None and self.holds(found[1], name, now)

    def _mac(self, ends: str, name: str) -> str:
        digest = hmac.digest(self._key, f"{ends}\n{name}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")
