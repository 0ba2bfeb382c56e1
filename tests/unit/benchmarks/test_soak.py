"""The soak run's table and files; the run itself goes through the real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soak
from hardening import growth
from hardening.fuzz import Outcome

from tests.kinds import Capture, Patch


def test_command_reports_what_was_lost(tmp_path: Path, monkeypatch: Patch, capsys: Capture) -> None:
    found = soak.Soak()
    found.add("bad inputs", Outcome(30, 70, [], 0.5), [])
    monkeypatch.setattr(soak, "soak", lambda *_: found)
    arguments = ["-o", str(tmp_path), "--seed", "5", "--minutes", "1"]
    assert soak.main(arguments) == 0
    text = (tmp_path / "soak.md").read_text()
    printed = capsys.readouterr()
    assert text in printed.out
    assert "seed 5, about 1 minutes" in printed.err
    assert "| bad inputs | 100 inputs: 30 pictures, 70 refused, 0 complaints;" in text
    assert "Nothing was lost." in text
    report = json.loads((tmp_path / "soak.json").read_text())
    assert report["settings"] == {"seed": 5, "minutes": 1.0}

    found.add("load held", "9 pictures", ["2 pictures differ", "1 calls hang"])
    assert soak.main(arguments) == 1
    printed = capsys.readouterr()
    assert "2 things went wrong" in printed.err
    for line in ("| load held | 9 pictures | 2 |", "Something was lost.", "- 1 calls hang"):
        assert line in printed.out
    assert soak.main(["--minutes", "0"]) == 2


@pytest.mark.parametrize(
    ("before", "after", "complaints"),
    [
        ((1000, 100), (1049, 90), []),
        ((1000, 100), (1051, 106), ["processes grew by 5.1%", "shared memory grew by 6.0%"]),
        ((1000, 0), (1000, 1), ["shared memory grew by 100.0%"]),
    ],
)
def test_growth_beyond_what_is_allowed(
    before: tuple[int, int], after: tuple[int, int], complaints: list[str]
) -> None:
    names = ("processes", "shared memory")
    first, second = (dict(zip(names, sizes, strict=True)) for sizes in (before, after))
    assert growth.compare(first, second)[1] == complaints
