"""Weights are fetched, verified and removed by a person, from a hub of our own."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from limner.diffusion.weights import WEIGHTS
from tests.diffusion.hub import Hub
from tests.playground.conftest import Visit
from tests.playground.test_access import violations
from tests.rig.process import Server

#: Weights of which no hash is written down, so that a file of our own will do.
FREE, ASKING = "birefnet-lite", "stickers-redmond"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    (tmp_path / "hub").mkdir()
    with Hub(tmp_path / "hub") as serving:
        for name, size in ((FREE, 24_000_000), (ASKING, 1000)):
            file = serving.root / WEIGHTS[name].repo / WEIGHTS[name].files[0].path
            file.parent.mkdir(parents=True)
            file.write_bytes(os.urandom(size))
        yield serving


@pytest.fixture
def library(hub: Hub, tmp_path: Path) -> Iterator[Server]:
    env = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"}
    running = Server(tmp_path / "home", env=env)
    yield running
    running.stop()


def does(page: Page, what: str, name: str) -> None:
    page.get_by_role("button", name=f"{what} {name}").click()


def test_a_model_is_fetched_through_a_reload_verified_and_removed(
    visit: Visit, library: Server, hub: Hub
) -> None:
    hub.held[WEIGHTS[FREE].files[0].path] = go_on = threading.Event()
    page = visit("#/models", base=library.base)
    row = page.locator(".shelf > li", has=page.get_by_role("heading", name=FREE))
    expect(row).to_contain_text("MIT")
    expect(row).to_contain_text("224 MB")
    does(page, "Fetch", FREE)
    expect(row).to_contain_text(re.compile(r"1\d\sMB of 24\sMB"))
    page.reload()
    expect(row).to_contain_text(re.compile(r"1\d\sMB of 24\sMB"))
    go_on.set()
    expect(row.locator(".state")).to_have_text("Here")
    expect(page.locator(".engines li").first).to_contain_text("Diffusion has 1 of 7 weights here.")
    does(page, "Verify", FREE)
    expect(row).to_contain_text("Verified: the bytes that were published.")
    does(page, "Remove", FREE)
    does(page, "Really remove?", FREE)
    expect(row.locator(".state")).to_have_text("Not here")


def test_terms_are_shown_and_accepted_before_a_model_is_fetched(
    visit: Visit, library: Server, hub: Hub, node_modules: Path
) -> None:
    page = visit("#/models", base=library.base)
    row = page.locator(".shelf > li", has=page.get_by_role("heading", name=ASKING))
    does(page, "Fetch", ASKING)
    dialog = page.get_by_role("dialog", name="On these terms")
    expect(dialog).to_contain_text(WEIGHTS[ASKING].licence)
    link = dialog.get_by_role("link")
    expect(link).to_have_attribute("href", f"https://huggingface.co/{WEIGHTS[ASKING].repo}")
    assert violations(page, node_modules) == []
    dialog.get_by_role("button", name="Do not").click()
    assert hub.seen == []
    does(page, "Fetch", ASKING)
    dialog.get_by_role("button", name="Accept and fetch").click()
    expect(row.locator(".state")).to_have_text("Here")
    expect(row).to_contain_text("Not for commercial use; accepted")


def test_what_the_hub_refuses_is_told_at_the_model(visit: Visit, library: Server) -> None:
    page = visit("#/models", base=library.base)
    row = page.locator(".shelf > li", has=page.get_by_role("heading", name="vae-ft-mse"))
    does(page, "Fetch", "vae-ft-mse")
    expect(row.locator(".fault")).to_contain_text("does not exist or is private")
