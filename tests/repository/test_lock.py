"""The locked versions: one home, every one with its hash, from no named place."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PINS = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\\n]+)", re.M)


def _pins(text: str) -> dict[str, str]:
    return dict(PINS.findall(text))


def test_every_locked_package_has_a_hash() -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", LOCK[LOCK.index("aiohappyeyeballs") :])
    assert len(entries) == len(_pins(LOCK)) > 50
    for entry in entries:
        name = entry.partition("==")[0]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), name


def test_constraints_are_the_locked_versions_and_pytorch() -> None:
    constraints = _pins((ROOT / "constraints.txt").read_text())
    assert f'"torch=={constraints.pop("torch")}"' in (ROOT / "pyproject.toml").read_text()
    assert constraints == _pins(LOCK)


def test_the_lock_names_no_place_to_download_from() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^-", LOCK, re.M)
