"""Preset files in the place of style photos: in folders, when warming, and as answers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from photoreal.client import InvalidInput, ServerFailed, Style
from photoreal.client.folder.plan import plan_folder
from photoreal.client.style import parse_style
from photoreal.client.warm import Preset, find_presets, warm_styles


def _image(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (20, 16), "navy").save(path)
    return path


def test_a_folder_of_styles_may_hold_presets_but_one_of_contents_may_not(tmp_path: Path) -> None:
    photo = _image(tmp_path / "photos" / "a.jpg")
    (tmp_path / "photos" / "b.safetensors").touch()
    preset = tmp_path / "styles" / "a.safetensors"
    preset.parent.mkdir()
    preset.touch()
    plan = plan_folder(photo.parent, preset.parent, tmp_path / "out")
    assert [(job.content, job.style) for job in plan.jobs] == [(photo, preset)]
    assert plan.ignored == 1


def test_a_preset_is_warmed_with_a_picture_without_regions(tmp_path: Path) -> None:
    photo, preset = _image(tmp_path / "a.png"), tmp_path / "b.safetensors"
    preset.touch()
    calls: list[tuple[Any, Any, dict[str, Any]]] = []

    def stylize(content: Any, style: Any, **options: Any) -> SimpleNamespace:
        calls.append((content, style, options))
        return SimpleNamespace(report={"style": "cached", "seconds": {"total": 0.5}})

    client: Any = SimpleNamespace(stylize=stylize)
    assert find_presets(tmp_path) == [Preset(photo), Preset(preset)]
    warm_styles(client, find_presets(tmp_path), lambda line: None, size=64)
    assert calls[0][:2] == (photo, photo)
    content, style, options = calls[1]
    assert (style, options) == (preset, {"segment": False, "size": 64})
    assert content.shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("preset", "report"), [(b"", b'{"style_regions": []}'), (b"file", b"{}"), (b"file", b"[]")]
)
def test_an_answer_without_a_preset(preset: bytes, report: bytes) -> None:
    outputs = {
        name: np.array([value], dtype=object)
        for name, value in (("PRESET", preset), ("REPORT", report))
    }
    with pytest.raises(ServerFailed):
        parse_style(outputs, None)


def test_an_empty_style() -> None:
    with pytest.raises(InvalidInput, match="expected a photo or a preset"):
        _ = Style().file
    with pytest.raises(InvalidInput, match="was not measured"):
        Style(photo=b"photo").save("a.safetensors")
