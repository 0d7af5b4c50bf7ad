"""Who is calling: keys, short-lived tokens, and what each may do.

A key is ``Authorization: Key id:secret`` (or Bearer, as fal takes both). A token is for browsers:
made at ``/tokens/``, it names the applications it may call and ends after minutes.
Bound to loopback, Limner needs no key until one is made. Knows no endpoint's meaning.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import jwt
from fastapi import Request

from limner.errors import Refused
from limner.requests.ledger import Ledger

#: Longest life of a token in seconds; fal's clients ask for 120.
MAX_TOKEN_LIFE = 3600


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


class Gate:
    """Tells who a request comes from, or refuses it."""

    def __init__(self, ledger: Ledger, token_key: bytes, *, open_without_keys: bool) -> None:
        """``open_without_keys``: let everybody in as long as no key exists (loopback only)."""
        self._ledger = ledger
        self._token_key = token_key
        self._open_without_keys = open_without_keys

    async def caller(self, request: Request, app: str | None = None) -> Caller:
        """Who calls, and may they call ``app``? Raises Refused 401 or 403."""
        token = request.query_params.get("fal_jwt_token")
        if token is not None:
            caller = self._read_token(token)
        else:
            caller = await self._by_key(request.headers.get("authorization", ""), app)
        if app is not None and not caller.may_call(app):
            raise Refused(403, f'The token is not valid for application "{app}"')
        return caller

    async def _by_key(self, authorization: str, app: str | None) -> Caller:
        if self._open_without_keys and not await asyncio.wrap_future(self._ledger.any_keys()):
            return Caller(key_id="", admin=True)
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
        if caller.apps is not None:
            raise Refused(403, "A token cannot make tokens; use a key")
        claims = {
            "key": caller.key_id,
            "apps": sorted(set(apps)),
            "exp": time.time() + min(life, MAX_TOKEN_LIFE),
        }
        return jwt.encode(claims, self._token_key, algorithm="HS256")

    def _read_token(self, token: str) -> Caller:
        try:
            claims = jwt.decode(
                token, self._token_key, algorithms=["HS256"], options={"require": ["exp"]}
            )
        except jwt.ExpiredSignatureError:
            raise Refused(401, "The token has expired; ask for a new one") from None
        except jwt.InvalidTokenError:
            raise Refused(401, "Unauthorized") from None
        return Caller(key_id=claims["key"], admin=False, apps=frozenset(claims["apps"]))
