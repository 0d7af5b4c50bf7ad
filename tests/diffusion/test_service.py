"""ip-adapter-face-id on the diffusion engine through a real server and fal's own client."""

from __future__ import annotations

import base64
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import fal_client
import pytest

from limner.diffusion.holdings import Holdings
from limner.diffusion.weights import WEIGHTS
from tests.compat.conftest import python_client  # noqa: F401
from tests.rig.process import Server

FACE = Path(__file__).parents[1] / "faces" / "30_lowres_96px.jpg"

pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def server(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose home has the tiny weights under their real names."""
    home = tmp_path_factory.mktemp("home")
    (home / "weights").mkdir()
    for owner in weights.iterdir():
        (home / "weights" / owner.name).symlink_to(owner)
    for weight in WEIGHTS.values():
        Holdings(home / "weights", commercial=False).accept(weight.name)
    running = Server(home)
    yield running
    running.stop()


def test_fals_client_gets_a_picture_drawn_by_diffusion(
    server: Server,
    python_client: fal_client.SyncClient,  # noqa: F811
) -> None:
    assert "fal-ai/ip-adapter-face-id: diffusion engine" in server.log.read_text()
    face = "data:image/jpeg;base64," + base64.b64encode(FACE.read_bytes()).decode()
    handle = python_client.submit(
        "fal-ai/ip-adapter-face-id",
        {
            "prompt": "a person",
            "model_type": "1_5-v2-plus",
            "face_image_url": face,
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
    with urllib.request.urlopen(result["image"]["url"]) as answer:
        assert answer.read(8) == b"\x89PNG\r\n\x1a\n"
    status = handle.status(with_logs=True)
    assert isinstance(status, fal_client.Completed)
    said = [entry["message"] for entry in status.logs or []]
    assert "Drawn by the diffusion engine" in said
    assert "Step 2 of 2" in said
