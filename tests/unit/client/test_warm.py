"""Presets: which files of a folder are styles, and what having them measured reports."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from photoreal.client.errors import InvalidInput
from photoreal.client.warm import Preset, find_presets, warm_styles


def image(path: Path) -> Path:
    Image.new("RGB", (20, 16), "navy").save(path)
    return path


def test_every_image_is_a_style_and_finds_its_mask(tmp_path):
    dusk, noon = image(tmp_path / "dusk.jpg"), image(tmp_path / "noon.png")
    mask = image(tmp_path / "dusk_mask.png")
    (tmp_path / ".DS_Store").write_text("not an image")
    (tmp_path / "folder").mkdir()
    assert find_presets(tmp_path) == [Preset(dusk, mask), Preset(noon)]


def test_a_folder_with_another_file_or_without_styles_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="There is no preset"):
        find_presets(tmp_path)
    image(tmp_path / "dusk.jpg")
    (tmp_path / "notes.txt").write_text("a note")
    with pytest.raises(InvalidInput, match=r"'notes\.txt' is not an image"):
        find_presets(tmp_path)


def test_each_style_is_stylized_with_itself_and_reported(tmp_path):
    calls, lines = [], []

    def stylize(content, style, **options):
        calls.append((content, style, options))
        known = "cached" if len(calls) > 1 else "measured"
        return SimpleNamespace(report={"style": known, "seconds": {"total": 1.25}})

    style, mask = tmp_path / "dusk.jpg", tmp_path / "dusk_mask.png"
    warm_styles(SimpleNamespace(stylize=stylize), [Preset(style, mask)] * 2, lines.append, size=256)
    options = {"content_mask": mask, "style_mask": mask, "size": 256}
    assert calls == [(style, style, options)] * 2
    assert all(re.fullmatch(r"dusk\.jpg: [a-z ]+, 1\.2 s", line) for line in lines)
    assert len(set(lines)) == 2  # the second style was known
