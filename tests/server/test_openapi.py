"""The published documents: fal's texts to the letter, and one truth with what is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from limner.endpoints import ENDPOINTS
from limner.endpoints.base import Endpoint
from limner.server.hosts import address_of
from limner.server.openapi import openapi_document
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
        "Scores", "Export", "Fast",  # of return_scores, exports and x_fast, which fal does not have
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
        "return_scores": False,
        "outline_width": 0,
        "outline_color": "#ffffff",
        "shadow": False,
        "trim": False,
        "margin": 0,
        "exports": None,
        "x_fast": None,
    }
    # What fal does not have says so.
    ours = [name for name, field in fields.items() if field.get("x-extension")]
    assert ours == [
        "face_index", "face_box", "return_scores",
        "outline_width", "outline_color", "shadow", "trim", "margin", "exports", "x_fast",
    ]  # fmt: skip
    assert fields["image_url"]["description"] == "URL of the video."
    assert schema["required"] == ["prompt", "image_url"]
    assert schema["x-fal-order-properties"] == list(fields)


def test_bounds_are_said_in_openapi_3_0(server: Server) -> None:
    # There exclusiveMinimum is a flag, and a number is no valid document.
    width = document(server)["components"]["schemas"]["ImageSize"]["properties"]["width"]
    assert (width["minimum"], width["exclusiveMinimum"], width["maximum"]) == (0, True, 14142)


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


def references(part: Any) -> set[str]:
    """Every ``$ref`` below ``part``."""
    if isinstance(part, list):
        return {ref for each in part for ref in references(each)}
    if not isinstance(part, dict):
        return set()
    below = {ref for each in part.values() for ref in references(each)}
    return below | ({part["$ref"]} if "$ref" in part else set())


def test_every_reference_leads_somewhere(server: Server) -> None:
    found = document(server)
    assert references(found) <= {
        f"#/components/schemas/{n}" for n in found["components"]["schemas"]
    }
    assert "#/components/schemas/QueueStatus" in references(found["paths"])


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.alias)
def test_every_component_is_named_by_a_path_or_by_one_that_is(
    endpoint: Endpoint, strict: bool
) -> None:
    """Of a strict server's too, from which the fields that fal does not have are taken."""
    found = openapi_document(endpoint, address_of("http", "h", by_name=False), strict=strict)
    schemas = found["components"]["schemas"]
    reached, named = set[str](), {ref.rpartition("/")[2] for ref in references(found["paths"])}
    while named := named - reached:
        reached |= named
        named = {ref.rpartition("/")[2] for name in named for ref in references(schemas[name])}
    assert reached == set(schemas)
    assert ("Fast" in schemas or "FewSteps" in schemas) != strict


def test_the_paths_say_what_goes_in_and_what_comes_out(server: Server) -> None:
    # wire.md 8.1, its structure key by key.
    paths = document(server)["paths"]
    base = "/fal-ai/face-to-sticker"

    def answer(path: str, method: str) -> Any:
        return paths[path][method]["responses"]["200"]["content"]["application/json"]["schema"]

    ref = "#/components/schemas/"
    sent = paths[base]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert sent == {"$ref": f"{ref}FaceToStickerInput"}
    assert answer(base, "post") == {"$ref": f"{ref}QueueStatus"}
    request = f"{base}/requests/{{request_id}}"
    assert answer(request, "get") == {"$ref": f"{ref}FaceToStickerOutput"}
    assert answer(f"{request}/status", "get") == {"$ref": f"{ref}QueueStatus"}
    assert answer(f"{request}/cancel", "put")["properties"] == {"success": {"type": "boolean"}}
    asked = paths[f"{request}/status"]["get"]["parameters"]
    assert [(each["name"], each["in"]) for each in asked] == [
        ("request_id", "path"),
        ("logs", "query"),
    ]


def test_the_document_says_how_to_come_in(server: Server) -> None:
    found = document(server)
    assert found["servers"] == [{"url": f"{server.base}/queue.fal.run"}]
    assert found["security"] == [{"apiKeyAuth": []}]
    assert found["components"]["securitySchemes"]["apiKeyAuth"] == {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "Fal Key",
    }
    said = found["info"]["x-fal-metadata"]
    assert (said["endpointId"], said["category"]) == ("fal-ai/face-to-sticker", "image-to-image")
    assert said["playgroundUrl"].endswith("/models/fal-ai/face-to-sticker")


def test_a_real_status_fits_its_published_schema(server: Server) -> None:
    status = document(server)["components"]["schemas"]["QueueStatus"]
    told = server.post("/queue.fal.run/limner/metronome", json={"steps": 0}).json()
    assert set(status["required"]) <= set(told)
    assert set(status["properties"]) <= set(told)
    assert set(told) - set(status["properties"]) == {"gateway_request_id"}


def test_every_object_says_the_order_of_its_fields(server: Server) -> None:
    schemas = document(server)["components"]["schemas"]
    for name, schema in schemas.items():
        if name != "QueueStatus":
            assert schema["x-fal-order-properties"] == list(schema["properties"]), name


@pytest.mark.parametrize("query", ["", "?endpoint_id=", "?endpoint_id=fal-ai", "?other=1"])
def test_no_endpoint_is_no_document(server: Server, query: str) -> None:
    answer = server.get(f"/fal.ai/api/openapi/queue/openapi.json{query}")
    assert (answer.status_code, answer.json()) == (404, None)


def test_llms_txt_is_markdown_that_a_model_can_work_from(server: Server) -> None:
    answer = server.get("/models/fal-ai/face-to-sticker/llms.txt", headers={"host": "fal.ai"})
    assert answer.headers["content-type"].startswith("text/markdown")
    assert answer.text.startswith("# ")
    for said in (
        "## Input Schema",
        "## Output Schema",
        "`http://fal.run/fal-ai/face-to-sticker`",
        "(string, required)",
        "Default: `4.5`",
        "sticker_image_background_removed",
    ):
        assert said in answer.text, said
    assert server.get("/fal.ai/models/fal-ai/none/llms.txt").status_code == 404
