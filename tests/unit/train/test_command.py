"""`photoreal train-segmenter` and `photoreal evaluate-segmenter`, as a person calls them."""

from __future__ import annotations

import shutil
from dataclasses import replace
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

from .conftest import SMALL

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder, with settings and an empty data folder."""
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text(replace(SMALL, stages=(Stage(2, 64, 2),)).to_json())
    Path("unsound.json").write_text('{"width": 0}')
    Path("empty").mkdir()


def _main(line: str, data: Path) -> int:
    return main([str(data) if one == "DATA" else one for one in line.split()])


@pytest.mark.parametrize("command", ["train-segmenter", "evaluate-segmenter"])
def test_help_says_what_the_data_are(command: str, capsys: Capture) -> None:
    assert main([command, "--help"]) == 0
    assert "DATA" in capsys.readouterr().out


def test_a_run_ends_with_a_table_of_accuracies_and_can_be_resumed(
    data: Path, capsys: Capture
) -> None:
    call = "train-segmenter DATA -o run --workers 0 --measure-every 1"
    assert _main(f"{call} --settings mine.json", data) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    for words in ("step 1: loss", "step 2: loss", "validation", "source", "all pixels", "camvid"):
        assert words in shown.out
    table = shown.out[shown.out.index("all pixels") :]
    for words in ("sky", "ground", "calibration error"):
        assert words in table
    assert Settings.read(Path("run/settings.json")).steps == 2
    segmenter, names = load_segmenter("run")
    assert names == CLASSES

    assert _main(call, data) == FAILED  # without --resume
    assert "holds a training already" in capsys.readouterr().err
    assert _main(f"{call} --resume", data) == 0
    assert "all pixels" in capsys.readouterr().out
    again = load_segmenter("run")[0].state_dict()
    for name, value in segmenter.state_dict().items():
        assert torch.equal(again[name], value), name


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_broken_data_end_a_run_before_it_begins(part: str, data: Path, capsys: Capture) -> None:
    shutil.copytree(data, "data")
    broken = sorted(Path("data", "camvid", part).glob("*.png"))[-1]
    broken.write_bytes(b"no picture")
    assert main(["train-segmenter", "data", "-o", "run", "--settings", "mine.json"]) == FAILED
    error = capsys.readouterr().err
    assert error == f"Error: camvid/{part}/{broken.name} does not open as a picture.\n"
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("train-segmenter empty -o run", FAILED, "There are no photos to train with"),
        (
            "train-segmenter DATA -o run --settings unsound.json",
            FAILED,
            "The settings do not fit together",
        ),
        ("train-segmenter DATA -o run --device cuda", FAILED, "CUDA was asked for and is not"),
        ("train-segmenter nowhere -o run", CALLER_ERROR, "nowhere"),
        ("train-segmenter DATA", CALLER_ERROR, "-o"),
        ("train-segmenter DATA -o run --settings none.json", CALLER_ERROR, "none.json"),
        ("train-segmenter DATA -o run --resume --from default", CALLER_ERROR, "--from"),
        (
            "train-segmenter DATA -o run --settings mine.json --from other",
            FAILED,
            "has a width of 8",
        ),
        (
            "evaluate-segmenter DATA --segmenter other",
            FAILED,
            "The segmenter's classes are sky, tree; the labels know",
        ),
    ],
)
def test_calls_that_cannot_succeed(
    line: str,
    status: int,
    words: str,
    data: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    save_segmenter(Path("other"), Segmenter(8, 2), ("sky", "tree"))
    assert _main(line, data) == status
    error = capsys.readouterr().err
    assert "Error: " in error
    assert words in error
    assert status == CALLER_ERROR or error.count("\n") == 1
    assert not Path("run").exists()


def test_a_run_can_begin_with_a_segmenter(data: Path) -> None:
    save_segmenter(Path("mine"), Segmenter(4, 2), ("sky", "tree"))
    call = "train-segmenter DATA -o run --settings mine.json --workers 0 --from mine"
    assert _main(call, data) == 0


def test_a_segmenter_is_measured_in_every_light(data: Path, capsys: Capture) -> None:
    torch.manual_seed(0)
    save_segmenter(Path("mine"), Segmenter(4, len(CLASSES)), CLASSES)
    assert _main("evaluate-segmenter DATA --segmenter mine", data) == 0
    shown = capsys.readouterr().out
    for words in ("camvid", "as it is", "night", "fog", "black and white", "calibration error"):
        assert words in shown


def test_one_light_and_the_validation_photos_can_be_asked_for(
    data: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save_segmenter(Path("mine"), Segmenter(4, 2), ("sky", "ground"))
    asked: list[str] = []

    def listed(folder: Path, part: str) -> list[LabeledPhoto]:
        asked.append(part)
        return list_photos(folder, part)

    monkeypatch.setattr(console, "list_photos", listed)
    call = f"evaluate-segmenter DATA --segmenter {file} --part val --light night"
    assert _main(call, data) == 0
    assert asked == ["val"]
    shown = capsys.readouterr().out
    assert "calibration error" in shown
    assert "fog" not in shown
