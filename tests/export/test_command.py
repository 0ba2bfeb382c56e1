"""`photoreal export`, as a person calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import photoreal.export
from photoreal.cli import CALLER_ERROR, FAILED, main
from photoreal.errors import ExportError
from photoreal.export import ExportSettings
from tests.kinds import Capture, Patch


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--unpool", "max"], ["--precision", "int8"], ["--speed", "9"], ["somewhere"]),
        *(["--device", "gpu"], ["--max-side", "1001"], ["--max-side", "64"]),
        ["--environment", "/opt/photoreal"],
    ],
    ids=" ".join,
)
def test_a_call_that_has_to_be_changed(arguments: list[str], capsys: Capture) -> None:
    assert main(["export", *arguments]) == CALLER_ERROR
    shown = capsys.readouterr()
    assert "Error: " in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--weights", "nowhere"], "There is no weight set or folder 'nowhere'."),
        (["--segmenter", "nowhere"], "There is no weight set or folder 'nowhere'."),
        (["--tensorrt"], "without --tensorrt."),
        (["--accelerator", "tensorrt"], "with --device cuda and without --tensorrt."),
    ],
    ids=["weights", "segmenter", "tensorrt", "accelerator"],
)
def test_a_failure_is_one_sentence_and_writes_nothing(
    arguments: list[str], words: str, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "repository"
    assert main(["export", "--repository", str(folder), *arguments]) == FAILED
    shown = capsys.readouterr().err
    assert shown.startswith("Error: ")
    assert shown.endswith(f"{words}\n")
    assert shown.count("\n") == 1
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (
            ["--unpool", "sum", "--precision", "fp16", "--max-side", "1024"],
            {"unpool": "sum", "precision": "fp16", "max_side": 1024, "segmenter": "default"},
            "photoreal serve --repository HERE",
        ),
        (
            ["--stock", "HERE", "--environment", "/opt/photoreal"],
            {"stock": True, "environment": "/opt/photoreal"},
            "tritonserver --model-repository=HERE\n",
        ),
        (["--segmenter", "ade20k"], {"segmenter": "ade20k"}, "HERE"),
        (["--segmenter", "none"], {"segmenter": None}, "HERE"),
    ],
    ids=["options", "stock", "segmenter", "no segmenter"],
)
def test_a_success_says_what_comes_next(
    arguments: list[str],
    settings: dict[str, Any],
    words: str,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: Patch,
) -> None:
    seen: list[ExportSettings] = []
    monkeypatch.setattr(
        photoreal.export, "export_repository", lambda settings, report: seen.append(settings)
    )
    given = [one.replace("HERE", str(tmp_path)) for one in arguments]
    where = [] if "--stock" in arguments else ["--repository", str(tmp_path)]
    assert main(["export", *where, *given]) == 0
    assert seen == [ExportSettings(tmp_path, **settings)]
    assert words.replace("HERE", str(tmp_path)) in capsys.readouterr().out


def test_an_export_that_does_not_agree_fails(
    tmp_path: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    def fail(settings: ExportSettings, report: object) -> None:
        raise ExportError("wct2_encoder_1 does not agree with its network.")

    monkeypatch.setattr(photoreal.export, "export_repository", fail)
    assert main(["export", "--repository", str(tmp_path)]) == FAILED
    assert capsys.readouterr().err == "Error: wct2_encoder_1 does not agree with its network.\n"
