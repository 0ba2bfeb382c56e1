"""The command ``photoreal batch``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from photoreal.client.batch.cluster import (
    DEFAULT_CORES,
    ClusterFailed,
    Layout,
    lay_out,
    ray_cluster,
)
from photoreal.client.batch.files import locate, read, shown
from photoreal.client.batch.plan import Photo, plan_batch
from photoreal.client.batch.run import outcomes, write_failures
from photoreal.client.batch.worker import Work
from photoreal.client.cli.failures import failure
from photoreal.client.cli.folder import FAILED, FORMATS, INTERRUPTED, count_sentence, photos_bar
from photoreal.client.cli.option_flags import request_options
from photoreal.client.cli.style_options import NumbersCommand, named_styles
from photoreal.client.errors import InvalidInput
from photoreal.client.folder.run import PhotoOutcome
from photoreal.contract import PRECISION_VARIABLE
from photoreal.errors import PhotorealError
from photoreal.interrupt import interrupted_by_signals
from photoreal.options import StylizeOptions, check_options, check_style_count, check_weights

_MOST_SHOWN = 20
_EPILOG = """\b
Examples:
  photoreal batch holiday holiday_at_sunset --style sunset.jpg
  photoreal batch photos.txt out --style sunset.jpg --format jpg --size 512
  photoreal batch s3://photos/day s3://photos/night --style night.jpg \\
      --address auto

\b
Exit codes: 0 done; 1 a photo, a disk or the cluster failed; 2 the call has to
be changed.
"""


@click.command(cls=NumbersCommand, epilog=_EPILOG)
@click.argument("source", metavar="IN")
@click.argument("output", metavar="OUT")
@named_styles("The photo with the look", click.STRING, required=True)
@request_options("command")
@click.option(
    "--format",
    "image_format",
    type=click.Choice(FORMATS),
    help="The format of the pictures.  [default: each photo's own]",
)
@click.option("--overwrite", is_flag=True, help="Make pictures that exist again.")
@click.option(
    "--address",
    envvar="RAY_ADDRESS",
    metavar="ADDRESS",
    help="A Ray cluster; auto is the one that this machine is part of.  [default: start Ray here]",
)
@click.option(
    "--cores-per-worker",
    type=click.IntRange(1, 1024),
    metavar="N",
    help=f"Cores and threads of a worker.  [default: up to {DEFAULT_CORES}]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Photos at a time.  [default: one a GPU, or as many as the cores suffice for]",
)
@click.option("-q", "--quiet", is_flag=True, help="Print failures only.")
@click.pass_context
def batch(
    context: click.Context,
    /,
    source: str,
    output: str,
    styles: tuple[str, ...],
    image_format: str | None,
    overwrite: bool,
    address: str | None,
    cores_per_worker: int | None,
    workers: int | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Give many photos the look of the photo --style, on every core and GPU of a cluster.

    IN is a folder, or a text file with a photo on each line; OUT is a folder. Both are paths or
    addresses that fsspec opens, such as s3://bucket/folder. Pictures that exist are left out.
    Photos that fail are listed in OUT/photoreal-failed.jsonl.
    """
    outcome, interrupted = PhotoOutcome(), False
    try:
        check_weights(options["weights"], check_style_count(len(styles)))
        given = {name: value for name, value in options.items() if value is not None}
        check_options(StylizeOptions(**given))
        work = Work(
            styles=[read(locate(style), "style") for style in styles],
            options=given,
            precision=os.environ.get(PRECISION_VARIABLE),
            overwrite=overwrite,
        )
        plan = plan_batch(source, output, image_format and f".{image_format}")
        photos = plan.photos if overwrite else plan.missing
        try:
            if photos:
                with ray_cluster(address) as nodes, interrupted_by_signals():
                    grows = address is not None and workers is not None
                    layout = lay_out(nodes, len(photos), cores_per_worker, workers, grows=grows)
                    _run(photos, work, layout, outcome, quiet=quiet)
        except KeyboardInterrupt:
            interrupted = True
    except PhotorealError as error:
        raise failure(error) from None
    for name, reason in sorted(outcome.failed.items())[:_MOST_SHOWN]:
        click.echo(f"Failed: {name}: {reason}", err=True)
    try:
        listed = write_failures(plan.output, outcome.failed)
        if listed is not None:
            click.echo(f"{shown(listed)} lists what failed and why.", err=True)
    except PhotorealError as error:
        outcome.stopped = outcome.stopped or error
    if outcome.stopped is not None:
        failure(outcome.stopped).show()
    left = len(photos) - outcome.done - len(outcome.failed)
    if not quiet:
        before = len(plan.photos) - len(photos)
        click.echo(count_sentence(shown(plan.output), outcome, before, left, plan.ignored))
    if interrupted:
        context.exit(INTERRUPTED)
    context.exit(FAILED if left or outcome.failed or outcome.stopped else 0)


def _run(
    photos: Sequence[Photo], work: Work, layout: Layout, outcome: PhotoOutcome, *, quiet: bool
) -> None:
    """Make the pictures and count them in `outcome`, until a disk or the cluster fails.

    Raises:
        InvalidInput: the style or an option is invalid.
    """
    workers = "1 worker" if layout.workers == 1 else f"{layout.workers} workers"
    seconds = 0.0
    with photos_bar(quiet) as bar:
        task = bar.add_task(workers, total=len(photos))
        try:
            for one in outcomes(photos, work, layout):
                if one.kind == "refused":
                    raise InvalidInput(one.reason)
                if one.kind == "stopped":
                    outcome.stopped = PhotorealError(one.reason)
                    return
                if one.kind == "failed":
                    outcome.failed[one.name] = PhotorealError(one.reason)
                else:
                    outcome.done += 1
                    seconds += one.seconds
                bar.advance(task)
        except ClusterFailed as error:
            outcome.stopped = error
            return
    if outcome.done and not quiet:
        click.echo(f"{seconds / outcome.done:.2f} s a photo on each of {workers}.")
