"""The `fal` package 1.83.0, unmodified: ``fal.apps`` and its command ``fal api`` (wire.md 2.3).

Two roads: its own host variables (J of wire.md 1.4), and ``HTTPS_PROXY`` (B). ``fal-client`` itself
has no command line: neither 1.0.3 nor 0.13.2 has an entry point or a ``__main__``.
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.rig.process import Server

PROGRAM = Path(__file__).parent / "python" / "fal_apps.py"
METRONOME = "limner/metronome"


def environment(road: str, server: Server, home: Path) -> dict[str, str]:
    """What a person exports; an empty home, so that nobody's own login is found."""
    base = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env = {**base, "FAL_KEY": "any:key", "SSL_CERT_FILE": str(server.authority), "HOME": str(home)}
    if road == "proxy":
        return {**env, "HTTPS_PROXY": server.base}
    hosts = {"FAL_RUN_HOST": "fal.run", "FAL_QUEUE_RUN_HOST": "queue.fal.run"}
    hosts["FAL_WS_RUN_HOST"] = "ws.fal.run"
    return env | {name: f"localhost:{server.port}/{host}" for name, host in hosts.items()}


@pytest.fixture(scope="module")
def told(tls_server: Server, fal_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What came of every call on a road."""

    @cache
    def on(road: str) -> dict[str, Any]:
        done = subprocess.run(
            [str(fal_package / "python"), str(PROGRAM)],
            env=environment(road, tls_server, tmp_path_factory.mktemp("home")),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return on


@pytest.mark.parametrize("road", ["variables", "proxy"])
def test_every_call_of_fal_apps(told: Any, road: str) -> None:
    answers = told(road)
    assert answers["run"] == 1
    submitted = answers["submit"]
    assert "InProgress" in submitted["kinds"]
    assert submitted["heard"]
    # wire.md 0.1: any 200 on /status is Completed to this client.
    assert (submitted["completed"], submitted["steps"]) == ("Completed", 3)
    assert answers["failed"] == {
        "kind": "Completed",
        "error": "Invalid status code: 422",
        "result": 422,
    }
    assert answers["cancel"] == {"type": "client_cancelled", "result": 499, "again": 400}
    assert answers["stream"] == 2
    assert answers["over_a_websocket"] == [1, 2]
    assert answers["realtime"] == [2, "mine"]


@pytest.mark.parametrize(
    ("model", "said"),
    [(METRONOME, "'steps': 2"), (f"{METRONOME}/stream", '"steps":2')],
    ids=["queue", "stream"],
)
def test_the_command_fal_api(
    tls_server: Server, fal_package: Path, tmp_path: Path, model: str, said: str
) -> None:
    done = subprocess.run(
        [str(fal_package / "fal"), "api", model, "steps=2"],
        env={**environment("variables", tls_server, tmp_path), "COLUMNS": "400", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
