"""Keys: which there are, a new one, and an end to one. For admins only.

Knows the ledger's keyring; never tells a secret but the new one, once.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from limner.endpoints.accept import accept
from limner.errors import Refused
from limner.requests.ledger import Ledger
from limner.server.body import read_json
from limner.server.keys import Caller, Gate

#: Largest JSON body of a call here, bytes.
MOST_JSON = 4096


class NewKey(BaseModel):
    """What the key may do: ``api`` calls endpoints, ``admin`` sees everything here too."""

    scope: Literal["api", "admin"] = "api"
    #: How many of its requests may run at once; left out: any number.
    concurrency: int | None = Field(default=None, ge=1, le=1_000_000)


async def admin(gate: Gate, request: Request) -> Caller:
    """The caller, if an admin. Raises Refused 403."""
    caller = await gate.caller(request)
    if not caller.admin:
        raise Refused(403, "This needs a key of scope admin: limner keys create --scope admin")
    return caller


def add_keys(router: APIRouter, gate: Gate, ledger: Ledger) -> None:
    """Add the keys' routes."""

    @router.get("/keys")
    async def listed(request: Request) -> dict[str, Any]:
        """Every key there was, oldest first, without secrets."""
        await admin(gate, request)
        return {"keys": [asdict(key) for key in await asyncio.wrap_future(ledger.list_keys())]}

    @router.post("/keys")
    async def create(request: Request) -> dict[str, Any]:
        """A new key in full, told this once. From the first key on, every call needs one."""
        await admin(gate, request)
        said = accept(NewKey, await read_json(request, MOST_JSON))
        key_id, secret = await asyncio.wrap_future(ledger.create_key(said.scope, said.concurrency))
        return {"key": f"{key_id}:{secret}", "scope": said.scope}

    @router.delete("/keys/{key_id}")
    async def revoke(request: Request, key_id: str) -> dict[str, Any]:
        """Make a key useless. Raises Refused 404, and 409 for the key that asks."""
        caller = await admin(gate, request)
        if caller.key_id == key_id:
            raise Refused(409, "A key cannot end itself; use another, or limner keys revoke")
        if not await asyncio.wrap_future(ledger.revoke_key(key_id)):
            raise Refused(404, "No such key, or it has ended already")
        return {"revoked": key_id}
