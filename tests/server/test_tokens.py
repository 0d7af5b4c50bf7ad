"""Short-lived tokens: both dialects, their scope, and whose they are (wire.md 0.12, 3.8)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from limner.endpoints.accept import accept
from limner.errors import InvalidInput
from limner.server.tokens import TokenRequest
from tests.rig.process import ROOT, Server

METRONOME = "limner/metronome"


def limner(home: Path, *arguments: str) -> str:
    """What ``limner keys …`` prints."""
    return subprocess.run(
        [sys.executable, "-m", "limner", *arguments],
        cwd=ROOT,
        env={**os.environ, "LIMNER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server with a key, and that key."""
    home = tmp_path_factory.mktemp("locked")
    key = limner(home, "keys", "create")
    server = Server(home)
    yield server, key
    server.stop()


def token(server: Server, key: str, path: str = "/tokens/", **said: Any) -> Any:
    answer = server.post(f"/rest.fal.ai{path}", json=said, headers={"authorization": f"Key {key}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def run(server: Server, token: str) -> int:
    path = f"/fal.run/{METRONOME}?fal_jwt_token={token}"
    return server.post(path, json={"steps": 0}).status_code


@pytest.mark.parametrize(
    ("said", "life"),
    [({}, 120), ({"duration": 0.5}, 0.5), ({"token_expiration": 60}, 60)],
)
def test_a_token_lives_as_long_as_either_dialect_says(said: dict[str, float], life: float) -> None:
    assert accept(TokenRequest, {"app": METRONOME, **said}).life == life


def test_a_token_that_would_never_live_is_refused() -> None:
    for name in ("duration", "token_expiration"):
        with pytest.raises(InvalidInput):
            accept(TokenRequest, {"app": METRONOME, name: 0})


def test_a_token_is_a_bare_json_string(locked: tuple[Server, str]) -> None:
    server, key = locked
    made = token(server, key, allowed_apps=["metronome"], token_expiration=120)
    assert isinstance(made, str)
    claims = jwt.decode(made, options={"verify_signature": False})
    assert claims["exp"] - time.time() == pytest.approx(120, abs=10)
    # Nothing of the key's secret is in it.
    assert key.partition(":")[2] not in str(claims)


@pytest.mark.parametrize(
    "said",
    [
        {"app": f"{METRONOME}/realtime", "duration": 60},
        {"allowed_apps": [f"{METRONOME}/realtime"], "token_expiration": 60},
        {"allowed_apps": ["metronome"], "duration": 60},
    ],
)
def test_the_newer_sibling_answers_an_object(
    locked: tuple[Server, str], said: dict[str, Any]
) -> None:
    server, key = locked
    made = token(server, key, "/tokens/realtime", **said)
    assert set(made) == {"token"}
    assert run(server, made["token"]) == 200


@pytest.mark.parametrize(
    ("apps", "code"),
    [
        (["metronome"], 200), ([METRONOME], 200), (["face-to-sticker", "metronome"], 200),
        (["face-to-sticker"], 403), (["fal-ai/metronome"], 403), (["metro"], 403), (["*"], 403),
        ([""], 403),
    ],
)  # fmt: skip
def test_a_token_opens_the_applications_it_names(
    locked: tuple[Server, str], apps: list[str], code: int
) -> None:
    server, key = locked
    made = token(server, key, allowed_apps=apps)
    assert run(server, made) == code
    queue = f"/queue.fal.run/{METRONOME}?fal_jwt_token={made}"
    assert server.post(queue, json={}).status_code == code


def test_a_token_sees_what_its_key_submitted(locked: tuple[Server, str]) -> None:
    # 2.2: the status stream with connectionMode "client" carries a token and no key.
    server, key = locked
    submitted = server.post(
        f"/queue.fal.run/{METRONOME}", json={}, headers={"authorization": f"Key {key}"}
    ).json()
    path = submitted["status_url"].removeprefix(server.base)
    mine = token(server, key, allowed_apps=["metronome"])
    told = server.get(f"{path}/stream?logs=0&fal_jwt_token={mine}")
    assert '"COMPLETED"' in told.text
    other = token(server, limner(server.home, "keys", "create"), allowed_apps=["metronome"])
    assert server.get(f"{path}?fal_jwt_token={other}").status_code == 404


@pytest.mark.parametrize(
    "said",
    [{}, {"allowed_apps": []}, {"allowed_apps": "metronome"}, {"allowed_apps": ["x"] * 51},
     {"allowed_apps": ["metronome"], "token_expiration": 0},
     {"allowed_apps": ["metronome"], "token_expiration": "soon"}],
)  # fmt: skip
def test_a_token_for_nothing_or_never_is_refused(
    locked: tuple[Server, str], said: dict[str, Any]
) -> None:
    server, key = locked
    refused = server.post(
        "/rest.fal.ai/tokens/", json=said, headers={"authorization": f"Key {key}"}
    )
    assert refused.status_code == 422


def test_no_token_lives_longer_than_an_hour(locked: tuple[Server, str]) -> None:
    server, key = locked
    made = token(server, key, allowed_apps=["metronome"], token_expiration=10**9)
    claims = jwt.decode(made, options={"verify_signature": False})
    assert claims["exp"] <= time.time() + 3600


def test_a_token_ends_with_the_key_that_made_it(locked: tuple[Server, str]) -> None:
    server, _ = locked
    key = limner(server.home, "keys", "create")
    made = token(server, key, allowed_apps=["metronome"])
    assert run(server, made) == 200
    limner(server.home, "keys", "revoke", key.partition(":")[0])
    assert run(server, made) == 401


def test_a_token_of_the_time_without_keys_ends_with_the_first_key(own_server: Server) -> None:
    made = token(own_server, "any:key", allowed_apps=["metronome"])
    assert run(own_server, made) == 200
    limner(own_server.home, "keys", "create")
    assert run(own_server, made) == 401


@pytest.mark.parametrize("wrong", ["", "none", "a.b.c", "{upload}"])
def test_what_is_no_token_is_401(locked: tuple[Server, str], wrong: str) -> None:
    server, key = locked
    upload = server.post(
        "/rest.fal.ai/storage/auth/token", json={}, headers={"authorization": f"Key {key}"}
    ).json()["token"]
    assert run(server, wrong.format(upload=upload)) == 401


def test_with_a_key_made_uploads_need_a_token_also_on_loopback(
    locked: tuple[Server, str],
) -> None:
    server, key = locked
    upload, mine = "/v3.fal.media/files/upload", {"authorization": f"Key {key}"}
    for path in (upload, f"{upload}/multipart"):
        assert server.post(path, content=b"x").status_code == 401
        assert server.post(path, content=b"x", headers=mine).status_code == 401
    made = server.post("/rest.fal.ai/storage/auth/token", json={}, headers=mine).json()["token"]
    bearer = {"authorization": f"Bearer {made}"}
    posted = server.post(upload, content=b"x", headers=bearer)
    assert posted.status_code == 200
    # Files are public by their unguessable names (7.2).
    assert server.get(posted.json()["access_url"].removeprefix(server.base)).content == b"x"
