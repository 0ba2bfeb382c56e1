"""The web page in a real browser, through the gateway and the real server."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, Request, expect, sync_playwright

from photoreal.serve.launch.launcher import Server
from tests.kinds import PairFiles, Stylize

pytestmark = [pytest.mark.server, pytest.mark.browser]

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
if CHROMIUM is None:
    pytest.skip(
        "Chromium is not there; `make browser` as root, or apt-get install chromium, brings it.",
        allow_module_level=True,
    )

SIZE = "64"
SECONDS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to work for root, as in containers.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, gateway: str) -> Iterator[Callable[..., Page]]:
    """Opens the page in a browser of its own; nothing may go wrong in it, or leave the machine."""
    wrong: list[str] = []
    contexts = []

    def note(request: Request) -> None:
        if not request.url.startswith((gateway, "blob:", "data:")):
            wrong.append(f"asked for {request.url}")

    def make(width: int = 1280, height: int = 800, small: bool = True, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        page.on("request", note)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda m: wrong.append(m.text) if _is_a_fault(m) else None)
        page.goto(gateway)
        page.wait_for_selector("body[data-ready]")
        if small:
            page.locator("#size").fill(SIZE)
        return page

    yield make
    for context in contexts:
        context.close()
    assert wrong == []


def _is_a_fault(message: Any) -> bool:
    # A refused photo is an answer 400, which Chromium notes as well.
    return message.type == "error" and "status of 400" not in message.text


@pytest.fixture(scope="module")
def files(pair: PairFiles) -> dict[str, Path]:
    return pair("pagoda-dusk")


def _choose(page: Page, files: dict[str, Path]) -> None:
    page.set_input_files("#content-file", files["content"])
    page.set_input_files("#style-file", files["style"])
    expect(page.locator("#region-list li").first).to_be_visible(timeout=SECONDS)
    expect(page.locator("#progress")).to_be_hidden(timeout=SECONDS)


def _stylize(page: Page) -> None:
    page.locator("#go").click()
    expect(page.locator("#live")).to_have_text("The picture is ready.", timeout=SECONDS)
    expect(page.locator("#compare")).to_be_visible()


def _text(name: str) -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": b"plain words"}


def _pixels(data: bytes) -> npt.NDArray[np.int16]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)


def test_upload_wait_slide_download(
    open_page: Callable[..., Page],
    local: Server,
    files: dict[str, Path],
    stylize: Stylize,
    tmp_path: Path,
) -> None:
    page = open_page()
    _choose(page, files)
    _stylize(page)
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "china in the light of dusk, 64.png"
    download.value.save_as(tmp_path / "out.png")
    photos = {"content": files["content"], "style": files["style"]}
    wanted = stylize(local, **photos, size=64, format="png")
    assert (tmp_path / "out.png").read_bytes() == wanted.png
    expect(page.locator("#caption")).to_contain_text("640 × 427 pixels, strength 100 %")

    # The pictures alone, without the handle over them.
    frame, slider = page.locator("#frame"), page.locator("#handle")
    frame.evaluate("one => { one.style.borderRadius = 0; }")
    frame.locator("#handle, .tag").evaluate_all(
        "all => all.forEach((one) => { one.style.visibility = 'hidden'; })"
    )
    box = frame.bounding_box()

    def seen(percent: float) -> npt.NDArray[np.int16]:
        page.mouse.move(*_middle(box))
        page.mouse.down()
        page.mouse.move(*_middle(box, percent / 100), steps=3)
        page.mouse.up()
        assert int(slider.get_attribute("aria-valuenow") or "") == round(percent)
        return _pixels(frame.screenshot())

    after, before = seen(0), seen(100)
    shown = wanted.image.resize((after.shape[1], after.shape[0]), Image.Resampling.BILINEAR)
    assert np.abs(after - np.asarray(shown, np.int16)).mean() < 4
    assert np.abs(before - after).mean() > 20
    for percent in (25, 50, 80):
        mixed = seen(percent)
        border = round(mixed.shape[1] * percent / 100)
        np.testing.assert_array_equal(mixed[:, : border - 2], before[:, : border - 2])
        np.testing.assert_array_equal(mixed[:, border + 2 :], after[:, border + 2 :])


def test_by_keyboard_alone(open_page: Callable[..., Page]) -> None:
    page = open_page(small=False)

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.locator(selector).first.evaluate("one => one === document.activeElement"):
                return
        raise AssertionError(f"{selector} is not reached")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    tab_to("#size")
    page.keyboard.press("Home")
    expect(page.locator("#size-value")).to_have_text(f"{SIZE} pixels")
    tab_to('[data-role="content"] .examples button')
    page.keyboard.press("Enter")
    tab_to('[data-role="style"] .examples button[aria-label*="dusk"]')
    page.keyboard.press("Space")
    expect(page.locator("#region-list li").first).to_be_visible(timeout=SECONDS)
    tab_to("#go")
    page.keyboard.press("Enter")
    expect(page.locator("#live")).to_have_text("The picture is ready.", timeout=SECONDS)
    tab_to("#handle")
    slider = page.locator("#handle")
    for keys, value in (
        (("ArrowRight",), "52"),
        (("Shift+ArrowLeft", "ArrowLeft"), "40"),
        (("PageUp",), "50"),
        (("Home",), "0"),
        (("ArrowLeft",), "0"),
        (("End",), "100"),
    ):
        for key in keys:
            page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuenow", value)
    expect(slider).to_have_attribute("aria-valuetext", "original only")
    page.locator("#tab-result").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#view-regions")).to_be_visible()
    expect(page.locator("#tab-regions")).to_be_focused()


def test_files_that_are_not_photos(open_page: Callable[..., Page], files: dict[str, Path]) -> None:
    page = open_page()
    page.set_input_files("#content-file", files=[_text("notes.txt")])
    note = page.locator("#content-note")
    expect(note).to_have_text(
        "notes.txt is not a photo that can be read; choose a JPEG, PNG, WebP, TIFF or BMP file."
    )
    expect(note).to_have_attribute("role", "status")
    expect(page.locator("#content-file")).to_have_attribute("aria-invalid", "true")
    page.locator("#go").click()
    expect(page.locator("#error")).to_contain_text("Choose a photo under “Your photo” first.")
    # Browsers show no TIFF: whether it is one the server has to say.
    page.set_input_files("#content-file", files=[_text("notes.tiff")])
    page.set_input_files("#style-file", files["style"])
    expect(page.locator("#error")).to_contain_text("The content photo is not an image")
    # And the page goes on.
    _choose(page, files)
    expect(page.locator("#error")).to_be_hidden()


def test_regions_are_shown_switched_and_paired(
    open_page: Callable[..., Page], files: dict[str, Path]
) -> None:
    page = open_page()
    _choose(page, files)
    rows = page.locator("#region-list li")
    names = rows.locator(".region-name").all_inner_texts()
    assert len(names) > 1
    sure = rows.locator("small").all_inner_texts()
    assert len(sure) == len(names)
    for name, words in zip(names, sure, strict=True):
        area = name.startswith("area ")
        assert words == "by color and place" if area else re.fullmatch(r"\d+ % sure", words)
    tags = page.locator('.map[data-role="content"] .map-tag').all_inner_texts()
    assert tags
    assert set(tags) <= set(names)
    overlay = page.locator('.map[data-role="content"] canvas')
    paint = "canvas => canvas.toDataURL()"
    found = overlay.evaluate(paint)

    first = rows.first.locator("[role=switch]")
    first.focus()
    page.keyboard.press("Space")
    expect(first).not_to_be_checked()
    expect(first).to_be_focused()
    expect(page.locator("#live")).to_have_text(f"{names[0]} keeps its own look.")
    assert overlay.evaluate(paint) != found

    menu = rows.nth(1).locator("select")
    menu.select_option("whole")
    expect(page.locator("#live")).to_have_text(f"{names[1]} takes the whole photo.")
    label = int((menu.get_attribute("id") or "").removeprefix("partner-"))
    off = int((first.get_attribute("id") or "").removeprefix("region-"))
    assert _pairs_sent(page)[label] is None
    assert off not in _pairs_sent(page)

    # By clicking: the middle of a region of the content, then one of the style.
    page.locator("#tab-regions").click()
    tag = page.locator('.map[data-role="content"] .map-tag', has_text=names[0]).first
    _click_below(page, tag)
    expect(rows.first).to_have_class("picked")
    style_tag = page.locator('.map[data-role="style"] .map-tag').first
    _click_below(page, style_tag)
    expect(page.locator("#live")).to_have_text(f"{names[0]} takes {style_tag.inner_text()}.")
    expect(first).to_be_checked()
    page.locator("#regions-reset").click()
    assert overlay.evaluate(paint) == found


def _click_below(page: Page, tag: Any) -> None:
    """Clicks where a name stands; the name lets clicks through."""
    page.mouse.click(*_middle(tag.bounding_box()))


def _middle(box: Any, share: float = 0.5) -> tuple[float, float]:
    """A point of a box, at a share of its width."""
    return box["x"] + box["width"] * share, box["y"] + box["height"] / 2


# Browsers do not show the body of a form that holds files.
_NOTE_PAIRS = """() => {
    const append = FormData.prototype.append;
    FormData.prototype.append = function (name, value, ...rest) {
        if (name === "pairs") window.pairs = value;
        return append.call(this, name, value, ...rest);
    };
}"""


def _pairs_sent(page: Page) -> dict[int, int | None]:
    page.evaluate(_NOTE_PAIRS)
    _stylize(page)
    return dict(json.loads(page.evaluate("window.pairs")))


_ORIGINALS_KEPT = """async () => {
  const { all } = await import("/static/store.js");
  return (await all()).map(({ before }) => [before.name, before.size]);
}"""


def test_history_lasts_and_can_be_forgotten(
    open_page: Callable[..., Page], files: dict[str, Path]
) -> None:
    page = open_page()
    _choose(page, files)
    _stylize(page)
    page.locator("#alpha").fill("0.5")
    _stylize(page)
    entries = page.locator("#history-list button")
    expect(entries).to_have_count(2)
    photo = files["content"]
    assert page.evaluate(_ORIGINALS_KEPT) == [[photo.name, photo.stat().st_size]] * 2
    page.reload()
    page.wait_for_selector("body[data-ready]")
    expect(entries).to_have_count(2)
    entries.nth(1).click()
    expect(page.locator("#caption")).to_contain_text("strength 100 %")
    page.locator("#forget").click()
    expect(page.locator("#history")).to_be_hidden()
    page.reload()
    page.wait_for_selector("body[data-ready]")
    expect(page.locator("#history")).to_be_hidden()


def test_waiting_can_be_canceled(open_page: Callable[..., Page], files: dict[str, Path]) -> None:
    page = open_page()
    _choose(page, files)
    page.route("**/upload_images/", lambda route: None)  # an answer that never comes
    page.locator("#go").click()
    expect(page.locator("#go")).to_be_disabled()
    expect(page.locator("#progress")).to_be_visible()
    page.locator("#cancel").click()
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#go")).to_be_enabled()
    expect(page.locator("#live")).to_have_text("Canceled.")
    page.unroute("**/upload_images/")
    _stylize(page)


@pytest.mark.parametrize("width", [360, 414])
def test_on_a_phone(open_page: Callable[..., Page], files: dict[str, Path], width: int) -> None:
    page = open_page(width, 740, has_touch=True, is_mobile=True, reduced_motion="reduce")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    _choose(page, files)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#go").tap()
    expect(page.locator("#live")).to_have_text("The picture is ready.", timeout=SECONDS)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#frame").scroll_into_view_if_needed()
    page.touchscreen.tap(*_middle(page.locator("#frame").bounding_box(), 0.75))
    value = int(page.locator("#handle").get_attribute("aria-valuenow") or "")
    assert abs(value - 75) <= 1
    for selector in ("#go", "#download", ".tabs button"):
        target = page.locator(selector).first.bounding_box()
        assert target is not None
        assert target["height"] >= 36


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong(
    open_page: Callable[..., Page], files: dict[str, Path], scheme: str
) -> None:
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    _check(page)
    _choose(page, files)
    page.locator("#region-list [role=switch]").first.click()
    _check(page)
    page.set_input_files("#style-file", files=[_text("x.txt")])
    _stylize(page)
    _check(page)


def _check(page: Page) -> None:
    violations = Axe().run(page).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in violations] == []


def test_description_of_the_api(open_page: Callable[..., Page], gateway: str) -> None:
    page = open_page()
    page.goto(f"{gateway}/docs")
    page.locator(".opblock-summary", has_text="/upload_images/").click()
    expect(page.get_by_text("content_image", exact=False).first).to_be_visible()
