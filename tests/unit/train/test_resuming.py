"""What a training goes on with, and what it refuses to go on with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from photoreal.errors import TrainingError
from photoreal.train.loop import Photos, Progress, Training
from photoreal.train.settings import Settings, Stage
from tests.shared import refused

pytestmark = pytest.mark.slow

SHORT = Settings(
    width=4, stages=(Stage(1, 64, 2), Stage(1, 72, 2)), warmup=2, averaging=0.5, seed=5
)


@pytest.fixture(scope="module")
def done(train: Photos, validation: Photos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two steps, not to be changed."""
    folder = tmp_path_factory.mktemp("done") / "run"
    training = Training(SHORT, folder)
    training.start(train)
    training.run(train, validation, lambda _: None, every=1)
    return folder


@pytest.fixture
def run(done: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(done, tmp_path / "run"))


OTHER_CROPS = (Stage(1, 64, 2), Stage(1, 80, 3))
CROPS = "stages 2 crops of 64 then 2 crops of 72, not 2 crops of 64 then 3 crops of 80"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 8}, "width 4, not 8"),
        ({"seed": 6}, "seed 5, not 6"),
        ({"learning_rate": 0.5}, "learning_rate 0.0015, not 0.5"),
        ({"shares": {"camvid": 1.0}}, "shares {'camvid': 0.15, "),
        ({"stages": OTHER_CROPS}, CROPS),
        ({"stages": (Stage(2, 64, 2),)}, "not 2 crops of 64; expected"),
        ({"seed": 6, "decay": 0.5}, "seed 5, not 6; decay 0.4, not 0.5"),
    ],
    ids=str,
)
def test_other_settings_are_refused_by_name(
    change: dict[str, Any], words: str, run: Path, train: Photos
) -> None:
    before = (run / "settings.json").read_text()
    with refused(TrainingError, "only the steps of the stages may change") as caught:
        Training(replace(SHORT, **change), run).resume(train)
    assert words in str(caught.value)
    assert (run / "settings.json").read_text() == before


def test_a_run_can_be_extended(run: Path, train: Photos, validation: Photos) -> None:
    longer = replace(SHORT, stages=(Stage(1, 64, 2), Stage(3, 72, 2)))
    training = Training(longer, run)
    training.resume(train)
    reports: list[Progress] = []
    training.run(train, validation, reports.append)
    assert [(report.step, report.steps) for report in reports] == [(3, 4), (4, 4)]
    assert Settings.read(run / "settings.json") == longer


def test_a_run_cannot_end_before_where_it_is(run: Path, train: Photos) -> None:
    longer = replace(SHORT, stages=(Stage(2, 64, 2), Stage(1, 72, 2)))
    state = torch.load(run / "checkpoint.pt", weights_only=True) | {"step": 3}
    torch.save(state, run / "checkpoint.pt")
    Training(longer, run).resume(train)
    with refused(TrainingError, r"at step 3 already; .* or more, not 2"):
        Training(SHORT, run).resume(train)
    assert Settings.read(run / "settings.json") == longer


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _changed(**parts: Any) -> Callable[[Path], None]:
    """Makes a checkpoint with other parts, or without those that are None."""

    def spoil(file: Path) -> None:
        state = torch.load(file, weights_only=True) | parts
        torch.save({name: part for name, part in state.items() if part is not None}, file)

    return spoil


DAMAGED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "cut checkpoint": ("checkpoint.pt", _cut),
    "empty checkpoint": ("checkpoint.pt", lambda file: file.write_bytes(b"")),
    "text": ("checkpoint.pt", lambda file: file.write_text("nothing")),
    "a list": ("checkpoint.pt", lambda file: torch.save([1], file)),
    "other network": ("checkpoint.pt", _changed(network={"weight": torch.zeros(1)})),
    "no step": ("checkpoint.pt", _changed(step=None)),
    "no network": ("checkpoint.pt", _changed(network=None)),
    "no average": ("checkpoint.pt", _changed(average=None)),
    "no optimizer": ("checkpoint.pt", _changed(optimizer=None)),
    "cut photos": ("photos.json", _cut),
    "no text": ("photos.json", lambda file: file.write_bytes(b"\xff\xfe[")),
    "no list": ("photos.json", lambda file: file.write_text("{}")),
}


@pytest.mark.parametrize(("name", "spoil"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_named(
    name: str, spoil: Callable[[Path], object], run: Path, train: Photos
) -> None:
    spoil(run / name)
    with refused(TrainingError, rf"^The training's {name} is damaged"):
        Training(SHORT, run).resume(train)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{"], ids=["cut", "no text"])
def test_damaged_settings_are_named(content: bytes, run: Path, train: Photos) -> None:
    (run / "settings.json").write_bytes(content)
    with pytest.raises(TrainingError, match="The settings "):
        Training(SHORT, run).resume(train)


def test_a_list_of_other_photos_is_refused(run: Path, train: Photos) -> None:
    names = json.loads((run / "photos.json").read_text())
    (run / "photos.json").write_text(json.dumps(names[:-1]))
    with pytest.raises(TrainingError, match=r"not those that the training began with; .*photos\."):
        Training(SHORT, run).resume(train)
