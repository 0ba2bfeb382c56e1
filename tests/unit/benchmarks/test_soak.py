"""The soak run's table and files; the run itself goes through the real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soak
from hardening import faults, growth
from hardening.fuzz import Outcome


def _nothing(words: str) -> None:
    """Take what is told."""


@pytest.fixture
def report() -> soak.Soak:
    made = soak.Soak(_nothing)
    made.add("bad inputs", Outcome(30, 70, [], 0.5), [])
    return made


def test_all_well(report: soak.Soak, tmp_path: Path) -> None:
    text = soak.write(report, 7, 3.0, tmp_path)
    assert (tmp_path / "soak.md").read_text() == text
    assert "| bad inputs | 100 inputs: 30 pictures, 70 refused, 0 complaints;" in text
    assert "Seed 7. Nothing was lost." in text
    found = json.loads((tmp_path / "soak.json").read_text())
    assert (found["seed"], found["minutes"]) == (7, 3.0)
    assert found["rows"][0]["wrong"] == 0


def test_what_went_wrong_is_counted_and_told(report: soak.Soak, tmp_path: Path) -> None:
    report.add("load held", "9 pictures", ["2 pictures differ", "1 calls hang"])
    text = soak.write(report, 7, 3.0, tmp_path)
    assert "| load held | 9 pictures | 2 |" in text
    assert "Something was lost." in text
    assert "- 1 calls hang" in text


def test_exit_code_says_whether_something_was_lost(
    report: soak.Soak,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(soak, "soak", lambda *_: report)
    arguments = ["-o", str(tmp_path), "--seed", "5", "--minutes", "1"]
    assert soak.main(arguments) == 0
    shown = capsys.readouterr()
    assert "Seed 5." in shown.out
    assert "seed 5, about 1 minutes" in shown.err
    report.add("restart", "", ["a picture is missing"])
    assert soak.main(arguments) == 1
    assert "1 things went wrong" in capsys.readouterr().err
    assert soak.main(["--minutes", "0"]) == 2


def test_growth_beyond_what_is_allowed() -> None:
    before = growth.Memory(1000, 100)
    assert growth.complaints(before, growth.Memory(1049, 90)) == []
    assert len(growth.complaints(before, growth.Memory(1051, 106))) == 2
    assert growth.complaints(growth.Memory(1000, 0), growth.Memory(1000, 1))
    assert "(+5.0%)" in growth.compare(before, growth.Memory(1050, 100))


def test_a_fault_prints_its_complaints() -> None:
    assert str(faults.Fault("slow", "3 pictures", ["one hangs"])) == "slow: 3 pictures\none hangs"
