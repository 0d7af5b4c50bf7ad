"""Content credentials as the C2PA project's own reader sees them.

Signed with a certificate that the test makes, under an authority of its own that nobody trusts:
that is the only thing the reader may find wanting.
"""

from __future__ import annotations

import datetime
import io
import json
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

from limner.errors import Misconfigured
from limner.stages.credentials import CERTIFICATES, KEY, Credentials
from limner.stages.encode import encode_png
from limner.stages.provenance import SCHEME, Source

PEM = serialization.Encoding.PEM
NOW = datetime.datetime.now(datetime.UTC)


def named(common: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A test")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def usage(*, authority: bool) -> x509.KeyUsage:
    names = ("key_encipherment", "content_commitment", "data_encipherment", "key_agreement")
    rest: dict[str, bool] = dict.fromkeys((*names, "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(
        **rest, digital_signature=not authority, key_cert_sign=authority, crl_sign=authority
    )


def certificate(common: str, key: Any, by: Any, *, authority: bool) -> x509.Certificate:
    """A certificate as C2PA's profile has it (14.5.1), signed with the key ``by``."""
    made = (
        x509.CertificateBuilder()
        .subject_name(named(common))
        .issuer_name(named("authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(usage(authority=authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False)
    )
    if not authority:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        made = made.add_extension(purposes, critical=False)
    return made.sign(by, hashes.SHA256())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An operator's folder."""
    made = tmp_path_factory.mktemp("c2pa")
    top, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = [
        certificate("signer", own, top, authority=False),
        certificate("authority", top, top, authority=True),
    ]
    (made / CERTIFICATES).write_bytes(b"".join(each.public_bytes(PEM) for each in chain))
    plain = serialization.NoEncryption()
    (made / KEY).write_bytes(own.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain))
    return made


def noise(source: Source | None) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    return encode_png(pixels, source)


def told(content: bytes) -> dict[str, Any]:
    """What the project's reader says of a PNG."""
    with c2pa.Reader("image/png", io.BytesIO(content)) as reader:
        return json.loads(reader.json())


def faults(content: bytes) -> set[str]:
    return {each["code"] for each in told(content).get("validation_status", [])}


@pytest.mark.parametrize("source", Source)
def test_a_picture_is_signed_with_its_source_and_nothing_else(folder: Path, source: Source) -> None:
    before = noise(source)
    signed = Credentials(folder).signed(before)
    assert faults(signed) == {"signingCredential.untrusted"}
    report = told(signed)
    (manifest,) = report["manifests"].values()
    (assertion,) = manifest["assertions"]
    (action,) = assertion["data"]["actions"]
    assert action == {"action": "c2pa.created", "digitalSourceType": SCHEME + source.value}
    assert manifest["claim_generator_info"][0]["name"] == "Limner"
    assert manifest["signature_info"]["common_name"] == "signer"
    # No small copy of the picture in it, and no photo that it was made of.
    assert "thumbnail" not in json.dumps(report)
    assert b"thumbnail" not in signed
    assert "ingredients" not in manifest or manifest["ingredients"] == []
    one, other = (np.asarray(Image.open(io.BytesIO(each))) for each in (before, signed))
    assert np.array_equal(one, other)
    assert SCHEME.encode() + source.value.encode() in signed


def test_a_changed_picture_is_found_out(folder: Path) -> None:
    signed = bytearray(Credentials(folder).signed(noise(Source.TRAINED_ALGORITHMIC_MEDIA)))
    signed[signed.index(b"IDAT") + 100] ^= 1
    assert "assertion.dataHash.mismatch" in faults(bytes(signed))


def test_what_says_nothing_is_not_signed(folder: Path) -> None:
    assert Credentials(folder).signed(noise(None)) == noise(None)


def test_an_operator_is_told_what_is_wrong_before_anything_is_drawn(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(Misconfigured, match=CERTIFICATES):
        Credentials(tmp_path)
    (tmp_path / CERTIFICATES).write_bytes((folder / CERTIFICATES).read_bytes())
    (tmp_path / KEY).write_text("no key")
    with pytest.raises(Misconfigured, match="no private key"):
        Credentials(tmp_path)
    other = ec.generate_private_key(ec.SECP256R1())  # not the certificate's
    plain = serialization.NoEncryption()
    (tmp_path / CERTIFICATES).write_text("no certificate")
    (tmp_path / KEY).write_bytes(other.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain))
    with pytest.raises(Misconfigured, match="nothing can be signed"):
        Credentials(tmp_path)
