"""A real Chromium on a real Limner; where there is none, these tests say so and are skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.compat.conftest import node_modules as fal_client_for_node  # noqa: F401 - a fixture
from tests.compat.conftest import node_program
from tests.rig.process import ROOT, Server

FRONTEND = ROOT / "frontend"

#: As root Chromium has no sandbox; the rest keeps it from asking the network for itself.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; playwright's own browser is never downloaded."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have chromium: .ci/run installs it")
        pytest.skip("no chromium on this machine: apt-get install chromium")
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def node_modules() -> Path:
    """The page's tools from npm, exactly as the lock says."""
    installed = FRONTEND / "node_modules"
    if not (installed / "axe-core").exists():
        _, npm = node_program()
        done = subprocess.run(
            [*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=FRONTEND,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return installed


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """Open the page as a new visitor; whatever the browser complained about fails the test."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def heard(text: str) -> None:
        # A refused request is part of what is tested; the browser logs its status.
        if "Failed to load resource" not in text:
            complaints.append(text)

    def open_page(path: str = "", base: str = server.base, **options: object) -> Page:
        options = {"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **options}
        context = browser.new_context(**options)  # pyright: ignore[reportArgumentType]
        contexts.append(context)
        context.set_default_timeout(60_000)
        context.grant_permissions(["clipboard-read", "clipboard-write", "camera"], origin=base)

        def asked(url: str) -> None:
            if not url.startswith((base, "blob:", "data:")):
                complaints.append(f"a request outside: {url}")

        context.on("request", lambda request: asked(request.url))
        context.on(
            "console", lambda line: heard(line.text) if line.type in ("error", "warning") else None
        )
        context.on("weberror", lambda error: heard(str(error.error)))
        page = context.new_page()
        page.goto(f"{base}/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
