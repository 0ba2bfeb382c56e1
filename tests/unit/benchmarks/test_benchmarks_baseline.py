"""The plain PyTorch baseline computes what the project computes, and what is timed adds up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import Files, Inputs, example_files
from serving import BenchmarkFailed
from speed import comparison, stages
from speed.baseline import Baseline, transform
from speed.gpu_timing import labelled
from speed.plain_process import Timed
from torch import Tensor

from photoreal.contract import LEVELS
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.pipeline.request import StylizeRequest
from photoreal.preprocess import encode_photo
from photoreal.regions import LabelMap, Pair
from photoreal.transfer.progressive import NetworkEngine, transfer
from tests.kinds import Patch
from tests.shared import (
    builtin_networks,
    psnr,
    random_image,
    refused,
    seeded_networks,
    smooth_image,
)

pytestmark = pytest.mark.slow

_SIDE = 16  # pixels; the decompositions take as long at any size
PAIRS = [Pair(0, 0), Pair(1, 2), Pair(2, None)]


def _thirds(height: int, width: int) -> LabelMap:
    labels = np.zeros((height, width), dtype=np.uint8)
    labels[height // 3 :] = 1
    labels[:, 2 * width // 3 :] = 2
    return labels


def _project(inputs: Inputs, networks: tuple[Encoder, Decoder]) -> Tensor:
    return transfer(*labelled(inputs), inputs.pairs, NetworkEngine(*networks))[0]


@pytest.mark.parametrize("weights", ["seeded", "builtin"])
@pytest.mark.parametrize("size", [(64, 96), (61, 90)])
def test_the_baseline_agrees(weights: str, size: tuple[int, int]) -> None:
    builtin = weights == "builtin"
    networks = builtin_networks("cat5") if builtin else seeded_networks("cat5")
    image = smooth_image if builtin else random_image
    content, style = image(*size)[0].numpy(), image(72, 80, seed=1)[0].numpy()
    inputs = Inputs(content, style, _thirds(*size), _thirds(72, 80), PAIRS)
    found, expected = Baseline(*networks).transfer(inputs), _project(inputs, networks)
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-3)
    assert psnr(found / scale, expected / scale) > 60


def test_regions_without_a_partner_keep_their_features() -> None:
    features, style = random_image(8, 8), random_image(8, 8, seed=1)
    labels = _thirds(8, 8)
    found = transform(features, style, labels, np.zeros((8, 8), np.uint8), [Pair(0, 0), Pair(1, 1)])
    kept = torch.from_numpy(labels != 0)
    assert torch.equal(found[..., kept], features[..., kept])
    assert not torch.equal(found, features)


def test_the_baseline_knows_one_way_of_unpooling() -> None:
    with pytest.raises(ValueError, match="cat5"):
        Baseline(*seeded_networks("sum"))


def test_the_baseline_s_levels_are_the_networks() -> None:
    networks = builtin_networks("cat5")
    plain, ours = Baseline(*networks), NetworkEngine(*networks)
    x = random_image(16, 24)
    skips = []
    for level in LEVELS:
        found, expected = plain.encode(level, x), ours.encode(level, x)
        torch.testing.assert_close(found.features, expected.features, rtol=0, atol=1e-4)
        skips.append(expected.skips)
        x = expected.features
    for level in reversed(LEVELS):
        skip = skips.pop()
        found_image, expected_image = plain.decode(level, x, skip), ours.decode(level, x, skip)
        torch.testing.assert_close(found_image, expected_image, rtol=0, atol=1e-3)
        x = expected_image


def test_stages_add_up(monkeypatch: Patch) -> None:
    monkeypatch.setattr(stages, "networks", lambda _: builtin_networks("cat5"))
    files = example_files(_SIDE)
    part: Any = stages.measure_stages(Path("nowhere"), files, 1)
    assert [row["stage"] for row in part.rows] == [*stages.STAGES.values(), "total"]
    assert all(row["seconds"].median > 0 for row in part.rows)
    assert "whole photos, since no segmenter" in part.notes[0]
    engine = stages.TimingEngine(NetworkEngine(*builtin_networks("cat5")))
    models = stages.models_of(Path("nowhere"), engine)
    one = stages.stage_seconds(files.without_masks().request(), models, engine)
    assert sum(one[stage] for stage in stages.STAGES) == pytest.approx(one["total"], abs=5e-3)


class _Plain:
    """Stands in for the process with the baseline, and counts its transfers."""

    def __init__(self, picture: Tensor) -> None:
        self._picture = picture
        self.transfers = 0

    def transfer(self, inputs: Inputs) -> Timed:
        self.transfers += 1
        return 8.0, self._picture.numpy(), 3 * 10**9

    def picture(self, request: StylizeRequest) -> bytes:
        return encode_photo(self._picture.numpy())


class _Server:
    pid = 2**22 + 1  # which is not there

    def __init__(self, name: str) -> None:
        self.name = name


class _Result:
    def __init__(self, png: bytes, kind: str, style: str) -> None:
        self.png = png
        self.format = kind
        self.report = {"style": style}


Sent = list[tuple[str, Files, dict[str, Any]]]


def _compared(monkeypatch: Patch, brighter: float = 0.0, style: str = "") -> tuple[Any, Sent, int]:
    """A comparison of two rounds with servers whose pictures are brighter by some amount."""
    picture = torch.full((3, _SIDE, _SIDE), 0.25)
    plain, sent = _Plain(picture), Sent()

    @contextmanager
    def process(_: Path) -> Iterator[_Plain]:
        yield plain

    def request(server: Any, files: Files, **options: Any) -> tuple[float, _Result]:
        sent.append((server.name, files, options))
        report = style or ("cached" if server.name == "warm" else "measured")
        usual = "png" if options["method"] == "published" else "jpeg"
        kind = options.get("format", usual)
        return 0.5, _Result(encode_photo((picture + brighter).numpy()), kind, report)

    monkeypatch.setattr(comparison, "plain_process", process)
    monkeypatch.setattr(comparison, "timed_request", request)
    servers: Any = (_Server("cold"), _Server("warm"))
    files = example_files(_SIDE)
    return comparison.compare("Compared", Path(), servers, files, _SIDE, 2), sent, plain.transfers


def test_requests_of_every_kind_are_compared_in_turns(monkeypatch: Patch) -> None:
    part, sent, transfers = _compared(monkeypatch)
    baseline, *rows = part.rows
    assert [row["what"] for row in rows] == [
        *(f"default, style {age}" for age in ("new", "known")),
        *(f"default, masks, style {age}" for age in ("new", "known")),
        *(f"color, style {age}" for age in ("new", "known")),
        "color, masks, style new",
        *(f"published, masks, style {age}" for age in ("new", "known")),
    ]
    assert baseline["seconds"] == (8.0, 8.0, 8.0, 2)
    assert all(row["ratio"] == (16.0, 16.0, 16.0, 2) for row in rows)
    assert all(row["psnr_db"].min > 90 for row in rows)
    assert "of the baseline's process 3000 MB" in part.notes[1]
    assert transfers == 3  # the first one is not counted
    exact = [options for _, _, options in sent if options.pop("format", None) == "png"]
    assert len(exact) == 2 * sum("published" not in str(row["what"]) for row in rows)
    assert len(sent) == (2 + 2) * len(rows) + len(exact)
    new = [files.style for name, files, _ in sent if name == "cold"]
    known = [files.style for name, files, _ in sent if name == "warm"]
    assert len(set(new)) == len(new)
    assert len(set(known)) == 1
    for _, files, options in sent:
        published = options["method"] == "published"
        assert options == {"method": options["method"]} | ({"size": _SIDE} if published else {})
        assert (files.content_mask is None) == (files.style_mask is None)


def test_other_pictures_do_not_compare(monkeypatch: Patch) -> None:
    with refused(BenchmarkFailed, r"default, style new is .* dB from the plain"):
        _compared(monkeypatch, brighter=0.02)


@pytest.mark.parametrize("style", ["cached", "measured"])
def test_a_cache_that_does_not_fit_the_row_is_noticed(monkeypatch: Patch, style: str) -> None:
    with pytest.raises(BenchmarkFailed, match="style cache does not fit the row default, style"):
        _compared(monkeypatch, style=style)
