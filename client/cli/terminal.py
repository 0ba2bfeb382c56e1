"""Terminal input and output of the commands: progress, summaries, label maps, `-` for streams."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

import click

from photoreal.client._images import encode_image
from photoreal.client.cli.label_picture import color_regions
from photoreal.client.errors import InvalidInput
from photoreal.client.result import StylizeResult, output_format, write_aside

Say: TypeAlias = Callable[[str], None]
"""Called with what is being waited for."""

STANDARD = Path("-")
"""The file name that stands for standard input or output."""

_REGIONS = {
    "masks": "regions from the masks",
    "segmenter": "regions from the segmenter",
    "whole": "the whole photo as one region",
}


def check_output(path: Path) -> None:
    """Check, before a long wait, that the picture can be written.

    Raises:
        InvalidInput: the suffix is unknown, or the folder is missing or not writable.
    """
    output_format(path)
    check_folder(path)


def check_folder(path: Path) -> None:
    """Check, before a long wait, that a file can be written to the path.

    Raises:
        InvalidInput: the folder is missing or not writable, or the path is a folder.
    """
    folder = path.parent
    if not folder.is_dir():
        raise InvalidInput(f"The folder {str(folder)!r} of the output does not exist.")
    if path.is_dir():
        raise InvalidInput(f"The output {str(path)!r} is a folder; expected a file name.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInput(f"The folder {str(folder)!r} of the output cannot be written to.")


def make_folder(path: Path) -> None:
    """Create an output folder, unless it exists.

    Raises:
        InvalidInput: the folder cannot be created or is not writable.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"The folder {str(path)!r} cannot be made: {error.strerror}.") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise InvalidInput(f"The folder {str(path)!r} cannot be written to.")


def notes(quiet: bool) -> Say:
    """Return a function that prints sentences on stderr, unless quiet."""
    return lambda words: None if quiet else click.echo(words, err=True)


@contextmanager
def progress(quiet: bool) -> Iterator[Say]:
    """Show a spinner and the time elapsed on stderr, if that is a terminal, unless quiet."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda words: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda words: bar.reset(task, description=words)


def summary(result: StylizeResult, output: Path, labels: Path | None) -> str:
    """Summarize the result: path, size, source of the regions, and time per stage."""
    report = result.report
    line = f"{output}: {report.get('width')} x {report.get('height')} pixels"
    regions = str(report.get("regions"))
    line += f", {_REGIONS.get(regions, regions)}"
    pairs, unstyled = len(report.get("pairs") or ()), len(report.get("unstyled") or ())
    if regions != "whole":
        line += f" ({pairs} matched, {unstyled} unchanged)"
    if labels is not None:
        line += f", label maps in {labels}"
    seconds = report.get("seconds") or {}
    times = ", ".join(f"{stage} {value:.2f} s" for stage, value in seconds.items())
    return f"{line}.\n{times.capitalize()}." if times else f"{line}."


def write_labels(result: StylizeResult, folder: Path) -> None:
    """Write the label maps that were used, and colored pictures of them.

    Raises:
        ServerFailed: one of the server's label maps cannot be read.
        OSError: a file cannot be written.
    """
    others = zip(result.more_style_labels_png, result.more_style_labels, strict=True)
    for name, data, labels in (
        ("content", result.content_labels_png, result.content_labels),
        ("style", result.style_labels_png, result.style_labels),
        *((f"style_{number}", *other) for number, other in enumerate(others, start=2)),
    ):
        write_aside(folder / f"{name}_labels.png", data)
        buffer = BytesIO()
        color_regions(labels).save(buffer, format="PNG")
        write_aside(folder / f"{name}_regions.png", buffer.getvalue())


def check_streams(inputs: Iterable[Path | None]) -> None:
    """Raise click.UsageError if standard input is named more than once."""
    if sum(path == STANDARD for path in inputs) > 1:
        raise click.UsageError("Standard input (-) can be used for one file only.")


def read_file(path: Path, name: str) -> bytes:
    """Read a file or standard input; ``name`` is its name in error messages.

    Raises:
        InvalidInput: the file is missing or unreadable, or standard input is empty.
    """
    if path != STANDARD:
        return encode_image(path, name)
    data = sys.stdin.buffer.read()
    if not data:
        raise InvalidInput(f"Standard input is empty; expected the {name} as an image file.")
    return data


def write_to_output(data: bytes) -> None:
    """Write a picture to standard output.

    Raises:
        OSError: the reader has closed the pipe, or the disk is full.
    """
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
