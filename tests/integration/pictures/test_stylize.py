"""The example photos through the server, with masks, over every transport."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from photoreal.client import AsyncStyleTransferClient, StylizeResult
from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

COLORS = ["blue", "green", "yellow", "grey", "light blue"]
HEIGHT, WIDTH = 64, 96


@pytest.fixture(scope="module")
def result(
    local: Server, stylize: Callable[..., StylizeResult], pair: Callable[[str], dict[str, Any]]
) -> StylizeResult:
    return stylize(local, **pair("pagoda-dusk"), size=HEIGHT, method="published")


def _pixels(path: Any) -> npt.NDArray[np.float64]:
    with Image.open(path) as image:
        return np.asarray(image, dtype=np.float64)


def test_grpc_gives_the_same_bytes_as_http(
    local: Server,
    stylize: Callable[..., StylizeResult],
    pair: Callable[[str], dict[str, Any]],
    result: StylizeResult,
) -> None:
    other = stylize(local, "grpc", **pair("pagoda-dusk"), size=HEIGHT, method="published")
    assert other.png == result.png
    assert other.content_labels_png == result.content_labels_png
    assert other.style_labels_png == result.style_labels_png


async def test_async_clients_side_by_side_give_the_same_bytes(
    local: Server, pair: Callable[[str], dict[str, Any]], result: StylizeResult
) -> None:
    async with (
        AsyncStyleTransferClient(local.http_url) as http,
        AsyncStyleTransferClient(local.grpc_url, protocol="grpc") as grpc,
    ):
        assert await http.ready()
        assert await grpc.ready()
        results = await asyncio.gather(
            *(
                client.stylize(**pair("pagoda-dusk"), size=HEIGHT, method="published")
                for client in (http, grpc)
            )
        )
    assert [other.png for other in results] == [result.png] * 2


def test_result_is_a_png_of_the_working_size_and_labels_are_of_the_photos_sizes(
    result: StylizeResult,
) -> None:
    with Image.open(io.BytesIO(result.png)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (WIDTH, HEIGHT))
    for labels, shape in (
        (result.content_labels, (427, 640)),
        (result.style_labels, (512, 768)),
    ):
        assert labels.shape == shape
        assert set(np.unique(labels)) == {0, 1, 5, 6, 7}


def test_each_region_takes_the_color_of_its_style(
    result: StylizeResult, pair: Callable[[str], dict[str, Any]]
) -> None:
    files = pair("pagoda-dusk")
    content, style = _pixels(files["content"]), _pixels(files["style"])
    image = np.asarray(result.image.resize((640, 427)), dtype=np.float64)
    assert np.abs(image - content).mean() > 10
    for label in np.unique(result.content_labels):
        ours, theirs = result.content_labels == label, result.style_labels == label
        wanted = style[theirs].mean(axis=0)
        before = np.linalg.norm(content[ours].mean(axis=0) - wanted)
        after = np.linalg.norm(image[ours].mean(axis=0) - wanted)
        assert after < before, (label, before, after)


def test_report_tells_what_was_done(result: StylizeResult) -> None:
    report = result.report
    assert report["regions"] == "masks"
    assert report["match"] == "published"
    assert [entry["content"] for entry in report["pairs"]] == COLORS
    assert [entry["style"] for entry in report["pairs"]] == COLORS
    assert report["unstyled"] == []
    assert (report["height"], report["width"]) == (HEIGHT, WIDTH)
    shares = [np.mean(result.content_labels == label) for label in (0, 1, 5, 6, 7)]
    assert [entry["share"] for entry in report["pairs"]] == pytest.approx(shares, abs=1e-3)
    seconds = report["seconds"]
    assert list(seconds) == ["decode", "segment", "transfer", "encode", "total"]
    assert all(value >= 0 for value in seconds.values())
    stages = sum(value for stage, value in seconds.items() if stage != "total")
    assert stages == pytest.approx(seconds["total"], abs=0.05)


def test_alpha_zero_gives_the_content_back(
    local: Server, stylize: Callable[..., StylizeResult], pair: Callable[[str], dict[str, Any]]
) -> None:
    files = pair("pagoda-dusk")
    image = stylize(local, **files, size=HEIGHT, alpha=0.0, method="published").image
    with Image.open(files["content"]) as photo:
        content = np.asarray(photo.resize(image.size, Image.Resampling.LANCZOS), dtype=np.int16)
    assert np.abs(np.asarray(image, dtype=np.int16) - content).max() <= 2


@pytest.fixture(scope="module")
def default(
    local: Server, stylize: Callable[..., StylizeResult], pair: Callable[[str], dict[str, Any]]
) -> StylizeResult:
    return stylize(local, **pair("pagoda-dusk"), size=HEIGHT)


class TestDefault:
    def test_grpc_gives_the_same_bytes_as_http(
        self,
        local: Server,
        stylize: Callable[..., StylizeResult],
        pair: Callable[[str], dict[str, Any]],
        default: StylizeResult,
    ) -> None:
        other = stylize(local, "grpc", **pair("pagoda-dusk"), size=HEIGHT)
        assert other.png == default.png
        assert other.content_labels_png == default.content_labels_png
        assert other.style_labels_png == default.style_labels_png

    def test_result_and_labels_are_of_the_photos_sizes(self, default: StylizeResult) -> None:
        assert default.image.size == (640, 427)
        assert default.content_labels.shape == (427, 640)
        assert default.style_labels.shape == (512, 768)

    def test_each_region_takes_the_color_of_its_style(
        self, default: StylizeResult, pair: Callable[[str], dict[str, Any]]
    ) -> None:
        files = pair("pagoda-dusk")
        content, style = _pixels(files["content"]), _pixels(files["style"])
        image = np.asarray(default.image, dtype=np.float64)
        for label in np.unique(default.content_labels):
            ours, theirs = default.content_labels == label, default.style_labels == label
            wanted = style[theirs].mean(axis=0)
            before = np.linalg.norm(content[ours].mean(axis=0) - wanted)
            after = np.linalg.norm(image[ours].mean(axis=0) - wanted)
            assert after < before, (label, before, after)

    def test_report_tells_what_was_done(self, default: StylizeResult) -> None:
        report = default.report
        assert (report["method"], report["regions"]) == ("wct2", "masks")
        assert report["match"] == "nearest"
        assert [entry["content"] for entry in report["pairs"]] == COLORS
        assert [entry["style"] for entry in report["pairs"]] == COLORS
        assert [entry["sure"] for entry in report["pairs"]] == [1.0] * 5
        assert (report["height"], report["width"]) == (427, 640)
        assert (report["working_height"], report["working_width"]) == (HEIGHT, WIDTH)
        stages = ["decode", "segment", "colors", "transfer", "upsample", "encode", "total"]
        assert list(report["seconds"]) == stages

    def test_alpha_zero_gives_the_content_back(
        self,
        local: Server,
        stylize: Callable[..., StylizeResult],
        pair: Callable[[str], dict[str, Any]],
    ) -> None:
        files = pair("pagoda-dusk")
        image = stylize(local, **files, size=HEIGHT, alpha=0.0).image
        difference = np.asarray(image, dtype=np.int16) - _pixels(files["content"])
        assert np.abs(difference).max() <= 2

    def test_method_color_is_without_a_transfer(
        self,
        local: Server,
        stylize: Callable[..., StylizeResult],
        pair: Callable[[str], dict[str, Any]],
        default: StylizeResult,
    ) -> None:
        color = stylize(local, **pair("pagoda-dusk"), size=HEIGHT, method="color")
        assert "transfer" not in color.report["seconds"]
        assert color.image.size == default.image.size
        assert color.png != default.png
