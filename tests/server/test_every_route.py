"""All routes, as the application itself lists them: a new one is tested without a new line here.

None does anything for a page of another site, none fails whatever it is given, and every answer
says to browsers that it is no page.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus

from limner.server import problems
from limner.server.guards import GUARDS, Guards
from limner.server.hosts import PARTS
from tests.docs.test_pages import served
from tests.docs.whole import whole_app
from tests.endpoints.test_any_json import JSON
from tests.rig.process import Server
from tests.server.conftest import raw
from tests.server.test_any_call import finite
from tests.server.test_realtime import connect, refusal

METRONOME = "limner/metronome"
HOSTS = {part: host for host, part in reversed(PARTS.items())}
MODEL = "/fal.ai/models/fal-ai/face-to-sticker"
EVIL = "https://evil.example.org"

#: Method, path as it is written at the router with its host before it.
ROUTES = sorted(
    (method, f"/{HOSTS[part]}{path}" if part else path)
    for (part, path), methods in served(whole_app()).items()
    for method in methods - {"HEAD", "WS"}
)
EACH = pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda said: said)

#: Websockets, as they are opened.
LINES = sorted(
    f"/{HOSTS[part]}{path.replace('{app}', METRONOME)}"
    for (part, path), methods in served(whole_app()).items()
    if "WS" in methods
)
EACH_LINE = pytest.mark.parametrize("path", LINES)

#: What anybody may read: nothing in it is anybody's.
PUBLIC = {
    "/", "/health", "/ready", "/limner/v1/endpoints", "/rest.fal.ai/.well-known/jwks.json",
    "/api.fal.ai/v1/models", "/v3.fal.media/files/{name}",
    "/v3.fal.media/sealed/{seal}/files/{name}",
}  # fmt: skip

#: What only an admin may see or do.
OPERATORS = ("/limner/v1/models", "/limner/v1/keys", "/limner/v1/system", "/metrics")

#: What stands for a path's parameter where it must be understood to get anywhere.
PLAIN = {"number": "1", "rest": "status"}

#: Long texts, odd ones, what leads elsewhere, numbers that no machine has.
SEGMENT = st.text(min_size=1, max_size=20) | st.sampled_from(
    ["..", ".", "%", "\x00", "a" * 3000, "-1", "0", "9" * 5000, "{name}", "\ud800", "٣"]
)


def filled(path: str, segments: Any = lambda name: PLAIN.get(name, "x")) -> str:
    """``path`` with something for each of its parameters."""

    def some(found: re.Match[str]) -> str:
        return METRONOME if found[1] == "app" else quote(segments(found[1]), "", errors="replace")

    return re.sub(r"\{(\w+)\}", some, path)


def is_public(path: str) -> bool:
    """May anybody read it? An endpoint's documents, too."""
    return path in PUBLIC or "openapi" in path or path.startswith("/fal.ai/")


@EACH
def test_no_route_does_anything_for_a_page_of_another_site(
    server: Server, method: str, path: str
) -> None:
    asked = filled(path)
    for headers in (
        {"origin": EVIL, "content-type": "text/plain"},  # fetch, or a form: no preflight
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},  # an <img>, a link
    ):
        answer = server.call(method, asked, headers=headers, content="{}")
        # 401: its own ticket is missing, which no other site can have.
        expected = {200, 404} if method == "GET" and is_public(path) else {401, 403, 405}
        expected |= {403} if "{seal}" in path else set()  # nobody sealed that
        assert answer.status_code in expected, (headers, answer.text)
        assert "access-control-allow-origin" not in answer.headers


@EACH
def test_every_route_wants_a_key_and_an_operators_an_admins(
    guarded: Server, user: dict[str, str], tokens: str, method: str, path: str
) -> None:
    asked = filled(path)
    if is_public(path):
        without = guarded.call(method, asked)
        assert without.status_code in ({403} if "{seal}" in path else {200, 404})
        return
    # An upload has its ticket instead, and here it has none.
    assert guarded.call(method, asked, content="{}").status_code in {401, 405}
    token = guarded.call(method, f"{asked}?fal_jwt_token={tokens}", content="{}").status_code
    if METRONOME not in path and "{app}" not in path:
        assert token in {401, 403}
    if path.startswith(OPERATORS):
        assert guarded.call(method, asked, headers=user, content="{}").status_code == 403


