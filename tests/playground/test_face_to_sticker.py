"""The whole path of a person: a face goes in, a sticker comes out, or words that help."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from tests.playground.conftest import Visit

FACES = Path(__file__).parents[1] / "faces"
PHOTO = "#field-image_url"


def ending(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text))


def run(page: Page) -> None:
    page.get_by_role("button", name="Run", exact=True).click()


def test_the_sample_face_becomes_a_sticker_and_is_remembered(visit: Visit, networks: Path) -> None:
    page = visit()
    page.get_by_text("Settings").click()
    page.locator("#field-seed").fill("7")
    page.locator("#field-image_size").select_option("square")
    run(page)
    drawn = page.locator("img.drawn")
    expect(drawn).to_have_js_property("naturalWidth", 512)
    for fact in ("Seed7", "Enginesketch", "Drawn in"):
        expect(page.locator(".facts")).to_contain_text(fact)
    expect(page.locator(".log")).to_contain_text("1 face found")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download").click()
    picture = Image.open(io.BytesIO(downloading.value.path().read_bytes()))
    assert (picture.format, picture.size) == ("PNG", (512, 512))
    assert picture.getchannel("A").getextrema() == (0, 255)  # the cut-out is shown first

    page.get_by_role("radio", name="Dark").check()
    expect(page.locator(".easel.dark img")).to_be_visible()
    page.get_by_role("radio", name="Sticker").check()
    expect(page.get_by_alt_text("Sticker: a person")).to_be_visible()
    page.get_by_role("button", name="Copy address").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("img.drawn").get_attribute("src")

    page.reload()
    page.get_by_role("button", name="Load these inputs: a person").click()
    page.get_by_text("Settings").click()
    expect(page.locator("#field-seed")).to_have_value("7")
    expect(page.locator("img.drawn")).to_be_visible()
    page.get_by_role("button", name="Delete a person from this browser").click()
    expect(page.get_by_text("What you make appears here.")).to_be_visible()


def test_a_photo_without_a_face_is_told_at_its_field(visit: Visit, networks: Path) -> None:
    page = visit()
    page.locator(PHOTO).set_input_files(FACES / "21_noface_rocket.jpg")
    run(page)
    fault = page.locator(f"{PHOTO}-fault")
    expect(fault).to_contain_text("No face found.")
    expect(fault).to_contain_text("Use a photo in which")  # the server's own advice
    expect(page.locator(PHOTO)).to_be_focused()
    expect(page.locator(PHOTO)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("status")).to_contain_text("No face found.")


def test_what_is_no_picture_is_told_before_and_after_sending(visit: Visit) -> None:
    page = visit()
    fault = page.locator(f"{PHOTO}-fault")
    text = {"name": "note.txt", "mimeType": "text/plain", "buffer": b"no picture"}
    page.locator(PHOTO).set_input_files(text)  # pyright: ignore[reportArgumentType]
    expect(fault).to_contain_text("“note.txt” is not a picture")
    liar = {"name": "liar.png", "mimeType": "image/png", "buffer": b"no picture either"}
    page.locator(PHOTO).set_input_files(liar)  # pyright: ignore[reportArgumentType]
    run(page)
    expect(fault).to_contain_text("cannot be read as a picture")


def test_a_dropped_or_pasted_photo_is_taken_and_sent(visit: Visit) -> None:
    page = visit()
    carry = """([kind, type]) => {
        const carried = new DataTransfer();
        const bytes = Uint8Array.from(atob("iVBORw0KGgo="), (c) => c.charCodeAt(0));
        carried.items.add(new File([bytes], kind + ".png", { type: "image/png" }));
        const event = kind === "paste"
            ? new ClipboardEvent(kind, { clipboardData: carried, bubbles: true, cancelable: true })
            : new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true });
        document.querySelector(type).dispatchEvent(event);
    }"""
    page.get_by_role("tab", name="JSON").click()
    for kind, place in (("drop", ".easel"), ("paste", "body")):
        page.evaluate(carry, [kind, place])
        expect(page.locator("#json")).to_have_value(ending(f"_{kind}.png"))


def test_the_camera_takes_a_photo(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="Camera").click()
    expect(page.locator("video")).not_to_have_js_property("videoWidth", 0)
    page.get_by_role("button", name="Take it").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("tab", name="JSON").click()
    expect(page.locator("#json")).to_have_value(ending("_camera.jpg"))


def test_a_needed_field_left_empty_is_told_and_nothing_is_sent(visit: Visit) -> None:
    page = visit()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.locator("#field-prompt").fill("")
    page.get_by_role("button", name="Remove").click()
    run(page)
    expect(page.locator("#field-prompt-fault")).to_have_text("This is needed.")
    expect(page.locator(f"{PHOTO}-fault")).to_have_text("Choose a photo first.")
    assert "POST" not in sent


def test_of_two_faces_the_one_pointed_at_is_meant(visit: Visit, networks: Path) -> None:
    page = visit()
    page.locator(PHOTO).set_input_files(FACES / "08_two_people.jpg")
    page.get_by_role("tab", name="JSON").click()
    expect(page.locator("#json")).to_have_value(ending("_08_two_people.jpg"))
    sent = json.loads(page.locator("#json").input_value())
    page.locator("#json").fill(json.dumps({**sent, "face_index": 7}))
    run(page)
    expect(page.locator("#json-fault")).to_contain_text("There are 2 faces in the photo")
    page.get_by_role("tab", name="Form").click()
    page.get_by_role("button", name="Face 8 by size").click()
    faces = page.locator("svg rect.found")
    expect(faces).to_have_count(2)  # as the server found them
    place = faces.nth(1).bounding_box()
    assert place is not None
    page.mouse.click(place["x"] + place["width"] / 3, place["y"] + place["height"] / 3)
    page.get_by_role("button", name="Use this face").click()
    page.get_by_role("tab", name="JSON").click()
    meant = json.loads(page.locator("#json").input_value())
    x, y, width, height = meant["face_box"]
    assert "face_index" not in meant
    assert 0 < width < 400 and 0 < height < 400 and x >= 0 and y >= 0
    page.get_by_role("tab", name="Form").click()
    page.get_by_role("button", name="The one pointed at").click()
    page.get_by_label("Face 2 by size").check()
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="JSON").click()
    expect(page.locator("#json")).to_have_value(ending('"face_index": 1'))
