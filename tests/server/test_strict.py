"""Fields that fal does not have: ignored unless they are Limner's own; refused when strict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.rig.process import Server

ID = "fal-ai/face-to-sticker"
RUN, QUEUE = f"/fal.run/{ID}", f"/queue.fal.run/{ID}"
#: No such picture: a call that gets as far as reading it has passed the intake.
ASKED = {"prompt": "a person", "image_url": "data:,"}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("strict"), env={"LIMNER_STRICT": "1"})
    yield running
    running.stop()


def refusals(server: Server, **more: Any) -> list[tuple[Any, ...]]:
    answer = server.post(RUN, json={**ASKED, **more})
    assert answer.status_code == 422
    return [(entry["type"], *entry["loc"]) for entry in answer.json()["detail"]]


def test_unknown_fields_are_ignored_as_at_fal(server: Server) -> None:
    # wire.md 9: fal's models ignore what they do not know, also inside image_size.
    more = {"sync_mode": True, "image_size": {"width": 64, "height": 64, "depth": 1}}
    assert refusals(server, **more) == [("image_load_error", "body", "image_url")]


def test_limners_own_fields_are_known(server: Server) -> None:
    assert refusals(server, face_index=-1) == [("greater_than_equal", "body", "face_index")]
    assert refusals(server, face_box=[1, 2]) == [("sequence_too_short", "body", "face_box")]
    assert refusals(server, face_box=[1] * 5) == [("sequence_too_long", "body", "face_box")]
    assert refusals(server, face_box=[1, "a", 3, 4]) == [("float_parsing", "body", "face_box", 1)]


@pytest.mark.parametrize(
    ("more", "loc"),
    [
        ({"sync_mode": True}, ("sync_mode",)),
        ({"face_index": 0}, ("face_index",)),
        ({"face_index": None}, ("face_index",)),
        ({"outline_width": 0}, ("outline_width",)),
        ({"exports": ["line"]}, ("exports",)),
        ({"x_fast": {"guidance_interval": [0.28, 5.42]}}, ("x_fast",)),
        ({"image_size": {"width": 64, "depth": 1}}, ("image_size", "depth")),
    ],
)
def test_a_strict_server_refuses_them_at_the_field(
    strict: Server, more: dict[str, Any], loc: tuple[str, ...]
) -> None:
    assert refusals(strict, **more) == [("extra_forbidden", "body", *loc)]


def test_a_strict_server_tells_them_among_the_other_wrong_fields(strict: Server) -> None:
    found = refusals(strict, seed=-1, face_box=[0, 0, 1, 1], colour="red")
    assert sorted(found) == [
        ("extra_forbidden", "body", "colour"),
        ("extra_forbidden", "body", "face_box"),
        ("greater_than_equal", "body", "seed"),
    ]


def test_in_the_queue_the_refusal_is_the_result(strict: Server) -> None:
    # docs/decisions/0001: wrong input in the queue is a result.
    submitted = strict.post(QUEUE, json={**ASKED, "face_index": 1})
    assert submitted.status_code == 200
    result = strict.get(f"{QUEUE}/requests/{submitted.json()['request_id']}")
    assert result.status_code == 422
    (entry,) = result.json()["detail"]
    assert (entry["type"], entry["loc"]) == ("extra_forbidden", ["body", "face_index"])


def test_a_strict_servers_document_is_fals_alone(server: Server, strict: Server) -> None:
    path = f"/fal.ai/api/openapi/queue/openapi.json?endpoint_id={ID}"
    for each, known in ((server, True), (strict, False)):
        schema = each.get(path).json()["components"]["schemas"]["FaceToStickerInput"]
        assert ("face_box" in schema["properties"]) == known
        assert schema["x-fal-order-properties"] == list(schema["properties"])
        assert ("face_box" in each.get(f"/fal.ai/models/{ID}/llms.txt").text) == known


def test_a_strict_server_accepts_everything_fal_has(strict: Server) -> None:
    whole = {"image_size": {"width": 64, "height": 64}, "seed": 1, "upscale": False}
    assert refusals(strict, **whole) == [("image_load_error", "body", "image_url")]
