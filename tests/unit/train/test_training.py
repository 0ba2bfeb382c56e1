"""Whole trainings, as small as they can be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

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

pytestmark = pytest.mark.slow

MakeSettings = Callable[..., Settings]


Whole = tuple[Path, Training, list[Progress]]
"""`whole`: a run's folder, its end and its reports."""


class Stop(Exception):
    """Ends a run from outside."""


def _ignore(progress: Progress) -> None:
    """Take a report."""


SMALL = Settings(
    width=4, stages=(Stage(3, 64, 2), Stage(3, 72, 2)), warmup=2, averaging=0.5, seed=5
)


@pytest.fixture(scope="module")
def whole(train: Photos, validation: Photos, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A run that went through."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    reports: list[Progress] = []
    training = Training(SMALL, folder)
    training.start(train)
    training.run(train, validation, reports.append, every=2, measure_every=4)
    return folder, training, reports


def _state(folder: Path) -> dict[str, Tensor]:
    segmenter, _ = load_segmenter(folder)
    return segmenter.state_dict()


def test_every_step_is_reported_and_some_are_measured(whole: Whole) -> None:
    folder, training, reports = whole
    assert training.step == 6
    assert [report.step for report in reports] == [1, 2, 3, 4, 5, 6]
    assert {report.steps for report in reports} == {6}
    assert all(np.isfinite(report.loss) for report in reports)
    assert [report.step for report in reports if report.scores] == [4, 6]
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [2, 4, 6]
    for line, report in zip(log, (reports[1], reports[3], reports[5]), strict=True):
        assert line["loss"] == pytest.approx(report.loss, abs=1e-4)
        if report.scores is None:
            assert "accuracy" not in line
        else:
            assert line["sources"] == {"camvid": pytest.approx(line["accuracy"])}


def test_the_folder_is_a_segmenter_and_says_how_it_came_about(whole: Whole, train: Photos) -> None:
    folder, training, _ = whole
    segmenter, names = load_segmenter(folder)
    assert names == CLASSES
    assert Settings.read(folder / "settings.json") == SMALL
    assert json.loads((folder / "photos.json").read_text()) == [item.name for item in train.items]
    average = training.average.state_dict()
    for name, value in segmenter.state_dict().items():
        if value.is_floating_point():
            stored = average[name].half().float() if value.ndim > 1 else average[name]
            assert torch.equal(value, stored), name
    assert not list(folder.glob("*.new"))
    about = read_segmenter_file(folder / "segmenter.safetensors")[1]
    assert about.terms == "research and non-commercial use"
    assert [(source["name"], source["photos"]) for source in about.sources] == [("camvid", "8")]


def test_the_weights_are_calibrated_on_the_validation_photos(
    whole: Whole, validation: Photos
) -> None:
    folder, training, _ = whole
    segmenter, _ = load_segmenter(folder)
    assert segmenter.temperature == training.average.temperature != 1.0
    assert segmenter.temperature == pytest.approx(calibrate(training.average, *validation))


def test_the_average_is_not_the_last_step(whole: Whole) -> None:
    last, average = (one.state_dict() for one in (whole[1]._network, whole[1].average))
    name = "encoder.conv1.weight"
    assert not torch.equal(last[name], average[name])
    torch.testing.assert_close(last[name], average[name], rtol=0, atol=0.1)
    assert torch.equal(last["encoder.bn1.num_batches_tracked"], torch.tensor(6))
    assert torch.equal(average["encoder.bn1.num_batches_tracked"], torch.tensor(6))


def test_the_same_settings_give_the_same_weights(
    whole: Whole,
    train: Photos,
    validation: Photos,
    tmp_path: Path,
) -> None:
    """Saving more or less often, or asking the random numbers in between, changes nothing."""
    torch.rand(17)
    training = Training(SMALL, tmp_path)
    training.start(train)
    training.run(train, validation, _ignore, every=100)
    expected, found = _state(whole[0]), _state(tmp_path)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("stop", [3, 5])  # in both stages; a step after the last saved state
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    stop: int,
    whole: Whole,
    train: Photos,
    validation: Photos,
    tmp_path: Path,
) -> None:
    def stop_there(progress: Progress) -> None:
        if progress.step == stop:
            raise Stop

    first = Training(SMALL, tmp_path)
    first.start(train)
    with pytest.raises(Stop):
        first.run(train, validation, stop_there, every=2)
    assert not (tmp_path / "segmenter.safetensors").exists()
    second = Training(SMALL, tmp_path)
    second.resume(train)
    assert second.step == stop - 1
    losses: list[float] = []
    second.run(train, validation, lambda now: losses.append(now.loss), every=2)
    assert losses == [report.loss for report in whole[2][stop - 1 :]]
    for ours, theirs in (
        (second._network, whole[1]._network),
        (second.average, whole[1].average),
    ):
        for name, value in ours.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name]), name
    assert (tmp_path / "segmenter.safetensors").exists()


