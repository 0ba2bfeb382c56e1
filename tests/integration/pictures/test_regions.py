"""Regions without masks: the segmenter's, or the whole photo."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from photoreal.client import StyleTransferClient, StylizeResult
from photoreal.client.address import Protocol
from photoreal.contract import DEFAULT_BLEND, SEGMENTER_CLASSES_FILE
from photoreal.regions.soft import AREA_LABEL
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.settings import ServeSettings

pytestmark = pytest.mark.server

GROUPS = {0: "other", 1: "sky", 2: "vegetation", 3: "building", 7: "water"}
SIZE = 64


@pytest.fixture(scope="module")
def photos(pair: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """The style has every class that the test's segmenter finds in the content."""
    files = pair("lake-dusk")
    return {"content": files["style"], "style": files["content"]}


@pytest.fixture(scope="module")
def segmented(
    local: Server,
    stylize: Callable[..., StylizeResult],
    photos: dict[str, Any],
) -> StylizeResult:
    return stylize(local, **photos, size=SIZE, method="published")


def test_segmenter_finds_the_regions(segmented: StylizeResult) -> None:
    report = segmented.report
    assert (report["regions"], report["match"]) == ("segmenter", "nearest")
    assert report["unstyled"] == []
    labels = np.unique(segmented.content_labels).tolist()
    assert len(labels) > 1
    assert [entry["content"] for entry in report["pairs"]] == [GROUPS[label] for label in labels]
    assert sum(entry["share"] for entry in report["pairs"]) == pytest.approx(1, abs=1e-3)


def test_label_maps_given_back_as_masks_give_the_same_picture(
    local: Server,
    stylize: Callable[..., StylizeResult],
    photos: dict[str, Any],
    segmented: StylizeResult,
) -> None:
    # Every class has its own partner here; otherwise kinship, which masks have not, would tell.
    assert all(entry["content"] == entry["style"] for entry in segmented.report["pairs"])
    again = stylize(
        local,
        **photos,
        size=SIZE,
        content_mask=segmented.content_labels_png,
        style_mask=segmented.style_labels_png,
        match="nearest",
        method="published",
    )
    assert (again.report["regions"], again.report["match"]) == ("masks", "nearest")
    assert again.png == segmented.png
    assert again.content_labels_png == segmented.content_labels_png


def test_without_segmentation_the_photo_is_one_region(
    local: Server,
    stylize: Callable[..., StylizeResult],
    photos: dict[str, Any],
    segmented: StylizeResult,
) -> None:
    whole = stylize(local, **photos, size=SIZE, segment=False, method="published")
    assert whole.report["regions"] == "whole"
    assert whole.report["pairs"] == [
        {"content": "whole photo", "style": "whole photo", "share": 1.0}
    ]
    assert not whole.content_labels.any()
    assert whole.png != segmented.png


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_regions_alone_come_without_a_transfer_and_can_be_given_back(
    local: Server, pair: Callable[[str], dict[str, Any]], protocol: Protocol
) -> None:
    """With a class that only its kin matches, which masks by themselves cannot say."""
    files = pair("pagoda-twilight")
    photos = {
        "content": files["content"],
        "style": files["style"],
        "size": SIZE,
    }
    how: dict[str, Any] = {"method": "published"}
    url = local.grpc_url if protocol == "grpc" else local.http_url
    with StyleTransferClient(url, protocol=protocol) as client:
        found = client.find_regions(**photos, **how)
        direct = client.stylize(**photos, **how)
        labels = {
            role: {region["name"]: region["label"] for region in found.report[f"{role}_regions"]}
            for role in ("content", "style")
        }
        pairs = [
            (labels["content"][entry["content"]], labels["style"].get(entry["style"]))
            for entry in found.report["pairs"]
        ]
        given = {
            **photos,
            **how,
            "content_mask": found.content_labels_png,
            "style_mask": found.style_labels_png,
            "blend": DEFAULT_BLEND["nearest"],
        }
        again = client.stylize(**given, pairs=pairs)
        off = client.stylize(**given, pairs=pairs[1:])
        none = client.stylize(**given, pairs=[])
    assert "transfer" not in found.report["seconds"]
    assert found.content_labels_png == direct.content_labels_png
    assert found.report["pairs"] == direct.report["pairs"]
    assert len(pairs) > 1
    assert again.png == direct.png
    # What is switched off keeps its own look; the rest changes at the shared border at most.
    assert off.report["unstyled"] == [pairs[0][0]]
    assert off.png != direct.png
    assert none.report["pairs"] == []
    small = Image.open(files["content"]).resize(none.image.size, Image.Resampling.BOX)
    difference = np.abs(np.asarray(small, float) - np.asarray(none.image, float))
    assert difference.mean() < 3


