"""The whole path of a person: a face goes in, a sticker comes out, or words that help."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.playground.conftest import Visit
from tests.playground.test_access import violations

FACES = Path(__file__).parents[1] / "faces"
PHOTO = "#field-image_url"
ZIP = "#field-face_images_data_url"


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


def test_a_finished_sticker_comes_ready_for_each_platform(visit: Visit, networks: Path) -> None:
    page = visit()
    page.get_by_text("Limner extras").click()
    page.get_by_label("Outline", exact=True).fill("12")
    page.get_by_label("Pick a colour").fill("#ffd84d")
    page.get_by_label("Shadow").check()
    for platform in ("Print (PDF)", "Slack"):
        page.get_by_label(platform).check()
    page.get_by_text("Settings").click()
    page.locator("#field-image_size").select_option("square")
    page.get_by_role("tab", name="JSON").click()
    said = json.loads(page.locator("#json").input_value())
    assert {name: said[name] for name in said if name not in ("prompt", "image_url")} == {
        "outline_width": 12,
        "outline_color": "#ffd84d",
        "shadow": True,
        "exports": ["slack", "print"],
        "image_size": "square",
    }
    run(page)
    exports = page.locator(".exports a")
    expect(exports).to_have_count(2)
    assert page.get_by_role("radio", name="Exports").count() == 0, "they are no views"
    begins = {"Slack": b"\x89PNG", "Print": b"%PDF"}
    for platform, magic in begins.items():
        with page.expect_download() as downloading:
            exports.filter(has_text=platform).click()
        assert downloading.value.path().read_bytes().startswith(magic)


def test_a_sticker_is_handed_to_the_share_sheet_of_a_telephone(
    visit: Visit, networks: Path
) -> None:
    """Chromium has no share sheet here: a stand-in takes what would go to it."""
    page = visit(viewport={"width": 390, "height": 800}, is_mobile=True, has_touch=True)
    page.add_init_script(
        """navigator.canShare = ({ files }) => files.length === 1;
        navigator.share = async ({ files: [it] }) => { window.shared = [it.type, it.size] };"""
    )
    page.reload()
    run(page)
    page.get_by_role("button", name="Share").tap()
    page.wait_for_function("window.shared !== undefined")
    kind, size = page.evaluate("window.shared")
    assert kind == "image/png"
    assert size > 10_000


def test_a_zip_of_photos_is_sent_and_drawn_from(visit: Visit, networks: Path) -> None:
    page = visit("#/fal-ai/ip-adapter-face-id")
    page.get_by_role("button", name="Remove").click()
    page.get_by_text("Settings").click()
    for name, value in (("num_samples", "1"), ("width", "256"), ("height", "256")):
        page.locator(f"#field-{name}").fill(value)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("03_obama_frontal_dark_skin.jpg", "04_obama_speaking.jpg"):
            archive.write(FACES / name, name)
    for content, name in ((b"no archive", "wrong.zip"), (packed.getvalue(), "faces.zip")):
        chosen = {"name": name, "mimeType": "application/zip", "buffer": content}
        page.locator(ZIP).set_input_files(chosen)  # pyright: ignore[reportArgumentType]
        expect(page.get_by_text(name)).to_be_visible()
        run(page)
        if name == "wrong.zip":
            expect(page.locator(f"{ZIP}-fault")).to_contain_text("archive")
    expect(page.locator("img.drawn")).to_have_js_property("naturalWidth", 256, timeout=120_000)
    expect(page.locator(".log")).to_contain_text("Archive read: 2 photos")


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


@pytest.mark.parametrize(
    ("look", "title", "size"),
    [
        ({"color_scheme": "light"}, "Looked for a face here", (640, 427)),
        ({"color_scheme": "dark", "locale": "de"}, "Hier wurde ein Gesicht gesucht", (600, 900)),
    ],
    ids=["light and wide", "German, dark and tall"],
)
def test_where_no_face_was_found_is_outlined_on_the_photo_and_said(
    visit: Visit,
    networks: Path,
    node_modules: Path,
    tmp_path: Path,
    look: dict[str, Any],
    title: str,
    size: tuple[int, int],
) -> None:
    width, height, side = *size, min(size)
    rocket = tmp_path / "rocket.png"
    Image.open(FACES / "21_noface_rocket.jpg").resize(size).save(rocket)
    page = visit(**look)
    page.locator(PHOTO).set_input_files(rocket)
    page.locator(".runbar button").click()
    said = page.get_by_role("region", name=title).get_by_role("listitem")
    expect(said).to_contain_text([f"{width} × {height}", f"{side} × {side}"])
    areas = page.locator(".easel .area")
    expect(areas).to_have_count(2)
    photo = page.locator(".easel img").bounding_box()
    assert photo
    scale = photo["width"] / width
    middle = ((width - side) // 2, (height - side) // 2, side, side)
    for area, (x, y, w, h) in zip(areas.all(), ((0, 0, width, height), middle), strict=True):
        place = area.bounding_box()
        assert place
        assert [place["x"] - photo["x"], place["y"] - photo["y"]] == pytest.approx(
            [x * scale, y * scale], abs=1
        )
        assert [place["width"], place["height"]] == pytest.approx([w * scale, h * scale], abs=1)
    assert page.locator(".easel img").get_attribute("alt") not in ("Your photo", "Dein Foto")
    assert violations(page, node_modules) == []
    page.locator(PHOTO).set_input_files(
        FACES / "30_lowres_96px.jpg"
    )  # of another, nothing is known
    expect(said).to_have_count(0)
    expect(areas).to_have_count(0)


def test_what_is_no_picture_is_told_before_and_after_sending(visit: Visit) -> None:
    page = visit()
    fault = page.locator(f"{PHOTO}-fault")
    text = {"name": "note.txt", "mimeType": "text/plain", "buffer": b"no picture"}
    page.locator(PHOTO).set_input_files(text)  # pyright: ignore[reportArgumentType]
    expect(fault).to_contain_text("“note.txt” is not a picture")

    # A photo that a browser may not know (HEIC, TIFF) is sent, and no broken picture is shown.
    heic = {"name": "me.heic", "mimeType": "image/heic", "buffer": b"\0\0\0\x18ftypheic"}
    page.locator(PHOTO).set_input_files(heic)  # pyright: ignore[reportArgumentType]
    expect(page.get_by_text("This browser cannot show “me.heic”")).to_be_visible()
    assert page.locator("main img").count() == 0
    run(page)
    expect(fault).to_contain_text("HEIC pictures are not supported")
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
    expect(page.locator(".easel svg rect.found")).to_have_count(2)  # shown on the photo itself
    page.get_by_role("tab", name="Form").click()
    page.get_by_role("button", name="Face 8 by size").click()
    faces = page.locator("dialog svg rect.found")
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
