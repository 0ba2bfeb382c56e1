"""The command without Ray: what it refuses, counts and lists."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from photoreal.cli import main
from photoreal.client.batch import command
from photoreal.client.batch.cluster import ClusterFailed, Layout, Resources, ray_cluster
from photoreal.client.batch.ledger import Outcome
from photoreal.client.batch.plan import FAILURES, Photo
from photoreal.client.batch.worker import Work

Run = Callable[..., Result]


class FakeRay:
    """Has two cores, and the outcome that `kinds` says for a name."""

    def __init__(self) -> None:
        self.kinds: dict[str, tuple[str, str]] = {}
        self.addresses: list[str | None] = []
        self.work: Work | None = None
        self.names: list[str] = []

    @contextmanager
    def cluster(self, address: str | None) -> Iterator[list[Resources]]:
        self.addresses.append(address)
        yield [{"CPU": 2.0}]

    def outcomes(self, photos: list[Photo], work: Work, layout: Layout) -> Iterator[Outcome]:
        self.work, self.names = work, [photo.name for photo in photos]
        for photo in photos:
            kind, reason = self.kinds.get(photo.name, ("done", ""))
            if kind == "interrupted":
                raise KeyboardInterrupt
            if kind == "lost":
                raise ClusterFailed(reason)
            yield Outcome(photo.name, kind, reason, 2.0)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setattr(command, "ray_cluster", fake.cluster)
    monkeypatch.setattr(command, "outcomes", fake.outcomes)
    return fake


@pytest.fixture
def run(ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / "in" / name).write_bytes(b"1")
    (tmp_path / "style.png").write_bytes(b"style")

    def invoke(*options: str, source: str = "in", style: str = "style.png") -> Result:
        arguments = [source, "out", "--style", style, *options]
        return CliRunner().invoke(command.batch, arguments)

    return invoke


def _failures(tmp_path: Path) -> list[dict[str, Any]]:
    lines = (tmp_path / "out" / FAILURES).read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_every_photo_with_the_options_given(run: Run, ray: FakeRay, tmp_path: Path) -> None:
    outcome = run("--alpha", "0.5", "--no-segment", "--style", "style.png", "--weights", "1", "2")
    assert outcome.exit_code == 0, outcome.output
    out = (tmp_path / "out").as_posix()
    assert outcome.stdout == (f"2.00 s a photo on each of 1 worker.\n{out}: 3 photos, 3 done.\n")
    assert outcome.stderr == ""
    options = {"alpha": 0.5, "segment": False, "weights": [1.0, 2.0]}
    assert ray.work == Work([b"style", b"style"], options, None, False)
    assert ray.addresses == [None]
    assert run("-q").output == ""


def test_what_exists_is_left_out(run: Run, ray: FakeRay, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.png").write_bytes(b"")
    assert "3 photos, 2 done, 1 already finished." in run().stdout
    assert ray.names == ["a.png", "c.png"]
    assert "3 photos, 3 done." in run("--overwrite").stdout
    assert ray.work is not None
    assert ray.work.overwrite
    for name in ("a.png", "c.png"):
        (tmp_path / "out" / name).write_bytes(b"")
    ray.addresses.clear()
    assert "0 done, 3 already finished." in run().stdout
    assert ray.addresses == []  # nothing to do, and no Ray


def test_failures_are_listed_until_they_are_gone(run: Run, ray: FakeRay, tmp_path: Path) -> None:
    ray.kinds["b.png"] = ("failed", "It is damaged.")
    outcome = run()
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("Failed: b.png: It is damaged.\n")
    assert f"{FAILURES} lists what failed and why." in outcome.stderr
    assert "3 photos, 2 done, 1 failed." in outcome.stdout
    assert _failures(tmp_path) == [{"photo": "b.png", "reason": "It is damaged."}]
    ray.kinds.clear()
    assert run().exit_code == 0
    assert not (tmp_path / "out" / FAILURES).exists()


def test_a_list_that_cannot_be_written_is_a_failure(run: Run, ray: FakeRay, tmp_path: Path) -> None:
    ray.kinds["b.png"] = ("failed", "It is damaged.")
    (tmp_path / "out" / FAILURES).mkdir(parents=True)
    outcome = run()
    assert outcome.exit_code == 1
    assert "exists and is not a file" in outcome.stderr
    assert "3 photos, 2 done, 1 failed." in outcome.stdout


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("stopped", 1, "Error: The disk is full."),
        ("lost", 1, "Error: The disk is full."),
        ("interrupted", 130, ""),
        ("refused", 2, "Error: The disk is full."),
    ],
)
def test_ends_early(run: Run, ray: FakeRay, kind: str, code: int, words: str) -> None:
    ray.kinds["b.png"] = (kind, "The disk is full.")
    outcome = run()
    assert outcome.exit_code == code, outcome.output
    assert words in outcome.stderr
    if kind != "refused":
        assert "3 photos, 1 done, 2 not started; repeat the command to continue." in outcome.stdout


def test_the_cluster_is_the_one_named(
    run: Run, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("--address", "auto")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    run()
    assert ray.addresses == ["auto", "10.0.0.1:6379"]


@pytest.mark.parametrize(
    ("options", "call", "words"),
    [
        (["--alpha", "2"], {}, "alpha is 2; expected a number from 0 to 1."),
        (["--weights", "1", "2"], {}, "There are 2 weights for 1 styles"),
        (["--style", "style.png"] * 4, {}, "There are 5 styles; expected 1 to 4."),
        (["--cores-per-worker", "3"], {}, "0 workers with 3 cores fit"),
        ([], {"style": "none.png"}, "none.png' does not exist."),
        ([], {"source": "none"}, "none' does not exist."),
        ([], {"source": "nowhere://in"}, "Protocol not known"),
    ],
)
def test_refused(
    run: Run, ray: FakeRay, options: list[str], call: dict[str, str], words: str
) -> None:
    outcome = run(*options, **call)
    assert outcome.exit_code == 2, outcome.output
    assert words in outcome.stderr
    assert "Traceback" not in outcome.output
    assert ray.work is None


def test_without_ray_the_extra_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "ray_cluster", ray_cluster)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["batch", "in", "out", "--style", "style.png"]) == 1
    assert 'pip install "photoreal[batch]"' in capsys.readouterr().err
