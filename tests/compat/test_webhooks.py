"""Webhooks as a receiver sees them: the body, the signature by fal's recipes, the retries."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from nacl.signing import VerifyKey

from tests.rig.process import Server, eventually

METRONOME = "limner/metronome"


class Receiver:
    """A real HTTP server that keeps what it is sent and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {key.lower(): value for key, value in self.headers.items()}
                receiver.got.append((headers, body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?who=me"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    listening.close()


def submit(server: Server, hook: str, **arguments: object) -> dict[str, Any]:
    answer = server.post(
        f"/queue.fal.run/{METRONOME}", params={"fal_webhook": hook}, json=arguments
    )
    assert answer.status_code == 200
    return answer.json()


def verify_as_fal_documents(jwks_url: str, headers: dict[str, str], body: bytes) -> bool:
    """fal's published Python recipe: PyNaCl, urlsafe_b64decode of x without repairing padding."""
    message = "\n".join(
        [
            headers["x-fal-webhook-request-id"],
            headers["x-fal-webhook-user-id"],
            headers["x-fal-webhook-timestamp"],
            hashlib.sha256(body).hexdigest(),
        ]
    ).encode()
    for key in httpx2.get(jwks_url).json()["keys"]:
        public = VerifyKey(base64.urlsafe_b64decode(key["x"]))
        public.verify(message, bytes.fromhex(headers["x-fal-webhook-signature"]))
    return True


def test_success_is_delivered_signed(
    server: Server, receiver: Receiver, node: Callable[..., Any]
) -> None:
    told = submit(server, receiver.url, steps=1)
    headers, body = eventually(lambda: receiver.got)[0]
    sent = json.loads(body)
    assert (sent["request_id"], sent["gateway_request_id"], sent["status"]) == (
        told["request_id"],
        told["gateway_request_id"],
        "OK",
    )
    assert sent["payload"]["steps"] == 1
    jwks = f"{server.base}/rest.fal.ai/.well-known/jwks.json"
    assert verify_as_fal_documents(jwks, headers, body)
    assert node("verifyWebhook", jwks, headers, body.decode()) is True
    tampered = body.decode().replace('"OK"', '"KO"')
    assert node("verifyWebhook", jwks, headers, tampered) is False


@pytest.mark.parametrize("wrong", [{"steps": -1}, {"ending": "no face"}])
def test_failure_is_delivered_as_error(
    server: Server, receiver: Receiver, wrong: dict[str, object]
) -> None:
    submit(server, receiver.url, **wrong)
    _, body = eventually(lambda: receiver.got)[0]
    sent = json.loads(body)
    assert (sent["status"], sent["error"]) == ("ERROR", "Invalid status code: 422")
    assert sent["payload"]["detail"][0]["url"].startswith("https://docs.fal.ai/errors/#")


def test_a_receiver_that_fails_is_asked_again(server: Server, receiver: Receiver) -> None:
    receiver.answers = [500, 503]
    submit(server, receiver.url, steps=1)
    eventually(lambda: len(receiver.got) >= 3)
    assert len({body for _, body in receiver.got}) == 1


def test_a_redirect_is_final(server: Server, receiver: Receiver) -> None:
    receiver.answers = [302]
    submit(server, receiver.url, steps=1)
    eventually(lambda: receiver.got)
    # A second request's delivery proves that time has passed; the first came once only.
    submit(server, receiver.url, steps=2)
    eventually(lambda: len(receiver.got) >= 2)
    ids = [json.loads(body)["request_id"] for _, body in receiver.got]
    assert len(set(ids)) == len(ids)


def test_a_private_target_gets_nothing_unless_allowed(
    receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> None:
    closed = Server(tmp_path_factory.mktemp("closed"), env={"LIMNER_ALLOW_PRIVATE_URLS": "0"})
    try:
        told = submit(closed, receiver.url, steps=1)
        path = told["response_url"].removeprefix(closed.base)
        eventually(lambda: closed.get(path).status_code == 200)
        eventually(lambda: "webhook_failed" in closed.log.read_text())
        assert receiver.got == []
    finally:
        closed.stop()
