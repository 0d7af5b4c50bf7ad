"""`limner requests`: what became of a webhook, and sending it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.compat.test_webhooks import Receiver, submit
from tests.rig.process import ROOT, Server, eventually


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    listening.close()


def limner(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "limner", "requests", *arguments],
        cwd=ROOT,
        env={**os.environ, "LIMNER_HOME": str(server.home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_webhook_is_listed_and_sent_again_by_the_running_server(
    server: Server, receiver: Receiver
) -> None:
    receiver.answers = [302]  # a redirect is final: given up
    request_id = submit(server, receiver.url, steps=1)["request_id"]
    eventually(lambda: "given up" in limner(server, "show", request_id).stdout)
    told = limner(server, "show", request_id).stdout
    assert "answer     200 OK" in told
    assert "step 1 of 1" in told
    assert f"1 attempt(s) to {receiver.url}: given up; " in told
    assert "302" in told

    again = limner(server, "redeliver", request_id)
    assert (again.returncode, again.stdout) == (
        0,
        f"1 webhook(s) of {request_id} will be sent again\n",
    )
    eventually(lambda: len(receiver.got) == 2)
    first, second = (json.loads(body) for _, body in receiver.got)
    assert first == second
    eventually(lambda: "delivered" in limner(server, "show", request_id).stdout)
    listed = limner(server, "list", "--limit", "500", "--state", "done").stdout
    assert any(request_id in line and "done 200" in line for line in listed.splitlines())


def test_an_unknown_request_has_nothing_to_show_or_send(server: Server) -> None:
    for command in ("show", "redeliver"):
        told = limner(server, command, "no-such-request")
        assert told.returncode == 1
        assert "no-such-request" in told.stderr
