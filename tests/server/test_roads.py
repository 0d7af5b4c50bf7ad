"""Every name in the table, every road to it, and who may come (wire.md 0.14, 1.1, 1.4, 1.5, 13)."""

from __future__ import annotations

from typing import Any

import pytest

from limner.server.visitors import is_near
from tests.rig.process import Server, eventually
from tests.server.conftest import raw

ENDPOINT = "limner/metronome"

#: fal's host names (1.1, 13), and a call that answers there with something that names its part.
NAMES = [
    ("fal.run", "POST", f"/{ENDPOINT}", "steps"),
    ("falrun.com", "POST", f"/{ENDPOINT}", "steps"),
    ("queue.fal.run", "POST", f"/{ENDPOINT}", "status_url"),
    ("queue.falrun.com", "POST", f"/{ENDPOINT}", "status_url"),
    ("rest.fal.ai", "POST", "/storage/upload/initiate", "upload_url"),
    ("rest.alpha.fal.ai", "POST", "/storage/upload/initiate", "upload_url"),
    ("rest.fal.ai", "GET", "/.well-known/jwks.json", "keys"),
    ("v3.fal.media", "POST", "/files/upload", "access_url"),
    ("v3b.fal.media", "POST", "/files/upload", "access_url"),
    ("fal.media", "POST", "/files/upload", "access_url"),
    ("fal.ai", "GET", f"/api/openapi/queue/openapi.json?endpoint_id={ENDPOINT}", "openapi"),
]


