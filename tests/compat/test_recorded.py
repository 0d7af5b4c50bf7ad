"""What fal's clients send, call by call, against the recorded table (wire.md 2.1, 2.2).

Seen on the wire by a relay, so that a client's release which changes the wire fails here, by name,
before it fails somebody's app. Ids, tokens and poll counts are made equal; nothing else is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import fal_client
import fal_client.client as addresses
import httpx
import pytest

from tests.compat.conftest import python_client as python_client  # its cleaning up is wanted too
from tests.compat.conftest import run_node
from tests.compat.recorder import Recorder, Sent
from tests.rig.process import Server

METRONOME = "limner/metronome"
QUEUE = "queue.fal.run/limner/metronome"
SENT_TO_KEEP = frozenset(
    {
        "authorization", "content-type", "accept", "cache-control", "user-agent",
        "x-fal-queue-priority", "x-fal-runner-hint", "x-fal-request-timeout", "x-fal-store-io",
        "x-fal-file-name", "x-fal-object-lifecycle", "x-fal-object-lifecycle-preference",
    }
)  # fmt: skip
Row = tuple[str, str, dict[str, str], Any]


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
    body: Any = sent.body.decode(errors="replace")
    if headers.get("content-type") == "application/json" and body:
        body = json.loads(body)
    return sent.method, target, headers, body


def rows(recorder: Recorder) -> list[Row]:
    """Every request in order; polls that only repeat the one before are one."""
    found: list[Row] = []
    for sent in recorder.sent:
        told = row(sent, recorder.base)
        if not found or told != found[-1]:
            found.append(told)
    return found


PYTHON = {
    "authorization": "Key kid:ksecret",
    "accept": "*/*",
    "user-agent": f"fal-client/{fal_client.__version__} (python)",
}
JSON = {"content-type": "application/json"}
HTTPX = f"python-httpx/{httpx.__version__}"
LIFECYCLE = '{"expiration_duration_seconds": 3600}'


def python_submit(client: fal_client.SyncClient) -> None:
    handle = client.submit(
        METRONOME,
        {"steps": 0},
        hint="warm",
        priority="low",
        start_timeout=30,
        webhook_url="https://me.invalid/hook?a=b",
        headers={"X-Fal-Store-IO": "1"},
    )
    handle.get()
    handle.status(with_logs=True)
    with pytest.raises(fal_client.FalClientHTTPError):
        handle.cancel()


def python_upload(client: fal_client.SyncClient) -> None:
    settings = fal_client.StorageSettings(expires_in="1h")
    client.upload(b"hello", "text/plain", "hello.txt", lifecycle=settings)


def python_fallback(client: fal_client.SyncClient) -> None:
    client.upload(b"hello", "text/plain", "hello.txt", repository="fal")


PYTHON_TABLE: dict[str, tuple[Callable[[fal_client.SyncClient], object], list[Row]]] = {
    "run": (
        lambda client: client.run(METRONOME, {"steps": 0}, hint="warm"),
        [
            (
                "POST",
                "fal.run/limner/metronome",
                {**PYTHON, **JSON, "x-fal-runner-hint": "warm"},
                {"steps": 0},
            )
        ],
    ),
    "stream": (
        lambda client: list(client.stream(METRONOME, {"steps": 0})),
        [
            (
                "POST",
                "fal.run/limner/metronome/stream",
                {**PYTHON, **JSON, "accept": "text/event-stream", "cache-control": "no-store"},
                {"steps": 0},
            )
        ],
    ),
    "submit, result, status, cancel": (
        python_submit,
        [
            (
                "POST",
                f"{QUEUE}?fal_webhook=https%3A%2F%2Fme.invalid%2Fhook%3Fa%3Db",
                {
                    **PYTHON, **JSON, "x-fal-runner-hint": "warm", "x-fal-queue-priority": "low",
                    "x-fal-request-timeout": "30.0", "x-fal-store-io": "1",
                },
                {"steps": 0},
            ),
            ("GET", f"{QUEUE}/requests/{{id}}/status?logs=false", PYTHON, ""),
            ("GET", f"{QUEUE}/requests/{{id}}", PYTHON, ""),
            ("GET", f"{QUEUE}/requests/{{id}}/status?logs=true", PYTHON, ""),
            ("PUT", f"{QUEUE}/requests/{{id}}/cancel", PYTHON, ""),
        ],
    ),
    "upload": (
        python_upload,
        [
            (
                "POST",
                "rest.fal.ai/storage/auth/token?storage_type=fal-cdn-v3",
                # The one call without the client's own name; wire.md 1.2.
                {**PYTHON, **JSON, "accept": "application/json", "user-agent": HTTPX},
                {},
            ),
            (
                "POST",
                "v3.fal.media/files/upload",
                {
                    **PYTHON, "authorization": "Bearer {token}", "content-type": "text/plain",
                    "x-fal-file-name": "hello.txt", "x-fal-object-lifecycle": LIFECYCLE,
                    "x-fal-object-lifecycle-preference": LIFECYCLE,
                },
                "hello",
            ),
        ],
    ),
    "upload by the fallback repository": (
        python_fallback,
        [
            (
                "POST",
                "rest.fal.ai/storage/upload/initiate?storage_type=gcs",
                {**PYTHON, **JSON, "accept": "application/json"},
                {"file_name": "hello.txt", "content_type": "text/plain"},
            ),
            # The client's key leaks to the upload URL; wire.md 2.1.
            (
                "PUT",
                "v3.fal.media/uploads/{name}",
                {**PYTHON, "content-type": "text/plain"},
                "hello",
            ),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("call", PYTHON_TABLE)
def test_python_sends_what_was_recorded(
    recorder: Recorder,
    python_client: fal_client.SyncClient,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    monkeypatch.setattr(addresses, "RUN_URL_FORMAT", f"{recorder.base}/fal.run/")
    monkeypatch.setattr(addresses, "QUEUE_URL_FORMAT", f"{recorder.base}/queue.fal.run/")
    monkeypatch.setattr(addresses, "REST_URL", f"{recorder.base}/rest.fal.ai")
    monkeypatch.setattr(addresses, "CDN_URL", f"{recorder.base}/v3.fal.media")
    make, expected = PYTHON_TABLE[call]
    make(fal_client.SyncClient(key="kid:ksecret"))
    assert rows(recorder) == expected


NODE = {
    "authorization": "Key any:key",
    "accept": "application/json",
    "content-type": "application/json",
    "user-agent": "@fal-ai/client/1.10.1",
}
NORMAL = {**NODE, "x-fal-queue-priority": "normal"}
SSE = {**NODE, "accept": "application/json, text/event-stream"}

NODE_TABLE: dict[str, tuple[list[Any], list[Row]]] = {
    "run": (
        ["run", METRONOME, {"steps": 0}],
        [("POST", "fal.run/limner/metronome", NODE, {"steps": 0})],
    ),
    "stream": (
        ["stream", METRONOME, {"steps": 0}],
        [("POST", "fal.run/limner/metronome/stream", SSE, {"steps": 0})],
    ),
    "subscribe by polling": (
        ["subscribe", METRONOME, {"steps": 0}],
        [
            ("POST", QUEUE, NORMAL, {"steps": 0}),
            ("GET", f"{QUEUE}/requests/{{id}}/status?logs=1", NODE, ""),
            ("GET", f"{QUEUE}/requests/{{id}}", NODE, ""),
        ],
    ),
    "subscribe by streaming": (
        ["subscribe", METRONOME, {"steps": 0}, {"mode": "streaming"}],
        [
            ("POST", QUEUE, NORMAL, {"steps": 0}),
            ("GET", f"{QUEUE}/requests/{{id}}/status/stream?logs=1", SSE, ""),
            ("GET", f"{QUEUE}/requests/{{id}}", NODE, ""),
        ],
    ),
    "timeout": (
        ["timeout", METRONOME, {"steps": 400, "pause": 0.05}, 1000],
        [
            ("POST", QUEUE, NORMAL, {"steps": 400, "pause": 0.05}),
            ("GET", f"{QUEUE}/requests/{{id}}/status?logs=0", NODE, ""),
            ("PUT", f"{QUEUE}/requests/{{id}}/cancel", NODE, ""),
            ("GET", f"{QUEUE}/requests/{{id}}/status?logs=0", NODE, ""),
            ("GET", f"{QUEUE}/requests/{{id}}", NODE, ""),
        ],
    ),
    "upload": (
        ["upload", "hello", "text/plain"],
        [
            (
                "POST",
                "rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
                NODE,
                {"content_type": "text/plain", "file_name": "hello.txt"},
            ),
            (
                "PUT",
                "v3.fal.media/uploads/{name}",
                {"accept": "*/*", "content-type": "text/plain", "user-agent": "node"},
                "hello",
            ),
            ("GET", "v3.fal.media/files/{name}", {"accept": "*/*", "user-agent": "node"}, ""),
        ],
    ),
}


@pytest.mark.parametrize("call", NODE_TABLE)
def test_javascript_sends_what_was_recorded(
    recorder: Recorder, node_modules: object, call: str
) -> None:
    (function, *arguments), expected = NODE_TABLE[call]
    run_node(["client.mjs", recorder.base, "proxy", function, json.dumps(arguments)])
    assert rows(recorder) == expected
