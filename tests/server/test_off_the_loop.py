"""No call waits for the file store on the event loop, where everybody else would wait too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.files.disk import DiskStore
from limner.files.tally import Tally
from limner.requests.ledger import Ledger
from limner.server.app import ServerParts, create_app
from limner.server.quota import UploadQuota
from limner.server.storage import StorageLimits
from limner.stages.fetch import Door
from tests.rig.metronome import METRONOME

REST = "/rest.fal.ai/storage/upload"


class Beside(DiskStore):
    """A store that will not be called on an event loop; the names of what was called."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.called: set[str] = set()

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or not callable(found):
            return found

        def call(*said: Any) -> Any:
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            self.called.add(name)
            return found(*said)

        return call


@pytest.fixture
def files(tmp_path: Path) -> Beside:
    return Beside(tmp_path / "files")


@pytest.fixture
def app(tmp_path: Path, files: Beside) -> Iterator[Any]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        yield create_app(
            ServerParts(
                ledger=ledger,
                files=files,
                endpoints=[METRONOME],
                post=Door(allow_private=False, max_bytes=1, timeout=1).post,
                storage=StorageLimits(1000, retention=60, quota=UploadQuota(Tally(files), 10_000)),
                max_body_bytes=1000,
                open_without_keys=True,
            )
        )


def test_every_call_of_the_store_is_made_on_a_thread(app: Any, files: Beside) -> None:
    async def scenario() -> None:
        transport = httpx2.ASGITransport(app)
        base = "http://127.0.0.1"
        async with httpx2.AsyncClient(transport=transport, base_url=base) as client:

            async def call(method: str, path: str, **said: Any) -> httpx2.Response:
                answer = await client.request(method, path.removeprefix(base), **said)
                answer.raise_for_status()
                return answer

            told = (await call("POST", f"{REST}/initiate", json={})).json()
            await call("PUT", told["upload_url"], content=b"a face")
            for headers in ({}, {"range": "bytes=1-2"}):
                assert (await call("GET", told["file_url"], headers=headers)).content
            await call("HEAD", told["file_url"])
            parts = (await call("POST", f"{REST}/initiate-multipart", json={})).json()
            await call("PUT", f"{parts['upload_url']}/1", content=b"a face")
            said = {"parts": [{"partNumber": 1}]}
            await call("POST", f"{parts['upload_url']}/complete", json=said)
            name = told["file_url"].rpartition("/")[2]
            await call("DELETE", f"/limner/v1/files/{name}")
            await call("GET", "/limner/v1/files")
            await call("DELETE", "/limner/v1/files")

    asyncio.run(scenario())
    used = {"save", "find", "stream", "delete", "listing", "save_part", "join_parts"}
    assert files.called == used
