"""Whole trainings, as small as they can be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from photoreal.errors import TrainingError
from photoreal.train import loop
from photoreal.train.calibrate import calibrate
from photoreal.train.loop import Photos, Progress, Training
from photoreal.train.settings import Settings, Stage
from photoreal.train.tables import CLASSES
from photoreal.weights.segmenter_file import read_segmenter_file
from photoreal.weights.segmenters import load_segmenter

from .conftest import SMALL

pytestmark = pytest.mark.slow


class Stop(Exception):
    """Ends a run from outside."""


def _ignore(progress: Progress) -> None:
    """Take a report."""


class Run(NamedTuple):
    """A run that went through: its folder, its end and its reports."""

    folder: Path
    training: Training
    reports: list[Progress]


@pytest.fixture(scope="module")
def whole(train: Photos, validation: Photos, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("whole") / "run"
    reports: list[Progress] = []
    training = Training(SMALL, folder)
    training.start(train)
    training.run(train, validation, reports.append, every=2, measure_every=4, workers=0)
    return Run(folder, training, reports)


def _state(folder: Path) -> dict[str, Tensor]:
    return load_segmenter(folder)[0].state_dict()


def _assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for name, value in other.items():
        assert torch.equal(one[name], value), name


def test_every_step_is_reported_and_some_are_measured(whole: Run) -> None:
    folder, training, reports = whole
    assert training.step == 6
    assert [(report.step, report.steps) for report in reports] == [(n, 6) for n in range(1, 7)]
    assert all(np.isfinite(report.loss) for report in reports)
    assert [report.step for report in reports if report.scores] == [4, 6]
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [2, 4, 6]
    for line, report in zip(log, reports[1::2], strict=True):
        assert line["loss"] == pytest.approx(report.loss, abs=1e-4)
        if report.scores is None:
            assert "accuracy" not in line
        else:
            assert line["sources"] == {"camvid": pytest.approx(line["accuracy"])}


def test_the_folder_is_a_segmenter_and_says_how_it_came_about(
    whole: Run, train: Photos, validation: Photos
) -> None:
    folder, average = whole.folder, whole.training.average
    segmenter, names = load_segmenter(folder)
    assert names == CLASSES
    assert Settings.read(folder / "settings.json") == SMALL
    assert json.loads((folder / "photos.json").read_text()) == [item.name for item in train.items]
    expected = average.state_dict()
    for name, value in segmenter.state_dict().items():
        if value.is_floating_point():
            stored = expected[name].half().float() if value.ndim > 1 else expected[name]
            assert torch.equal(value, stored), name
    assert not list(folder.glob("*.new"))
    about = read_segmenter_file(folder / "segmenter.safetensors")[1]
    assert about.terms == "research and non-commercial use"
    assert [(source["name"], source["photos"]) for source in about.sources] == [("camvid", "8")]
    # The weights are calibrated on the validation photos.
    assert segmenter.temperature == average.temperature != 1.0
    assert segmenter.temperature == pytest.approx(calibrate(average, *validation))


def test_the_average_is_not_the_last_step(whole: Run) -> None:
    last, average = (one.state_dict() for one in (whole.training._network, whole.training.average))
    name = "encoder.conv1.weight"
    assert not torch.equal(last[name], average[name])
    torch.testing.assert_close(last[name], average[name], rtol=0, atol=0.1)
    for state in (last, average):
        assert state["encoder.bn1.num_batches_tracked"] == 6


def test_the_same_settings_give_the_same_weights(
    whole: Run, train: Photos, validation: Photos, tmp_path: Path
) -> None:
    """Saving more or less often, or asking the random numbers in between, changes nothing."""
    torch.rand(17)
    training = Training(SMALL, tmp_path)
    training.start(train)
    training.run(train, validation, _ignore, every=100, workers=0)
    _assert_same(_state(tmp_path), _state(whole.folder))


@pytest.mark.parametrize("stop", [3, 5])  # in both stages; a step after the last saved state
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    stop: int, whole: Run, train: Photos, validation: Photos, tmp_path: Path
) -> None:
    def stop_there(progress: Progress) -> None:
        if progress.step == stop:
            raise Stop

    first = Training(SMALL, tmp_path)
    first.start(train)
    with pytest.raises(Stop):
        first.run(train, validation, stop_there, every=2, workers=0)
    assert not (tmp_path / "segmenter.safetensors").exists()
    second = Training(SMALL, tmp_path)
    second.resume(train)
    assert second.step == stop - 1
    losses: list[float] = []
    second.run(train, validation, lambda now: losses.append(now.loss), every=2, workers=0)
    assert losses == [report.loss for report in whole.reports[stop - 1 :]]
    _assert_same(second._network.state_dict(), whole.training._network.state_dict())
    _assert_same(second.average.state_dict(), whole.training.average.state_dict())
    assert (tmp_path / "segmenter.safetensors").exists()


def test_a_run_that_is_resumed_at_its_end_is_measured_and_written(
    whole: Run, train: Photos, validation: Photos
) -> None:
    before = _state(whole.folder)
    training = Training(SMALL, whole.folder)
    training.resume(train)
    assert set(training.run(train, validation, _ignore, workers=0)) == {"camvid"}
    _assert_same(_state(whole.folder), before)


def test_a_run_does_not_begin_where_another_has_and_there_must_be_something_to_resume(
    whole: Run, train: Photos, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="holds a training already; resume it or name"):
        Training(SMALL, whole.folder).start(train)
    with pytest.raises(TrainingError, match="holds no training to resume"):
        Training(SMALL, tmp_path / "nowhere").resume(train)
    Training(SMALL, tmp_path).start(train)  # stopped before its first saved state
    with pytest.raises(TrainingError, match="holds a training already"):
        Training(SMALL, tmp_path).start(train)
    with pytest.raises(TrainingError, match="holds no training to resume"):
        Training(SMALL, tmp_path).resume(train)


def test_a_loss_that_is_no_number_ends_the_run(
    train: Photos, validation: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "segmentation_loss", lambda scores, *_: scores.sum() * float("nan"))
    training = Training(SMALL, tmp_path)
    training.start(train)
    with pytest.raises(TrainingError, match=r"The loss is nan at step 1; .*lower the learning"):
        training.run(train, validation, _ignore, workers=0)
    assert not (tmp_path / "checkpoint.pt").exists()
    assert not (tmp_path / "segmenter.safetensors").exists()


def test_a_training_learns(train: Photos, validation: Photos, tmp_path: Path) -> None:
    stages = (Stage(100, 64, 4),)
    chosen = replace(SMALL, stages=stages, learning_rate=4e-3, warmup=5, averaging=0.8, seed=2)
    losses: list[float] = []
    training = Training(chosen, tmp_path)
    training.start(train)
    note = losses.append
    scores = training.run(train, validation, lambda now: note(now.loss), every=1000, workers=0)
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])
    assert scores["camvid"].accuracy > 0.8
