"""What fal's clients send, call by call, against the recorded table (wire.md 2.1, 2.2).

Seen on the wire by a relay, so that a client's release which changes the wire fails here, by name,
before it fails somebody's app. Ids, tokens and poll counts are made equal; nothing else is.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.compat.conftest import run_node
from tests.compat.recorded import NODE_TABLE, PYTHON_TABLE, Row
from tests.compat.recorder import Recorder, Sent
from tests.rig.process import Server

SENT = Path(__file__).parent / "python" / "sent.py"
NEWEST, OLDER = "1.0.3", "0.13.2"
SENT_TO_KEEP = frozenset(
    {
        "authorization", "content-type", "accept", "cache-control", "user-agent",
        "x-fal-queue-priority", "x-fal-runner-hint", "x-fal-request-timeout", "x-fal-store-io",
        "x-fal-file-name", "x-fal-object-lifecycle", "x-fal-object-lifecycle-preference",
    }
)  # fmt: skip


#: Bytes of a body that are compared themselves; of a longer one, how many there are.
LONGEST = 1000


@pytest.fixture
def recorder(server: Server) -> Iterator[Recorder]:
    recording = Recorder(server.port)
    yield recording
    recording.close()


def row(sent: Sent, base: str) -> Row:
    """One request with what differs from run to run made equal."""
    target = sent.headers.get("x-fal-target-url", sent.target).removeprefix("https://")
    target = target.lstrip("/").replace(base.removeprefix("http://"), "")
    target = re.sub(r"/requests/[0-9a-f-]{36}", "/requests/{id}", target)
    target = re.sub(r"/(uploads|files)/[^/?]{20,}", r"/\1/{name}", target)
    headers = {name: value for name, value in sent.headers.items() if name in SENT_TO_KEEP}
    if headers.get("authorization", "").startswith("Bearer"):
        headers["authorization"] = "Bearer {token}"
    target = re.sub(r"(jwt_token=)[^&]+", r"\1{token}", target)
    target = re.sub(r"/multipart/[^/]+/", "/multipart/{upload}/", target)
    body: Any = sent.body.decode(errors="replace")
    if headers.get("content-type") == "application/json" and body:
        body = json.loads(re.sub(r'"\d{13}\.', '"{now}.', body))
        if "parts" in body:  # parts of equal bytes have equal etags; here only their place counts
            body["parts"] = sorted(
                part.pop("etag") and part["partNumber"] for part in body["parts"]
            )
    elif len(body) > LONGEST:
        body = f"{len(sent.body)} bytes"
    return sent.method, target, headers, body


def rows(recorder: Recorder) -> list[Row]:
    """Every request in order; polls that only repeat the one before are one."""
    found: list[Row] = []
    for sent in recorder.sent:
        told = row(sent, recorder.base)
        if not found or told != found[-1]:
            found.append(told)
    # Parts go up side by side, in any order.
    part = re.compile(r"\{name\}(/multipart/[^/]+)?/\d+$")
    parts = iter(sorted((told for told in found if part.search(told[1])), key=number))
    return [next(parts) if part.search(told[1]) else told for told in found]


def number(told: Row) -> int:
    """Of a part, from its address."""
    return int(told[1].rpartition("/")[2])


@pytest.fixture(scope="session")
def python_sent(server: Server, older_python_client: Path) -> Callable[[str], dict[str, list[Row]]]:
    """What one version of `fal-client` sends in each call of ``sent.py``, made once."""

    @cache
    def sent(version: str) -> dict[str, list[Row]]:
        recorders = {call: Recorder(server.port) for call in PYTHON_TABLE}
        try:
            asked = json.dumps({call: recorder.base for call, recorder in recorders.items()})
            env = dict(os.environ)
            if version == OLDER:
                env["PYTHONPATH"] = str(older_python_client)
            done = subprocess.run(
                [sys.executable, str(SENT), asked],
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return {call: rows(recorder) for call, recorder in recorders.items()}
        finally:
            for recorder in recorders.values():
                recorder.close()

    return sent


@pytest.mark.parametrize("version", [NEWEST, OLDER])
@pytest.mark.parametrize("call", PYTHON_TABLE)
def test_python_sends_what_was_recorded(
    python_sent: Callable[[str], dict[str, list[Row]]], version: str, call: str
) -> None:
    expected = PYTHON_TABLE[call]
    if version == OLDER and call == "upload with lifecycle":
        expected = []  # it has no such settings
    found = python_sent(version)[call]
    agents = {"{client}": f"fal-client/{version} (python)"}
    agents["{client in parts}"] = "fal/0.1.0" if version == OLDER else agents["{client}"]
    assert found == [
        (method, target, {**headers, "user-agent": agents.get(agent, agent)}, body)
        for method, target, headers, body in expected
        for agent in [headers["user-agent"]]
    ]


@pytest.mark.parametrize("call", NODE_TABLE)
def test_javascript_sends_what_was_recorded(
    recorder: Recorder, node_modules: object, call: str
) -> None:
    (function, *arguments), expected = NODE_TABLE[call]
    run_node(["client.mjs", recorder.base, "proxy", function, json.dumps(arguments)])
    assert rows(recorder) == expected