@pytest.fixture(scope="module")
def found(
    local: Server, stylize: Callable[..., StylizeResult], photos: dict[str, Any]
) -> StylizeResult:
    return stylize(local, **photos, size=SIZE)


class TestDefault:
    def test_regions_are_classes_and_areas(self, found: StylizeResult) -> None:
        report = found.report
        assert (report["regions"], report["match"]) == ("segmenter", "nearest")
        assert report["unstyled"] == []
        for labels, role in (
            (found.content_labels, "content_regions"),
            (found.style_labels, "style_regions"),
        ):
            assert set(np.unique(labels)) <= {region["label"] for region in report[role]}
            for region in report[role]:
                area = region["label"] >= AREA_LABEL
                assert region["name"].startswith("area ") == area
                assert 0 <= region["sure"] <= 1
        assert sum(entry["share"] for entry in report["pairs"]) == pytest.approx(1, abs=1e-3)

    def test_regions_alone_are_those_of_a_transfer(
        self, local: Server, photos: dict[str, Any], found: StylizeResult
    ) -> None:
        with StyleTransferClient(local.http_url) as client:
            alone = client.find_regions(**photos, size=SIZE)
        assert "transfer" not in alone.report["seconds"]
        assert alone.content_labels_png == found.content_labels_png
        assert alone.report["pairs"] == found.report["pairs"]

    def test_label_maps_can_be_given_back_with_pairs(
        self,
        local: Server,
        stylize: Callable[..., StylizeResult],
        photos: dict[str, Any],
        found: StylizeResult,
    ) -> None:
        label = found.report["content_regions"][0]["label"]
        masks = {
            "content_mask": found.content_labels_png,
            "style_mask": found.style_labels_png,
        }
        one = stylize(local, **photos, **masks, size=SIZE, pairs=[(label, None)])
        assert len(one.report["pairs"]) == 1
        none = stylize(local, **photos, **masks, size=SIZE, pairs=[])
        assert none.report["pairs"] == []
        with Image.open(photos["content"]) as photo:
            difference = np.asarray(none.image, float) - np.asarray(photo.convert("RGB"), float)
        assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("method", ["published", "color"])
@pytest.mark.parametrize("match", ["published", "nearest"])
def test_match_rule_is_the_callers_choice(
    local: Server,
    stylize: Callable[..., StylizeResult],
    photos: dict[str, Any],
    match: str,
    method: str,
) -> None:
    content = np.zeros((512, 768), dtype=np.uint8)
    content[:, :300] = 9  # the style has no label 9
    style = np.zeros_like(content)
    style[:, 600:] = 5
    result = stylize(
        local,
        **photos,
        size=SIZE,
        content_mask=content,
        style_mask=style,
        match=match,
        method=method,
    )
    report = result.report
    assert report["match"] == match
    partners = {entry["content"]: entry["style"] for entry in report["pairs"]}
    if match == "published":
        assert (partners, report["unstyled"]) == ({0: 0}, [9])
    else:
        assert (partners, report["unstyled"]) == ({0: 0, 9: "whole photo"}, [])


def test_class_names_alone_are_no_segmenter(
    bare_repository: Path, tmp_path: Path, stylize: Callable[..., StylizeResult]
) -> None:
    """As `make clean` and an export without a segmenter leave them behind."""
    repository = tmp_path / "repository"
    shutil.copytree(bare_repository, repository)
    (repository / "segmenter" / SEGMENTER_CLASSES_FILE).write_text("other\nsky\n")
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    settings = ServeSettings(repository, http_port=http, grpc_port=grpc, metrics_port=metrics)
    with (tmp_path / "log").open("wb") as log:
        server = Server(settings, log)
        try:
            server.start()
            server.wait_ready(30)
            gray = np.full((16, 16, 3), 99, dtype=np.uint8)
            result = stylize(server, content=gray, style=gray, size=16)
        finally:
            server.stop()
    assert result.report["regions"] == "whole"
