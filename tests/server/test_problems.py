"""Wrong calls: fal's entries, at the right field, and nothing of ours in them (wire.md 4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rig.process import Server

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
        ({"image_size": "gigantic"}, ["image_size"], "literal_error", None),
        ({"image_size": 7}, ["image_size"], "literal_error", None),
        ({"prompt": None}, ["prompt"], "string_type", None),
    ],
)
def test_a_wrong_field_is_named(
    server: Server, wrong: dict[str, object], loc: list[str], kind: str, ctx: object
) -> None:
    (entry,) = details(server, **{"prompt": "a person", "image_url": FACE, **wrong})
    assert (entry["loc"], entry["type"]) == (["body", *loc], kind)
    if ctx is not None:
        assert entry["ctx"] == ctx


@pytest.mark.parametrize("body", ["{", "[1]", '"text"', '{"prompt": NaN}', "null", "\x00"])
def test_what_is_no_json_object_is_refused(server: Server, body: str) -> None:
    answer = server.post(STICKER, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body"]


def test_a_picture_in_a_wrong_field_is_not_echoed(server: Server) -> None:
    picture = "data:image/png;base64," + "A" * 5000
    (entry,) = details(server, prompt="a", image_url=FACE, seed=picture)
    assert "input" not in entry


def test_a_body_over_the_limit_is_413(tmp_path_factory: pytest.TempPathFactory) -> None:
    small = Server(tmp_path_factory.mktemp("small"), env={"LIMNER_MAX_BODY_BYTES": "1000"})
    try:
        refused = small.post(STICKER, json={"prompt": "x" * 2000})
        assert refused.status_code == 413
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
