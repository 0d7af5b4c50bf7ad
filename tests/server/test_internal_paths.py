"""Every road ends at the internal path of its part, and what is refused goes nowhere.

Without a server: what the middleware of roads hands on is looked at itself.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Scope

from limner.server.hosts import Address, Hosts, address_of

Headers = list[tuple[bytes, bytes]]


class Road:
    """One call through the middleware: what reached the application, and what was answered."""

    def __init__(
        self, path: str, headers: Headers, method: str = "POST", public_url: str = "", **more: Any
    ) -> None:
        self.reached: list[Scope] = []
        self.statuses: list[int] = []
        self.bodies: list[bytes] = []
        scope = {
            "type": "http",
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": headers,
            **more,
        }
        asyncio.run(Hosts(self._app, public_url)(scope, self._receive, self._send))

    @property
    def path(self) -> str:
        (scope,) = self.reached
        return scope["path"]

    async def _app(self, scope: Scope, _receive: Any, _send: Any) -> None:
        self.reached.append(scope)

    async def _receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Message) -> None:
        if "status" in message:
            self.statuses.append(message["status"])
        else:
            self.bodies.append(message["body"])


@pytest.mark.parametrize(
    "hosts", [[], [b"a b"], [b"[:::]"], [b"[1::2::3]:80"], [b"fal.run", b"fal.run"], [b"a/b"]]
)
def test_a_call_with_a_host_that_is_none_is_refused_and_reaches_nothing(hosts: list[bytes]) -> None:
    road = Road("/limner/metronome", [(b"host", host) for host in hosts])
    assert (road.reached, road.statuses) == ([], [400])
    assert road.bodies == [b'{"detail":"The Host header cannot be read"}']


def test_only_http_1_0_may_come_without_a_host() -> None:
    assert Road("/a/b", [], http_version="1.0").path == "/@run/a/b"
    twice = [(b"host", b"here"), (b"host", b"here")]
    assert Road("/a/b", twice, http_version="1.0").statuses == [400]


def test_without_a_word_of_seals_addresses_need_none() -> None:
    (scope,) = Road("/a/b", [(b"host", b"[::1]:8000")]).reached
    assert scope["state"]["address"] == address_of("http", "[::1]:8000", by_name=False)
    assert scope["state"]["address"].files == "http://[::1]:8000/v3.fal.media"


@pytest.mark.parametrize(
    ("method", "target", "content_type", "status"),
    [
        ("DELETE", b"https://queue.fal.run/a/b", b"application/json", 405),
        ("POST", b"", b"application/json", 400),
        ("POST", b"https://evil.example/a/b", b"application/json", 412),
        ("POST", b"file://fal.run/a/b", b"application/json", 412),
        ("POST", b"http://[::1", b"application/json", 412),
        ("POST", b"https://queue.fal.run/a/b", b"text/plain", 415),
    ],
)
def test_a_proxied_call_that_is_refused_reaches_nothing(
    method: str, target: bytes, content_type: bytes, status: int
) -> None:
    headers = [(b"host", b"here"), (b"x-fal-target-url", target), (b"content-type", content_type)]
    road = Road("/api/fal/proxy", headers, method)
    assert (road.reached, road.statuses) == ([], [status])


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("fal.run", "run"), ("queue.fal.run", "queue"), ("rest.fal.ai", "rest"),
        ("rest.alpha.fal.ai", "rest"), ("ws.fal.run", "ws"), ("v3.fal.media", "media"),
        ("v3b.fal.media", "media"), ("fal.media", "media"), ("fal.ai", "site"),
        ("api.fal.ai", "platform"), ("falrun.com", "run"), ("queue.falrun.com", "queue"),
    ],
)  # fmt: skip
def test_a_name_of_fals_leads_to_its_part_by_every_road(name: str, part: str) -> None:
    # wire.md 1.1 and 13.
    wanted = f"/@{part}/a/b"
    assert Road("/a/b/", [(b"host", name.upper().encode() + b".:443")]).path == wanted
    assert Road(f"/{name}/a/b/", [(b"host", b"here")]).path == wanted
    target = (b"x-fal-target-url", f"https://{name}/a/b/?x=1".encode())
    proxied = Road("/api/fal/proxy/", [(b"host", b"here"), target])
    assert (proxied.path, proxied.reached[0]["query_string"]) == (wanted, b"x=1")


@pytest.mark.parametrize(
    ("path", "inner"),
    [
        ("/", "/"), ("/health", "/health"), ("/ready", "/ready"), ("/metrics", "/metrics"),
        ("/api/x", "/api/x"), ("/assets/a.js", "/assets/a.js"), ("/limner/v1/me", "/limner/v1/me"),
        ("/limner/metronome", "/@run/limner/metronome"), ("/limner/v1", "/@run/limner/v1"),
        ("/fal-ai/face-to-sticker/", "/@run/fal-ai/face-to-sticker"),
    ],
)  # fmt: skip
def test_our_own_paths_stay_and_any_other_is_a_run(path: str, inner: str) -> None:
    assert Road(path, [(b"host", b"here")]).path == inner


def test_what_is_no_call_goes_on_as_it_is() -> None:
    road = Road("", [], type="lifespan")
    assert ([scope["type"] for scope in road.reached], road.statuses) == (["lifespan"], [])
    assert "state" not in road.reached[0]


def test_a_line_goes_the_same_roads_and_its_addresses_are_http() -> None:
    for scheme, told in (("ws", "http"), ("wss", "https")):
        more = {"type": "websocket", "scheme": scheme}
        road = Road("/ws.fal.run/a/b", [(b"host", b"here:8000")], **more)
        assert road.path == "/@ws/a/b"
        assert road.reached[0]["state"]["address"].run == f"{told}://here:8000/fal.run"
        assert Road("/a/b", [(b"host", b"ws.fal.run")], **more).path == "/@ws/a/b"


def test_a_preflight_of_the_proxy_is_no_call_that_it_refuses() -> None:
    assert Road("/api/fal/proxy", [(b"host", b"here")], "OPTIONS").path == "/api/fal/proxy"


def test_a_public_url_leads_back_in_place_of_the_name_that_was_come_by() -> None:
    for path, headers in (
        ("/a/b", [(b"host", b"inner:8000")]),
        ("/queue.fal.run/a/b", [(b"host", b"inner:8000")]),
        ("/api/fal/proxy", [(b"host", b"inner"), (b"x-fal-target-url", b"https://fal.run/a/b")]),
    ):
        road = Road(path, headers, public_url="https://faces.example/limner/")
        told = road.reached[0]["state"]["address"]
        assert told.run == "https://faces.example/limner/fal.run"
        assert told.files == "https://faces.example/limner/v3.fal.media"
    # By fal's own names the caller comes back by these.
    named = Road("/a/b", [(b"host", b"fal.run")], public_url="https://faces.example")
    assert named.reached[0]["state"]["address"].run == "http://fal.run"


def test_addresses_lead_back_by_the_road_that_was_come() -> None:
    assert address_of("https", "fal.run:444", by_name=True) == Address(
        run="https://fal.run:444",
        queue="https://queue.fal.run:444",
        rest="https://rest.fal.ai:444",
        media="https://v3.fal.media:444",
        site="https://fal.ai:444",
        files="https://v3.fal.media:444",
    )
    assert address_of("http", "here:8000", by_name=False, sealed=True) == Address(
        run="http://here:8000/fal.run",
        queue="http://here:8000/queue.fal.run",
        rest="http://here:8000/rest.fal.ai",
        media="http://here:8000/v3.fal.media",
        site="http://here:8000/fal.ai",
        files="http://here:8000/v3.fal.media/sealed",
    )
