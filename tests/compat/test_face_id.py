"""Photos to a portrait through fal's own client, and faces that were not sent."""

from __future__ import annotations

import io
import re
import urllib.request
import zipfile
from pathlib import Path

import fal_client
import pytest
from PIL import Image

FACE_ID = "fal-ai/ip-adapter-face-id"
FACES = Path(__file__).parents[1] / "faces"
ASTRONAUT = FACES / "01_astronaut_frontal.png"

# The client drops the connections of its uploads without closing them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)


def test_an_uploaded_zip_and_photo_become_a_portrait_in_fals_exact_answer(
    python_client: fal_client.SyncClient, tmp_path: Path
) -> None:
    # wire.md 9.3: exactly image and seed.
    packed = tmp_path / "faces.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(FACES / "24_gray_L_mode.png", "again/she.png")
    result = python_client.subscribe(
        FACE_ID,
        {
            "prompt": "portrait by the sea",
            "face_image_url": python_client.upload_file(ASTRONAUT),
            "face_images_data_url": python_client.upload_file(packed),
            "seed": 0,
            "width": 192,
            "height": 256,
            "num_samples": 1,
            "num_inference_steps": 2,
        },
    )
    assert list(result) == ["image", "seed"]
    assert result["seed"] == 0
    image = result["image"]
    assert (image["content_type"], image["width"], image["height"]) == ("image/png", 192, 256)
    assert re.search(r"\.png$", image["file_name"])
    with urllib.request.urlopen(image["url"]) as answer:
        drawn = Image.open(io.BytesIO(answer.read()))
    assert (drawn.mode, drawn.size) == ("RGB", (192, 256))


def test_without_a_face_the_field_is_named(python_client: fal_client.SyncClient) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        python_client.subscribe(FACE_ID, {"prompt": "a person"})
    assert caught.value.status_code == 422
    (entry,) = caught.value.response.json()["detail"]
    assert entry["loc"] == ["body", "face_image_url"]
    assert "face_images_data_url" in entry["msg"]
