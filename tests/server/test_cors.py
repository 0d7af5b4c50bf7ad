"""Which pages may call: this machine's without a key, all with one (wire.md 0.14)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

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

RUN = "/fal.run/limner/metronome"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,x-fal-target-url,x-fal-queue-priority",
}
Call = Callable[..., httpx2.Response]


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Callable[[bool], Call]]:
    """The server's application as it is when bound to loopback (True) or elsewhere (False).

    In this process: tests bind to loopback only, and what is asked here is one header.
    """
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:

        def bound(to_loopback: bool) -> Call:
            files = DiskStore(tmp_path / "files")
            quota = UploadQuota(Tally(files), 0)
            app = create_app(
                ServerParts(
                    ledger=ledger,
                    files=files,
                    endpoints=[METRONOME],
                    post=Door(allow_private=False, max_bytes=1, timeout=1).post,
                    storage=StorageLimits(1000, retention=60, quota=quota),
                    max_body_bytes=1000,
                    open_without_keys=to_loopback,
                )
            )

            def ask(method: str, path: str, **headers: str) -> httpx2.Response:
                async def asked() -> httpx2.Response:
                    transport = httpx2.ASGITransport(app)
                    async with httpx2.AsyncClient(
                        transport=transport, base_url="http://127.0.0.1"
                    ) as client:
                        return await client.request(method, path, headers=headers)

                return asyncio.run(asked())

            return ask

        yield bound


@pytest.mark.parametrize(
    ("to_loopback", "origin", "allowed"),
    [
        (True, "http://localhost:3000", "http://localhost:3000"),
        (True, "https://127.0.0.1:5173", "https://127.0.0.1:5173"),
        (True, "http://[::1]:3000", "http://[::1]:3000"),
        (True, "https://app.example.com", None),
        (True, "http://localhost.evil.com", None),
        (True, "null", None),
        (False, "https://app.example.com", "*"),
        (False, "http://localhost:3000", "*"),
    ],
)
def test_a_preflight_is_answered_by_where_the_server_is_bound(
    call: Callable[[bool], Call], to_loopback: bool, origin: str, allowed: str | None
) -> None:
    answer = call(to_loopback)("OPTIONS", RUN, origin=origin, **PREFLIGHT)
    assert answer.headers.get("access-control-allow-origin") == allowed
    if allowed is not None:
        # A preflight carries no key, and is answered without one.
        assert answer.status_code == 200
        names = answer.headers["access-control-allow-headers"].lower()
        assert all(n in names for n in PREFLIGHT["access-control-request-headers"].split(","))


def test_a_refusal_for_want_of_a_key_is_readable_by_the_page(
    call: Callable[[bool], Call],
) -> None:
    answer = call(False)("POST", RUN, origin="https://app.example.com")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "*")
    assert "x-fal-request-id" in answer.headers["access-control-expose-headers"]


def test_cookies_are_never_asked_for(call: Callable[[bool], Call]) -> None:
    for to_loopback in (True, False):
        answer = call(to_loopback)("OPTIONS", RUN, origin="http://localhost:1", **PREFLIGHT)
        assert "access-control-allow-credentials" not in answer.headers
