"""`fal-client`, newest and 0.13, unmodified, sync and async, on three roads (wire.md 1.4, 2.1).

``names``: fal's names resolve to us (A). ``proxy``: ``HTTPS_PROXY`` (B). ``variables``:
``FAL_RUN_HOST`` and ``FAL_QUEUE_RUN_HOST`` (C). Trust comes from ``SSL_CERT_FILE`` on each.
The fourth road, the client's module addresses, is in test_python_client.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.rig.process import Server

CALLS = Path(__file__).parent / "python" / "on_road.py"
NEWEST, OLDER = "1.0.3", "0.13.2"
ROADS = ("names", "proxy", "variables")
Told = Callable[[str], Any]


def environment(road: str, server: Server) -> dict[str, str]:
    """What a person exports before starting a program; nothing in the program changes."""
    env = {"SSL_CERT_FILE": str(server.authority)}
    if road == "proxy":
        env["HTTPS_PROXY"] = server.base
    if road == "variables":
        env["FAL_RUN_HOST"] = f"localhost:{server.port}/fal.run"
        env["FAL_QUEUE_RUN_HOST"] = f"localhost:{server.port}/queue.fal.run"
    return env


@pytest.fixture(scope="session")
def make_calls(
    tls_server: Server, tmp_path_factory: pytest.TempPathFactory, older_python_client: Path
) -> Callable[[str, str], dict[str, Any]]:
    """All calls of one version on one road, made once."""

    @cache
    def make(version: str, road: str) -> dict[str, Any]:
        env = {**os.environ, **environment(road, tls_server)}
        if version == OLDER:
            env["PYTHONPATH"] = str(older_python_client)
        folder = tmp_path_factory.mktemp(f"{version}-{road}")
        done = subprocess.run(
            [sys.executable, str(CALLS), road, str(tls_server.port), str(folder)],
            env=env,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["version"] == version
        return told

    return make


def on(*roads: str) -> list[tuple[str, str, str]]:
    """Each version, on each of these roads, with each of its two clients."""
    return [
        (version, road, kind)
        for version in (NEWEST, OLDER)
        for road in roads
        for kind in ("sync", "async")
    ]


@pytest.fixture(params=on(*ROADS), ids="-".join)
def told(request: pytest.FixtureRequest, make_calls: Callable[..., Any]) -> Told:
    """What came of a call, on each road with each client."""
    version, road, kind = request.param
    return make_calls(version, road)[kind].__getitem__


@pytest.fixture(params=on("names", "proxy"), ids="-".join)
def told_by_names(request: pytest.FixtureRequest, make_calls: Callable[..., Any]) -> Told:
    """The same where uploads and tokens reach us too: host variables do not bend those."""
    version, road, kind = request.param
    return make_calls(version, road)[kind].__getitem__


def test_run(told: Told) -> None:
    assert told("run") == {"steps": 2, "picture": "not really a picture"}


def test_wrong_input_names_the_field(told: Told) -> None:
    for call in ("run_wrong", "subscribe_wrong"):
        refused = told(call)
        assert refused["status"] == 422
        assert refused["body"]["detail"][0]["loc"] == ["body", "steps"]


def test_subscribe_hears_the_logs(told: Told) -> None:
    answer = told("subscribe")
    assert (answer["steps"], answer["completed"], answer["ids"]) == (3, True, 1)
    assert "step 1 of 3" in answer["logs"]


def test_a_client_timeout_cancels(told: Told) -> None:
    answer = told("client_timeout")
    assert answer["in_time"]
    assert answer["result"]["status"] == 499


def test_submit_and_everything_a_handle_can(told: Told) -> None:
    answer = told("submit")
    # wire.md 0.4: fal's own live test asserts that a handle is found again from its id.
    assert answer["same"] == [True] * 4
    assert "Completed" in answer["kinds"]
    assert answer["last_log"] == "step 2 of 2"
    assert answer["inference_time"] > 0
    assert answer["logs_not_asked_for"] is None
    assert (answer["by_handle"], answer["by_client"]) == (2, 2)


def test_what_is_said_beside_the_input_is_heeded(told: Told) -> None:
    """Hint, priority, start timeout, Store-IO, no-retry are taken; a lifecycle can be seen."""
    by_subscribe, by_run = told("asked_for")
    assert 0 < by_subscribe <= 90
    assert 0 < by_run <= 90


def test_cancel(told: Told) -> None:
    answer = told("cancel")
    assert answer["result"]["status"] == 499
    assert answer["again"] == {"status": 400, "body": {"status": "ALREADY_COMPLETED"}}


def test_stream(told: Told) -> None:
    answer = told("stream")
    assert answer["messages"][1:4] == ["step 1 of 3", "step 2 of 3", "step 3 of 3"]
    assert answer["last"] == 3


def test_realtime_by_token(told_by_names: Told) -> None:
    answer = told_by_names("realtime")
    assert (answer["answer"]["steps"], answer["answer"]["request_id"]) == (2, "mine")
    assert (answer["kind"], answer["error"]) == ("RealtimeError", "INVALID_INPUT")


def test_realtime_by_key(told: Told) -> None:
    assert told("realtime_by_key")["answer"]["steps"] == 2


def test_realtime_of_what_is_not_there(told_by_names: Told) -> None:
    assert told_by_names("realtime_out_of_scope") == "InvalidStatus"


def test_upload(told_by_names: Told) -> None:
    answer = told_by_names("upload")
    assert answer["url"].startswith("https://v3.fal.media/files/")
    assert (answer["same"], answer["read_by_the_worker"]) == (True, 1_024_000)


def test_upload_file(told_by_names: Told) -> None:
    assert told_by_names("upload_file") == {"text": "hello", "type": "text/plain"}


def test_upload_image(told_by_names: Told) -> None:
    assert told_by_names("upload_image") == {"png": "89504e47", "type": "image/png"}


def test_upload_by_the_fallback_repository(told_by_names: Told) -> None:
    assert told_by_names("upload_by_the_fallback") == "fallback"


def test_upload_with_lifecycle(told_by_names: Told) -> None:
    lives = told_by_names("upload_with_lifecycle")
    if lives is None:  # 0.13.2 has no such settings
        return
    # A caller may ask for less than the operator's retention, here a day, and not for more.
    asked = {"immediate": 60, "90": 90, "1h": 3600}
    said = {**asked, **dict.fromkeys(("1d", "7d", "30d", "1y", "never", "None"), 86400)}
    assert lives.keys() == said.keys()
    assert all(-1 <= said[name] - life < 45 for name, life in lives.items()), lives


def test_data_uris(told: Told) -> None:
    bytes_read = told("encoded")
    assert bytes_read[:2] == [3, 5]
    assert bytes_read[2] > 100


@pytest.mark.parametrize("version", [NEWEST, OLDER])
@pytest.mark.parametrize(("road", "kind"), [("proxy", "sync"), ("names", "async")])
def test_a_file_over_100_mib_goes_up_in_parts(
    make_calls: Callable[..., Any], version: str, road: str, kind: str
) -> None:
    assert make_calls(version, road)[kind]["multipart"] is True
