"""Measures flicker: clips of known motion, each frame by itself and steadied.

``.venv/bin/python benchmarks/video.py`` takes about two minutes on two cores. It runs the code
of the server's models in this process and writes ``video.md``, and with ``--frames`` the last
two frames of every run as pictures.
"""

from __future__ import annotations

import io
import sys
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from entry import HELP, make_main, output_option, repository_option
from judging.clips import CLIPS, Bytes, Clip, flicker, render
from machine import machine
from pictures import EXAMPLES
from PIL import Image
from serving import LIMITS, networks
from speed.stages import open_segmenter
from tables import Cell, Column, Part

from photoreal.pipeline.in_process import in_process_models
from photoreal.pipeline.known_regions import KnownRegions
from photoreal.pipeline.request import StylizeRequest
from photoreal.pipeline.sequences import SteadyRegions
from photoreal.pipeline.stylize import stylize
from photoreal.preprocess import decode_photo
from photoreal.transfer.progressive import NetworkEngine

STEADY = (0.0, 0.5, 0.8, 0.95)

_COLUMNS = {
    "clip": Column("clip"),
    "what": Column("frames"),
    "pixels": Column("pixels", 2),
    "pixel_ratio": Column("of the source's", 2),
    "colors": Column("local colors", 2),
    "color_ratio": Column("of the source's", 2),
    "contrast": Column("contrast of the source's", 2),
}


class Stylist:
    """The server's two models in this process, with their memories."""

    def __init__(self, repository: Path, style: bytes) -> None:
        segmenter = open_segmenter(repository)
        self._models = in_process_models(NetworkEngine(*networks(repository)), cache_bytes=1 << 30)
        if segmenter is not None:
            self._models = replace(
                self._models, segment=segmenter, segmenter_classes=segmenter.classes
            )
        self._style = style
        self._regions, self._known = SteadyRegions(), KnownRegions()

    def __call__(self, frame: Bytes, sequence: str, steady: float) -> Bytes:
        """A frame (H, W, 3) stylized; `steady` 0 is a request without a sequence."""
        stream = io.BytesIO()
        Image.fromarray(frame).save(stream, format="BMP")
        request = StylizeRequest(stream.getvalue(), self._style)
        if steady:
            request = replace(request, sequence=sequence.encode(), steady=steady)
        response = stylize(request, self._models, LIMITS, self._regions, self._known)
        return decode_photo(response.image, "result", LIMITS)


def measure_clip(
    clip: Clip, stylist: Stylist, photo: Bytes, height: int, count: int, folder: Path | None
) -> list[dict[str, Cell]]:
    """Rows of one clip: the source, and the results at every steadiness."""
    frames, views = render(clip, photo, height, count)
    source = flicker(frames, views)
    rows: list[dict[str, Cell]] = [
        {"clip": clip.name, "what": "source", "pixels": source[0], "colors": source[1]}
    ]
    contrast = float(np.std(frames))
    for steady in STEADY:
        results = [stylist(frame, f"{clip.name} {steady}", steady) for frame in frames]
        found = flicker(results, views)
        rows.append(
            {
                "what": f"steady {steady:g}" if steady else "each by itself",
                "pixels": found[0],
                "pixel_ratio": found[0] / source[0],
                "colors": found[1],
                "color_ratio": found[1] / source[1],
                "contrast": float(np.std(results)) / contrast,
            }
        )
        if folder is not None:
            pair = np.concatenate([frames[-1], *results[-2:]], axis=1)
            name = clip.name.replace(", ", "-").replace(" ", "-")
            Image.fromarray(pair).save(folder / f"{name}-{steady:g}.png")
    return rows


@click.command(context_settings=HELP)
@click.option(
    "--photo",
    type=click.Path(exists=True, path_type=Path),
    default=EXAMPLES / "photos" / "china.jpg",
)
@click.option(
    "--style",
    type=click.Path(exists=True, path_type=Path),
    default=EXAMPLES / "rendered" / "dusk.jpg",
)
@repository_option
@click.option("--size", type=int, default=160, show_default=True, help="Height of the frames.")
@click.option("--count", type=int, default=16, show_default=True, help="Frames of a clip.")
@click.option("--frames", type=click.Path(path_type=Path), help="Folder for pictures.")
@output_option("video.md")
def video(
    photo: Path,
    style: Path,
    repository: Path,
    size: int,
    count: int,
    frames: Path | None,
    output: Path,
) -> None:
    """Measure the flicker of clips over PHOTO in the look of STYLE."""
    pixels = decode_photo(photo.read_bytes(), "photo", LIMITS)
    stylist = Stylist(repository, style.read_bytes())
    for folder in (output, frames):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    rows = [
        row for clip in CLIPS for row in measure_clip(clip, stylist, pixels, size, count, frames)
    ]
    note = (
        f"{count} frames of {size} lines a clip, {photo.name} in the look of {style.name}, regions"
        " from the segmenter. Mean absolute difference (0 to 255) of neighboring frames after"
        " the known motion is undone: of pixels, and of local colors, blurred over an eighth of"
        f" the height. {time.perf_counter() - started:.0f} s on {machine()['cpus']} cores."
    )
    part = Part("Flicker", _COLUMNS, rows, [note])
    (output / "video.md").write_text("\n".join(["# Video", "", *part.as_markdown()]))
    click.echo(f"Wrote {output / 'video.md'}.")


main = make_main(video, __file__)


if __name__ == "__main__":
    sys.exit(main())
