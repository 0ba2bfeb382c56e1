"""How the benchmarks' commands are called and how they end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import click
import entry
import pytest

from photoreal.serve.launch.settings import DEFAULT_REPOSITORY

Capture = pytest.CaptureFixture[str]


@click.command(context_settings=entry.HELP)
@entry.output_option("found.md")
@entry.repository_option
def show(output: Path, repository: Path) -> None:
    """Show the options."""
    if output.name == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    click.echo(f"{output} {repository}")


@click.command()
@entry.output_option("found.md", required=True)
def ask(output: Path) -> None:
    """Ask for a folder."""


def test_folders_have_defaults(capsys: Capture) -> None:
    main = entry.make_main(show, "/somewhere/show.py")
    assert main([]) == 0
    assert capsys.readouterr().out == f"{entry.LATEST} {DEFAULT_REPOSITORY}\n"
    assert main(["-o", "out", "--repository", "models"]) == 0
    assert capsys.readouterr().out == "out models\n"
    assert main(["-h"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: show.py " in shown
    assert "Folder for found.md." in shown


def test_a_folder_may_have_to_be_named(capsys: Capture) -> None:
    assert entry.make_main(ask, "ask.py")([]) == 2
    assert "Missing option '-o'" in capsys.readouterr().err


def test_a_disk_that_is_full_is_one_sentence(capsys: Capture) -> None:
    assert entry.make_main(show, "show.py")(["-o", "full"]) == 1
    words = "Error: a file cannot be written or read (No space left on device).\n"
    assert capsys.readouterr().err == words


def test_what_is_done_is_told_with_the_time(capsys: Capture) -> None:
    entry.Teller()("stages")
    assert capsys.readouterr().err == "     0 s  stages\n"
