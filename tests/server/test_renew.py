"""``limner keys renew``: what a copy of the database can open or sign is worth nothing after it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.rig.process import ROOT, Server
from tests.server.conftest import new_key
from tests.server.test_sealed import PUBLIC, UPLOAD, path, uploaded

FAR = {"LIMNER_PUBLIC_URL": PUBLIC, "LIMNER_WORKERS": "0"}
METRONOME = "/fal.run/limner/metronome"


def secrets(home: Path) -> dict[str, bytes]:
    with closing(sqlite3.connect(home / "limner.db")) as database:
        return dict(database.execute("SELECT name, value FROM secrets"))


def renew(home: Path, *options: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "limner", "keys", "renew", *options],
        cwd=ROOT,
        env={**os.environ, "LIMNER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_what_was_handed_out_opens_nothing_after_the_next_start(tmp_path: Path) -> None:
    key = new_key(tmp_path, "admin")
    server = Server(tmp_path, env=FAR)
    photo = uploaded(server, key)
    asked = {"allowed_apps": ["limner/metronome"]}
    token = server.post("/rest.fal.ai/tokens/", json=asked, headers=key).json()
    ticket = path(server.post(UPLOAD, json={}, headers=key).json()["upload_url"])
    queue = f"/queue.fal.run/limner/metronome?fal_jwt_token={token}"
    assert server.get(path(photo)).status_code == 200
    assert server.post(queue, json={}).status_code == 200
    jwks = server.get("/rest.fal.ai/.well-known/jwks.json").json()
    before = secrets(tmp_path)

    assert "Restart every server and worker" in renew(tmp_path)
    assert server.get(path(photo)).status_code == 200  # it goes on as it began
    server.stop()
    server = Server(tmp_path, env=FAR)
    try:
        assert server.get(path(photo)).status_code == 403
        assert server.post(queue, json={}).status_code == 401
        assert server.call("PUT", ticket, content=b"x").status_code == 401
        # The file is there, and whoever has a key finds it.
        listed = server.get("/limner/v1/files", headers=key).json()["files"][0]["url"]
        assert server.get(path(listed)).content == b"a face"
        # Receivers of webhooks keep the public key for a day.
        assert server.get("/rest.fal.ai/.well-known/jwks.json").json() == jwks
    finally:
        server.stop()

    after = secrets(tmp_path)
    assert after.keys() == before.keys()
    assert [name for name in before if after[name] == before[name]] == ["webhook signing key"]
    # None is forgotten here: whoever adds one has to say what renewing it means.
    renew(tmp_path, "--webhooks")
    assert secrets(tmp_path) == {}
