"""fal's storage as its tests call it: the first call of an upload, and the paths it answers."""

from __future__ import annotations

from typing import Any

from tests.rig.process import Server

REST, MEDIA = "/rest.fal.ai/storage", "/v3.fal.media"
FACE = bytes(range(256)) * 4


def path_of(server: Server, url: str) -> str:
    assert url.startswith(server.base + MEDIA)
    return url.removeprefix(server.base)


def initiate(
    server: Server, kind: str = "initiate", storage_type: str = "fal-cdn-v3", **said: Any
) -> tuple[str, str]:
    """JavaScript's first call; the paths to put to and to read from."""
    body = {"content_type": "image/png", "file_name": "face.png", **said}
    answer = server.post(f"{REST}/upload/{kind}?storage_type={storage_type}", json=body)
    assert answer.status_code == 200
    assert set(answer.json()) == {"upload_url", "file_url"}
    return path_of(server, answer.json()["upload_url"]), path_of(server, answer.json()["file_url"])
