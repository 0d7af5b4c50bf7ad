"""`limner requests`: what became of a request and its webhook, and what can be done about it."""

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


def test_a_request_is_cancelled_retried_and_deleted_beside_the_running_server(
    server: Server,
) -> None:
    request_id = submit(server, "", steps=1000, pause=0.05)["request_id"]
    early = limner(server, "rm", request_id)
    assert (early.returncode, "has not ended" in early.stderr) == (1, True)
    assert limner(server, "cancel", request_id).returncode == 0
    eventually(lambda: "answer     499" in limner(server, "show", request_id).stdout)
    # One that cannot be cancelled stops no other.
    fresh = limner(server, "retry", request_id).stdout.strip()
    assert fresh not in ("", request_id)
    both = limner(server, "cancel", request_id, fresh)
    assert both.returncode == 1
    assert both.stderr == f"limner: {request_id}: The request has ended already\n"
    assert fresh in both.stdout
    eventually(lambda: "answer     499" in limner(server, "show", fresh).stdout)
    gone = limner(server, "rm", request_id, fresh)
    assert (gone.returncode, gone.stdout.count(" is deleted, ")) == (0, 2)
    assert limner(server, "show", fresh).returncode == 1


def test_an_unknown_request_has_nothing_to_show_or_change(server: Server) -> None:
    for command in ("show", "redeliver", "cancel", "retry", "rm"):
        told = limner(server, command, "no-such-request")
        assert told.returncode == 1
        assert "no-such-request" in told.stderr
