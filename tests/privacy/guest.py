"""A caller whose words, photos and pictures can be told from everybody else's.

It calls both endpoints, gives its photo in each of the three ways, and keeps in mind everything
that Limner saw or made of it. Knows fal's words; knows nothing of how Limner keeps things.
"""

from __future__ import annotations

import base64
import io
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from PIL import Image

from limner.stages.arcface import SIDE, align
from limner.stages.face import FaceDetector
from limner.stages.likeness import Recogniser
from tests.endpoints.conftest import FACES
from tests.privacy.outside import Outside
from tests.privacy.traces import Traces
from tests.rig.process import Server, eventually

FACE_ID, STICKER = "fal-ai/ip-adapter-face-id", "fal-ai/face-to-sticker"

#: Few steps, and a picture that is quickly drawn; the search is the same for any.
BRIEF: dict[str, dict[str, Any]] = {
    FACE_ID: {"num_inference_steps": 2, "width": 256, "height": 256, "num_samples": 1},
    STICKER: {"num_inference_steps": 2, "image_size": {"width": 256, "height": 256}},
}
PHOTO_FIELD = {FACE_ID: "face_image_url", STICKER: "image_url"}


def photo() -> bytes:
    """A face that no other file has the bytes of: grain of its own on a photo, as a JPEG."""
    with Image.open(FACES / "01_astronaut_frontal.png") as opened:
        face = np.asarray(opened.convert("RGB").resize((256, 256)), np.int16)
    grain = np.random.default_rng().integers(-6, 7, face.shape)
    out = io.BytesIO()
    Image.fromarray(np.clip(face + grain, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=92)
    return out.getvalue()


@dataclass
class Guest:
    """One caller, and what is to be found of it nowhere when all is forgotten."""

    server: Server
    outside: Outside
    photo: bytes
    header: dict[str, str]
    traces: Traces = field(default_factory=Traces)
    #: The pictures it fetched.
    outputs: list[bytes] = field(default_factory=list[bytes])

    def __post_init__(self) -> None:
        self.mark = secrets.token_hex(10)
        self.traces.text("prompt", f"marmot {self.mark}")
        self.traces.text("file name", f"quokka-{self.mark}")
        self.traces.picture("photo", self.photo)

    def sees_faces(self, detector: FaceDetector, recogniser: Recogniser) -> None:
        """Keep in mind what networks make of the photo: crops and an embedding."""
        rgb = np.asarray(Image.open(io.BytesIO(self.photo)).convert("RGB"))
        face = detector.find(rgb, 640).face
        for side in (SIDE, 2 * SIDE):
            name, crop = f"face crop of {side}", align(rgb, face, side)
            self.traces.content(name, crop.tobytes())
            self.traces.content(f"{name}, BGR", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR).tobytes())
        numbers = recogniser.embed(rgb, face)
        self.traces.content("embedding", numbers.tobytes())
        self.traces.content("embedding in doubles", numbers.astype(np.float64).tobytes())

    def as_data(self) -> str:
        """The photo itself as an address."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.photo).decode()}"

    def as_upload(self) -> str:
        """The photo kept by Limner."""
        told = self._json(
            "POST",
            "/rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
            {"content_type": "image/jpeg", "file_name": f"quokka-{self.mark}.jpg"},
        )
        self.server.call("PUT", _path(told["upload_url"]), content=self.photo).raise_for_status()
        return told["file_url"]

    def as_address(self) -> str:
        """The photo kept by somebody else."""
        path = f"/quokka-{self.mark}.jpg"
        self.outside.photos[path] = self.photo
        return self.outside.url + path

    def input(self, endpoint: str, photo: str) -> dict[str, Any]:
        """What is asked of an endpoint."""
        words = f"a marmot {self.mark} in a hat"
        return {**BRIEF[endpoint], "prompt": words, PHOTO_FIELD[endpoint]: photo}

    def queued(self, endpoint: str, photo: str, **headers: str) -> str:
        """Draw by way of the queue; the request's id, when its pictures have been fetched."""
        asked = self.input(endpoint, photo)
        told = self._json("POST", f"/queue.fal.run/{endpoint}", asked, **headers)
        request_id = told["request_id"]
        path = f"/queue.fal.run/{endpoint}/requests/{request_id}"
        eventually(lambda: self._get(f"{path}/status").status_code == 200, 60)
        self.fetched(self._json("GET", path, None))
        return request_id

    def waited(self, endpoint: str, photo: str, **headers: str) -> str:
        """Draw on the line; the request's id."""
        asked = self.input(endpoint, photo)
        answer = self.server.post(f"/fal.run/{endpoint}", json=asked, headers=self._said(headers))
        assert answer.status_code == 200, answer.text
        self.fetched(answer.json())
        return answer.headers["x-fal-request-id"]

    def hooked(self, endpoint: str, photo: str, **headers: str) -> str:
        """Draw for a webhook; the request's id when it has come."""
        before = len(self.outside.hooks)
        hook = f"{self.outside.url}/quokka-{self.mark}"
        told = self._json(
            "POST",
            f"/queue.fal.run/{endpoint}?fal_webhook={hook}",
            self.input(endpoint, photo),
            **headers,
        )
        eventually(lambda: len(self.outside.hooks) > before, 60)
        self.fetched(json.loads(self.outside.hooks[-1])["payload"])
        return told["request_id"]

    def fetched(self, answer: dict[str, Any]) -> None:
        """Keep in mind the pictures of an answer, and their names."""
        for image in _images(answer):
            content = self._get(_path(image["url"])).content
            self.traces.picture("output", content)
            self.outputs.append(content)
            self.traces.text("output's name", image["file_name"].partition(".")[0])

    def delete(self, request_id: str) -> None:
        """Forget a request."""
        told = self.server.call("DELETE", f"/limner/v1/requests/{request_id}", headers=self.header)
        assert told.status_code == 200, told.text

    def _get(self, path: str) -> Any:
        return self.server.get(path, headers=self.header)

    def _json(self, method: str, path: str, body: object, **headers: str) -> Any:
        answer = self.server.call(method, path, json=body, headers=self._said(headers))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _said(self, headers: dict[str, str]) -> dict[str, str]:
        return {**self.header, **{name.replace("_", "-"): said for name, said in headers.items()}}


def _images(answer: dict[str, Any]) -> list[dict[str, Any]]:
    if "image" in answer:
        return [answer["image"]]
    return [answer["sticker_image"], answer["sticker_image_background_removed"]]


def _path(url: str) -> str:
    """An address of the server without the server."""
    return "/" + url.split("/", 3)[3]
