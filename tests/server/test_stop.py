"""The end of a server: in time, whoever is on the line, and without losing what waits."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.requests.ledger import Ledger
from limner.requests.request import Status
from tests.rig.process import Server, eventually

QUEUE = "/queue.fal.run/limner/metronome"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a receiver that takes every call and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/hook"


def test_a_stop_waits_for_nobody_and_loses_nothing(tmp_path: Path, silent: str) -> None:
    home = tmp_path / "home"
    server = Server(home, env={"LIMNER_SLOTS": "3"})
    journal = tmp_path / "journal"
    journal.touch()
    long = {"steps": 3000, "pause": 0.05, "journal": str(journal)}

    def submit(**said: object) -> str:
        answer = server.post(QUEUE, params={"fal_webhook": silent}, json=said)
        return answer.json()["request_id"]

    told, queued = submit(steps=0), submit(**long)

    def listen(method: str, path: str) -> None:
        # Stays on the line until the server hangs up; how it does so is not asked here.
        with socket.create_connection(("127.0.0.1", server.port)) as line:
            body = json.dumps(long).encode() if method == "POST" else b""
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
            line.sendall(head.encode() + b"\r\n\r\n" + body)
            while line.recv(65536):
                pass

    lines = [
        threading.Thread(target=listen, args=said)
        for said in (
            ("GET", f"{QUEUE}/requests/{queued}/status/stream"),
            ("POST", "/fal.run/limner/metronome"),
            ("POST", "/fal.run/limner/metronome/stream"),
        )
    ]
    for line in lines:
        line.start()
    url = f"sqlite:///{home / 'limner.db'}"
    with Ledger(url) as ledger:
        # All three are being drawn, and the webhook is on its way.
        eventually(lambda: journal.read_text().splitlines().count("0") == 3)
        eventually(lambda: ledger.deliveries(told).result()[0].attempts == 1)
        server.stop()  # raises when it takes longer than half a minute
        for line in lines:
            line.join(30)
        kept = ledger.get(queued).result()
        owed = ledger.deliveries(told).result()[0]
        assert kept is not None
        assert (kept.status, kept.cancel_requested) == (Status.QUEUED, False)
        assert owed.due_at is not None  # sent again by the next server
        # The direct calls' callers are gone, so nothing of them is drawn again.
        assert ledger.waiting("limner/metronome").result() == 1
