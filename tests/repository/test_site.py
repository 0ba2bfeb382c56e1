"""The documentation's site: built without a warning, and whole without any other address."""

from __future__ import annotations

import json
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.kinds import TempFolders
from tests.shared import output_of

pytestmark = [pytest.mark.docs, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class _Loads(HTMLParser):
    """Collects the addresses that a browser loads with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(LOADING.get(tag, ""))
        if address:
            self.addresses.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: TempFolders) -> Path:
    """The site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    mkdocs = Path(sys.executable).with_name("mkdocs")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    output_of(mkdocs, "build", "--strict", "--site-dir", folder, cwd=ROOT, env=environment)
    return folder


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loads = _Loads()
        loads.feed(page.read_text())
        assert len(loads.addresses) > 3
        for address in loads.addresses:
            assert not re.match(r"(\w+:)?//", address), (page.name, address)
            if page.name != "404.html":  # its addresses start at the site's root
                assert (page.parent / address.partition("?")[0]).exists(), (page.name, address)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", sheet.read_text()), sheet


def test_search_finds_the_references(site: Path) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    texts = {entry["location"]: entry["text"] for entry in entries}
    assert any("--canary-interval" in text for text in texts.values())
    assert any("photoreal_canaries_total" in text for text in texts.values())
    assert "python.html#photoreal.client.StyleTransferClient.stylize" in texts


def test_docstrings_show_no_marks_of_another_markup(site: Path) -> None:
    text = (site / "python.html").read_text()
    assert ":meth:" not in text
    assert ":class:" not in text
    assert "<p>::</p>" not in text
    assert "Sentinel" not in (site / "command-line.html").read_text()


def test_pictures_of_the_gallery_are_small() -> None:
    pictures = sorted((ROOT / "docs" / "gallery").iterdir())
    text = "\n".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    assert 0 < len(pictures) <= 6
    for picture in pictures:
        assert picture.stat().st_size < 200_000
        assert f"gallery/{picture.name}" in text
