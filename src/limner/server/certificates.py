"""A certificate authority of this Limner's own, and the certificate it gives to this server.

Whoever trusts the authority's certificate (``ca.pem``) reaches fal's names here over TLS. The
authority is bound by name constraints (RFC 5280, 4.2.1.10) to fal's names, this machine's loopback
and the names the operator gave: a stolen key can vouch for nothing else. Keys are readable by
their owner only. Knows X.509 and files; knows no socket and no request.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from limner.server.hosts import PARTS

#: fal's domains; each is certified with every name one level below it (wire.md 13).
DOMAINS = ("fal.run", "falrun.com", "fal.ai", "fal.media")

#: Names of this machine itself, always certified.
LOCAL = ("localhost", "127.0.0.1", "::1")

#: How long the authority and a server certificate last. Apple's TLS refuses servers above 825 days.
CA_LIFE, SERVER_LIFE = timedelta(days=3650), timedelta(days=397)

#: A certificate with less left than this is renewed when the server starts.
RENEW_BEFORE = timedelta(days=60)

#: Clocks differ: a new certificate is valid from a little earlier.
BACKDATED = timedelta(hours=1)

#: Where Debian, Fedora, and Alpine or macOS keep what they trust.
SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)

PrivateKey = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the files lie that TLS needs."""

    #: The authority: what a client has to trust.
    authority: Path
    #: The authority and the system's own, for clients whose setting replaces what they trust.
    bundle: Path
    #: The server's certificate followed by the authority's.
    chain: Path
    key: Path


def credentials(folder: Path, names: Sequence[str], now: datetime | None = None) -> Credentials:
    """The files in ``folder``, made or renewed so that they certify ``names`` beside fal's.

    ``names``: host names or IP addresses. The authority is made anew, and has to be trusted anew,
    only when it is near its end or may not certify one of them. ``now``: aware UTC.
    """
    now = now or datetime.now(UTC)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = Credentials(
        folder / "ca.pem", folder / "ca-bundle.pem", folder / "server.pem", folder / "server.key"
    )
    wanted = _general_names([*_fal_names(), *LOCAL, *names])
    found = _read(folder / "ca.pem", folder / "ca.key")
    if found is None or not (_lasts(found[0], now) and _permits(found[0], wanted)):
        found = _make_authority(_general_names([*DOMAINS, *LOCAL, *names]), now)
        _write(folder / "ca.key", _pem(found[1]), private=True)
        _write(files.authority, found[0].public_bytes(Encoding.PEM))
    authority, authority_key = found
    served = _read(files.chain, files.key)
    if served is None or not (
        _lasts(served[0], now) and _certifies(served[0], wanted) and _issued(authority, served[0])
    ):
        certificate, key = _make_server(authority, authority_key, wanted, now)
        _write(files.key, _pem(key), private=True)
        chain = [certificate, authority]
        _write(files.chain, b"".join(link.public_bytes(Encoding.PEM) for link in chain))
    _write(files.bundle, authority.public_bytes(Encoding.PEM) + _system_authorities(folder))
    return files


def server_context(chain: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with this certificate, speaking HTTP/1.1."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _fal_names() -> list[str]:
    """The domains, all names below them, and the known names that lie two levels below."""
    deeper = [name for name in PARTS if name.count(".") > 2]
    return [*DOMAINS, *(f"*.{domain}" for domain in DOMAINS), *deeper]


def _general_names(names: Iterable[str]) -> list[x509.GeneralName]:
    return [_general_name(name) for name in dict.fromkeys(names)]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _lasts(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEW_BEFORE


def _permits(authority: x509.Certificate, wanted: Iterable[x509.GeneralName]) -> bool:
    """May the authority certify all of these?"""
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = constraints.permitted_subtrees or []

    def inside(name: x509.GeneralName, tree: x509.GeneralName) -> bool:
        if isinstance(name, x509.DNSName) and isinstance(tree, x509.DNSName):
            return name.value == tree.value or name.value.endswith(f".{tree.value}")
        if isinstance(name, x509.IPAddress) and isinstance(tree, x509.IPAddress):
            return ipaddress.ip_address(str(name.value)) in ipaddress.ip_network(str(tree.value))
        return False

    return all(any(inside(name, tree) for tree in permitted) for name in wanted)


def _certifies(certificate: x509.Certificate, wanted: Iterable[x509.GeneralName]) -> bool:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(wanted) <= set(names)


def _issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _make_authority(
    permitted: Iterable[x509.GeneralName], now: datetime
) -> tuple[x509.Certificate, PrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    # The serial in the name keeps an old authority and its successor apart in a trust store.
    serial = x509.random_serial_number()
    name = _subject(f"Limner local authority {serial:x}"[:40])
    trees = [
        x509.IPAddress(ipaddress.ip_network(str(tree.value)))
        if isinstance(tree, x509.IPAddress)
        else tree
        for tree in permitted
    ]
    builder = (
        _builder(name, name, key, serial, now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(trees, None), critical=True)
    )
    return builder.sign(key, hashes.SHA256()), key


def _make_server(
    authority: x509.Certificate,
    authority_key: PrivateKey,
    names: Sequence[x509.GeneralName],
    now: datetime,
) -> tuple[x509.Certificate, PrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    serial = x509.random_serial_number()
    builder = (
        _builder(_subject("Limner"), authority.subject, key, serial, now, SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(identifier, critical=False)
    )
    return builder.sign(authority_key, hashes.SHA256()), key


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: PrivateKey,
    serial: int,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read(certificate: Path, key: Path) -> tuple[x509.Certificate, PrivateKey] | None:
    """A certificate and its key; None when they are missing, broken, or not of each other."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        return None
    return (found, private) if found.public_key() == private.public_key() else None


def _write(path: Path, content: bytes, *, private: bool = False) -> None:
    """Replace a file in one step, so that no reader ever sees half of it."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        scratch.unlink()
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o644)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
    scratch.replace(path)


def _system_authorities(ours: Path) -> bytes:
    """What programs of this machine trust by default; nothing where no such file is found."""
    paths = ssl.get_default_verify_paths()
    # The first may be ours already: whoever starts us may have been told to trust us.
    for found in (paths.cafile, paths.openssl_cafile, *SYSTEM_BUNDLES):
        if found and Path(found).is_file() and Path(found).resolve().parent != ours.resolve():
            return Path(found).read_bytes()
    return b""
