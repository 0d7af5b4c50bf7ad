"""The pages for people who keep an eye on things: requests, keys, system."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.playground.conftest import Visit
from tests.playground.test_access import violations
from tests.rig.process import Server

QUEUE = "/queue.fal.run/limner/metronome"


def submit(server: Server, **input: object) -> str:
    return server.post(QUEUE, json=input).json()["request_id"]


def test_a_request_is_found_watched_cancelled_and_deleted(visit: Visit, server: Server) -> None:
    request_id = submit(server, steps=900, pause=0.05)
    page = visit("#/requests")
    page.get_by_label("Part of an id or of a model").fill(request_id[9:])
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_label("State").select_option("failed")
    expect(page.get_by_text("No request matches.")).to_be_visible()
    page.get_by_label("State").select_option("running")
    page.get_by_role("link", name=request_id[:8]).click()
    expect(page.locator(".log")).to_contain_text("of 900")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".state")).to_have_text("Cancelled")
    page.get_by_role("link", name="Use these inputs").click()
    page.get_by_role("tab", name="JSON").click()
    expect(page.locator("#json")).to_have_value(re.compile('"steps": 900'))
    page.go_back()
    page.get_by_role("button", name="Delete with its pictures").click()
    page.get_by_role("button", name="Really delete?").click()
    expect(page).to_have_url(re.compile("#/requests$"))
    assert server.get(f"/limner/v1/requests/{request_id}").status_code == 404


def test_the_first_key_is_made_here_and_opens_this_page_from_then_on(
    visit: Visit, own_server: Server
) -> None:
    page = visit("#/keys", base=own_server.base)
    page.get_by_role("button", name="Make a key").click()
    made = page.locator(".once code")
    expect(made).to_have_text(re.compile(r"^[0-9a-f]+:[0-9a-f]+$"))
    first = made.inner_text()
    assert own_server.get("/limner/v1/keys").status_code == 401
    page.get_by_label("What it may do").select_option("api")
    page.get_by_role("button", name="Make a key").click()
    expect(made).not_to_have_text(first)
    second = {"authorization": f"Key {made.inner_text()}"}
    assert own_server.get("/limner/v1/me", headers=second).json()["admin"] is False
    expect(page.get_by_text("in use here")).to_be_visible()
    page.get_by_role("button", name="End", exact=True).click()
    page.get_by_role("button", name="Really end?").click()
    expect(page.get_by_text("Ended")).to_be_visible()
    assert own_server.get("/limner/v1/me", headers=second).status_code == 401


@pytest.mark.parametrize(
    "look",
    [{"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}}],
    ids=["dark", "narrow"],
)
def test_axe_finds_nothing_on_the_desk(
    visit: Visit, server: Server, node_modules: Path, look: dict[str, Any]
) -> None:
    request_id = submit(server, steps=1)
    page = visit("#/requests", **look)
    for place in ("#/requests", f"#/requests/{request_id}", "#/keys", "#/system"):
        page.goto(f"{server.base}/{place}")
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_be_visible()
        expect(page.locator("main .facts, main table, main .empty").first).to_be_visible()
        assert violations(page, node_modules) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator(".pairs")).to_contain_text("1 of 1 alive")
