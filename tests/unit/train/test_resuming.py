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

pytestmark = pytest.mark.slow

CheckSentence = Callable[[object], None]

SMALL = Settings(
    width=4, stages=(Stage(1, 64, 2), Stage(1, 72, 2)), warmup=2, averaging=0.5, seed=5
)


@pytest.fixture(scope="module")
def done(train: Photos, validation: Photos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two steps, which nobody changes."""
    folder = tmp_path_factory.mktemp("done") / "run"
    training = Training(SMALL, folder)
    training.start(train)
    training.run(train, validation, lambda _: None, every=1)
    return folder


@pytest.fixture
def run(done: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(done, tmp_path / "run"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 8}, "width 4, not 8"),
        ({"seed": 6}, "seed 5, not 6"),
        ({"learning_rate": 0.5}, "learning_rate 0.0015, not 0.5"),
        ({"shares": {"camvid": 1.0}}, "shares {'camvid': 0.15, "),
        (
            {"stages": (Stage(1, 64, 2), Stage(1, 80, 3))},
            "stages 2 crops of 64 then 2 crops of 72, not 2 crops of 64 then 3 crops of 80",
        ),
        ({"stages": (Stage(2, 64, 2),)}, "not 2 crops of 64; expected"),
        ({"seed": 6, "decay": 0.5}, "seed 5, not 6; decay 0.4, not 0.5"),
    ],
    ids=str,
)
def test_other_settings_are_refused_by_name(
    change: dict[str, Any], words: str, run: Path, train: Photos, check_sentence: CheckSentence
) -> None:
    before = (run / "settings.json").read_text()
    training = Training(replace(SMALL, **change), run)
    with pytest.raises(TrainingError, match="only the steps of the stages may change") as no:
        training.resume(train)
    assert words in str(no.value)
    check_sentence(no.value)
    assert (run / "settings.json").read_text() == before


def test_a_run_may_be_made_longer(run: Path, train: Photos, validation: Photos) -> None:
    longer = replace(SMALL, stages=(Stage(1, 64, 2), Stage(3, 72, 2)))
    training = Training(longer, run)
    training.resume(train)
    reports: list[Progress] = []
    training.run(train, validation, reports.append)
    assert [(report.step, report.steps) for report in reports] == [(3, 4), (4, 4)]
    assert Settings.read(run / "settings.json") == longer


def test_a_run_cannot_end_before_where_it_is(
    run: Path, train: Photos, check_sentence: CheckSentence
) -> None:
    longer = replace(SMALL, stages=(Stage(2, 64, 2), Stage(1, 72, 2)))
    state = torch.load(run / "checkpoint.pt", weights_only=True) | {"step": 3}
    torch.save(state, run / "checkpoint.pt")
    Training(longer, run).resume(train)
    with pytest.raises(TrainingError, match=r"at step 3 already; .* or more, not 2") as no:
        Training(SMALL, run).resume(train)
    check_sentence(no.value)
    assert Settings.read(run / "settings.json") == longer


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _without(name: str) -> Callable[[Path], None]:
    def spoil(file: Path) -> None:
        state = torch.load(file, weights_only=True)
        del state[name]
        torch.save(state, file)

    return spoil


def _other_network(file: Path) -> None:
    state = torch.load(file, weights_only=True)
    state["network"] = {"weight": torch.zeros(1)}
    torch.save(state, file)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        pytest.param("checkpoint.pt", _cut, id="cut checkpoint"),
        pytest.param("checkpoint.pt", lambda file: file.write_bytes(b""), id="empty checkpoint"),
        pytest.param("checkpoint.pt", lambda file: file.write_text("nothing"), id="text"),
        pytest.param("checkpoint.pt", lambda file: torch.save([1], file), id="a list"),
        pytest.param("checkpoint.pt", _other_network, id="other network"),
        *(
            pytest.param("checkpoint.pt", _without(part), id=f"without {part}")
            for part in ("step", "network", "average", "optimizer")
        ),
        pytest.param("photos.json", _cut, id="cut photos"),
        pytest.param("photos.json", lambda file: file.write_bytes(b"\xff\xfe["), id="no text"),
        pytest.param("photos.json", lambda file: file.write_text("{}"), id="no list"),
    ],
)
def test_a_damaged_file_is_named(
    name: str,
    spoil: Callable[[Path], object],
    run: Path,
    train: Photos,
    check_sentence: CheckSentence,
) -> None:
    spoil(run / name)
    with pytest.raises(TrainingError, match=rf"^The training's {name} is damaged") as no:
        Training(SMALL, run).resume(train)
    check_sentence(no.value)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{"], ids=["cut", "no text"])
def test_damaged_settings_are_told(content: bytes, run: Path, train: Photos) -> None:
    (run / "settings.json").write_bytes(content)
    with pytest.raises(TrainingError, match="The settings "):
        Training(SMALL, run).resume(train)


def test_a_list_of_other_photos_is_refused(run: Path, train: Photos) -> None:
    names = json.loads((run / "photos.json").read_text())
    (run / "photos.json").write_text(json.dumps(names[:-1]))
    with pytest.raises(TrainingError, match="The photos are not those"):
        Training(SMALL, run).resume(train)
