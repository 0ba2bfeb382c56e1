"""The example photos through the server, with masks, over every transport."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from photoreal.client import AsyncStyleTransferClient, StylizeResult
from photoreal.serve.launch.launcher import Server
from tests.kinds import Array, PairFiles, Stylize

pytestmark = pytest.mark.server

COLORS = ["blue", "green", "yellow", "grey", "light blue"]
LABELS = [0, 1, 5, 6, 7]
WIDTH, HEIGHT = WORKING = (96, 64)
CONTENT, STYLE = (640, 427), (768, 512)


@pytest.fixture(scope="module", params=["wct2", "published"])
def result(
    request: pytest.FixtureRequest, local: Server, stylize: Stylize, pair: PairFiles
) -> StylizeResult:
    return stylize(local, **pair("pagoda-dusk"), size=HEIGHT, method=request.param)


def _pixels(picture: Any) -> Array:
    with Image.open(picture) as image:
        return np.asarray(image, dtype=np.float64)


async def test_every_transport_gives_the_same_bytes(
    local: Server, stylize: Stylize, pair: PairFiles, result: StylizeResult
) -> None:
    options = {**pair("pagoda-dusk"), "size": HEIGHT, "method": result.report["method"]}
    options["labels"] = True
    other = stylize(local, "grpc", **options)
    async with (
        AsyncStyleTransferClient(local.http_url) as http,
        AsyncStyleTransferClient(local.grpc_url, protocol="grpc") as grpc,
    ):
        assert await http.ready()
        assert await grpc.ready()
        others = await asyncio.gather(*(client.stylize(**options) for client in (http, grpc)))
    for one in (other, *others):
        assert one.png == result.png
        assert one.content_labels_png == result.content_labels_png
        assert one.style_labels_png == result.style_labels_png


def test_picture_labels_and_report(result: StylizeResult) -> None:
    published = result.report["method"] == "published"
    with Image.open(io.BytesIO(result.png)) as image:
        size = WORKING if published else CONTENT
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", size)
    for labels, size in ((result.content_labels, CONTENT), (result.style_labels, STYLE)):
        assert labels.shape == size[::-1]
        assert set(np.unique(labels)) <= set(LABELS)
    report, pairs = result.report, result.report["pairs"]
    assert (report["regions"], report["unstyled"]) == ("masks", [])
    assert report["match"] == ("published" if published else "nearest")
    assert [entry["content"] for entry in pairs] == COLORS
    assert [entry["style"] for entry in pairs] == COLORS
    assert (report["width"], report["height"]) == result.image.size
    if published:
        shares = [np.mean(result.content_labels == label) for label in LABELS]
        assert [entry["share"] for entry in pairs] == pytest.approx(shares, abs=1e-3)
        assert min(shares) > 0
    else:
        assert [entry["sure"] for entry in pairs] == [1.0] * 5
        assert (report["working_width"], report["working_height"]) == WORKING
    more = () if published else ("colors",)
    last = () if published else ("upsample",)
    stages = ["decode", "segment", *more, "transfer", *last, "encode", "total"]
    seconds = report["seconds"]
    assert list(seconds) == stages
    assert min(seconds.values()) >= 0
    assert sum(seconds.values()) == pytest.approx(2 * seconds["total"], abs=0.05)


def test_each_region_takes_the_color_of_its_style(result: StylizeResult, pair: PairFiles) -> None:
    files = pair("pagoda-dusk")
    content, style = _pixels(files["content"]), _pixels(files["style"])
    image = np.asarray(result.image.resize(CONTENT), dtype=np.float64)
    assert np.abs(image - content).mean() > 10
    for label in np.unique(result.content_labels):
        ours, theirs = result.content_labels == label, result.style_labels == label
        wanted = style[theirs].mean(axis=0)
        before, after = (
            np.linalg.norm(one[ours].mean(axis=0) - wanted) for one in (content, image)
        )
        assert after < before, (label, before, after)


@pytest.mark.parametrize("method", ["wct2", "published"])
def test_alpha_zero_gives_the_content_back(
    local: Server, stylize: Stylize, pair: PairFiles, method: str
) -> None:
    files = pair("pagoda-dusk")
    image = stylize(local, **files, size=HEIGHT, alpha=0.0, method=method, format="png").image
    with Image.open(files["content"]) as photo:
        content = np.asarray(photo.resize(image.size, Image.Resampling.LANCZOS), dtype=np.int16)
    assert np.abs(np.asarray(image, dtype=np.int16) - content).max() <= 2


def test_method_color_is_without_a_transfer(
    local: Server, stylize: Stylize, pair: PairFiles
) -> None:
    color = stylize(local, **pair("pagoda-dusk"), size=HEIGHT, method="color")
    assert "transfer" not in color.report["seconds"]
    assert color.image.size == CONTENT
