"""The pages for people who keep an eye on things: requests, files, webhooks, keys, system."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.compat.test_webhooks import Receiver
from tests.playground.conftest import Visit
from tests.playground.test_access import violations
from tests.rig.process import Server
from tests.server.conftest import new_key

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


def test_an_ended_request_is_run_again_from_the_register(visit: Visit, server: Server) -> None:
    request_id = submit(server, steps=3)
    page = visit("#/requests")
    row = page.locator("tr", has=page.get_by_role("link", name=request_id[:8]))
    page.get_by_label("Part of an id or of a model").fill(request_id)
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(row.locator(".state")).to_have_text("Done")
    page.get_by_role("link", name=request_id[:8]).click()
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text(request_id)
    expect(page.locator("main .state")).to_have_text("Done")
    again = page.get_by_role("heading", level=1).inner_text()
    assert server.get(f"/limner/v1/requests/{again}").json()["input"] == {"steps": 3}

    refused = submit(server, steps=-1)
    page.goto(f"{server.base}/#/requests")
    page.get_by_label("Part of an id or of a model").fill(refused)
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("button", name=f"Run again {refused[:8]}").click()
    expect(page.get_by_role("alert")).to_contain_text("refused for what it asks")
    page.get_by_role("button", name=f"Delete {refused[:8]}").click()
    page.get_by_role("button", name=f"Really delete? {refused[:8]}").click()
    expect(page.get_by_text("No request matches.")).to_be_visible()


def test_files_are_counted_told_when_they_go_and_deleted(visit: Visit, own_server: Server) -> None:
    for size in (1000, 2000, 4000):
        said = {"content_type": "image/png", "file_name": f"of-{size}.png"}
        asked = own_server.post("/rest.fal.ai/storage/upload/initiate", json=said).json()
        path = asked["upload_url"].removeprefix(own_server.base)
        own_server.call("PUT", path, content=bytes(size))
    page = visit("#/files", base=own_server.base)
    expect(page.get_by_text("3 files, 7 kB")).to_be_visible()
    expect(page.get_by_text("Pictures go 1 hour after they were drawn")).to_be_visible()
    expect(page.locator("tbody tr").first).to_contain_text("of-4000.png")
    expect(page.locator("tbody tr").first).to_contain_text("in 24 hours")
    page.get_by_role("button", name="Delete of-2000.png").click()
    page.get_by_role("button", name="Really delete? of-2000.png").click()
    expect(page.get_by_text("2 files, 5 kB")).to_be_visible()
    page.get_by_role("button", name="Delete all of mine").click()
    page.get_by_role("button", name="Really delete?").click()
    expect(page.get_by_text("Nothing is kept.")).to_be_visible()
    assert own_server.get("/limner/v1/files").json()["count"] == 0


def test_a_webhook_that_was_given_up_is_sent_again(visit: Visit, own_server: Server) -> None:
    receiver = Receiver()
    receiver.answers = [302]  # a redirect is final
    own_server.post(QUEUE, params={"fal_webhook": receiver.url}, json={"steps": 1})
    page = visit("#/webhooks", base=own_server.base)
    row = page.locator("tbody tr")
    expect(row.locator(".state")).to_have_text("Given up")
    expect(row).to_contain_text(receiver.url)
    expect(row).to_contain_text("302")
    page.get_by_label("State").select_option("delivered")
    expect(page.get_by_text("No webhook is on record.")).to_be_visible()
    page.get_by_label("State").select_option("")
    page.get_by_role("button", name="Send again").click()
    expect(row.locator(".state")).to_have_text("Delivered")
    expect(row).to_contain_text("HTTP 200")
    receiver.close()
    assert len(receiver.got) == 2


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


def test_a_narrow_page_of_a_user_has_room_for_the_key_and_makes_none(
    visit: Visit, own_server: Server
) -> None:
    user = new_key(own_server.home, "api")
    narrow = {"width": 320, "height": 740}
    page = visit("#/keys", base=own_server.base, locale="de-DE", viewport=narrow)
    page.get_by_label("Schlüssel").fill(user["authorization"].removeprefix("Key "))
    page.get_by_role("button", name="Eintreten").click()
    expect(page.get_by_role("button", name="Schlüssel vergessen")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    expect(page.get_by_text("limner keys create --scope admin")).to_be_visible()
    expect(page.get_by_role("button", name="Schlüssel machen")).to_have_count(0)


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
    hook = {"fal_webhook": "http://127.0.0.1:9/"}
    server.post(QUEUE, params=hook, json={"steps": 1})  # nobody listens there
    desk = ("requests", f"requests/{request_id}", "files", "webhooks", "models", "keys", "system")
    for place in (f"#/{name}" for name in desk):
        page.goto(f"{server.base}/{place}")
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_be_visible()
        shown = "main .facts, main table, main .empty, main .shelf-of"
        expect(page.locator(shown).first).to_be_visible()
        assert violations(page, node_modules) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator(".pairs")).to_contain_text("1 of 1 alive")
