"""A real photo to a real sticker through fal's own clients, and photos that cannot become one."""

from __future__ import annotations

import base64
import io
import re
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fal_client
import numpy as np
import pytest
from PIL import Image

from tests.rig.process import Server

STICKER = "fal-ai/face-to-sticker"
FACES = Path(__file__).parents[1] / "faces"
ASTRONAUT = FACES / "01_astronaut_frontal.png"
SMALL = {"width": 256, "height": 320}
Client = fal_client.SyncClient

# The client drops the connections of its uploads without closing them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)


def picture(url: str) -> Image.Image:
    with urllib.request.urlopen(url) as answer:
        return Image.open(io.BytesIO(answer.read()))


def data_uri(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@pytest.fixture
def sent(python_client: Client) -> Callable[..., dict[str, Any]]:
    """Send a photo and hear what is wrong with it: its one entry of fal's ``detail``."""

    def send(image_url: str, **more: Any) -> dict[str, Any]:
        with pytest.raises(fal_client.FalClientHTTPError) as caught:
            python_client.subscribe(STICKER, {"prompt": "a person", "image_url": image_url, **more})
        assert caught.value.status_code == 422
        (entry,) = caught.value.response.json()["detail"]
        # wire.md 4.1: loc starts at body, and every entry links its section.
        assert entry["loc"] == ["body", "image_url"]
        assert entry["url"] == f"https://docs.fal.ai/errors/#{entry['type']}"
        return entry

    return send


def test_an_uploaded_photo_becomes_both_pictures_in_fals_exact_answer(
    python_client: Client,
) -> None:
    # wire.md 11: the answer's keys, `image/PNG`, hex names, both verdicts.
    url = python_client.upload_file(ASTRONAUT)
    updates: list[fal_client.Status] = []
    result = python_client.subscribe(
        STICKER,
        {"prompt": "a person", "image_url": url, "seed": 0, "image_size": SMALL},
        with_logs=True,
        on_queue_update=updates.append,
    )
    assert list(result) == [
        "images",
        "sticker_image",
        "sticker_image_background_removed",
        "seed",
        "has_nsfw_concepts",
    ]
    assert result["seed"] == 0
    assert result["images"] == [
        result["sticker_image"],
        result["sticker_image_background_removed"],
    ]
    assert result["has_nsfw_concepts"] == {
        "sticker_image": False,
        "sticker_image_background_removed": False,
    }
    for key, mode in (("sticker_image", "RGB"), ("sticker_image_background_removed", "RGBA")):
        told = result[key]
        drawn = picture(told["url"])
        assert (drawn.mode, drawn.size) == (mode, (256, 320))
        assert (told["width"], told["height"]) == (256, 320)
        assert told["content_type"] == "image/PNG"
        assert re.fullmatch(r"[0-9a-f]{32}\.png", told["file_name"])
        assert told["url"].endswith(told["file_name"])
    messages = [
        entry["message"]
        for update in updates
        if isinstance(update, fal_client.Completed)
        for entry in update.logs or []
    ]
    assert messages[0] == "Drawn by the sketch engine"
    assert any(message.startswith("Likeness to the photo: 0.") for message in messages)


def test_exports_are_downloaded_under_their_names_with_their_types(python_client: Client) -> None:
    result = python_client.subscribe(
        STICKER,
        {
            "prompt": "a person",
            "image_url": python_client.upload_file(ASTRONAUT),
            "image_size": SMALL,
            "exports": ["whatsapp", "print"],
        },
    )
    told = {each["platform"]: each for each in result["exports"]}
    assert list(told) == ["whatsapp", "print"]
    for name, kind in (("whatsapp.webp", "image/webp"), ("print.pdf", "application/pdf")):
        each = told[name.partition(".")[0]]
        assert set(each) == {
            "platform", "url", "content_type", "file_name", "file_size", "width", "height",
        }  # fmt: skip
        assert each["file_name"] == f"sticker-{name}"
        assert each["url"].endswith(f"_sticker-{name}")
        with urllib.request.urlopen(each["url"]) as answer:
            assert answer.headers["content-type"] == each["content_type"] == kind
            assert len(answer.read()) == each["file_size"]
    assert picture(told["whatsapp"]["url"]).size == (512, 512)


def test_run_and_the_queue_give_the_same_bytes_for_the_same_seed(python_client: Client) -> None:
    wish = {
        "prompt": "a person",
        "image_url": data_uri(ASTRONAUT.read_bytes()),
        "seed": 5,
        "image_size": SMALL,
    }
    one, two = python_client.run(STICKER, wish), python_client.subscribe(STICKER, wish)
    pictures = [picture(each["sticker_image"]["url"]) for each in (one, two)]
    assert np.array_equal(np.asarray(pictures[0]), np.asarray(pictures[1]))


def test_stream_tells_each_step_and_ends_with_the_result(python_client: Client) -> None:
    # wire.md 2.1: stream() asks /stream and yields each event's JSON.
    wish = {
        "prompt": "a person",
        "image_url": data_uri(ASTRONAUT.read_bytes()),
        "seed": 5,
        "image_size": SMALL,
    }
    events = list(python_client.stream(STICKER, wish))
    assert len(events) > 5
    assert "sticker_image" in events[-1]
    assert picture(events[-1]["sticker_image"]["url"]).size == (256, 320)


@pytest.mark.parametrize("road", ["proxy", "fetch", "middleware"])
def test_javascript_subscribes_too(node: Callable[..., Any], road: str) -> None:
    wish = {
        "prompt": "a person",
        "image_url": data_uri(ASTRONAUT.read_bytes()),
        "image_size": "square",
        "seed": 3,
    }
    told = node("subscribe", STICKER, wish, road=road)
    result = told["result"]["data"]
    assert result["sticker_image"]["width"] == 512
    assert picture(result["sticker_image_background_removed"]["url"]).mode == "RGBA"


def test_no_face(sent: Callable[..., dict[str, Any]]) -> None:
    entry = sent(data_uri((FACES / "21_noface_rocket.jpg").read_bytes(), "image/jpeg"))
    assert entry["type"] == "face_detection_error"
    assert entry["msg"].startswith("Could not detect face in the image: tried 640 px")
    assert entry["ctx"] == {"looked": [[0, 0, 640, 427], [106, 0, 427, 427]]}


def test_not_an_image(sent: Callable[..., dict[str, Any]]) -> None:
    assert sent(data_uri(b"%PDF-1.7 hello", "image/png"))["type"] == "image_load_error"


def test_a_format_that_is_not_read(sent: Callable[..., dict[str, Any]]) -> None:
    entry = sent(data_uri(b"\x00\x00\x00\x18ftypheic" + bytes(64), "image/heic"))
    assert entry["type"] == "unsupported_image_format"
    assert ".jpeg" in entry["ctx"]["supported_formats"]


def test_too_small(sent: Callable[..., dict[str, Any]]) -> None:
    encoded = io.BytesIO()
    Image.new("RGB", (15, 400)).save(encoded, "PNG")
    entry = sent(data_uri(encoded.getvalue()))
    assert (entry["type"], entry["ctx"]) == (
        "image_too_small",
        {"min_height": 16, "min_width": 16},
    )


def test_too_many_pixels_are_refused_before_they_are_decoded(
    sent: Callable[..., dict[str, Any]],
) -> None:
    encoded = io.BytesIO()
    Image.new("1", (20000, 20000)).save(encoded, "PNG")
    assert sent(data_uri(encoded.getvalue()))["type"] == "image_too_large"


def test_nobody_answers_at_the_url(sent: Callable[..., dict[str, Any]]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        entry = sent(f"http://127.0.0.1:{unused.getsockname()[1]}/me.jpg?token=secret")
    assert entry["type"] == "file_download_error"
    assert "127.0.0.1" in entry["msg"]
    assert "secret" not in entry["msg"]


@pytest.mark.parametrize("text", ["", "me.jpg", "ftp://example.com/me.jpg", "data:image/png"])
def test_what_is_no_url(sent: Callable[..., dict[str, Any]], text: str) -> None:
    assert sent(text)["type"] == "file_download_error"


@pytest.fixture
def strict_server(tmp_path: Path) -> Any:
    """A server as it comes: no private addresses; and with a small limit for files."""
    running = Server(
        tmp_path / "home",
        {"LIMNER_ALLOW_PRIVATE_URLS": "0", "LIMNER_MAX_DOWNLOAD_BYTES": "20000"},
    )
    yield running
    running.stop()


def test_private_addresses_and_files_over_the_limit(strict_server: Server) -> None:
    too_large = data_uri(ASTRONAUT.read_bytes())
    refused = {
        "http://127.0.0.1:1/me.jpg": ("file_download_error", None),
        "http://169.254.169.254/latest/meta-data/": ("file_download_error", None),
        "http://[::1]/me.jpg": ("file_download_error", None),
        "http://localhost/me.jpg": ("file_download_error", None),
        too_large: ("file_too_large", {"max_size": 20000}),
    }
    for url, (kind, context) in refused.items():
        answer = strict_server.post(f"/fal.run/{STICKER}", json={"prompt": "x", "image_url": url})
        assert answer.status_code == 422
        (entry,) = answer.json()["detail"]
        assert (entry["type"], entry["loc"]) == (kind, ["body", "image_url"])
        assert entry.get("ctx") == context


def test_every_wrong_field_is_told_at_once(server: Server) -> None:
    # wire.md 4.1: pydantic's errors as fal's detail entries.
    answer = server.post(
        f"/queue.fal.run/{STICKER}",
        json={"image_url": 5, "guidance_scale": 21, "seed": -1, "image_size": "huge"},
    )
    if answer.status_code == 200:
        answer = server.get("/" + answer.json()["response_url"].split("/", 3)[3])
    assert answer.status_code == 422
    places = {tuple(entry["loc"]) for entry in answer.json()["detail"]}
    wanted = [("prompt",), ("image_url",), ("guidance_scale",), ("seed",)]
    assert {("body", *place) for place in wanted} < places
    assert any(place[:2] == ("body", "image_size") for place in places)
    assert all(place[0] == "body" for place in places)
