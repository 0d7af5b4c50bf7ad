"""`@fal-ai/server-proxy` 1.2.1, unmodified, its outgoing names leading to us (wire.md 1.4, 1.5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.compat.conftest import run_node
from tests.rig.process import Server

METRONOME = "limner/metronome"


def through(kind: str, tls_server: Server) -> dict[str, Any]:
    return run_node(["server_proxy.mjs", kind, METRONOME], names=tls_server)


@pytest.mark.parametrize("kind", ["express", "hono", "nextApp", "nextPages"])
def test_a_page_behind_the_users_own_proxy(
    tls_server: Server, node_modules: Path, kind: str
) -> None:
    told = through(kind, tls_server)
    wrong = told.pop("wrong")
    last = None if kind == "nextPages" else 2  # that adapter has no streams
    assert told == {"subscribed": 3, "completed": "COMPLETED", "last": last, "uploaded": "hello"}
    # wire.md 1.5 b: the Express adapter loses the status, so a 422 arrives as data.
    body = wrong["data"] if kind == "express" else wrong["body"]
    assert body["detail"][0]["loc"] == ["body", "steps"]
    assert wrong.get("status") == (None if kind == "express" else 422)
