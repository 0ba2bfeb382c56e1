"""What the command line does around every subcommand."""

from __future__ import annotations

import warnings

import click
import pytest

from photoreal.cli import run_command


def test_pillow_s_warnings_about_photos_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def odd() -> None:
        warnings.warn_explicit("Corrupt EXIF data.", UserWarning, "Image.py", 1, "PIL.Image")

    before = list(warnings.filters)
    assert run_command(odd, "odd", []) == 0
    assert capsys.readouterr() == ("", "")
    assert warnings.filters == before


def test_other_warnings_are_left_alone() -> None:
    @click.command()
    def odd() -> None:
        warnings.warn_explicit("Look here.", UserWarning, "other.py", 1, "other")

    with pytest.raises(UserWarning, match="Look here"):
        run_command(odd, "odd", [])
