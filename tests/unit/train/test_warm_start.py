"""A training that begins with another segmenter's weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from photoreal.errors import TrainingError, WeightsError
from photoreal.networks.segmenter import Segmenter
from photoreal.train.loop import Photos, Training
from photoreal.train.settings import Settings, Stage
from photoreal.train.tables import CLASSES
from photoreal.train.warm_start import take_over
from photoreal.weights.segmenters import save_segmenter

pytestmark = pytest.mark.slow

NAMES = ("person", "sky", "tree")
"""Classes of the segmenter to begin with: two that the training knows, in another order."""


@pytest.fixture
def origin() -> Segmenter:
    torch.manual_seed(7)
    network = Segmenter(4, len(NAMES))
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value))
    return network


def test_weights_are_taken_over_and_classes_by_name(origin: Segmenter) -> None:
    network = Segmenter(4, len(CLASSES))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    take_over(network, origin, NAMES)
    theirs = origin.state_dict()
    for name, value in network.state_dict().items():
        if value.shape == theirs[name].shape:
            assert torch.equal(value, theirs[name]), name
            continue
        assert name.startswith(("decoder.conv_last.4.", "decoder.conv_last_deepsup."))
        for row, label in enumerate(CLASSES):
            known = label in NAMES
            expected = theirs[name][NAMES.index(label)] if known else before[name][row]
            assert torch.equal(value[row], expected), (name, label)


def test_another_width_is_refused(origin: Segmenter) -> None:
    with pytest.raises(TrainingError, match=r"has a width of 4; expected .* the settings, 8\."):
        take_over(Segmenter(8, len(CLASSES)), origin, NAMES)


def test_a_run_goes_on_from_them(
    origin: Segmenter, train: Photos, validation: Photos, tmp_path: Path
) -> None:
    save_segmenter(tmp_path / "origin", origin, NAMES)
    settings = Settings(width=4, stages=(Stage(1, 64, 2),), learning_rate=1e-12)
    training = Training(settings, tmp_path / "run")
    training.start(train, tmp_path / "origin")
    training.run(train, validation, lambda _: None)
    weight = "encoder.layer4.2.conv3.weight"
    expected = origin.state_dict()[weight].half().float()
    for network in (training._network, training.average):
        torch.testing.assert_close(network.state_dict()[weight], expected, rtol=0, atol=1e-6)


def test_a_missing_start_is_refused_before_anything_is_written(
    train: Photos, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="no weight set or folder 'nothing'"):
        Training(Settings(width=4), tmp_path / "run").start(train, "nothing")
    assert not (tmp_path / "run").exists()
