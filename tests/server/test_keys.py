"""Keys and tokens: who gets in, and how far (wire.md 3.8, 4.4)."""

from __future__ import annotations

import hmac
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from limner.requests.ledger import Ledger
from tests.rig.process import ROOT, Server

METRONOME = "limner/metronome"


def limner(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "limner", *arguments],
        cwd=ROOT,
        env={**os.environ, "LIMNER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server with one key, and that key."""
    home = tmp_path_factory.mktemp("locked")
    key = limner(home, "keys", "create").stdout.strip()
    server = Server(home)
    yield server, key
    server.stop()


def test_without_a_key_nothing_is_answered(locked: tuple[Server, str]) -> None:
    server, _ = locked
    for path in ("/fal.run/limner/metronome", "/queue.fal.run/limner/metronome"):
        refused = server.post(path, json={})
        assert refused.status_code == 401
        assert refused.json()["detail"].startswith('Cannot access application "limner/metronome"')
    assert server.post("/rest.fal.ai/tokens/", json={"allowed_apps": ["x"]}).status_code == 401
    uploads = "/rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3"
    assert server.post(uploads, json={}).status_code == 401


@pytest.mark.parametrize("wrong", ["Key a:b", "Key", "Basic abc", "Key {id}:wrong", "Key {id}"])
def test_a_wrong_key_is_refused(locked: tuple[Server, str], wrong: str) -> None:
    server, key = locked
    header = {"authorization": wrong.format(id=key.partition(":")[0])}
    refused = server.post(f"/fal.run/{METRONOME}", json={}, headers=header)
    assert refused.status_code == 401


@pytest.mark.parametrize("scheme", ["Key", "Bearer", "key"])
def test_the_key_opens(locked: tuple[Server, str], scheme: str) -> None:
    server, key = locked
    answer = server.post(
        f"/fal.run/{METRONOME}", json={"steps": 1}, headers={"authorization": f"{scheme} {key}"}
    )
    assert (answer.status_code, answer.json()["steps"]) == (200, 1)


def test_a_key_sees_only_its_own_requests(locked: tuple[Server, str]) -> None:
    server, key = locked
    mine = {"authorization": f"Key {key}"}
    request_id = server.post(f"/fal.run/{METRONOME}", json={}, headers=mine).headers[
        "x-fal-request-id"
    ]
    path = f"/queue.fal.run/{METRONOME}/requests/{request_id}"
    other = limner(server.home, "keys", "create").stdout.strip()
    assert server.get(path, headers=mine).status_code == 200
    assert server.get(path, headers={"authorization": f"Key {other}"}).status_code == 404


def test_a_token_opens_its_application_and_no_other(locked: tuple[Server, str]) -> None:
    server, key = locked
    mine = {"authorization": f"Key {key}"}
    asked = {"allowed_apps": ["metronome"], "token_expiration": 120}
    token = server.post("/rest.fal.ai/tokens/", json=asked, headers=mine).json()
    assert isinstance(token, str)  # wire.md 0.12: a bare JSON string
    query = f"?fal_jwt_token={token}"
    assert server.post(f"/fal.run/{METRONOME}{query}", json={"steps": 1}).status_code == 200
    assert server.post(f"/fal.run/fal-ai/face-to-sticker{query}", json={}).status_code == 403
    # A token does not beget tokens, and is not forged by changing it.
    assert server.post(f"/rest.fal.ai/tokens/{query}", json=asked).status_code == 403
    claims = jwt.decode(token, options={"verify_signature": False})
    forged = jwt.encode({**claims, "apps": ["face-to-sticker"]}, "x" * 32, algorithm="HS256")
    path = f"/fal.run/fal-ai/face-to-sticker?fal_jwt_token={forged}"
    assert server.post(path, json={}).status_code == 401


def test_a_late_token_is_refused(locked: tuple[Server, str]) -> None:
    server, key = locked
    asked = {"allowed_apps": ["metronome"], "token_expiration": 0.001}
    token = server.post(
        "/rest.fal.ai/tokens/", json=asked, headers={"authorization": f"Key {key}"}
    ).json()
    late = server.post(f"/fal.run/{METRONOME}?fal_jwt_token={token}", json={})
    assert late.status_code == 401


def test_a_revoked_key_is_useless_at_once(locked: tuple[Server, str]) -> None:
    server, _ = locked
    key = limner(server.home, "keys", "create").stdout.strip()
    header = {"authorization": f"Key {key}"}
    assert server.post(f"/fal.run/{METRONOME}", json={}, headers=header).status_code == 200
    assert limner(server.home, "keys", "revoke", key.partition(":")[0]).returncode == 0
    assert server.post(f"/fal.run/{METRONOME}", json={}, headers=header).status_code == 401


def test_the_first_key_closes_the_door_at_once(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        # Known as somebody who needs none, on both roads that submit.
        assert server.post(f"/fal.run/{METRONOME}", json={"steps": 1}).status_code == 200
        key = limner(tmp_path, "keys", "create").stdout.strip()
        for path in (f"/fal.run/{METRONOME}", f"/queue.fal.run/{METRONOME}"):
            refused = server.post(path, json={"steps": 1})
            assert (refused.status_code, "key" in refused.text) == (401, True)
        header = {"authorization": f"Key {key}"}
        opened = server.post(f"/fal.run/{METRONOME}", json={"steps": 1}, headers=header)
        assert opened.status_code == 200
    finally:
        server.stop()


def test_secrets_are_not_on_disk(locked: tuple[Server, str]) -> None:
    server, key = locked
    secret = key.partition(":")[2].encode()
    kept = [path.read_bytes() for path in server.home.glob("limner.db*")]
    assert kept
    assert not any(secret in content for content in kept)


def test_a_secret_is_compared_in_constant_time_whether_or_not_there_is_such_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        key_id, secret = ledger.create_key("api").result()
        for said in ((key_id, secret), (key_id, "wrong"), ("nobody", secret), ("", "")):
            found = ledger.find_key(*said).result()
            assert (found is not None) == (said == (key_id, secret))
    assert compared == [(32, 32)] * 4  # hashes, so that lengths tell nothing either


def test_neither_key_nor_token_is_in_the_log(locked: tuple[Server, str]) -> None:
    server, key = locked
    mine = {"authorization": f"Key {key}"}
    asked = {"allowed_apps": ["metronome"]}
    token = server.post("/rest.fal.ai/tokens/", json=asked, headers=mine).json()
    for ending in ("well", "badly", "no such ending"):
        for query, headers in ((f"?fal_jwt_token={token}", {}), ("", mine)):
            server.post(f"/fal.run/{METRONOME}{query}", json={"ending": ending}, headers=headers)
    server.get(f"/nowhere?fal_jwt_token={token}&key={key}")
    told = server.log.read_text()
    assert "RuntimeError" in told  # what went badly is there
    assert key.partition(":")[2] not in told
    assert token not in told


def test_elsewhere_than_loopback_it_refuses_to_start_without_a_key(tmp_path: Path) -> None:
    refused = limner(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode != 0
    assert "limner keys create" in refused.stderr
