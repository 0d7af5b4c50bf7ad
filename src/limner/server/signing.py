"""Signing webhooks as fal does, and publishing the key that checks them (wire.md 6).

Ed25519 over ``request_id\\nuser_id\\ntimestamp\\nhex(sha256(body))``; the public key is a JWKS at
``/.well-known/jwks.json``. Knows the recipe; knows nothing of deliveries.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import APIRouter
from fastapi.responses import JSONResponse

#: How long a verifier may keep the key, seconds; fal says at most a day.
JWKS_LIFE = 86400


class Signer:
    """Signs webhook bodies with one key."""

    def __init__(self, seed: bytes) -> None:
        """``seed``: 32 secret bytes (RFC 8032)."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    def headers(self, request_id: str, user_id: str, timestamp: int, body: bytes) -> dict[str, str]:
        """fal's four signature headers for one delivery at ``timestamp`` (unix seconds)."""
        digest = hashlib.sha256(body).hexdigest()
        message = f"{request_id}\n{user_id}\n{timestamp}\n{digest}".encode()
        return {
            "X-Fal-Webhook-Request-Id": request_id,
            "X-Fal-Webhook-User-Id": user_id,
            "X-Fal-Webhook-Timestamp": str(timestamp),
            "X-Fal-Webhook-Signature": self._key.sign(message).hex(),
        }

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public key as a JWK set.

        ``x`` keeps its ``=`` padding although RFC 7515 wants none: fal's published Python recipe
        decodes it without repairing the padding and would fail on the bare form.
        """
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = base64.urlsafe_b64encode(raw).decode()
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "x": x}]}


def jwks_router(signer: Signer) -> APIRouter:
    """The key's address, the same on every road."""
    router = APIRouter()

    @router.get("/@rest/.well-known/jwks.json")
    async def jwks() -> JSONResponse:
        return JSONResponse(
            signer.jwks(), headers={"cache-control": f"public, max-age={JWKS_LIFE}"}
        )

    return router
