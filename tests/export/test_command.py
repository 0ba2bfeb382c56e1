"""`photoreal export`, as a person calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

import photoreal.export
from photoreal.cli import CALLER_ERROR, FAILED, main
from photoreal.errors import ExportError
from photoreal.export import ExportSettings
from tests.kinds import Capture, Patch


def test_help_names_every_option(capsys: Capture) -> None:
    assert main(["export", "--help"]) == 0
    shown = capsys.readouterr().out
    for option in (
        "--repository",
        "--weights",
        "--unpool [cat5|sum]",
        "--segmenter",
        "--precision [fp32|fp16]",
        "--tensorrt",
        "--device [cpu|cuda]",
        "--accelerator [cuda|tensorrt]",
        "--engine-cache",
        "--max-side",
        "--stock",
        "--environment",
    ):
        assert option in shown


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


def test_a_success_says_what_comes_next(
    tmp_path: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    seen: list[ExportSettings] = []
    monkeypatch.setattr(
        photoreal.export, "export_repository", lambda settings, report: seen.append(settings)
    )
    arguments = ["--repository", str(tmp_path), "--unpool", "sum", "--precision", "fp16"]
    assert main(["export", *arguments, "--max-side", "1024"]) == 0
    assert seen == [ExportSettings(tmp_path, unpool="sum", precision="fp16", max_side=1024)]
    assert f"photoreal serve --repository {tmp_path}" in capsys.readouterr().out


def test_an_export_for_a_stock_triton_says_how_to_start_it(
    tmp_path: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    seen: list[ExportSettings] = []
    monkeypatch.setattr(
        photoreal.export, "export_repository", lambda settings, report: seen.append(settings)
    )
    assert main(["export", "--stock", str(tmp_path), "--environment", "/opt/photoreal"]) == 0
    assert seen == [ExportSettings(tmp_path, stock=True, environment="/opt/photoreal")]
    assert f"tritonserver --model-repository={tmp_path}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "segmenter"),
    [
        ([], "default"),
        (["--segmenter", "default"], "default"),
        (["--segmenter", "ade20k"], "ade20k"),
        (["--segmenter", "none"], None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_segmenter_is_the_default_one_unless_said_otherwise(
    arguments: list[str], segmenter: str | None, tmp_path: Path, monkeypatch: Patch
) -> None:
    seen: list[ExportSettings] = []
    monkeypatch.setattr(
        photoreal.export, "export_repository", lambda settings, report: seen.append(settings)
    )
    assert main(["export", "--repository", str(tmp_path), *arguments]) == 0
    assert [settings.segmenter for settings in seen] == [segmenter]


def test_an_export_that_does_not_agree_fails(
    tmp_path: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    def fail(settings: ExportSettings, report: object) -> None:
        raise ExportError("wct2_encoder_1 does not agree with its network.")

    monkeypatch.setattr(photoreal.export, "export_repository", fail)
    assert main(["export", "--repository", str(tmp_path)]) == FAILED
    assert capsys.readouterr().err == "Error: wct2_encoder_1 does not agree with its network.\n"