def test_a_run_that_is_resumed_at_its_end_is_measured_and_written(
    whole: Whole, train: Photos, validation: Photos
) -> None:
    folder = whole[0]
    before = _state(folder)
    training = Training(SMALL, folder)
    training.resume(train)
    scores = training.run(train, validation, _ignore)
    assert set(scores) == {"camvid"}
    for name, value in _state(folder).items():
        assert torch.equal(value, before[name])


def test_a_run_of_a_given_time_goes_through_all_its_settings(
    train: Photos, validation: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock goes on by a second a step; 12 seconds for 6 steps make 12."""
    clock = iter(range(1000))
    monkeypatch.setattr("photoreal.train.loop.time.monotonic", lambda: next(clock))
    rates: list[float] = []
    sizes: list[int] = []
    training = Training(SMALL, tmp_path)
    training.start(train)

    def step(images: Tensor, targets: Tensor, position: int) -> Tensor:
        sizes.append(images.shape[-1])
        loss = take(images, targets, position)
        rates.append(training._optimizer.param_groups[0]["lr"])
        return loss

    take = training._step
    monkeypatch.setattr(training, "_step", step)
    training.run(train, validation, _ignore, seconds=12)
    assert sizes == [64] * 5 + [72] * 6  # the clock is read once before the first step
    assert rates[-1] == SMALL.rate(11, 5)
    assert Settings.read(tmp_path / "settings.json").stages == (Stage(5, 64, 2), Stage(6, 72, 2))
    assert load_segmenter(tmp_path)[1] == CLASSES


def test_a_run_does_not_go_on_with_other_photos(whole: Whole, validation: Photos) -> None:
    with pytest.raises(TrainingError, match=r"not those that the training began with; .*photos\."):
        Training(SMALL, whole[0]).resume(validation)


def test_a_run_does_not_begin_where_another_has(
    whole: Whole, train: Photos, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="holds a training already; resume it or name"):
        Training(SMALL, whole[0]).start(train)
    Training(SMALL, tmp_path).start(train)  # stopped before its first saved state
    with pytest.raises(TrainingError, match="holds a training already"):
        Training(SMALL, tmp_path).start(train)


def test_there_must_be_something_to_resume(train: Photos, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="contains no training to resume"):
        Training(SMALL, tmp_path / "nowhere").resume(train)
    Training(SMALL, tmp_path).start(train)
    with pytest.raises(TrainingError, match="contains no training to resume"):
        Training(SMALL, tmp_path).resume(train)


def test_a_loss_that_is_not_a_number_ends_the_run(
    train: Photos, validation: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        loop, "segmentation_loss", lambda scores, targets, smoothing: scores.sum() * float("nan")
    )
    training = Training(SMALL, tmp_path)
    training.start(train)
    with pytest.raises(TrainingError, match=r"The loss is nan at step 1; .*lower the learning"):
        training.run(train, validation, _ignore)
    assert not (tmp_path / "checkpoint.pt").exists()
    assert not (tmp_path / "segmenter.safetensors").exists()


def test_a_training_learns(
    train: Photos, validation: Photos, settings: MakeSettings, tmp_path: Path
) -> None:
    losses: list[float] = []
    chosen = settings(stages=(Stage(260, 64, 4),), learning_rate=3e-3, warmup=5, averaging=0.8)
    training = Training(chosen, tmp_path)
    training.start(train)
    scores = training.run(train, validation, lambda now: losses.append(now.loss), every=1000)
    first, last = np.mean(losses[:5]), np.mean(losses[-10:])
    assert last < 0.6 * first
    assert scores["camvid"].accuracy > 0.9
