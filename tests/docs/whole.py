"""The server's app with nothing behind it: for asking which routes there are."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI

from limner.endpoints import ENDPOINTS
from limner.files.disk import DiskStore
from limner.files.tally import Tally
from limner.requests.ledger import Ledger
from limner.server.app import ServerParts, create_app
from limner.server.quota import UploadQuota
from limner.server.storage import StorageLimits


def _unsent(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> int:
    raise AssertionError(url)


def whole_app() -> FastAPI:
    """Every route of ``limner serve``, on an empty ledger that is gone again."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger(f"sqlite:///{folder}/ledger.db", lease=10, retention=60) as ledger,
    ):
        files = DiskStore(Path(folder) / "files")
        return create_app(
            ServerParts(
                ledger=ledger,
                files=files,
                endpoints=ENDPOINTS,
                post=_unsent,
                storage=StorageLimits(1, retention=1, quota=UploadQuota(Tally(files), 0)),
                max_body_bytes=1,
                open_without_keys=True,
            )
        )
