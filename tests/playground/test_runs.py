"""A run's ways: cancelled, reloaded, in two tabs, behind a key; with an endpoint of known steps."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.compat.conftest import node_program
from tests.playground.conftest import Visit
from tests.rig.process import ROOT, Server

METRONOME = "#/limner/metronome"
LONG = '{"steps": 400, "pause": 0.05}'
SHORT = '{"steps": 40, "pause": 0.05}'


def begin(page: Page, json: str) -> None:
    page.get_by_role("tab", name="JSON").click()
    page.locator("#json").fill(json)
    page.get_by_role("button", name=re.compile("^Run")).click()
    expect(page.locator(".progress.running")).to_contain_text(re.compile(r"step \d+ of"))


def test_a_run_shows_its_steps_and_stops_when_cancelled(visit: Visit) -> None:
    page = visit(METRONOME)
    begin(page, LONG)
    expect(page.locator(".progress .percent")).to_have_text(re.compile("[1-9] %"))
    assert "%" in page.title()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".phase")).to_have_text("Cancelled")
    expect(page.get_by_role("status")).to_have_text("Cancelled")
    last = page.locator(".log li").last
    assert "400 of 400" not in last.inner_text()


def test_the_picture_so_far_is_shown_while_it_is_drawn(visit: Visit) -> None:
    page = visit(METRONOME)
    begin(page, '{"steps": 400, "pause": 0.05, "previews": true}')
    so_far = page.get_by_alt_text("The picture so far")
    expect(so_far).to_have_attribute("src", re.compile("^data:image/webp;base64,"))
    first = so_far.get_attribute("src")
    expect(so_far).not_to_have_attribute("src", first or "")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".phase")).to_have_text("Cancelled")
    expect(so_far).to_have_count(0)


def test_a_reload_during_a_run_takes_it_up_again(visit: Visit) -> None:
    page = visit(METRONOME)
    submitted: list[str] = []
    page.on("request", lambda r: submitted.append(r.url) if r.method == "POST" else None)
    begin(page, SHORT)
    page.reload()
    expect(page.locator(".phase")).to_have_text("Done")
    expect(page.locator(".log li").nth(40)).to_have_text(re.compile("step 40 of 40"))
    page.get_by_role("tab", name="JSON").click()
    expect(page.locator("#json")).to_have_value(re.compile('"steps": 40'))
    assert len(submitted) == 1


def test_two_tabs_run_at_once_and_share_what_was_made(visit: Visit) -> None:
    first = visit(METRONOME)
    second = first.context.new_page()
    second.goto(first.url)
    begin(first, SHORT)
    begin(second, '{"steps": 41, "pause": 0.05}')
    for page, steps in ((first, 40), (second, 41)):
        expect(page.locator(".phase")).to_have_text("Done")
        page.get_by_role("tab", name="Answer").click()
        expect(page.locator("#more-panel pre")).to_contain_text(f'"steps": {steps}')
        expect(page.locator(".history li")).to_have_count(2)
    first.get_by_role("button", name="Delete all").click()
    first.get_by_role("button", name="Really delete all?").click()
    expect(second.locator(".history li")).to_have_count(0)


def test_our_fault_is_told_without_its_inside(visit: Visit) -> None:
    page = visit(METRONOME)
    page.get_by_role("tab", name="JSON").click()
    page.locator("#json").fill('{"ending": "badly"}')
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("Something went wrong in the server")


def test_the_form_and_its_json_say_the_same(visit: Visit) -> None:
    page = visit(METRONOME)
    page.get_by_text("Settings").click()
    page.get_by_label("Steps").fill("12")
    page.get_by_role("tab", name="JSON").click()
    expect(page.locator("#json")).to_have_value('{\n  "steps": 12\n}')
    page.locator("#json").fill('{"input": {"steps": 13, "pause": ')
    expect(page.locator("#json-fault")).to_contain_text("This is not JSON yet")
    page.locator("#json").fill('{"input": {"steps": 13, "pause": 0.5}}')  # as fal's clients say it
    expect(page.locator("#json-fault")).to_be_empty()
    page.get_by_role("tab", name="Form").click()
    page.get_by_text("Settings").click()
    expect(page.get_by_label("Steps")).to_have_value("13")
    page.get_by_label("Steps").fill("20000")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#field-steps-fault")).to_have_text("Enter a number between 0 and 10000.")


@pytest.mark.parametrize("language", ["JavaScript", "Python", "curl"])
def test_the_code_that_is_copied_runs(
    visit: Visit, language: str, fal_client_for_node: Path
) -> None:
    page = visit(METRONOME)
    page.get_by_role("tab", name="JSON").click()
    page.locator("#json").fill('{"steps": 2, "ending": "it\'s \\"well\\""}')
    page.get_by_role("tab", name="Code").click()
    page.get_by_label(language).check()
    page.locator("#more-panel").get_by_role("button", name="Copy").click()
    code = page.evaluate("navigator.clipboard.readText()")
    assert code == page.locator("#more-panel code").inner_text()
    program = {
        "JavaScript": [node_program()[0], "--input-type=module", "-"],
        "Python": [sys.executable, "-"],
        "curl": ["bash", "-s"],
    }[language]
    done = subprocess.run(
        program,
        input=code,
        cwd=fal_client_for_node.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\bsteps['\"]?: ?2", done.stdout)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server that asks for a key, and that key."""
    home: Path = tmp_path_factory.mktemp("locked")
    key = subprocess.run(
        [sys.executable, "-m", "limner", "keys", "create"],
        cwd=ROOT,
        env={**os.environ, "LIMNER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    server = Server(home)
    yield server, key
    server.stop()


def test_a_server_with_keys_asks_for_one_and_keeps_it_in_this_tab(
    visit: Visit, locked: tuple[Server, str]
) -> None:
    server, key = locked
    page = visit(METRONOME, base=server.base)
    field = page.get_by_label("Key", exact=True)
    field.fill("wrong:key")
    page.get_by_role("button", name="Enter").click()
    expect(page.get_by_role("alert")).to_contain_text("not known here")
    field.fill(f"Key {key}")  # as it stands in a header
    page.get_by_role("button", name="Enter").click()
    begin(page, SHORT)
    expect(page.locator(".phase")).to_have_text("Done")
    assert page.evaluate("JSON.stringify(localStorage)").find(key) == -1

    page.get_by_role("tab", name="Code").click()
    shown = page.locator("#more-panel code").inner_text()
    page.locator("#more-panel").get_by_role("button", name="Copy").click()
    secret = key.partition(":")[2]
    assert secret not in shown
    assert key in page.evaluate("navigator.clipboard.readText()")

    page.get_by_role("button", name="Forget the key").click()
    expect(field).to_be_visible()


def test_a_run_that_no_worker_will_draw_says_so_and_goes_on_when_one_comes(
    visit: Visit, tmp_path: Path
) -> None:
    server = Server(tmp_path / "home", workers=False)
    try:
        page = visit(METRONOME, base=server.base)
        page.get_by_role("tab", name="JSON").click()
        page.locator("#json").fill('{"steps": 2}')
        page.get_by_role("button", name=re.compile("^Run")).click()
        expect(page.locator(".phase")).to_have_text("Next in the queue")
        words = "Waiting: no worker is running. Start one with: limner work"
        expect(page.locator(".phase")).to_have_text(words)
        expect(page.get_by_role("status")).to_have_text(words)
        work = subprocess.Popen(
            [sys.executable, "-m", "tests.rig", "work"],
            cwd=ROOT,
            env={**os.environ, "LIMNER_HOME": str(server.home)},
            stdin=subprocess.PIPE,  # it ends with it
        )
        try:
            expect(page.get_by_role("status")).to_have_text("Done")
        finally:
            work.communicate(timeout=30)
    finally:
        server.stop()
