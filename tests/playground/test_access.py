"""For everybody: WCAG 2.2 AA by axe, by keyboard, on small and dark screens, in two languages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.playground.conftest import Visit

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page, node_modules: Path) -> list[str]:
    page.evaluate((node_modules / "axe-core" / "axe.min.js").read_text())
    # Half of a fading colour is no colour: animations are over before contrast is judged.
    page.evaluate("document.getAnimations().forEach((one) => { try { one.finish() } catch {} })")
    options = json.dumps({"runOnly": {"type": "tag", "values": RULES}})
    found: dict[str, Any] = page.evaluate(f"axe.run(document, {options})")
    assert len(found["passes"]) > 10
    return [f"{v['id']}: {v['nodes'][0]['html']}" for v in found["violations"]]


@pytest.mark.parametrize(
    "look",
    [
        {"color_scheme": "light"},
        {"color_scheme": "dark"},
        {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
        {"locale": "de-DE", "forced_colors": "active"},
    ],
    ids=["light", "dark", "mobile", "German with forced colours"],
)
def test_axe_finds_nothing_in_any_state_of_the_page(
    visit: Visit, node_modules: Path, look: dict[str, Any]
) -> None:
    page = visit(**look)
    expect(page.locator(".photo-shown")).to_be_visible()
    assert violations(page, node_modules) == []  # fresh, with the sample
    page.locator(".photo .row button").nth(2).click()
    expect(page.locator("dialog svg")).to_be_visible()
    assert violations(page, node_modules) == []  # which face is meant
    page.keyboard.press("Escape")
    page.locator("summary").first.click()
    page.locator("#field-prompt").fill("")
    page.locator("#field-guidance_scale").fill("99")
    page.locator("#field-prompt").press("Control+Enter")
    expect(page.locator(".fault")).to_have_count(2)
    assert violations(page, node_modules) == []  # settings open, faults at fields
    page.goto(page.url.partition("#")[0] + "#/limner/metronome")
    page.locator("#input-tab-json").click()
    page.locator("#json").fill('{"steps": 2}')
    page.locator(".runbar button").click()
    expect(page.locator(".facts")).to_be_visible()
    expect(page.locator(".history li")).to_have_count(1)
    assert violations(page, node_modules) == []  # a result, its log, history
    page.locator("#more-tab-code").click()
    assert violations(page, node_modules) == []


@pytest.mark.parametrize("width", [360, 320])
def test_a_narrow_page_scrolls_only_down(visit: Visit, width: int) -> None:
    """320 pixels are also what 400 % zoom leaves of 1280 (WCAG 1.4.10)."""
    page = visit(viewport={"width": width, "height": 700})
    page.locator("summary").first.click()
    page.get_by_role("tab", name="Code").click()
    expect(page.locator("#more-panel pre")).to_contain_text("astronaut.jpg")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    expect(page.get_by_role("button", name="Run")).to_be_in_viewport()


def test_everything_can_be_done_with_the_keyboard(visit: Visit) -> None:
    page = visit("#/limner/metronome")
    expect(page.get_by_role("tab", name="Form")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("tab", name="Form")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="JSON")).to_be_focused()
    expect(page.locator("#json")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type('{"steps": 1')
    page.keyboard.press("Control+Enter")
    expect(page.locator(".phase")).to_have_text("Done")


def test_every_stop_of_the_tab_key_can_be_seen(visit: Visit) -> None:
    """Focus is drawn, and not hidden under the bar at the bottom (WCAG 2.4.7, 2.4.11)."""
    page = visit(viewport={"width": 1280, "height": 600})
    expect(page.locator("summary")).to_have_count(2)
    page.locator("summary").evaluate_all("all => all.forEach((it) => it.parentElement.open = true)")
    seen: set[str] = set()
    for _ in range(90):
        page.keyboard.press("Tab")
        at = page.evaluate(
            """() => {
            const it = document.activeElement;
            if (it === document.body) return null;
            const inside = it.classList.contains("unseen") || it.type === "radio";
            const shown = inside ? it.parentElement : it;
            const box = shown.getBoundingClientRect();
            const x = box.left + box.width / 2, y = box.top + Math.min(box.height / 2, 20);
            const top = document.elementFromPoint(x, y);
            const style = getComputedStyle(shown);
            return {
                name: it.outerHTML.slice(0, 120),
                drawn: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
                free: top !== null && (shown.contains(top) || top.contains(shown)),
            };
        }"""
        )
        if at is None:
            break
        seen.add(at["name"])
        assert at["drawn"], at["name"]
        assert at["free"], at["name"]
    assert len(seen) > 20


def test_the_page_speaks_german_to_germans_and_remembers_a_choice(visit: Visit) -> None:
    page = visit(locale="de-AT")
    expect(page.get_by_role("button", name="Zeichnen")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "de"
    page.get_by_label("Sprache").select_option("en")
    expect(page.get_by_role("button", name="Run")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Run")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "en"


def test_light_and_dark_follow_the_machine_until_told(visit: Visit) -> None:
    page = visit(color_scheme="dark")

    def paper() -> int:
        colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) // 3

    expect(page.get_by_label("Appearance")).to_be_visible()
    assert paper() < 40
    page.get_by_label("Appearance").select_option("light")
    assert paper() > 220
    page.reload()
    expect(page.get_by_label("Appearance")).to_have_value("light")
    assert paper() > 220


def test_motion_stops_for_who_wants_none(visit: Visit) -> None:
    page = visit("#/limner/metronome", reduced_motion="reduce")
    page.get_by_role("tab", name="JSON").click()
    page.locator("#json").fill('{"steps": 100, "pause": 0.05}')
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".veil")).to_be_attached()
    assert page.evaluate("document.getAnimations().length") == 0
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".phase")).to_have_text("Cancelled")
