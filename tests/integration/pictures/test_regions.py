"""Regions without masks: the segmenter's, or the whole photo."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from photoreal.client import StyleTransferClient, StylizeResult
from photoreal.client.address import Protocol
from photoreal.contract import DEFAULT_BLEND, SEGMENTER_CLASSES_FILE
from photoreal.regions.classes import GROUPS
from photoreal.regions.soft import AREA_LABEL
from photoreal.serve.launch.launcher import Server
from tests.integration.conftest import EXPORTED, quiet_server, url_of
from tests.kinds import PairFiles, Stylize

pytestmark = pytest.mark.server

NAMES = {0: "other", 1: "sky", 2: "vegetation", 3: "building", 7: "water"}
SIZE = 64


@pytest.fixture(scope="module")
def photos(pair: PairFiles) -> dict[str, Any]:
    """The style has every class that the test's segmenter finds in the content."""
    files = pair("lake-dusk")
    return {"content": files["style"], "style": files["content"], "size": SIZE}


@pytest.fixture(scope="module")
def segmented(local: Server, stylize: Stylize, photos: dict[str, Any]) -> StylizeResult:
    return stylize(local, **photos, method="published")


def test_segmenter_finds_the_regions(segmented: StylizeResult) -> None:
    report = segmented.report
    assert (report["regions"], report["match"]) == ("segmenter", "nearest")
    assert report["unstyled"] == []
    labels = np.unique(segmented.content_labels).tolist()
    assert len(labels) > 1
    assert [entry["content"] for entry in report["pairs"]] == [NAMES[label] for label in labels]
    assert sum(entry["share"] for entry in report["pairs"]) == pytest.approx(1, abs=1e-3)


def test_label_maps_given_back_as_masks_give_the_same_picture(
    local: Server, stylize: Stylize, photos: dict[str, Any], segmented: StylizeResult
) -> None:
    # Every class has its own partner here; otherwise kinship, which masks have not, would tell.
    assert all(entry["content"] == entry["style"] for entry in segmented.report["pairs"])
    masks = {
        "content_mask": segmented.content_labels_png,
        "style_mask": segmented.style_labels_png,
    }
    again = stylize(local, **photos, **masks, match="nearest", method="published")
    assert (again.report["regions"], again.report["match"]) == ("masks", "nearest")
    assert again.png == segmented.png
    assert again.content_labels_png == segmented.content_labels_png


def test_without_segmentation_the_photo_is_one_region(
    local: Server, stylize: Stylize, photos: dict[str, Any], segmented: StylizeResult
) -> None:
    whole = stylize(local, **photos, segment=False, method="published")
    assert whole.report["regions"] == "whole"
    (entry,) = whole.report["pairs"]
    assert (entry["content"], entry["style"], entry["share"]) == ("whole photo", "whole photo", 1.0)
    assert not whole.content_labels.any()
    assert whole.png != segmented.png


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_regions_alone_come_without_a_transfer_and_can_be_given_back(
    local: Server, pair: PairFiles, protocol: Protocol
) -> None:
    """With a class that only a related one matches, which masks alone cannot express."""
    files = pair("pagoda-twilight")
    how: dict[str, Any] = {name: files[name] for name in ("content", "style")}
    how |= {"size": SIZE, "method": "published"}
    with StyleTransferClient(url_of(local, protocol), protocol=protocol) as client:
        found, direct = client.find_regions(**how), client.stylize(**how, labels=True)
        labels = {
            role: {region["name"]: region["label"] for region in found.report[f"{role}_regions"]}
            for role in ("content", "style")
        }
        pairs = [
            (labels["content"][entry["content"]], labels["style"].get(entry["style"]))
            for entry in found.report["pairs"]
        ]
        how |= {
            "content_mask": found.content_labels_png,
            "style_mask": found.style_labels_png,
            "blend": DEFAULT_BLEND["nearest"],
        }
        again, off, none = (client.stylize(**how, pairs=one) for one in (pairs, pairs[1:], []))
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