@EACH_LINE
def test_no_line_opens_for_a_page_of_another_site(server: Server, path: str) -> None:
    for said in ({"origin": EVIL}, {"additional_headers": {"sec-fetch-site": "cross-site"}}):
        assert refusal(server, path, **said)[0] == 403
        assert refusal(server, f"{path}?fal_jwt_token=x", **said)[0] == 401
    with connect(server, path, origin="http://localhost:3000"):
        pass


@EACH_LINE
def test_every_line_wants_a_key_or_a_token_for_its_application(
    guarded: Server, user: dict[str, str], tokens: str, path: str
) -> None:
    assert refusal(guarded, path)[0] == 401
    for wrong in ("Key a:b", "Bearer", f"Key {user['authorization'].partition(':')[0][4:]}:"):
        assert refusal(guarded, path, additional_headers={"authorization": wrong})[0] == 401
    other = path.replace(METRONOME, "fal-ai/face-to-sticker")
    assert refusal(guarded, f"{other}?fal_jwt_token={tokens}")[0] == 403
    for opened in (
        connect(guarded, path, additional_headers=user),
        connect(guarded, f"{path}?fal_jwt_token={tokens}"),
    ):
        with opened as line:
            line.send('{"steps": 0}')
            assert line.recv(20)


@EACH_LINE
def test_any_handshake_and_any_frame_are_no_fault_of_ours(server: Server, path: str) -> None:
    names = st.sampled_from(["max_buffering", "fal_webhook", "fal_jwt_token", "x"])
    odd = SEGMENT | st.sampled_from(["²", "٣", "1", "60"])

    @settings(max_examples=12, deadline=None, derandomize=True, database=None)
    @given(
        st.dictionaries(names, odd, max_size=2),
        st.lists(JSON.map(json.dumps) | st.binary(max_size=50), max_size=3),
    )
    def call(query: dict[str, str], frames: list[str | bytes]) -> None:
        asked = urlencode(query, errors="replace")
        try:
            opened = connect(server, f"{path}?{asked}")
        except InvalidStatus as refused:
            assert refused.response.status_code < 500, query
            assert_guarded(refused.response.headers)
            return
        with opened as line:
            for frame in [*frames, '{"steps": -1}']:
                line.send(frame)
            while '"steps: ' not in (told := str(line.recv(20))) and '"steps"]' not in told:
                assert "Infinity" not in told
                assert "NaN" not in told

    call()


@pytest.fixture(scope="module")
def tokens(guarded: Server, user: dict[str, str]) -> str:
    """A browser's token for the metronome."""
    asked = {"allowed_apps": [METRONOME]}
    return guarded.post("/rest.fal.ai/tokens/", json=asked, headers=user).json()


def test_an_image_of_another_site_starts_no_run_and_ones_own_page_does(server: Server) -> None:
    # fal takes input from a GET's query, so a picture's address could be a run.
    for site, status in [("cross-site", 403), ("same-origin", 200), ("none", 200)]:
        headers = {"sec-fetch-site": site}
        answer = server.get(f"/fal.run/{METRONOME}?steps=0", headers=headers)
        assert answer.status_code == status, site


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//", "", "\xff", "null", "a" * 999])
def test_an_origin_that_cannot_be_read_is_another_site(server: Server, origin: str) -> None:
    answer = server.get("/limner/v1/me", headers=[(b"origin", origin.encode("latin-1"))])
    assert answer.status_code == 403


@pytest.fixture(scope="module")
def line(guarded: Server, admin: dict[str, str]) -> Any:
    """One connection of an admin's, who may do everything."""
    with httpx2.Client(base_url=guarded.base, headers=admin, timeout=60) as client:
        yield client


