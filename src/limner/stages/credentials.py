"""Content credentials: a picture's origin under the operator's own signature (C2PA 2.2).

An assertion that the picture was created, and by which of IPTC's sources, in a manifest that is
signed with the operator's certificate and bound to the file's bytes. No thumbnail, no photo that
went in, no prompt, no author; no timestamp authority is asked, so nothing leaves the machine.
Knows c2pa-python and PNG; knows nothing of requests.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from limner import __version__
from limner.errors import Misconfigured
from limner.stages.encode import encode_png
from limner.stages.provenance import SCHEME, Source, said_in

#: The chain, the signer's own certificate first, and the key to it, both PEM.
CERTIFICATES, KEY = "certificates.pem", "key.pem"

#: No small copy of the picture in its own file, and no word to a certificate's authority.
_SETTINGS: dict[str, Any] = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_after_sign": False, "ocsp_fetch": False, "remote_manifest_fetch": False},
}


class Credentials:
    """Signs pictures with one certificate. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        """``folder`` holds CERTIFICATES and KEY. Raises Misconfigured."""
        try:
            import c2pa  # pyright: ignore[reportMissingTypeStubs]
        except ImportError:
            raise Misconfigured(
                "LIMNER_C2PA needs c2pa-python: pip install 'limner[c2pa]'"
            ) from None
        self._c2pa: Any = c2pa
        try:
            chain, key = ((folder / name).read_bytes() for name in (CERTIFICATES, KEY))
        except OSError as problem:
            raise Misconfigured(
                f"LIMNER_C2PA must be a folder with {CERTIFICATES} and {KEY}: {problem.strerror}"
            ) from None
        self._info: Any = c2pa.C2paSignerInfo(  # pyright: ignore[reportUnknownMemberType]
            alg=_algorithm(key), sign_cert=chain, private_key=key, ta_url=None
        )
        try:
            self.signed(encode_png(np.zeros((8, 8, 3), np.uint8), Source.TRAINED_ALGORITHMIC_MEDIA))
        except c2pa.C2paError as problem:
            raise Misconfigured(f"LIMNER_C2PA: nothing can be signed with it: {problem}") from None

    def signed(self, png: bytes) -> bytes:
        """A PNG that says how it was made, with that under a signature; another file as it is."""
        source = said_in(png)
        if source is None:
            return png
        made = {"action": "c2pa.created", "digitalSourceType": SCHEME + source.value}
        manifest = {
            "claim_generator_info": [{"name": "Limner", "version": __version__}],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [made]}}],
        }
        context = self._c2pa.Context(self._c2pa.Settings.from_dict(_SETTINGS))
        signer = self._c2pa.Signer.from_info(self._info)
        out = io.BytesIO()
        with context, signer, self._c2pa.Builder(json.dumps(manifest), context) as builder:
            builder.sign(signer, "image/png", io.BytesIO(png), out)
        return out.getvalue()


def _algorithm(key: bytes) -> bytes:
    """The name of C2PA's algorithm for a private key (13.2.1). Raises Misconfigured."""
    try:
        kind = load_pem_private_key(key, None)
    except (ValueError, TypeError):
        raise Misconfigured(f"LIMNER_C2PA: {KEY} is no private key without a password") from None
    if isinstance(kind, ed25519.Ed25519PrivateKey):
        return b"ed25519"
    if isinstance(kind, rsa.RSAPrivateKey):
        return b"ps256"
    curves = {"secp256r1": b"es256", "secp384r1": b"es384", "secp521r1": b"es512"}
    if isinstance(kind, ec.EllipticCurvePrivateKey) and kind.curve.name in curves:
        return curves[kind.curve.name]
    raise Misconfigured(f"LIMNER_C2PA: {KEY} must be P-256, P-384, P-521, Ed25519 or RSA")
