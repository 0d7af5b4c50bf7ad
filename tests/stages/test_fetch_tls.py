"""Whose certificate the door takes."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from limner.errors import FileDownloadError
from limner.stages.fetch import Door
from tests.stages.hostile import Hostile, response
from tests.stages.small_door import PICTURE, SECRET, door, refusal


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that only those who are told to will trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("pictures.example")]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Hostile]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listening = Hostile(tls=context)
    yield listening
    listening.close()


def trusting(certificate: Path, **changes: object) -> Door:
    made = door(**changes)
    made.__dict__["_tls"] = ssl.create_default_context(cafile=str(certificate))
    return made


def test_a_certificate_is_checked_against_the_name_and_not_the_address(
    secure: Hostile, certificate: Path
) -> None:
    secure.says("/face.png", response(PICTURE))
    read = trusting(certificate, resolver=lambda *_: ["127.0.0.1"]).read
    assert read(f"https://pictures.example:{secure.port}/face.png") == PICTURE
    assert read(f"https://pictures.example.:{secure.port}/face.png") == PICTURE
    with pytest.raises(FileDownloadError, match=r"other\.example could not be reached"):
        read(f"https://other.example:{secure.port}/face.png")


def test_a_certificate_nobody_vouches_for_is_refused(secure: Hostile) -> None:
    url = secure.says(SECRET, response(PICTURE))
    assert "could not be reached" in refusal(url)
    assert secure.asked == []


def test_plain_http_on_a_tls_port_and_the_reverse_are_refused(
    secure: Hostile, host: Hostile
) -> None:
    host.says("/a", response(PICTURE))
    assert "could not be reached" in refusal(f"http://127.0.0.1:{secure.port}{SECRET}")
    assert "could not be reached" in refusal(f"https://127.0.0.1:{host.port}/a")
