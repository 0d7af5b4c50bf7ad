"""Calls of whichever `fal-client` can be imported, each to an address of its own (road D).

``python sent.py '{"run": "http://127.0.0.1:1234", …}'``. Not a test: what a call sends is seen by
the relay at its address.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import fal_client
import fal_client.client as addresses

METRONOME = "limner/metronome"
Client = fal_client.SyncClient


def submit(client: Client) -> None:
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
    try:
        handle.cancel()
    except fal_client.FalClientHTTPError:
        return
    raise AssertionError("a request that has ended was cancelled")


def subscribe(client: Client) -> None:
    client.subscribe(METRONOME, {"steps": 0}, with_logs=True, on_queue_update=lambda _: None)


def upload(client: Client) -> None:
    client.upload(b"hello", "text/plain", "hello.txt")


def upload_with_lifecycle(client: Client) -> None:
    if hasattr(fal_client, "StorageSettings"):
        settings = fal_client.StorageSettings(expires_in="1h")
        client.upload(b"hello", "text/plain", "hello.txt", lifecycle=settings)


def upload_by_the_fallback(client: Client) -> None:
    client.upload(b"hello", "text/plain", "hello.txt", repository="fal")


def upload_in_parts(client: Client) -> None:
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.bin"
        with large.open("wb") as out:
            out.truncate(101 * 1024 * 1024)
        client.upload_file(large)


def realtime(client: Client) -> None:
    with client.realtime(METRONOME, max_buffering=5) as line:
        line.send({"steps": 0})
        line.recv()


CALLS: dict[str, Callable[[Client], object]] = {
    "run": lambda client: client.run(METRONOME, {"steps": 0}, hint="warm"),
    "stream": lambda client: list(client.stream(METRONOME, {"steps": 0})),
    "submit, result, status, cancel": submit,
    "subscribe": subscribe,
    "upload": upload,
    "upload with lifecycle": upload_with_lifecycle,
    "upload by the fallback repository": upload_by_the_fallback,
    "upload in parts": upload_in_parts,
    "realtime": realtime,
}

for name, base in json.loads(sys.argv[1]).items():
    addresses.RUN_URL_FORMAT = f"{base}/fal.run/"
    addresses.QUEUE_URL_FORMAT = f"{base}/queue.fal.run/"
    addresses.REALTIME_URL_FORMAT = f"{base.replace('http', 'ws', 1)}/fal.run/"
    addresses.REST_URL = f"{base}/rest.fal.ai"
    addresses.CDN_URL = f"{base}/v3.fal.media"
    CALLS[name](Client(key="kid:ksecret"))
