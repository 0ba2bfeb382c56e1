"""The settings of a run: their file, their limits, the stages and the learning rate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from photoreal.errors import TrainingError
from photoreal.train.settings import Settings, Stage
from photoreal.train.tables import SOURCES

STAGES = (Stage(5, 64, 2), Stage(7, 128, 4), Stage(1, 72, 3))
OTHER = Settings(width=8, seed=3, stages=STAGES, learning_rate=0.01, shares={"camvid": 1.0})


@pytest.mark.parametrize("settings", [Settings(), OTHER], ids=["default", "other"])
def test_settings_come_back_from_their_file(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(settings.to_json())
    assert Settings.read(tmp_path / "settings.json") == settings
    with pytest.raises(TrainingError, match=r"The settings none\.json cannot be read"):
        Settings.read(tmp_path / "none.json")


def test_what_is_left_out_keeps_its_default() -> None:
    assert Settings.from_json("{}") == Settings()
    assert Settings.from_json('{"width": 32}') == Settings(width=32)


def test_unknown_names_are_named() -> None:
    with pytest.raises(TrainingError, match="The settings name momentum, speed, which is no"):
        Settings.from_json('{"speed": 1, "width": 8, "momentum": 0.9}')


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "null", '{"stages": 5}', '{"stages": [{"steps": 1}]}', '{"width": "8"}'],
)
def test_text_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(TrainingError, match="The settings are not a valid JSON object"):
        Settings.from_json(text)


STAGE = {"steps": 10, "crop": 64, "batch": 2}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("width", [0]),
        ("stages", [[], [STAGE | {"steps": 0}], [STAGE, STAGE | {"crop": 56}]]),
        ("stages", [[STAGE | {"crop": 100}], [STAGE | {"batch": 1}]]),
        ("learning_rate", [0.0, -1.0]),
        ("averaging", [1.0, -0.1]),
        ("decay", [1.5, -0.5]),
        ("origin_share", [1.0, -0.1]),
        ("offsets", [{"moon": 0.1}, {"sky": float("nan")}]),
        ("shares", [{}, {"camvid": 0.0}, {"camvid": 2.0, "ade_sky": -1.0}]),
    ],
)
def test_unsound_values_are_refused(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(TrainingError, match=r"do not fit together; expected .*64 or more"):
            Settings.from_json(json.dumps({name: value}))


def test_steps_fall_into_their_stages() -> None:
    first, second = Stage(3, 64, 2), Stage(2, 128, 4)
    settings = Settings(stages=(first, second))
    assert settings.steps == 5
    assert [settings.stage(step) for step in range(6)] == [first] * 3 + [second] * 3


def test_rate_rises_stays_and_falls_to_zero() -> None:
    settings = Settings(stages=(Stage(100, 64, 2),), learning_rate=0.5, warmup=10, decay=0.4)
    rates = [settings.rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:61] == [0.5] * 52
    assert rates[60:] == sorted(rates[60:], reverse=True)
    assert rates[80] == pytest.approx(0.25)
    assert 0 < rates[99] < 0.02
    assert rates[100] == 0


def test_rate_follows_a_position_but_for_its_rise() -> None:
    settings = Settings(stages=(Stage(100, 64, 2),), learning_rate=0.5, warmup=10, decay=0.4)
    assert settings.rate(0, 50) == settings.rate(0)
    assert settings.rate(500, 80) == settings.rate(80)
    assert settings.rate(4, 80) == pytest.approx(0.5 * settings.rate(80))


def test_a_course_keeps_its_shape_in_other_steps() -> None:
    settings = Settings(stages=(Stage(60, 64, 2), Stage(40, 128, 4)), warmup=7, clouds_from=50)
    found = settings.with_steps([5, 6])
    assert found.stages == (Stage(5, 64, 2), Stage(6, 128, 4))
    assert (found.warmup, found.clouds_from) == (7, round(5.5))
    assert settings.with_steps([0, 3]).stages == (Stage(3, 128, 4),)


@pytest.mark.parametrize(("warmup", "decay"), [(0, 0.0), (0, 1.0), (50, 1.0)])
def test_rate_is_never_negative_nor_above_the_setting(warmup: int, decay: float) -> None:
    settings = Settings(stages=(Stage(20, 64, 2),), warmup=warmup, decay=decay)
    assert all(0 < settings.rate(step) <= settings.learning_rate for step in range(20))


def test_every_source_has_a_share() -> None:
    shares = Settings().shares
    assert list(shares) == [source.name for source in SOURCES]
    assert sum(shares.values()) == pytest.approx(1)
    assert all(share > 0 for share in shares.values())
