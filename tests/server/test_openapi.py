"""The published documents: fal's texts to the letter, and one truth with what is accepted."""

from __future__ import annotations

from typing import Any

from tests.rig.process import Server


def document(server: Server) -> dict[str, Any]:
    path = "/fal.ai/api/openapi/queue/openapi.json?endpoint_id=fal-ai/face-to-sticker"
    answer = server.get(path)
    assert answer.status_code == 200
    return answer.json()


def test_the_document_has_fals_structure(server: Server) -> None:
    # wire.md 8.1.
    found = document(server)
    assert found["openapi"] == "3.0.4"
    assert found["info"]["title"] == "Queue OpenAPI for fal-ai/face-to-sticker"
    assert list(found["paths"]) == [
        "/fal-ai/face-to-sticker/requests/{request_id}/status",
        "/fal-ai/face-to-sticker/requests/{request_id}/cancel",
        "/fal-ai/face-to-sticker",
        "/fal-ai/face-to-sticker/requests/{request_id}",
    ]
    assert set(found["components"]["schemas"]) == {
        "QueueStatus", "FaceToStickerInput", "FaceToStickerOutput", "Image", "ImageSize",
    }  # fmt: skip


def test_the_input_has_fals_defaults_and_texts(server: Server) -> None:
    # wire.md 9.4 and the seed page.
    schema = document(server)["components"]["schemas"]["FaceToStickerInput"]
    fields = schema["properties"]
    assert {name: field.get("default") for name, field in fields.items()} == {
        "prompt": None,
        "image_url": None,
        "negative_prompt": "",
        "image_size": "square_hd",
        "num_inference_steps": 20,
        "guidance_scale": 4.5,
        "instant_id_strength": 0.7,
        "ip_adapter_weight": 0.2,
        "ip_adapter_noise": 0.5,
        "seed": None,
        "upscale": False,
        "upscale_steps": 10,
        "enable_safety_checker": True,
        "face_index": None,
        "face_box": None,
    }
    # What fal does not have says so.
    ours = [name for name, field in fields.items() if field.get("x-extension")]
    assert ours == ["face_index", "face_box"]
    assert fields["image_url"]["description"] == "URL of the video."
    assert schema["required"] == ["prompt", "image_url"]
    assert schema["x-fal-order-properties"] == list(fields)


def test_nothing_in_the_document_is_null(server: Server) -> None:
    # OpenAPI 3.0 knows no null type.
    assert (
        '"null"'
        not in server.get("/api/openapi/queue/openapi.json?endpoint_id=fal-ai/face-to-sticker").text
    )


def test_an_unknown_endpoint_is_404_with_null(server: Server) -> None:
    answer = server.get("/fal.ai/api/openapi/queue/openapi.json?endpoint_id=fal-ai/none")
    assert (answer.status_code, answer.json()) == (404, None)


def test_llms_txt_names_every_field(server: Server) -> None:
    text = server.get("/fal.ai/models/fal-ai/face-to-sticker/llms.txt").text
    fields = document(server)["components"]["schemas"]["FaceToStickerInput"]["properties"]
    assert all(f"**`{name}`**" in text for name in fields)
