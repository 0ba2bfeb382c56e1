"""Presets through the real server: measured there, and used in place of the photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photoreal import Pipeline
from photoreal.cli import main
from photoreal.client import RequestRejected, StyleTransferClient, StylizeResult
from photoreal.pipeline.presets.tensor_file import read_tensors, write_tensors
from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

SIZE = 48
EXAMPLES = Path(__file__).parents[3] / "examples"
CONTENT, DUSK = EXAMPLES / "photos/china.jpg", EXAMPLES / "rendered/dusk.jpg"
NOON = EXAMPLES / "rendered/noon.jpg"


@pytest.fixture(scope="module")
def preset(local: Server) -> bytes:
    with StyleTransferClient(local.http_url) as client:
        found = client.style(DUSK, size=SIZE).preset
    assert found is not None
    return found


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("method", ["wct2", "color"])
def test_a_preset_gives_the_bytes_of_its_photo(
    local: Server,
    stylize: Callable[..., StylizeResult],
    preset: bytes,
    protocol: str,
    method: str,
) -> None:
    ours, theirs = (
        stylize(local, protocol, content=CONTENT, style=style, size=SIZE, method=method)
        for style in (preset, DUSK)
    )
    assert ours.png == theirs.png
    assert ours.report["pairs"] == theirs.report["pairs"]
    assert ours.style_labels.size == 0


def test_a_preset_and_a_photo_are_mixed(
    local: Server, stylize: Callable[..., StylizeResult], preset: bytes
) -> None:
    ours, theirs = (
        stylize(local, content=CONTENT, style=[NOON, style], size=SIZE, weights=[0.4, 0.6])
        for style in (preset, DUSK)
    )
    assert ours.png == theirs.png


def test_the_levels_as_models_measure_the_same(
    bls: Server, stylize: Callable[..., StylizeResult]
) -> None:
    with StyleTransferClient(bls.http_url) as client:
        preset = client.style(DUSK, size=SIZE).preset
    ours, theirs = (
        stylize(bls, content=CONTENT, style=style, size=SIZE) for style in (preset, DUSK)
    )
    assert ours.png == theirs.png


def test_a_preset_of_the_library_is_taken(
    local: Server, stylize: Callable[..., StylizeResult]
) -> None:
    preset = Pipeline(device="cpu").style(DUSK, size=SIZE).preset
    assert stylize(local, content=CONTENT, style=preset, size=SIZE).report["pairs"]


def test_other_weights_and_damage_are_refused(
    local: Server,
    stylize: Callable[..., StylizeResult],
    preset: bytes,
    check_sentence: Callable[[object], None],
) -> None:
    about, tensors = read_tensors(preset)
    other = write_tensors({**about, "weights": "0123456789abcdef"}, tensors)
    damaged = write_tensors(about, {**tensors, "LH.1.means": tensors["LH.1.means"][:, 1:]})
    for file, words in ((other, "weights '0123456789abcdef'"), (damaged, "LH.1.means has another")):
        with pytest.raises(RequestRejected, match=words) as refused:
            stylize(local, content=CONTENT, style=file, size=SIZE)
        check_sentence(refused.value)
        assert stylize(local, content=CONTENT, style=file, size=SIZE, method="color").png


def test_commands_write_and_use_a_preset(local: Server, tmp_path: Path) -> None:
    preset, out, photo = (tmp_path / name for name in ("a.safetensors", "out.png", "photo.png"))
    rest: list[Any] = ["--size", SIZE, "--url", local.http_url, "--quiet"]
    for arguments in (
        ["preset", DUSK, "-o", preset, *rest],
        ["stylize", CONTENT, preset, "-o", out, "--save-labels", tmp_path / "labels", *rest],
        ["stylize", CONTENT, DUSK, "-o", photo, *rest],
        ["warm", preset, "--size", SIZE, "--url", local.http_url],
    ):
        assert main([str(one) for one in arguments]) == 0
    assert out.read_bytes() == photo.read_bytes()
    labels = {path.name for path in (tmp_path / "labels").iterdir()}
    assert labels == {"content_labels.png", "content_regions.png"}


def test_a_folder_takes_a_preset_for_each_photo(
    local: Server, preset: bytes, tmp_path: Path
) -> None:
    photos, styles, out = (tmp_path / name for name in ("photos", "styles", "out"))
    for folder in (photos, styles):
        folder.mkdir()
    with Image.open(CONTENT) as image:
        image.resize((96, 64)).save(photos / "a.png")
    (styles / "a.safetensors").write_bytes(preset)
    call = ["--content-dir", photos, "--style-dir", styles, "-o", out, "--size", SIZE]
    assert main(["stylize", *map(str, call), "--url", local.http_url, "--quiet"]) == 0
    assert (out / "a.png").exists()