# But for the one that starts the workers anew, and takes nothing.
@pytest.mark.parametrize(
    ("method", "path"),
    [route for route in ROUTES if not route[1].endswith("/system/renew")],
    ids=lambda said: said,
)
def test_any_call_of_any_route_is_no_fault_of_ours(
    line: httpx2.Client, method: str, path: str
) -> None:
    @settings(max_examples=6, deadline=None, derandomize=True, database=None)
    @given(st.data())
    def call(given: st.DataObject) -> None:
        asked = filled(path, lambda name: given.draw(SEGMENT, label=name))
        body = given.draw(JSON.filter(finite) | st.binary(max_size=50), label="body")
        names = st.sampled_from(["limit", "skip", "before", "state", "whose", "cursor", "x"])
        query = given.draw(st.dictionaries(names, SEGMENT, max_size=2), label="query")
        query = {name: value.encode("utf-8", "replace") for name, value in query.items()}
        sent: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = line.request(method, asked, params=query, **sent)
        assert answer.status_code < 500, answer.text
        assert_guarded(answer.headers)

    call()


@pytest.mark.parametrize("place", [2**63, -(2**63) - 1, 10**30])
@pytest.mark.parametrize(
    "path",
    [
        "/limner/v1/requests?before=",
        "/limner/v1/webhooks?before=",
        "/limner/v1/files?skip=",
        "/api.fal.ai/v1/models?cursor=",
        f"/api.fal.ai/v1/models/requests/by-endpoint?endpoint_id={METRONOME}&cursor=",
    ],
)
def test_a_place_that_no_list_has_is_no_fault_of_ours(
    server: Server, path: str, place: int
) -> None:
    assert server.get(f"{path}{place}").status_code in {200, 400, 422}


def assert_guarded(headers: Any) -> None:
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    for name in GUARDS:
        assert name in headers


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/health", {}, 200),
        ("HEAD", "/health", {}, 200),
        ("HEAD", "/ready", {}, 200),
        ("GET", "/", {"accept": "text/html"}, 200),
        ("GET", "/assets/none.js", {}, 404),
        ("GET", "/nowhere", {}, 404),
        ("PATCH", "/health", {}, 405),
        ("GET", "/health", {"host": "a b"}, 400),
        ("GET", MODEL, {"host": "[:::]", "accept": "text/html"}, 400),
        ("GET", "/limner/v1/me", {"origin": EVIL}, 403),
        ("POST", "/fal.run/fal-ai/face-to-sticker", {}, 422),
        ("POST", f"/fal.run/{METRONOME}/stream", {}, 200),
        ("GET", "/api/fal/proxy", {}, 400),
        ("GET", MODEL, {"accept": "text/html"}, 307),
        ("GET", "/metrics", {}, 200),
        (
            "OPTIONS",
            "/fal.run/x",
            {"origin": "http://localhost:1", "access-control-request-method": "POST"},
            200,
        ),
    ],
)
def test_every_kind_of_answer_says_that_it_is_no_page(
    server: Server, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = server.call(method, path, headers=headers)
    assert answer.status_code == status
    assert_guarded(answer.headers)


def test_a_refused_websocket_says_so_too(server: Server) -> None:
    head, _ = raw(
        server,
        f"GET /fal.run/{METRONOME}/realtime HTTP/1.1\r\nHost: localhost\r\nOrigin: {EVIL}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode(),
    )
    assert head.startswith(b"HTTP/1.1 403")
    assert b"x-content-type-options: nosniff" in head.lower()


def test_a_fault_of_ours_says_so_too() -> None:
    app = FastAPI()
    problems.install(app)
    app.add_middleware(Guards)

    @app.get("/")
    def broken() -> None:
        raise RuntimeError("the prompt was: a secret")

    answer = TestClient(app, raise_server_exceptions=False).get("/")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert_guarded(answer.headers)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
