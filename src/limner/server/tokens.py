"""``POST rest.fal.ai/tokens/``: short-lived tokens for browsers and websockets (wire.md 3.8).

Knows the two dialects of asking; the token itself is the Gate's.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import AliasChoices, BaseModel, Field

from limner.endpoints.accept import accept
from limner.errors import Refused
from limner.server.body import read_json
from limner.server.keys import Gate

#: fal's default life of a token in seconds.
DEFAULT_LIFE = 120


class TokenRequest(BaseModel):
    """Either dialect: ``allowed_apps`` + ``token_expiration``, or ``app`` + ``duration``."""

    allowed_apps: Annotated[list[str], Field(min_length=1, max_length=50)] | None = None
    app: str | None = None
    life: float = Field(
        DEFAULT_LIFE,
        gt=0,
        validation_alias=AliasChoices("token_expiration", "duration"),
    )


def tokens_router(gate: Gate, max_body_bytes: int) -> APIRouter:
    """The token routes."""
    router = APIRouter()

    async def make(request: Request) -> str:
        caller = await gate.caller(request)
        wanted = accept(TokenRequest, await read_json(request, max_body_bytes))
        apps = wanted.allowed_apps or ([wanted.app] if wanted.app else [])
        if not apps:
            raise Refused(422, "Say which applications the token is for: allowed_apps")
        # The newer dialect says the full path; a token is for ``owner/alias``, or for an alias.
        apps = ["/".join(app.strip("/").split("/")[:2]) for app in apps]
        return gate.make_token(caller, apps, wanted.life)

    @router.post("/@rest/tokens")
    async def token(request: Request) -> str:
        """A bare JSON string, as both clients expect."""
        return await make(request)

    @router.post("/@rest/tokens/realtime")
    async def realtime_token(request: Request) -> dict[str, str]:
        """The newer sibling answers an object."""
        return {"token": await make(request)}

    return router
