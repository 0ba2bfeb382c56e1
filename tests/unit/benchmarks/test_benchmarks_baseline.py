"""The plain PyTorch baseline computes what the project computes, and what is timed adds up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import Files, Inputs, example_files, transfer_inputs
from serving import BenchmarkFailed
from speed import comparison, stages
from speed.baseline import Baseline, transform
from speed.gpu_timing import labelled
from speed.work import multiply_adds
from torch import Tensor

from photoreal.networks.vgg import Decoder, Encoder
from photoreal.preprocess import encode_photo
from photoreal.regions import LabelMap, Pair
from photoreal.transfer.progressive import NetworkEngine, transfer
from tests.kinds import Images, Networks, Patch, Psnr, Sentence

pytestmark = pytest.mark.slow

Serve = Callable[[str, float], None]

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
def test_the_baseline_agrees(
    weights: str,
    size: tuple[int, int],
    request: pytest.FixtureRequest,
    random_image: Images,
    smooth_image: Images,
    psnr: Psnr,
) -> None:
    networks = request.getfixturevalue(f"{weights}_networks")("cat5")
    image = smooth_image if weights == "builtin" else random_image
    content, style = image(*size)[0].numpy(), image(72, 80, seed=1)[0].numpy()
    inputs = Inputs(content, style, _thirds(*size), _thirds(72, 80), PAIRS)
    found, expected = Baseline(*networks).transfer(inputs), _project(inputs, networks)
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-3)
    assert psnr(found / scale, expected / scale) > 60


def test_regions_without_a_partner_keep_their_features(random_image: Images) -> None:
    features, style = random_image(8, 8), random_image(8, 8, seed=1)
    labels = _thirds(8, 8)
    found = transform(features, style, labels, np.zeros((8, 8), np.uint8), [Pair(0, 0), Pair(1, 1)])
    kept = torch.from_numpy(labels != 0)
    assert torch.equal(found[..., kept], features[..., kept])
    assert not torch.equal(found, features)


def test_the_baseline_knows_one_way_of_unpooling(seeded_networks: Networks) -> None:
    with pytest.raises(ValueError, match="cat5"):
        Baseline(*seeded_networks("sum"))


def test_work_is_counted_from_the_layers(builtin_networks: Networks) -> None:
    encoder, decoder = builtin_networks("cat5")
    assert multiply_adds(encoder, 8, 8) == (
        (3 * 3 + 9 * (3 * 64 + 64 * 64)) * 64
        + 9 * (64 * 128 + 128 * 128) * 16
        + 9 * (128 * 256 + 3 * 256 * 256) * 4
        + 9 * 256 * 512
    )
    total = multiply_adds(encoder, 512, 768) + multiply_adds(decoder, 512, 768)
    assert total / 1e9 == pytest.approx(362, rel=0.01)


def test_stages_add_up(builtin_networks: Networks, monkeypatch: Patch) -> None:
    monkeypatch.setattr(stages, "networks", lambda _: builtin_networks("cat5"))
    files = example_files()
    part: Any = stages.measure_stages(Path("nowhere"), files, _SIDE, 1)
    assert [row["stage"] for row in part.rows] == [*stages.STAGES, "total"]
    assert all(row["seconds"].median >= 0 for row in part.rows)
    assert "masks, since no segmenter" in part.notes[0]
    engine = NetworkEngine(*builtin_networks("cat5"))
    one = stages.stage_seconds(files.request(_SIDE), engine)
    assert sum(one[stage] for stage in stages.STAGES) == pytest.approx(one["total"], abs=5e-3)


class _Result:
    def __init__(self, png: bytes, style: str) -> None:
        self.png = png
        self.report = {"style": style}


@pytest.fixture
def served(builtin_networks: Networks, monkeypatch: Patch) -> Serve:
    """Answers the comparison's requests with the project's picture, made brighter."""

    def serve(style: str, brighter: float) -> None:
        inputs = transfer_inputs(example_files(), _SIDE)
        picture = _project(inputs, builtin_networks("cat5")) + brighter
        published = _Result(encode_photo(picture.numpy()), style)

        def request(server: object, files: Files, size: int, method: str) -> tuple[float, Any]:
            return 0.5, published if method == "published" else _Result(b"", "measured")

        monkeypatch.setattr(comparison, "timed_request", request)

    return serve


def _compare(rounds: int) -> Any:
    server: Any = object()
    return comparison.compare("Compared", Path(), server, server, example_files(), _SIDE, rounds)


def test_servers_are_compared_with_the_baseline(served: Serve) -> None:
    served("cached", 0.0)
    part = _compare(2)
    assert [row["what"] for row in part.rows][1:] == [
        "published, style new",
        "published, style known",
        "wct2, style new",
        "color, style new",
    ]
    assert part.rows[1]["ratio"].median == pytest.approx(2 * part.rows[0]["seconds"].median)
    assert part.rows[1]["psnr_db"].min > 60
    assert "psnr_db" not in part.rows[3]
    assert [note for note in part.notes if "No style is kept for wct2" in note]


def test_other_pictures_do_not_compare(served: Serve, check_sentence: Sentence) -> None:
    served("cached", 0.02)
    with pytest.raises(BenchmarkFailed, match="dB from the baseline's") as no:
        _compare(1)
    check_sentence(no.value)
