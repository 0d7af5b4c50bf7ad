"""Wrong calls: fal's entries, at the right field, and nothing of ours in them (wire.md 4)."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from limner.endpoints.fields import PRESETS
from tests.rig.process import Server, eventually

STICKER = "/fal.run/fal-ai/face-to-sticker"
FACE = "https://example.com/face.png"


def details(server: Server, **arguments: object) -> list[dict[str, Any]]:
    answer = server.post(STICKER, json=arguments)
    assert answer.status_code == 422
    assert answer.headers["x-fal-retryable"] == "false"
    return answer.json()["detail"]


def test_every_missing_field_gets_its_entry(server: Server) -> None:
    found = details(server)
    assert [(entry["loc"], entry["type"], entry["msg"]) for entry in found] == [
        (["body", "prompt"], "missing", "Field required"),
        (["body", "image_url"], "missing", "Field required"),
    ]
    assert found[0]["url"] == "https://docs.fal.ai/errors/#missing"


@pytest.mark.parametrize(
    ("wrong", "loc", "kind", "ctx"),
    [
        ({"num_inference_steps": 0}, ["num_inference_steps"], "greater_than_equal", {"ge": 1}),
        ({"guidance_scale": 99}, ["guidance_scale"], "less_than_equal", {"le": 20}),
        ({"seed": "many"}, ["seed"], "int_parsing", None),
        ({"upscale": "perhaps"}, ["upscale"], "bool_parsing", None),
        ({"image_size": {"width": 0}}, ["image_size", "width"], "greater_than", {"gt": 0}),
        ({"image_size": {"height": 99999}}, ["image_size", "height"], "less_than_equal", None),
        ({"image_size": "gigantic"}, ["image_size"], "one_of", None),
        ({"image_size": 7}, ["image_size"], "one_of", None),
        ({"prompt": None}, ["prompt"], "string_type", None),
        ({"prompt": ["a"]}, ["prompt"], "string_type", None),
        ({"image_size": None}, ["image_size"], "one_of", {"expected": list(PRESETS)}),
        ({"image_size": [64, 64]}, ["image_size"], "one_of", {"expected": list(PRESETS)}),
        ({"image_size": {"width": "wide"}}, ["image_size", "width"], "int_parsing", None),
        ({"image_size": {"width": 1.5}}, ["image_size", "width"], "int_from_float", None),
        ({"seed": 10**400}, ["seed"], "less_than_equal", {"le": 2**32 - 1}),
        ({"face_box": [1, 2, 3]}, ["face_box"], "sequence_too_short", None),
        ({"face_box": [1, 2, 3, None]}, ["face_box", 3], "float_type", None),
    ],
)
def test_a_wrong_field_is_named(
    server: Server, wrong: dict[str, object], loc: list[str | int], kind: str, ctx: object
) -> None:
    (entry,) = details(server, **{"prompt": "a person", "image_url": FACE, **wrong})
    assert (entry["loc"], entry["type"]) == (["body", *loc], kind)
    if ctx is not None:
        assert entry["ctx"] == ctx


def test_several_wrong_fields_get_an_entry_each(server: Server) -> None:
    found = details(
        server,
        prompt=7,
        seed=-1,
        image_size={"width": 0, "height": "tall"},
        upscale_steps=[],
    )
    assert [(entry["loc"], entry["type"]) for entry in found] == [
        (["body", "prompt"], "string_type"),
        (["body", "image_url"], "missing"),
        (["body", "image_size", "width"], "greater_than"),
        (["body", "image_size", "height"], "int_parsing"),
        (["body", "seed"], "greater_than_equal"),
        (["body", "upscale_steps"], "int_type"),
    ]
    # wire.md 4.2: what was sent is repeated.
    assert [entry.get("input") for entry in found] == [7, None, 0, "tall", -1, None]


def sent_raw(server: Server, body: str | bytes, **headers: str) -> tuple[str, dict[str, Any]]:
    headers = {"content-type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    answer = server.post(STICKER, content=body, headers=headers)
    assert answer.status_code == 422
    entry = answer.json()["detail"][0]
    return entry["type"], entry


@pytest.mark.parametrize("body", ["[1]", '"text"', "null", "3", "true", "[]"])
def test_json_that_is_no_object_is_refused_as_fastapi_words_it(server: Server, body: str) -> None:
    # wire.md 4.5: a fal app is a FastAPI app.
    kind, entry = sent_raw(server, body)
    assert (kind, entry["loc"]) == ("model_attributes_type", ["body"])
    assert "valid dictionary" in entry["msg"]


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "\x00",
        "prompt=a&image_url=b",
        '{"prompt": NaN}',
        '{"prompt": -Infinity}',
        "{'prompt': 'a'}",
        '{"prompt": "\\ud800"}',
        b'{"prompt": "\xff"}',
        '{"prompt": "a"}'.encode("utf-16"),
        '{"seed": ' + "9" * 5000 + "}",
        '{"image_size": ' + "[" * 100_000 + "]" * 100_000 + "}",
        b"\x1f\x8b\x08",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_says_what_to_send(server: Server, body: str | bytes) -> None:
    kind, entry = sent_raw(server, body)
    assert (kind, entry["loc"]) == ("json_invalid", ["body"])
    assert "content-type application/json" in entry["msg"]


#: Gets as far as the picture, which is empty.
WHOLE = '"prompt": "a person", "image_url": "data:,"'


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{%s, "guidance_scale": 1e999}', "less_than_equal"),
        ('{%s, "seed": -0.0}', "image_load_error"),
        ('{%s, "seed": 1, "seed": "last"}', "int_parsing"),
        ('{%s, "seed": "first", "seed": 1}', "image_load_error"),
        ("\ufeff{%s}", "image_load_error"),
        ('{%s, "other": ' + "[" * 150 + "]" * 150 + "}", "image_load_error"),
    ],
)
def test_odd_json_means_what_it_says(server: Server, body: str, kind: str) -> None:
    assert sent_raw(server, body % WHOLE)[0] == kind
    for content_type in ("text/plain", "application/octet-stream"):
        assert sent_raw(server, body % WHOLE, content_type=content_type)[0] == kind


def test_what_json_cannot_say_is_repeated_in_words(server: Server) -> None:
    # wire.md 4.5: non-finite floats in `input` are stringified.
    _, entry = sent_raw(server, f'{{{WHOLE}, "guidance_scale": 1e999}}')
    assert entry["input"] == "inf"


def test_a_bad_file_repeats_its_address(server: Server) -> None:
    # fal's errors page: `input` is the URL.
    (entry,) = details(server, prompt="a person", image_url="ftp://example.com/me.png")
    assert (entry["type"], entry["input"]) == ("file_download_error", "ftp://example.com/me.png")


def test_a_picture_in_a_wrong_field_is_not_echoed(server: Server) -> None:
    picture = "data:image/png;base64," + "A" * 5000
    (entry,) = details(server, prompt="a", image_url=FACE, seed=picture)
    assert "input" not in entry


def test_a_body_over_the_limit_is_413(tmp_path_factory: pytest.TempPathFactory) -> None:
    small = Server(tmp_path_factory.mktemp("small"), env={"LIMNER_MAX_DOWNLOAD_BYTES": "3000"})
    limit = 4000 + 4 * 2**20  # as many bytes are 4,000 of base64, and 4 MiB may be beside them
    try:
        assert small.post(STICKER, content=b" " * (limit + 1)).status_code == 413
        assert small.post(STICKER, content=b" " * limit).status_code == 422
    finally:
        small.stop()


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-fal-request-timeout", "soon"),
        ("x-fal-request-timeout", "-1"),
        ("x-fal-request-timeout", "nan"),
        ("x-fal-queue-priority", "highest"),
        ("x-fal-object-lifecycle-preference", "{"),
        ("x-fal-object-lifecycle-preference", "[" * 5000),
        ("x-fal-object-lifecycle-preference", '{"expiration_duration_seconds": NaN}'),
        ("x-fal-object-lifecycle-preference", '{"expiration_duration_seconds": "1"}'),
        ("x-fal-object-lifecycle", '{"expiration_duration_seconds": -1}'),
        ("x-fal-object-lifecycle", '{"expiration_duration_seconds": 1e400}'),
        ("x-fal-object-lifecycle", '{"expiration_duration_seconds": ' + "9" * 400 + "}"),
    ],
)
def test_a_header_that_cannot_be_understood_is_a_bad_request(
    server: Server, header: str, value: str
) -> None:
    refused = server.post("/queue.fal.run/limner/metronome", json={}, headers={header: value})
    assert (refused.status_code, refused.json()["error_type"]) == (400, "bad_request")
    assert refused.headers["x-fal-error-type"] == "bad_request"


def test_a_queue_that_is_longer_than_the_caller_likes_is_429(own_server: Server) -> None:
    path = "/queue.fal.run/limner/metronome"
    for _ in range(5):
        own_server.post(path, json={"steps": 50, "pause": 0.1})
    refused = own_server.post(f"{path}?fal_max_queue_length=2", json={})
    assert refused.status_code == 429


@pytest.mark.parametrize(
    "query",
    [
        "fal_max_queue_length=²",
        "fal_max_queue_length=-1",
        "fal_max_queue_length=" + "9" * 5000,
        "fal_webhook=http://[::1",
        "fal_webhook=file:///etc/passwd",
        "fal_webhook=http://",
    ],
)
def test_a_query_that_cannot_be_understood_is_a_bad_request(server: Server, query: str) -> None:
    refused = server.post(f"/queue.fal.run/limner/metronome?{query}", json={})
    assert (refused.status_code, refused.json()["error_type"]) == (400, "bad_request")


@pytest.mark.parametrize("seconds", ["1e300", "3600.5"])
def test_a_very_long_life_is_a_long_life(server: Server, seconds: str) -> None:
    path = "/queue.fal.run/limner/metronome"
    wish = f'{{"expiration_duration_seconds": {seconds}}}'
    headers = {"x-fal-object-lifecycle-preference": wish}
    submitted = server.post(path, json={"steps": 0}, headers=headers)
    assert submitted.status_code == 200
    url = f"{path}/requests/{submitted.json()['request_id']}"
    eventually(lambda: server.get(url).status_code == 200)
    name = server.get(url).json()["image"]["url"].rpartition("/")[2]
    assert "max-age" in server.get(f"/v3.fal.media/files/{name}").headers["cache-control"]


@pytest.mark.parametrize("wanted", ["bytes=" + "9" * 5000 + "-", "bytes=²-", "bytes=--1", "x"])
def test_a_range_that_is_none_is_ignored(server: Server, wanted: str) -> None:
    # RFC 9110 14.2.
    put = server.post(
        "/v3.fal.media/files/upload", content=b"abc", headers={"content-type": "text/plain"}
    )
    path = "/v3.fal.media/files/" + put.json()["access_url"].rpartition("/")[2]
    answer = server.get(path, headers={"range": wanted.encode("latin-1")})
    assert (answer.status_code, answer.content) == (200, b"abc")


@pytest.mark.parametrize("value", ["1e999", "9" * 400, '"\\u0000"', "{}", "[[[]]]"])
def test_odd_values_pass_through_the_queue_to_their_refusal(server: Server, value: str) -> None:
    # docs/decisions/0001; the ledger keeps the input beside its refusal.
    path = "/queue.fal.run/fal-ai/face-to-sticker"
    submitted = server.post(path, content=f'{{{WHOLE}, "guidance_scale": {value}}}')
    assert submitted.status_code == 200
    result = server.get(f"{path}/requests/{submitted.json()['request_id']}")
    assert result.status_code == 422
    (entry,) = result.json()["detail"]
    assert entry["loc"] == ["body", "guidance_scale"]


def test_a_caller_who_hangs_up_while_speaking_is_no_fault_of_ours(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        head = "POST /queue.fal.run/fal-ai/face-to-sticker HTTP/1.1\r\nHost: localhost\r\n"
        line.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        time.sleep(0.3)  # so that it is read before the line is gone
    assert server.get("/health").status_code == 200
    time.sleep(0.3)
    assert "ClientDisconnect" not in server.log.read_text()
