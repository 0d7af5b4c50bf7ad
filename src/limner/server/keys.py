"""Who is calling: keys, short-lived tokens, and what each may do.

A key is ``Authorization: Key id:secret`` (or Bearer, as fal takes both). A token is for browsers:
made at ``/tokens/``, it names the applications it may call and ends after minutes.
Bound to loopback, Limner needs no key until one is made. Knows no endpoint's meaning.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass

import jwt
from starlette.requests import HTTPConnection

from limner.errors import Refused
from limner.requests.ledger import Ledger
from limner.server.visitors import is_near

#: Longest life of a token in seconds; fal's clients ask for 120.
MAX_TOKEN_LIFE = 3600

#: Seconds for which a submitter is known without the ledger, and how many of them at most.
KNOWN_FOR, MOST_KNOWN = 60.0, 1024


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone who may call."""

    #: Public part of the key; empty when none is needed.
    key_id: str
    admin: bool
    #: Aliases of the applications a token is good for; None for a key: all.
    apps: frozenset[str] | None = None

    def may_call(self, app: str) -> bool:
        """May this caller use ``owner/alias[/…]``?"""
        if self.apps is None:
            return True
        segments = app.split("/")
        return bool({segments[1] if len(segments) > 1 else "", "/".join(segments[:2])} & self.apps)


@dataclass(frozen=True, slots=True)
class _Known:
    """Who somebody was when the ledger was last asked."""

    caller: Caller
    #: By the clock that only goes on, seconds.
    until: float


class Gate:
    """Tells who a request comes from, or refuses it."""

    def __init__(
        self, ledger: Ledger, token_key: bytes, *, open_without_keys: bool, public_host: str = ""
    ) -> None:
        """``open_without_keys``: let everybody in as long as no key exists (loopback only).

        ``public_host``: a name of ours besides this machine's own.
        """
        self._ledger = ledger
        self._token_key = token_key
        self._open_without_keys = open_without_keys
        self._public_host = public_host
        #: By the hash of what they said of themselves: what must not be kept is not.
        self._known: dict[bytes, _Known] = {}

    async def caller(self, request: HTTPConnection, app: str | None = None) -> Caller:
        """Who calls, and may they call ``app``? Raises Refused 401 or 403.

        Without ``app`` it is about what the key itself has: a token is for applications only.
        """
        token = request.query_params.get("fal_jwt_token")
        if token is not None:
            caller = await self._by_token(token)
        else:
            caller = await self._by_key(request, app)
        if app is None and caller.apps is not None:
            raise Refused(403, "A token is good for its applications only; use a key")
        if app is not None and not caller.may_call(app):
            raise Refused(403, f'The token is not valid for application "{app}"')
        return caller

    async def submitter(self, request: HTTPConnection, app: str) -> Caller:
        """:meth:`caller`, as far as is known, without asking the ledger again.

        For who submits to it with what is answered here, ``keyed``: it looks at the key then, in
        the same transaction. Raises Refused 401 or 403.
        """
        if request.query_params.get("fal_jwt_token") is not None:
            return await self.caller(request, app)
        if self._open_without_keys and not is_near(request.headers, self._public_host):
            # Refused only as long as there is no key.
            return await self.caller(request, app)
        said = hashlib.sha256(request.headers.get("authorization", "").encode()).digest()
        known = self._known.get(said)
        if known is not None and time.monotonic() < known.until:
            return known.caller
        caller = await self.caller(request, app)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[said] = _Known(caller, time.monotonic() + KNOWN_FOR)
        return caller

    async def check_again(self, key_id: str) -> None:
        """Is the key good still by which something was opened or handed out? Raises Refused 401.

        ``key_id``: empty where none was needed.
        """
        if not await asyncio.wrap_future(self._ledger.is_good_key(key_id)):
            raise Refused(401, "The key that got this was revoked, or there was none and is now")

    async def is_open(self, request: HTTPConnection) -> bool:
        """May everybody here call? Raises Refused 403 to a page of another site."""
        if not self._open_without_keys or await asyncio.wrap_future(self._ledger.any_keys()):
            return False
        if not is_near(request.headers, self._public_host):
            raise Refused(
                403,
                "This server needs no key and so answers only to programs and pages of its own "
                "machine. Make a key (limner keys create), or set LIMNER_PUBLIC_URL.",
            )
        return True

    async def _by_key(self, request: HTTPConnection, app: str | None) -> Caller:
        if await self.is_open(request):
            return Caller(key_id="", admin=True)
        authorization = request.headers.get("authorization", "")
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() not in ("key", "bearer") or not credential:
            what = f'application "{app}"' if app else "this service"
            raise Refused(
                401, f"Cannot access {what}. Authentication is required to access this application."
            )
        key_id, _, secret = credential.strip().partition(":")
        key = await asyncio.wrap_future(self._ledger.find_key(key_id, secret))
        if key is None:
            raise Refused(401, "No user found for Key ID and Secret")
        return Caller(key_id=key.id, admin=key.scope == "admin")

    def make_token(self, caller: Caller, apps: list[str], life: float) -> str:
        """A signed token for ``apps`` (aliases or owner/alias) that ends after ``life`` seconds."""
        claims = {
            "key": caller.key_id,
            "apps": sorted(set(apps)),
            "exp": time.time() + min(life, MAX_TOKEN_LIFE),
        }
        return jwt.encode(claims, self._token_key, algorithm="HS256")

    async def _by_token(self, token: str) -> Caller:
        try:
            claims = jwt.decode(
                token, self._token_key, algorithms=["HS256"], options={"require": ["exp"]}
            )
        except jwt.ExpiredSignatureError:
            raise Refused(401, "The token has expired; ask for a new one") from None
        except jwt.InvalidTokenError:
            raise Refused(401, "Unauthorized") from None
        # A token is worth what the key is worth that made it, and none was needed only once.
        if not await asyncio.wrap_future(self._ledger.is_good_key(claims["key"])):
            raise Refused(401, "The key that made this token was revoked")
        return Caller(key_id=claims["key"], admin=False, apps=frozenset(claims["apps"]))
