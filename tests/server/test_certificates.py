"""Our own certificate authority: what it certifies, what it cannot, and when it is renewed."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from limner.server import certificates
from limner.server.certificates import SERVER_LIFE, Credentials, credentials, server_context

NOW = datetime.now(UTC)


def shake_hands(made: Credentials, name: str) -> None:
    """A TLS handshake in memory, by OpenSSL's rules. Raises ssl.SSLError."""
    trusting = ssl.create_default_context(cafile=str(made.authority))
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context(made.chain, made.key).wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.version() in ("TLSv1.2", "TLSv1.3")


@pytest.mark.parametrize(
    "name",
    ["fal.run", "queue.fal.run", "rest.alpha.fal.ai", "v3b.fal.media", "localhost", "127.0.0.1"],
)
def test_fals_names_and_this_machine_are_certified(tmp_path: Path, name: str) -> None:
    shake_hands(credentials(tmp_path, []), name)


def test_a_name_the_operator_gives_is_certified(tmp_path: Path) -> None:
    made = credentials(tmp_path, ["limner.test", "192.0.2.7"])
    shake_hands(made, "limner.test")
    shake_hands(made, "192.0.2.7")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(made, "other.test")


def test_a_stolen_authority_can_vouch_for_no_other_name(tmp_path: Path) -> None:
    made = credentials(tmp_path, [])
    authority = x509.load_pem_x509_certificate(made.authority.read_bytes())
    stolen = load_pem_private_key((tmp_path / "ca.key").read_bytes(), None)
    forged, key = certificates._make_server(  # pyright: ignore[reportPrivateUsage]
        authority,
        stolen,  # pyright: ignore[reportArgumentType]
        [x509.DNSName("bank.example")],
        NOW,
    )
    made.chain.write_bytes(forged.public_bytes(Encoding.PEM))
    made.key.write_bytes(certificates._pem(key))  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        shake_hands(made, "bank.example")


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    made = credentials(tmp_path / "tls", [])
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (made.key, tmp_path / "tls" / "ca.key")} == {
        0o600
    }


def test_what_is_good_is_kept_and_the_server_is_renewed_before_its_end(tmp_path: Path) -> None:
    made = credentials(tmp_path, [], NOW)
    first = (made.authority.read_bytes(), made.chain.read_bytes())
    credentials(tmp_path, [], NOW + timedelta(days=1))
    assert (made.authority.read_bytes(), made.chain.read_bytes()) == first
    credentials(tmp_path, [], NOW + SERVER_LIFE - timedelta(days=59))
    assert made.authority.read_bytes() == first[0], "who trusts the authority need not act"
    assert made.chain.read_bytes() != first[1]


def test_a_broken_file_is_made_anew(tmp_path: Path) -> None:
    made = credentials(tmp_path, [])
    made.key.write_text("nonsense")
    shake_hands(credentials(tmp_path, []), "fal.run")


def test_the_bundle_holds_ours_before_the_systems_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = credentials(tmp_path, [])
    # An operator who already trusts us must not make the bundle grow with every start.
    monkeypatch.setenv("SSL_CERT_FILE", str(made.bundle))
    once = made.bundle.read_bytes()
    credentials(tmp_path, [])
    assert made.bundle.read_bytes() == once
    assert once.startswith(made.authority.read_bytes())