def test_regions_of_the_default_method_are_classes_and_areas(
    local: Server, stylize: Stylize, photos: dict[str, Any]
) -> None:
    found = stylize(local, **photos)
    report = found.report
    assert (report["regions"], report["match"]) == ("segmenter", "nearest")
    assert report["unstyled"] == []
    for labels, role in ((found.content_labels, "content"), (found.style_labels, "style")):
        regions = report[f"{role}_regions"]
        assert set(np.unique(labels)) <= {region["label"] for region in regions}
        for region in regions:
            assert region["name"].startswith("area ") == (region["label"] >= AREA_LABEL)
            assert 0 <= region["sure"] <= 1
    assert sum(entry["share"] for entry in report["pairs"]) == pytest.approx(1, abs=1e-3)
    with StyleTransferClient(local.http_url) as client:
        alone = client.find_regions(**photos)
    assert "transfer" not in alone.report["seconds"]
    assert alone.content_labels_png == found.content_labels_png
    assert alone.report["pairs"] == report["pairs"]
    masks = {"content_mask": found.content_labels_png, "style_mask": found.style_labels_png}
    label = report["content_regions"][0]["label"]
    one = stylize(local, **photos, **masks, pairs=[(label, None)])
    assert len(one.report["pairs"]) == 1
    none = stylize(local, **photos, **masks, pairs=[])
    assert none.report["pairs"] == []
    with Image.open(photos["content"]) as photo:
        difference = np.asarray(none.image, float) - np.asarray(photo.convert("RGB"), float)
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("method", ["published", "color"])
@pytest.mark.parametrize("match", ["published", "nearest"])
def test_match_rule_is_the_callers_choice(
    local: Server, stylize: Stylize, photos: dict[str, Any], match: str, method: str
) -> None:
    content, style = np.zeros((2, 512, 768), dtype=np.uint8)
    content[:, :300] = 9  # the style has no label 9
    style[:, 600:] = 5
    masks = {"content_mask": content, "style_mask": style}
    report = stylize(local, **photos, **masks, match=match, method=method).report
    assert report["match"] == match
    partners = {entry["content"]: entry["style"] for entry in report["pairs"]}
    if match == "published":
        assert (partners, report["unstyled"]) == ({0: 0}, [9])
    else:
        assert (partners, report["unstyled"]) == ({0: 0, 9: "whole photo"}, [])


def test_class_names_without_a_segmenter_are_ignored(
    bare_repository: Path, tmp_path: Path, stylize: Stylize
) -> None:
    """As `make clean` and an export without a segmenter leave them behind."""
    folder = shutil.copytree(bare_repository, tmp_path / "repository")
    (folder / "segmenter" / SEGMENTER_CLASSES_FILE).write_text("other\nsky\n")
    gray = np.full((16, 16, 3), 99, dtype=np.uint8)
    with quiet_server(folder) as server:
        result = stylize(server, content=gray, style=gray, size=16)
    assert result.report["regions"] == "whole"


@pytest.fixture(scope="module")
def plain_export() -> Iterator[Server]:
    """A server on the export of `make test`, which names no segmenter."""
    with quiet_server(EXPORTED) as running:
        yield running


def test_the_segmenter_that_comes_with_photoreal_finds_the_sky(
    plain_export: Server, stylize: Stylize, pair: PairFiles
) -> None:
    files = pair("lake-dusk")
    photos = {"content": files["content"], "style": files["style"]}
    result = stylize(plain_export, **photos, size=256, method="published")
    assert "sky" in [entry["content"] for entry in result.report["pairs"]]
    assert result.report["unstyled"] == []
    with Image.open(files["content_mask"]) as image:
        blue = (np.asarray(image.convert("RGB")) == (0, 0, 255)).all(axis=2)
    found = result.content_labels == GROUPS.index("sky")
    assert found[blue].mean() > 0.9
    assert found[-64:].mean() < 0.1  # the ground at the camera's feet
