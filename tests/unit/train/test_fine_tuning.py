"""Fine-tuning: what is kept, and how near the training stays to where it began."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from photoreal import weights
from photoreal.errors import TrainingError
from photoreal.networks.segmenter import Segmenter
from photoreal.train.loop import Photos, Progress, Training
from photoreal.train.settings import Settings, Stage
from photoreal.train.tables import CLASSES
from photoreal.train.warm_start import Teacher
from photoreal.weights.segmenters import load_segmenter, save_segmenter

FROZEN = ("encoder.conv1", "encoder.layer1", "decoder.ppm")
TUNED = Settings(
    width=4,
    stages=(Stage(4, 64, 2),),
    warmup=1,
    averaging=0.0,
    learning_rate=1e-2,
    frozen=FROZEN,
    keep_statistics=True,
    distillation=0.5,
)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    network = Segmenter(4, len(CLASSES)).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()  # type: ignore[union-attr]
    save_segmenter(tmp_path / "origin", network, CLASSES)
    return tmp_path / "origin"


def _ignore(progress: Progress) -> None:
    """Take a report."""


@pytest.mark.slow
def test_frozen_parts_and_statistics_stay_and_the_rest_changes(
    origin: Path, train: Photos, validation: Photos, tmp_path: Path
) -> None:
    training = Training(TUNED, tmp_path / "run")
    training.start(train, origin)
    training.run(train, validation, _ignore)
    before, after = (load_segmenter(path)[0].state_dict() for path in (origin, tmp_path / "run"))
    for name, value in before.items():
        if "num_batches" in name:
            continue
        kept = name.startswith(FROZEN) or "running" in name
        assert torch.equal(value, after[name]) == kept, name


@pytest.mark.slow
def test_distillation_holds_a_run_back(
    origin: Path, train: Photos, validation: Photos, tmp_path: Path
) -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    teacher, apart = Teacher(load_segmenter(origin)[0]), []
    for weight in (0.0, 50.0):
        folder = tmp_path / str(weight)
        training = Training(Settings(**vars(TUNED) | {"distillation": weight}), folder)
        training.start(train, origin)
        training.run(train, validation, _ignore)
        apart.append(float(teacher.loss(images, training.average.scores(images))))
    assert 0.0 < apart[1] < 0.5 * apart[0]


@pytest.mark.slow
def test_finished_weights_keep_a_share_of_the_origin_and_get_offsets(
    origin: Path, train: Photos, validation: Photos, tmp_path: Path
) -> None:
    states = [load_segmenter(origin)[0].state_dict()]
    ends: tuple[dict[str, Any], ...] = ({}, {"origin_share": 0.25, "offsets": {"sky": 0.5}})
    for number, end in enumerate(ends):
        folder = tmp_path / str(number)
        training = Training(Settings(**vars(TUNED) | end), folder)
        training.start(train, origin)
        training.run(train, validation, _ignore)
        states.append(load_segmenter(folder)[0].state_dict())
    first, tuned, finished = states
    offsets = torch.tensor([0.5 if name == "sky" else 0.0 for name in CLASSES])
    for name, value in finished.items():
        if value.is_floating_point():
            wanted = 0.25 * first[name] + 0.75 * tuned[name]
            if name == "decoder.conv_last.4.bias":
                wanted = wanted + offsets
            torch.testing.assert_close(value, wanted, rtol=2e-3, atol=1e-3)  # saved in half floats


@pytest.mark.slow
def test_a_resumed_run_has_the_same_teacher(
    origin: Path, train: Photos, validation: Photos, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("whole", "halves")]
    for folder, stops in zip(folders, ([4], [2, 4]), strict=True):
        for stop in stops:
            training = Training(Settings(**vars(TUNED) | {"stages": (Stage(stop, 64, 2),)}), folder)
            if stop == stops[0]:
                training.start(train, origin)
            else:
                training.resume(train)
            training.run(train, validation, _ignore)
    teachers = [_teacher(folder) for folder in folders]
    for name, value in teachers[0].items():
        assert torch.equal(value, teachers[1][name]), name


def _teacher(folder: Path) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    teacher: dict[str, torch.Tensor] = state["teacher"]
    return teacher


def test_divergence_is_zero_from_itself() -> None:
    network = Segmenter(4, 3).eval()
    images = torch.rand(1, 3, 64, 64)
    teacher = Teacher(network)
    with torch.no_grad():
        own = network.scores(images)
    assert teacher.loss(images, own).item() == pytest.approx(0.0, abs=1e-6)
    assert teacher.loss(images, own.flip(1)).item() > 1e-3


@pytest.mark.parametrize("needing", [{}, {"distillation": 0.0, "origin_share": 0.5}])
def test_what_needs_a_segmenter_asks_for_one(
    needing: dict[str, Any], train: Photos, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="expected a segmenter to begin with"):
        Training(Settings(**vars(TUNED) | needing), tmp_path / "run").start(train)


def test_unknown_parts_are_named(settings: Callable[..., Settings], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"freeze encoder\.layer9, which"):
        Training(settings(frozen=("encoder.layer9",)), tmp_path / "run")


def test_the_settings_of_the_model_card_fit_the_segmenter(tmp_path: Path) -> None:
    card = Path(weights.__file__).with_name("segmenter") / "MODEL_CARD.md"
    (text,) = re.findall(r"```json\n(.*?)```", card.read_text(), re.DOTALL)
    tuned = Settings.from_json(text)
    assert tuned.frozen
    Training(tuned, tmp_path / "run")


def test_settings_of_a_fine_tuning_come_back_from_their_file() -> None:
    assert Settings.from_json(TUNED.to_json()) == TUNED
