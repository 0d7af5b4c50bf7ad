"""The desk's models: fetched from a hub of our own in the background, verified, removed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from limner.diffusion.weights import WEIGHTS
from tests.diffusion.hub import Hub
from tests.rig.process import Server, eventually
from tests.server.conftest import new_key
from tests.server.test_desk import DESK

MODELS = f"{DESK}/models"
#: Weights of which no hash is written down, so that a file of our own will do.
FREE, ASKING = "birefnet-lite", "stickers-redmond"
LICENCE = WEIGHTS[ASKING].licence


@dataclass
class Library:
    """A server whose weights come from ``hub``."""

    server: Server
    hub: Hub
    cache: Path

    def model(self, name: str) -> dict[str, Any]:
        told = self.server.get(MODELS).json()["shelves"]
        (found,) = [m for shelf in told for m in shelf["models"] if m["name"] == name]
        return found

    def errand(self, name: str, state: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            errand = self.model(name)["errand"]
            return errand if errand and errand["state"] == state else None

        return eventually(look)

    def does(self, method: str, path: str, **options: object) -> int:
        return self.server.call(method, f"{MODELS}/{path}", **options).status_code

    def publish(self, name: str, content: bytes) -> str:
        weight = WEIGHTS[name]
        file = self.hub.root / weight.repo / weight.files[0].path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return weight.files[0].path


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    home = tmp_path_factory.mktemp("library")
    (home / "hub").mkdir()
    with Hub(home / "hub") as hub:
        cache = home / "hf"
        env = {"HF_HOME": str(cache), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"}
        running = Server(home / "home", env=env)
        yield Library(running, hub, cache)
        running.stop()


def test_a_weight_is_fetched_in_the_background_verified_and_removed(library: Library) -> None:
    path = library.publish(FREE, os.urandom(24_000_000))  # the client's pieces have 10 MB
    library.hub.held[path] = go_on = threading.Event()
    before = library.model(FREE)
    assert (before["present"], before["accepted"], before["licence"]) == (False, True, "MIT")
    assert before["needed_by"] == ["fal-ai/face-to-sticker"]
    assert library.does("POST", f"{FREE}/pull") == 200

    def some() -> int:
        return library.errand(FREE, "running")["done"]

    assert 0 < eventually(some) < 24_000_000
    assert library.errand(FREE, "running")["total"] == 24_000_000
    assert library.does("POST", f"{FREE}/pull") == 409, "it is under way"
    assert library.does("DELETE", FREE) == 409, "it is under way"
    go_on.set()
    assert library.errand(FREE, "done")["done"] == 24_000_000
    fetched = library.model(FREE)
    assert (fetched["present"], fetched["bytes"]) == (True, 24_000_000)

    library.does("POST", f"{FREE}/verify")
    assert library.errand(FREE, "done")["what"] == "verify"
    (blob,) = [file for file in library.cache.rglob("blobs/*") if file.is_file()]
    blob.write_bytes(b"decayed")
    library.does("POST", f"{FREE}/verify")
    assert "another sha256" in library.errand(FREE, "failed")["why"]
    assert library.does("DELETE", FREE) == 200
    assert not blob.exists()
    assert library.model(FREE)["present"] is False
    assert library.does("POST", f"{FREE}/verify") == 409, "it is not here"


def test_a_licence_is_accepted_as_it_was_shown_before_anything_is_fetched(
    library: Library,
) -> None:
    path = library.publish(ASKING, b"a LoRA")
    assert library.does("POST", f"{ASKING}/pull") == 409
    assert library.does("POST", f"{ASKING}/accept", json={"licence": "MIT"}) == 409
    assert library.model(ASKING)["accepted"] is False
    assert library.does("POST", f"{ASKING}/accept", json={"licence": LICENCE}) == 200
    assert library.model(ASKING)["accepted"] is True
    assert library.hub.gets(path) == []
    library.does("POST", f"{ASKING}/pull")
    library.errand(ASKING, "done")
    assert library.model(ASKING)["present"] is True


def test_a_stopped_download_leaves_nothing_behind_and_can_begin_again(library: Library) -> None:
    name = "plus-face-sdxl"
    path = library.publish(name, os.urandom(24_000_000))
    library.hub.held[path] = go_on = threading.Event()
    library.does("POST", f"{name}/pull")
    eventually(lambda: library.errand(name, "running")["done"])
    assert library.does("DELETE", f"{name}/pull") == 200
    go_on.set()
    library.errand(name, "stopped")
    assert library.model(name)["present"] is False
    assert not list(library.cache.rglob("*.incomplete"))
    library.does("POST", f"{name}/pull")
    # Another file than is published for this name, which is known when it is whole.
    assert "another sha256" in library.errand(name, "failed")["why"]
    assert len(library.hub.gets(path)) == 2
    assert not list(library.cache.rglob(path.rpartition("/")[2]))


def test_what_the_hub_refuses_is_told_with_what_to_do(library: Library) -> None:
    library.hub.refuse[WEIGHTS["clip-vit-h"].files[0].path] = 403, "GatedRepo"
    library.does("POST", "clip-vit-h/pull")
    assert "is gated" in library.errand("clip-vit-h", "failed")["why"]
    assert library.does("POST", "auraface-sd15/pull") == 409, "published nowhere"
    assert library.does("POST", "nonsense/pull") == 404


def test_a_network_of_the_sketch_engine_is_verified(library: Library, networks: Path) -> None:
    for name in ("modnet", "sface"):
        library.does("POST", f"{name}/verify")
        assert library.errand(name, "done")["why"] == ""
    library.does("POST", "face-stylizer-oil/verify")
    assert "only its size" in library.errand("face-stylizer-oil", "done")["why"]
    assert library.does("DELETE", "sface") == 409, "it came with a package"


def test_models_are_for_admins(tmp_path: Path) -> None:
    guarded = Server(tmp_path)
    try:
        admin, user = new_key(guarded.home, "admin"), new_key(guarded.home, "api")
        assert guarded.get(MODELS, headers=admin).status_code == 200
        for method, path in (("GET", ""), ("POST", "/modnet/pull"), ("DELETE", "/modnet")):
            assert guarded.call(method, MODELS + path, headers=user).status_code == 403
    finally:
        guarded.stop()
