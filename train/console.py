"""A training run on the terminal: checks, progress bar, table of accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from photoreal.errors import TrainingError
from photoreal.train import loop
from photoreal.train.evaluate import Score, accuracy, evaluate
from photoreal.train.lights import LIGHTS
from photoreal.train.settings import Settings
from photoreal.train.sources import list_photos, read_all
from photoreal.train.tables import CLASSES
from photoreal.weights.segmenters import load_segmenter


def run_training(
    data: Path,
    output: Path,
    settings: Settings,
    *,
    resume: bool,
    device: str,
    bf16: bool,
    origin: str | None,
    every: int,
    measure_every: int,
    seconds: float | None,
) -> None:
    """Train, save, and measure on the test photos; raises TrainingError."""
    console = Console()
    _check_device(device)
    with _progress(console) as progress:
        photos = _read(progress, data, "train")
        validation = _read(progress, data, "val")
        test = _read(progress, data, "test")
        training = loop.Training(settings, output, device, bf16=bf16)
        if resume:
            training.resume(photos)
        else:
            training.start(photos, origin)
        task = progress.add_task("train", total=settings.steps, completed=training.step)
        smooth = 0.0

        def report(now: loop.Progress) -> None:
            nonlocal smooth
            smooth = now.loss if not smooth else 0.98 * smooth + 0.02 * now.loss
            progress.update(task, completed=now.step, description=f"train, loss {smooth:.3f}")
            if not console.is_terminal and training.step % every == 0:
                console.print(f"step {training.step}, {now.step}/{now.steps}: loss {smooth:.4f}")
            if now.scores is not None:
                parts = ", ".join(f"{name} {s.accuracy:.3f}" for name, s in now.scores.items())
                progress.console.print(
                    f"step {now.step}: loss {smooth:.4f}, validation {accuracy(now.scores):.4f}"
                    f" ({parts})"
                )

        training.run(
            photos, validation, report, every=every, measure_every=measure_every, seconds=seconds
        )
        task = progress.add_task("test", total=len(test.items))
        scores = evaluate(training.average, *test, advance=lambda: progress.advance(task))
    console.print(accuracy_table(scores))
    console.print(calibration_table(scores, training.average.temperature))


def run_evaluation(
    data: Path, weights: str, part: str, lights: Sequence[str], device: str = "cpu"
) -> None:
    """Measure a segmenter on the photos of a part ("val" or "test") under some of `LIGHTS`.

    Raises TrainingError and WeightsError.
    """
    _check_device(device)
    segmenter, names = load_segmenter(weights)
    segmenter.to(device)
    if not set(names) <= set(CLASSES):
        raise TrainingError(
            f"The segmenter's classes are {', '.join(names)}; the labels know {', '.join(CLASSES)}."
        )
    console = Console()
    with _progress(console) as progress:
        photos = _read(progress, data, part)
        scores = {}
        for light in lights:
            task = progress.add_task(light, total=len(photos.items))
            advance = partial(progress.advance, task)
            scores[light] = evaluate(segmenter, *photos, advance, LIGHTS[light], names)
    first, *others = scores
    console.print(accuracy_table(scores[first]))
    console.print(calibration_table(scores[first], segmenter.temperature))
    if others:
        table = Table("source", *scores)
        for source in scores[first]:
            table.add_row(source, *(f"{found[source].accuracy:.4f}" for found in scores.values()))
        console.print(table)


def _check_device(device: str) -> None:
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise TrainingError("CUDA is not available; expected --device cpu.")


def accuracy_table(scores: dict[str, Score]) -> Table:
    """Accuracy of every source and, in it, of every class."""
    table = Table("source", "all pixels", "classes")
    for source, score in scores.items():
        classes = ", ".join(f"{name} {share:.3f}" for name, share in score.by_class().items())
        table.add_row(source, f"{score.accuracy:.4f}", classes)
    return table


def calibration_table(scores: dict[str, Score], temperature: float) -> Table:
    """Expected calibration error of every source, at a temperature of 1 and at its own."""
    table = Table("source", "calibration error at temperature 1", f"at {temperature:.3f}")
    for source, score in scores.items():
        if score.calibrated.counts.any():
            table.add_row(
                source, f"{score.uncalibrated.error:.4f}", f"{score.calibrated.error:.4f}"
            )
    return table


def _read(progress: Progress, data: Path, part: str) -> loop.Photos:
    items = list_photos(data, part)
    task = progress.add_task(f"read {part}", total=len(items))
    return loop.Photos(items, read_all(items, lambda: progress.advance(task)))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
