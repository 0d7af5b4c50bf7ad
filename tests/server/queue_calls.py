"""The queue as its tests call it: submit, wait for the end, have one running."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.rig.process import Server, eventually

ENDPOINT = "limner/metronome"
QUEUE = f"/queue.fal.run/{ENDPOINT}"


STATUS_KEYS = {
    "status", "request_id", "response_url", "status_url", "cancel_url", "logs", "metrics",
}  # fmt: skip


def submit(server: Server, query: str = "", **said: Any) -> str:
    headers = said.pop("headers", {})
    answer = server.post(QUEUE + query, json=said, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["request_id"]


def ended(server: Server, request_id: str) -> httpx2.Response:
    """The result, once there is one."""
    return eventually(
        lambda: (
            got
            if (got := server.get(f"{QUEUE}/requests/{request_id}")).status_code != 400
            else None
        )
    )


def running(server: Server, **said: Any) -> str:
    """A request whose first step was taken."""
    request_id = submit(server, steps=1000, pause=0.05, **said)
    path = f"{QUEUE}/requests/{request_id}/status?logs=1"
    eventually(lambda: len(server.get(path).json()["logs"]) > 1)
    return request_id
