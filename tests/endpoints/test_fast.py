"""``x_fast``: what may stand in it, and that the sketch engine says it does not follow it."""

from __future__ import annotations

from typing import Any

import pytest

from limner.endpoints import ENDPOINTS
from limner.endpoints.accept import accept
from limner.endpoints.base import Endpoint
from limner.endpoints.face_to_sticker.schema import FACE_TO_STICKER, FaceToStickerInput
from limner.endpoints.fast import AS_USUAL, NOT_FOLLOWED
from limner.endpoints.ip_adapter_face_id.schema import IP_ADAPTER_FACE_ID, IpAdapterFaceIdInput
from limner.errors import InvalidInput
from tests.endpoints.conftest import ASTRONAUT, Album

EACH = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.alias)


def taken(endpoint: Endpoint, x_fast: Any) -> Any:
    accepted: Any = accept(endpoint.input, {**endpoint.example, "x_fast": x_fast})
    return accepted.x_fast


@EACH
def test_an_interval_is_two_rising_levels(endpoint: Endpoint) -> None:
    assert taken(endpoint, {"guidance_interval": [0.28, 5.42]}).interval == (0.28, 5.42)
    assert taken(endpoint, {"guidance_interval": [0, 1000]}).interval == (0, 1000)
    for nothing in (taken(endpoint, {"guidance_interval": None}), taken(endpoint, {}), AS_USUAL):
        assert nothing.interval is None
    assert taken(endpoint, None) is None


@EACH
@pytest.mark.parametrize(
    ("wrong", "kind", "place"),
    [
        ([0.28], "sequence_too_short", ()),
        ([0.28, 1, 5], "sequence_too_long", ()),
        ([5.42, 0.28], "value_error", ()),
        ([1, 1], "value_error", ()),
        ([-0.1, 1], "greater_than_equal", (0,)),
        ([0, 1001], "less_than_equal", (1,)),
        ([0, "much"], "float_parsing", (1,)),
        ([0, float("inf")], "finite_number", (1,)),
        ("middle", "list_type", ()),
    ],
)
def test_what_is_no_interval_is_refused_at_it(
    endpoint: Endpoint, wrong: Any, kind: str, place: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        taken(endpoint, {"guidance_interval": wrong})
    (entry,) = refused.value.answer().body["detail"]
    assert (entry["type"], entry["loc"]) == (kind, ["body", "x_fast", "guidance_interval", *place])


@EACH
def test_what_is_not_known_in_it_is_refused(endpoint: Endpoint) -> None:
    """A slip of the pen would be drawn slowly, and nobody told."""
    with pytest.raises(InvalidInput) as refused:
        taken(endpoint, {"guidance_intervall": [0.28, 5.42]})
    (entry,) = refused.value.answer().body["detail"]
    assert entry["type"] == "extra_forbidden"
    assert entry["loc"] == ["body", "x_fast", "guidance_intervall"]


def test_lcm_is_of_portraits_alone_and_has_bounds() -> None:
    few = taken(IP_ADAPTER_FACE_ID, {"lcm_steps": 4})
    assert (few.lcm_steps, few.lcm_guidance) == (4, 1)
    for wrong, kind in (
        ({"lcm_steps": 0}, "greater_than_equal"),
        ({"lcm_steps": 51}, "less_than_equal"),
        ({"lcm_steps": 4.5}, "int_from_float"),
        ({"lcm_guidance": 0.5}, "greater_than_equal"),
        ({"lcm_guidance": 7.5}, "less_than_equal"),
    ):
        with pytest.raises(InvalidInput) as refused:
            taken(IP_ADAPTER_FACE_ID, wrong)
        (entry,) = refused.value.answer().body["detail"]
        assert (entry["type"], entry["loc"]) == (kind, ["body", "x_fast", *wrong])
    with pytest.raises(InvalidInput) as refused:
        taken(FACE_TO_STICKER, {"lcm_steps": 4})
    (entry,) = refused.value.answer().body["detail"]
    assert (entry["type"], entry["loc"]) == ("extra_forbidden", ["body", "x_fast", "lcm_steps"])


@pytest.mark.parametrize("fast", [None, {"guidance_interval": [0.28, 5.42]}])
def test_the_sketch_engine_says_that_it_does_not_follow_it(
    engine: Any, face_id_engine: Any, fast: Any
) -> None:
    """Among what it understood, before it draws."""
    for drawing, model, photo in (
        (engine, FaceToStickerInput, "image_url"),
        (face_id_engine, IpAdapterFaceIdInput, "face_image_url"),
    ):
        raw = {"prompt": "a person", photo: ASTRONAUT, "x_fast": fast}
        asked = model.model_validate(raw)
        said: list[str] = []
        for step in drawing.draw(asked, Album()):
            said.append(step.message)
            if step.progress and step.progress > 0.17:
                break
        assert any(line.startswith("Understood of the prompt") for line in said)
        assert (NOT_FOLLOWED in said) == (fast is not None)
