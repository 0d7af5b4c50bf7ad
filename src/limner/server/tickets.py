"""Rights to upload, as signed text: tickets for one file, and tokens for the CDN.

Clients are told a file's URL before they send it, so a *ticket* travels in the upload URL: the
reserved name, the content type and the expiry, signed. It is the authority to put that one file
there, needs no table, and holds for any server with the same key. A whole file is begun within the
ticket's hour. An upload in parts begins with its ticket, and its parts may come as long as the
store keeps parts (decision 0063).
Knows claims and signatures; knows no HTTP and no bytes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from limner.errors import Refused
from limner.files.disk import PARTS_LIFE
from limner.files.store import Description

#: Seconds an upload may begin after its ticket was made.
TICKET_LIFE = 3600

#: Seconds in which all parts of an upload come and are joined: stores throw older parts away.
PARTS_TICKET_LIFE = PARTS_LIFE


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to put one file in its place."""

    name: str
    content_type: str
    expires_at: float
    #: Public part of the key that asked; empty where none is needed.
    owner: str = ""

    @property
    def description(self) -> Description:
        """What the store is told of the file."""
        return Description(self.content_type, self.expires_at, self.owner)


class UploadAccess:
    """Signs and reads tickets and upload tokens."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, owner: str) -> tuple[str, datetime]:
        """A token for direct uploads of ``owner``'s, and when it ends."""
        ends = time.time() + TICKET_LIFE
        token = jwt.encode(
            {"use": "upload", "key": owner, "exp": ends}, self._key, algorithm="HS256"
        )
        return token, datetime.fromtimestamp(ends, UTC)

    def check_token(self, authorization: str) -> str:
        """Whose token this is. Raises Refused 401."""
        claims = self._claims(authorization.partition(" ")[2])
        if claims.get("use") != "upload":
            raise Refused(401, "Unauthorized")
        return claims.get("key", "")

    def sign(self, ticket: Ticket, *, in_parts: bool = False) -> str:
        """A ticket as it travels in a URL; ``in_parts``: of an upload that begins with it."""
        claims = {
            "name": ticket.name,
            "type": ticket.content_type,
            "until": ticket.expires_at,
            "key": ticket.owner,
            "exp": time.time() + (PARTS_TICKET_LIFE if in_parts else TICKET_LIFE),
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def ticket(self, text: str) -> Ticket:
        """The ticket in a URL. Raises Refused 401 when it is forged or late."""
        claims = self._claims(text)
        if "name" not in claims:
            raise Refused(401, "Unauthorized")
        return Ticket(claims["name"], claims["type"], claims["until"], claims.get("key", ""))

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, self._key, algorithms=["HS256"], options={"require": ["exp"]})
        except jwt.InvalidTokenError:
            raise Refused(401, "The upload URL or token is not valid or has expired") from None
