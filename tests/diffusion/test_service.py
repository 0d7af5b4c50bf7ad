"""Both endpoints on the diffusion engine through a real server and fal's own client."""

from __future__ import annotations

import base64
import io
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import fal_client
import pytest
from PIL import Image

from limner.diffusion.holdings import Holdings
from limner.diffusion.weights import WEIGHTS
from tests.compat.conftest import python_client  # noqa: F401
from tests.rig.process import Server, eventually

FACE = Path(__file__).parents[1] / "faces" / "30_lowres_96px.jpg"

pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def server(
    weights: Path, sticker_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server whose home has the tiny weights under their real names."""
    home = tmp_path_factory.mktemp("home")
    # The sticker's h94/IP-Adapter has what face-id needs of it too.
    repositories = {
        f"{path.parent.name}/{path.name}": path
        for source in (weights, sticker_home)
        for path in source.glob("*/*")
    }
    for name, path in repositories.items():
        (home / "weights" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "weights" / name).symlink_to(path)
    for weight in WEIGHTS.values():
        Holdings(home / "weights", commercial=False).accept(weight.name)
    running = Server(home)
    yield running
    running.stop()


def photo() -> str:
    return "data:image/jpeg;base64," + base64.b64encode(FACE.read_bytes()).decode()


def figure(server: Server, name: str) -> float:
    """What the only worker tells of itself."""
    told = re.findall(rf"^{name}{{.*}} (\S+)$", server.get("/metrics").text, re.MULTILINE)
    return float(told[0]) if told else 0.0


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        return answer.read()


def test_fals_client_gets_a_picture_drawn_by_diffusion(
    server: Server,
    python_client: fal_client.SyncClient,  # noqa: F811
) -> None:
    assert "fal-ai/ip-adapter-face-id: diffusion engine" in server.log.read_text()
    handle = python_client.submit(
        "fal-ai/ip-adapter-face-id",
        {
            "prompt": "a person",
            "model_type": "1_5-v2-plus",
            "face_image_url": photo(),
            "seed": 5,
            "num_samples": 2,
            "num_inference_steps": 2,
            "width": 64,
            "height": 64,
        },
    )
    result = handle.get()
    assert result["seed"] == 5
    assert set(result) == {"image", "seed"}
    assert fetched(result["image"]["url"])[:8] == b"\x89PNG\r\n\x1a\n"
    status = handle.status(with_logs=True)
    assert isinstance(status, fal_client.Completed)
    said = [entry["message"] for entry in status.logs or []]
    assert "Drawn by the diffusion engine" in said
    assert "Step 2 of 2" in said
    # Two guided samples of two steps each: what the worker told of its running batch.
    eventually(lambda: figure(server, "limner_worker_step_rows_total") >= 8)
    assert figure(server, "limner_worker_step_rows_total") == 8
    assert 2 <= figure(server, "limner_worker_steps_total") <= 4
    assert figure(server, "limner_worker_step_places_total") >= 8


def test_fals_client_gets_a_sticker_drawn_and_enlarged_by_diffusion(
    server: Server,
    python_client: fal_client.SyncClient,  # noqa: F811
) -> None:
    assert "fal-ai/face-to-sticker: diffusion engine" in server.log.read_text()
    asked = {
        "prompt": "a person",
        "image_url": photo(),
        "seed": 0,
        "num_inference_steps": 1,
        "image_size": {"width": 64, "height": 96},
        "upscale": True,
        "upscale_steps": 1,
    }
    said: list[str] = []

    def listen(update: fal_client.Status) -> None:
        if isinstance(update, fal_client.InProgress | fal_client.Completed):
            said.extend(entry["message"] for entry in update.logs or [])

    result = python_client.subscribe(
        "fal-ai/face-to-sticker", asked, with_logs=True, on_queue_update=listen
    )
    assert set(result) == {
        "images",
        "sticker_image",
        "sticker_image_background_removed",
        "seed",
        "has_nsfw_concepts",
    }
    sticker, cutout = result["sticker_image"], result["sticker_image_background_removed"]
    assert result["images"] == [sticker, cutout]
    assert result["seed"] == 0
    assert result["has_nsfw_concepts"] == {
        "sticker_image": False,
        "sticker_image_background_removed": False,
    }
    assert (sticker["width"], sticker["height"], sticker["content_type"]) == (128, 192, "image/PNG")
    pictures = [Image.open(io.BytesIO(fetched(each["url"]))) for each in (sticker, cutout)]
    assert [(each.mode, each.size) for each in pictures] == [
        ("RGB", (128, 192)),
        ("RGBA", (128, 192)),
    ]
    assert {"Step 1 of 1", "Detail 1 of 1", "Cut out of its background"} <= set(said)
    assert not any("open_nsfw alone" in line for line in said)