def call(server: Server, method: str, path: str, **headers: str) -> Any:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    content = b'{"steps": 0}' if method == "POST" else None
    answer = server.call(
        method, path, content=content, headers={"content-type": "application/json", **said}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(("name", "method", "path", "key"), NAMES)
def test_every_name_answers_on_every_road(
    server: Server, name: str, method: str, path: str, key: str
) -> None:
    roads: list[tuple[str, dict[str, str]]] = [
        (path, {"host": name}),
        (path, {"host": f"{name}:{server.port}"}),
        (path, {"host": f"{name.upper()}."}),
        (f"/{name}{path}", {}),
        ("/api/fal/proxy", {"x_fal_target_url": f"https://{name}{path}"}),
        ("/api/fal/proxy/", {"x_fal_target_url": f"https://{name}{path}"}),
    ]
    for road, headers in roads:
        assert key in call(server, method, road, **headers), road


@pytest.mark.parametrize(
    ("headers", "prefix", "base"),
    [
        ({"host": "queue.fal.run"}, "", "http://queue.fal.run"),
        ({"host": "queue.fal.run:8443"}, "", "http://queue.fal.run:8443"),
        ({"host": "queue.falrun.com"}, "", "http://queue.fal.run"),
        ({"host": "localhost:9"}, "/queue.fal.run", "http://localhost:9/queue.fal.run"),
        ({"host": "[::1]:9"}, "/queue.fal.run", "http://[::1]:9/queue.fal.run"),
        ({"host": "limner"}, "/queue.falrun.com", "http://limner/queue.fal.run"),
    ],
)
def test_urls_lead_back_by_the_same_road(
    server: Server, headers: dict[str, str], prefix: str, base: str
) -> None:
    answer = server.post(f"{prefix}/{ENDPOINT}", json={"steps": 0}, headers=headers).json()
    assert answer["response_url"] == f"{base}/{ENDPOINT}/requests/{answer['request_id']}"


def test_a_result_file_is_reached_by_the_road_of_its_submit(server: Server) -> None:
    ran = server.post(f"/{ENDPOINT}", json={"steps": 0}, headers={"host": "fal.run"}).json()
    assert ran["image"]["url"].startswith("http://v3.fal.media/files/")
    name = ran["image"]["url"].rpartition("/")[2]
    assert server.get(f"/v3.fal.media/files/{name}").content == b"not really a picture"


def test_behind_another_server_urls_name_the_public_address(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    env = {"LIMNER_PUBLIC_URL": "https://faces.example.net/limner/", "LIMNER_WORKERS": "0"}
    behind = Server(tmp_path_factory.mktemp("behind"), env=env)
    try:
        base = "https://faces.example.net/limner/queue.fal.run"
        submitted = behind.post(f"/queue.fal.run/{ENDPOINT}", json={}).json()
        assert submitted["status_url"].startswith(f"{base}/{ENDPOINT}/requests/")
        # That name is ours, so its pages and callers are.
        named = {"host": "faces.example.net", "origin": "https://faces.example.net"}
        assert behind.post(f"/queue.fal.run/{ENDPOINT}", json={}, headers=named).status_code == 200
    finally:
        behind.stop()


# The proxy's contract (1.5)


@pytest.mark.parametrize(
    ("method", "target", "content_type", "code"),
    [
        ("POST", None, "application/json", 400),
        ("GET", None, "application/json", 400),
        ("POST", "", "application/json", 400),
        ("DELETE", f"https://fal.run/{ENDPOINT}", "application/json", 405),
        ("PATCH", f"https://fal.run/{ENDPOINT}", "application/json", 405),
        ("HEAD", f"https://fal.run/{ENDPOINT}", "application/json", 405),
        ("POST", "https://example.com/limner/metronome", "application/json", 412),
        ("POST", "https://fal.run.example.com/", "application/json", 412),
        ("POST", "https://example.com/fal.run", "application/json", 412),
        ("POST", "https://fal.run@example.com/", "application/json", 412),
        ("POST", "https://me:secret@fal.run/", "application/json", 412),
        ("POST", "https://notfal.run/", "application/json", 412),
        ("POST", "file://fal.run/etc/passwd", "application/json", 412),
        ("POST", "fal.run/limner/metronome", "application/json", 412),
        ("POST", "http://[::1", "application/json", 412),
        ("POST", "https://127.0.0.1/", "application/json", 412),
        ("POST", f"https://fal.run/{ENDPOINT}", "text/plain", 415),
        ("POST", f"https://fal.run/{ENDPOINT}", "multipart/form-data; boundary=x", 415),
        ("POST", f"https://fal.run/{ENDPOINT}", "application/json; charset=utf-8", 200),
        ("GET", f"https://fal.run/{ENDPOINT}?steps=1", "application/json", 200),
    ],
)
def test_the_proxy_keeps_fals_contract(
    server: Server, method: str, target: str | None, content_type: str, code: int
) -> None:
    headers = {"content-type": content_type}
    if target is not None:
        headers["x-fal-target-url"] = target
    content = b'{"steps": 1}' if method == "POST" else None
    answer = server.call(method, "/api/fal/proxy", content=content, headers=headers)
    assert answer.status_code == code
    if code != 200 and method != "HEAD":
        assert isinstance(answer.json(), str)  # 1.5: a refusal is a JSON string


def test_the_whole_queue_goes_through_the_proxy(server: Server) -> None:
    # 1.5 and 2.2: Accept says JSON also for event streams, a cancel carries {}, the target stays.
    base = f"https://queue.fal.run/{ENDPOINT}"

    def proxied(method: str, target: str, **said: Any) -> Any:
        headers = {
            "accept": "application/json",
            "content-type": "application/json",
            "x-fal-target-url": target,
            "x-fal-client-proxy": "@fal-ai/server-proxy/nextjs",
        }
        return server.call(method, "/api/fal/proxy", headers=headers, **said)

    submitted = proxied("POST", base, json={"steps": 1}).json()
    assert submitted["status_url"].startswith(f"{server.base}/queue.fal.run/")
    request = f"{base}/requests/{submitted['request_id']}"
    stream = proxied("GET", f"{request}/status/stream?logs=1")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert '"COMPLETED"' in stream.text
    assert proxied("GET", f"{request}/status?logs=1").json()["logs"]
    assert proxied("GET", f"{request}/status?logs=0").json()["logs"] is None
    assert proxied("GET", request).json()["steps"] == 1
    assert proxied("PUT", f"{request}/cancel", json={}).json() == {"status": "ALREADY_COMPLETED"}
    failed = proxied("POST", f"https://fal.run/{ENDPOINT}", json={"steps": -1})
    assert failed.status_code == 422  # not 200, as through the Express adapter


# What is no call


@pytest.mark.parametrize(
    "host", ["queue.fal.run:x", "[::1", "a b", "a/b", "a\\b", "a@b", "a?b", 'evil"><', "a:999999"]
)
def test_a_host_that_is_none_is_a_bad_request(server: Server, host: str) -> None:
    request = f"POST /{ENDPOINT} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    head, body = raw(server, f"{request}Content-Length: 2\r\n\r\n{{}}".encode())
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"Traceback" not in body


@pytest.mark.parametrize(
    "request_line",
    ["GET /%", "GET /%ff%fe", "GET /@queue/limner/metronome", "GET /@rest/tokens",
     "GET /..%2f..%2fetc/passwd", "GET /queue.fal.run", "GET /fal.run/", "GET /rest.fal.ai/x",
     "GET /fal.ai/models/none/llms.txt", "POST /health", "DELETE /fal.run/limner/metronome",
     "PATCH /queue.fal.run/limner/metronome", "GET /fal.run/" + "a/" * 2000],
)  # fmt: skip
def test_what_does_not_exist_is_a_short_json_error(server: Server, request_line: str) -> None:
    request = f"{request_line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    head, body = raw(server, request.encode())
    code, _, phrase = head.split(b"\r\n")[0].removeprefix(b"HTTP/1.1 ").partition(b" ")
    assert code in (b"401", b"404", b"405")
    assert phrase  # 0.9: a real reason phrase
    assert b"content-type: application/json" in head.lower()
    for never in (b"traceback", b"/site-packages", b"nginx", b"starlette", b"/@"):
        assert never not in head.lower()
        assert never not in body.lower().replace(b"/@queue/limner", b"").replace(b"/@rest/t", b"")


# Pages of other sites


@pytest.mark.parametrize(
    ("host", "origin", "near"),
    [
        ("127.0.0.1:8000", None, True),
        ("[::1]:8000", None, True),
        ("localhost", None, True),
        ("limner.localhost:80", None, True),
        ("limner:8000", None, True),
        ("host.docker.internal:8000", None, True),
        ("studio.local", None, True),
        ("192.168.1.5:8000", None, True),
        ("queue.fal.run", None, True),
        ("faces.example.net", None, True),
        ("ours.net", None, True),
        ("OURS.net:443", None, True),
        ("localhost:8000", "http://localhost:3000", True),
        ("localhost:8000", "http://127.0.0.1:5173", True),
        ("192.168.1.5:8000", "http://192.168.1.5:8000", True),
        # rebinding: a name of theirs that points here
        ("evil.com:8000", None, False),
        ("evil.com", "http://evil.com", False),
        ("localhost.evil.com", None, False),
        ("127.0.0.1.nip.io", None, False),
        ("fal.run.evil.com", None, False),
        ("evil.com.", None, False),
        # a page of theirs that posts here
        ("localhost:8000", "https://evil.com", False),
        ("localhost:8000", "null", False),
        ("localhost:8000", "http://localhost.evil.com", False),
        ("127.0.0.1:8000", "http://192.168.1.5:8000", False),
        ("queue.fal.run", "https://evil.com", False),
        ("localhost:8000", "evil://x://localhost:8000", False),
    ],
)
def test_only_what_is_near_may_call_without_a_key(
    host: str, origin: str | None, near: bool
) -> None:
    headers = {"host": host} | ({"origin": origin} if origin else {})
    assert is_near(headers, "ours.net") is is_near(headers, "OURS.net") is near
    # What a browser says of a call without an Origin; with one, the Origin says who it is.
    for site in ("cross-site", "same-site", "same-origin", "none"):
        told = {**headers, "sec-fetch-site": site}
        assert is_near(told, "ours.net") is (near and (origin is not None or site != "cross-site"))


@pytest.mark.parametrize("headers", [{"host": "evil.com"}, {"origin": "https://evil.com"}])
def test_a_page_of_another_site_may_not_use_a_keyless_server(
    server: Server, headers: dict[str, str]
) -> None:
    # As a form or a no-cors fetch would: no preflight protects from these.
    simple = {**headers, "content-type": "text/plain"}
    for path in (f"/fal.run/{ENDPOINT}", f"/queue.fal.run/{ENDPOINT}", "/v3.fal.media/files/upload",
                 "/rest.fal.ai/tokens/", "/rest.fal.ai/storage/auth/token"):  # fmt: skip
        answer = server.post(path, content=b'{"allowed_apps": ["x"]}', headers=simple)
        assert answer.status_code == 403
        assert "limner keys create" in answer.json()["detail"]
    rebound = server.get(f"/queue.fal.run/{ENDPOINT}?steps=1", headers=headers)
    assert rebound.status_code == 403


# CORS (0.14)

PREFLIGHT = {
    "access-control-request-method": "PUT",
    "access-control-request-headers": (
        "authorization,content-type,accept,x-fal-target-url,x-fal-queue-priority,"
        "x-fal-object-lifecycle-preference"
    ),
}
PATHS = [
    "/api/fal/proxy", f"/fal.run/{ENDPOINT}", f"/queue.fal.run/{ENDPOINT}/requests/x/cancel",
    "/rest.fal.ai/tokens/", "/v3.fal.media/files/x",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_without_keys_is_for_this_machine(server: Server, path: str) -> None:
    near = server.call("OPTIONS", path, headers={"origin": "http://localhost:3000", **PREFLIGHT})
    assert near.status_code == 200
    assert near.headers["access-control-allow-origin"] == "http://localhost:3000"
    allowed = near.headers["access-control-allow-headers"].lower()
    asked = PREFLIGHT["access-control-request-headers"].split(",")
    assert all(name in allowed for name in asked)
    assert "PUT" in near.headers["access-control-allow-methods"]
    far = server.call("OPTIONS", path, headers={"origin": "https://evil.com", **PREFLIGHT})
    assert "access-control-allow-origin" not in far.headers


def test_browsers_may_read_fals_headers(server: Server) -> None:
    answer = server.post(
        f"/fal.run/{ENDPOINT}", json={"steps": 0}, headers={"origin": "http://localhost:3000"}
    )
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {"x-fal-request-id", "x-fal-request-timeout-type", "etag"} <= set(exposed)


def test_errors_are_readable_by_browsers_too(server: Server) -> None:
    headers = {"origin": "http://localhost:3000"}
    for path in (f"/fal.run/{ENDPOINT}/nowhere", "/fal.run/no/one"):
        answer = server.post(path, json={}, headers=headers)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (
            404,
            "http://localhost:3000",
        )


def test_health_answers_whatever_becomes_of_the_workers(busy: Server, server: Server) -> None:
    assert (busy.get("/health").status_code, busy.get("/health").json()) == (200, {"status": "ok"})
    assert eventually(lambda: server.get("/ready").status_code == 200)
