"""`photoreal train-segmenter` and `photoreal evaluate-segmenter`, as a person calls them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from photoreal.cli import CALLER_ERROR, FAILED, main
from photoreal.networks.segmenter import Segmenter
from photoreal.train import console
from photoreal.train.settings import Settings, Stage
from photoreal.train.sources import LabeledPhoto, list_photos
from photoreal.train.tables import CLASSES
from photoreal.weights.segmenters import load_segmenter, save_segmenter

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def settings_file(tmp_path: Path, settings: Callable[..., Settings]) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(settings(stages=(Stage(2, 64, 2),)).to_json())
    return path


@pytest.mark.parametrize("command", ["train-segmenter", "evaluate-segmenter"])
def test_help_says_what_the_data_are(command: str, capsys: Capture) -> None:
    assert main([command, "--help"]) == 0
    assert "DATA" in capsys.readouterr().out


def test_a_run_ends_with_a_table_of_accuracies_and_can_be_resumed(
    data: Path, settings_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    run = tmp_path / "run"
    common = [str(data), "-o", str(run), "--measure-every", "1"]
    assert main(["train-segmenter", *common, "--settings", str(settings_file)]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    for words in ("step 1: loss", "step 2: loss", "validation", "source", "all pixels", "camvid"):
        assert words in shown.out
    table = shown.out[shown.out.index("all pixels") :]
    for words in ("sky", "ground", "calibration error"):
        assert words in table
    assert load_segmenter(run)[1] == CLASSES
    assert Settings.read(run / "settings.json").steps == 2
    weights = load_segmenter(run)[0].state_dict()

    assert main(["train-segmenter", *common]) == FAILED  # without --resume
    assert "holds a training already" in capsys.readouterr().err
    assert main(["train-segmenter", *common, "--resume"]) == 0
    assert "all pixels" in capsys.readouterr().out
    for name, value in load_segmenter(run)[0].state_dict().items():
        assert torch.equal(value, weights[name]), name


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_broken_data_end_a_run_before_it_begins(
    part: str, data: Path, settings_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    shutil.copytree(data, tmp_path / "data")
    broken = sorted((tmp_path / "data" / "camvid" / part).glob("*.png"))[-1]
    broken.write_bytes(b"no picture")
    call = [str(tmp_path / "data"), "-o", str(tmp_path / "run"), "--settings", str(settings_file)]
    assert main(["train-segmenter", *call]) == FAILED
    error = capsys.readouterr().err
    assert error == f"Error: camvid/{part}/{broken.name} cannot be read as an image.\n"
    assert not (tmp_path / "run").exists()


def test_an_empty_data_folder_is_refused(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "data").mkdir()
    call = [str(tmp_path / "data"), "-o", str(tmp_path / "run")]
    assert main(["train-segmenter", *call]) == FAILED
    error = capsys.readouterr().err
    assert error.startswith("Error: There are no photos to train with")
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_unsound_settings_are_refused(data: Path, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"width": 0}')
    call = [str(data), "-o", str(tmp_path / "run"), "--settings", str(file)]
    assert main(["train-segmenter", *call]) == FAILED
    assert "The settings do not fit together" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["train-segmenter", "evaluate-segmenter"])
def test_a_missing_gpu_is_refused(
    command: str, data: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    output = ["-o", str(tmp_path / "run")] if command == "train-segmenter" else []
    assert main([command, str(data), *output, "--device", "cuda"]) == FAILED
    assert "CUDA is not available" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["nowhere", "-o", "run"], ["DATA"], ["DATA", "-o", "run", "--settings", "none.json"]],
    ids=" ".join,
)
def test_a_call_that_has_to_be_changed(
    arguments: list[str], data: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    call = [str(data) if one == "DATA" else one for one in arguments]
    assert main(["train-segmenter", *call]) == CALLER_ERROR
    assert "Error: " in capsys.readouterr().err


def test_a_segmenter_is_measured_in_every_light(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    torch.manual_seed(0)
    save_segmenter(tmp_path / "mine", Segmenter(4, len(CLASSES)), CLASSES)
    assert main(["evaluate-segmenter", str(data), "--segmenter", str(tmp_path / "mine")]) == 0
    shown = capsys.readouterr().out
    for words in ("camvid", "as it is", "night", "fog", "black and white", "calibration error"):
        assert words in shown


def test_one_light_and_the_validation_photos_can_be_asked_for(
    data: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save_segmenter(tmp_path / "mine", Segmenter(4, 2), ("sky", "ground"))
    asked: list[str] = []

    def listed(folder: Path, part: str) -> list[LabeledPhoto]:
        asked.append(part)
        return list_photos(folder, part)

    monkeypatch.setattr(console, "list_photos", listed)
    call = [str(data), "--segmenter", str(file), "--part", "val", "--light", "night"]
    assert main(["evaluate-segmenter", *call]) == 0
    assert asked == ["val"]
    shown = capsys.readouterr().out
    assert "calibration error" in shown
    assert "fog" not in shown


def test_a_run_can_begin_with_a_segmenter(
    data: Path, settings_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    save_segmenter(tmp_path / "mine", Segmenter(8, 2), ("sky", "tree"))
    call = [str(data), "-o", str(tmp_path / "run"), "--settings", str(settings_file)]
    assert main(["train-segmenter", *call, "--from", str(tmp_path / "mine")]) == FAILED
    assert "has a width of 8" in capsys.readouterr().err
    save_segmenter(tmp_path / "mine", Segmenter(4, 2), ("sky", "tree"))
    assert main(["train-segmenter", *call, "--from", str(tmp_path / "mine")]) == 0
    assert main(["train-segmenter", *call, "--resume", "--from", "default"]) == CALLER_ERROR
    assert "--from" in capsys.readouterr().err


def test_a_run_can_be_given_a_time(
    data: Path, settings_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    call = [str(data), "-o", str(tmp_path / "run"), "--settings", str(settings_file)]
    assert main(["train-segmenter", *call, "--seconds", "1", "--every", "2"]) == 0
    shown = capsys.readouterr().out
    steps = Settings.read(tmp_path / "run" / "settings.json").steps
    assert f"step {steps // 2 * 2}, " in shown  # for a log, which has no progress bar
    assert main(["train-segmenter", *call, "--resume", "--seconds", "1"]) == CALLER_ERROR
    assert "--seconds" in capsys.readouterr().err


def test_a_segmenter_with_other_classes_is_refused(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    save_segmenter(tmp_path / "mine", Segmenter(4, 2), ("sky", "tree"))
    call = [str(data), "--segmenter", str(tmp_path / "mine")]
    assert main(["evaluate-segmenter", *call]) == FAILED
    assert "The segmenter's classes are sky, tree; the labels know" in capsys.readouterr().err
