"""Presets: which files of a folder are styles, and what having them measured reports."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from photoreal.client.errors import InvalidInput
from photoreal.client.warm import Preset, find_presets, warm_styles


class NotingClient:
    """Stands for a client: notes each call, knows a style from its second one on."""

    def __init__(self) -> None:
        self.calls: list[tuple[Path, Path, dict[str, Any]]] = []

    def stylize(self, content: Path, style: Path, **options: Any) -> SimpleNamespace:
        known = any(earlier[1] == style for earlier in self.calls)
        self.calls.append((content, style, options))
        report = {"style": "cached" if known else "measured", "seconds": {"total": 1.25}}
        return SimpleNamespace(report=report)


def _image(path: Path) -> Path:
    Image.new("RGB", (20, 16), "navy").save(path)
    return path


def test_every_image_is_a_style_and_finds_its_mask(tmp_path: Path) -> None:
    dusk, noon = _image(tmp_path / "dusk.jpg"), _image(tmp_path / "noon.png")
    mask = _image(tmp_path / "dusk_mask.png")
    (tmp_path / ".DS_Store").write_text("not an image")
    (tmp_path / "folder").mkdir()
    assert find_presets(tmp_path) == [Preset(dusk, mask), Preset(noon)]


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    _image(tmp_path / "dusk.jpg")
    (tmp_path / "notes.txt").write_text("a note")
    with pytest.raises(InvalidInput, match=r"The preset 'notes\.txt' is not an image\."):
        find_presets(tmp_path)


def test_a_folder_without_styles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="There is no preset"):
        find_presets(tmp_path)


def test_each_style_is_stylized_by_itself_and_reported(tmp_path: Path) -> None:
    client, lines = NotingClient(), list[str]()
    style, mask = tmp_path / "dusk.jpg", tmp_path / "dusk_mask.png"
    presets = [Preset(style, mask), Preset(style, mask)]
    warm_styles(client, presets, lines.append, size=256)
    options = {"content_mask": mask, "style_mask": mask, "size": 256}
    assert client.calls == [(style, style, options)] * 2
    assert lines == ["dusk.jpg: analyzed, 1.2 s", "dusk.jpg: already cached, 1.2 s"]
