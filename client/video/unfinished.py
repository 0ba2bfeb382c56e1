"""Files beside an unfinished output: the part written so far, and its recipe.

The part grows under a hidden name, and is renamed to a visible one when the run stops. A run that
was killed leaves it under the hidden name. Either can be resumed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.bitstream import BitStreamFilterContext

from photoreal.client._images import ImageInput, encode_image
from photoreal.client.errors import InvalidInput
from photoreal.client.folder.manifest import fingerprint
from photoreal.client.video.fragments import keep_whole_fragments

# Packets as an encoder emits them: start codes instead of lengths, and no parameter sets.
_AS_ENCODED = "h264_mp4toannexb,filter_units=remove_types=7-8"
_START_CODE = re.compile(rb"\x00\x00\x00?\x01")
_PARAMETER_SETS = (7, 8)  # types of NAL units, ITU-T H.264, table 7-1

Recipe = dict[str, Any]


class Kept(NamedTuple):
    """The finished part of a run that stopped: a playable file, and its number of frames."""

    path: Path
    frames: int


class Unfinished:
    """The files beside an unfinished output.

    Attributes:
        growing: the file that is being written.
        kept: the finished part of a run that stopped.
        recipe: the recipe of both.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self.growing = output.with_name(f".{output.stem}.growing{output.suffix}")
        self.kept = output.with_name(f"{output.stem}.partial{output.suffix}")
        self.recipe = self.kept.with_name(f"{self.kept.name}.json")

    def begin(self, recipe: Recipe, *, resume: bool) -> Kept | None:
        """Record the recipe of a run; with `resume`, find the part to continue.

        Raises:
            InvalidInput: a part exists and `resume` is not set, or its recipe differs.
            OSError: a file cannot be read or written.
        """
        left = next((path for path in (self.kept, self.growing) if path.exists()), None)
        if left is not None:
            if not resume:
                raise InvalidInput(
                    f"{str(left)!r} is left over from an earlier run. Continue it with --resume"
                    " (resume=True), or delete the file to start over."
                )
            self._check(left, recipe)
        else:
            self.recipe.write_text(json.dumps(recipe, indent=2), encoding="utf-8")
        if self.growing.exists():  # the earlier run was killed
            self._cut()
            if _complete_frames(self.growing) > _complete_frames(self.kept):
                self.growing.replace(self.kept)
        frames = _complete_frames(self.kept)
        return Kept(self.kept, frames) if frames else None

    def finish(self) -> None:
        """Rename the finished file to the output's name, and remove the other files.

        Raises:
            OSError: the file cannot be renamed.
        """
        self.growing.replace(self._output)
        self.kept.unlink(missing_ok=True)
        self.recipe.unlink(missing_ok=True)

    def keep(self) -> Kept | None:
        """Keep the written part, unless an earlier one is longer; None if there are no frames."""
        self._cut()
        grown, before = _count_frames(self.growing), _count_frames(self.kept)
        if grown > before:
            self.growing.replace(self.kept)
        else:
            self.growing.unlink(missing_ok=True)
        if grown or before:
            return Kept(self.kept, max(grown, before))
        self.kept.unlink(missing_ok=True)
        self.recipe.unlink(missing_ok=True)
        return None

    def _cut(self) -> None:
        if self.growing.suffix.lower() != ".mkv":
            with suppress(OSError):
                keep_whole_fragments(self.growing)

    def _check(self, left: Path, recipe: Recipe) -> None:
        advice = f"delete {str(left)!r} to start over"
        try:
            before = json.loads(self.recipe.read_text(encoding="utf-8"))
            names = sorted(name for name in before | recipe if before.get(name) != recipe.get(name))
        except (FileNotFoundError, ValueError, TypeError):
            raise InvalidInput(
                f"{str(self.recipe)!r} does not describe the earlier run, so it cannot be resumed;"
                f" {advice}."
            ) from None
        if names:
            raise InvalidInput(
                f"The earlier run cannot be resumed: it used a different {', '.join(names)}. Use"
                f" the same arguments, or {advice}."
            )


def recipe_of(
    video: Path, style: ImageInput | Sequence[ImageInput], settings: dict[str, Any]
) -> Recipe:
    """Everything that determines the output, as JSON values. Images are named by their SHA-256.

    Raises:
        InvalidInput: a style cannot be read.
        OSError: the video does not exist.
    """
    styles: Sequence[Any] = style if isinstance(style, list | tuple) else [style]
    given = {name: value for name, value in settings.items() if value is not None}
    digests = [_digest(image) for image in styles]
    recipe = {"video": fingerprint(video), "style": digests, **given}
    made: Recipe = json.loads(json.dumps(recipe, default=_digest))
    return made


def copied_packets(part: Kept, start: Fraction, parameters: bytes) -> Generator[Any, None, None]:
    """Return the packets of a part's frames, for the container that an encoder continues.

    The first is shown at `start` seconds, without the offset that a container may have added to
    make room for sound. `parameters` are the encoder's, with start codes (ITU-T H.264, annex B).

    Raises:
        InvalidInput: the part was encoded with other parameters.
    """
    units = [unit for unit in _START_CODE.split(parameters) if unit]
    with av.open(str(part.path)) as container:
        known = container.streams.video[0].codec_context.extradata or b""
    if not all(unit in known for unit in units if unit[0] & 31 in _PARAMETER_SETS):
        raise InvalidInput(
            f"{str(part.path)!r} was encoded by another version of x264, so the two parts are"
            " incompatible; delete it to start over."
        )
    return _copied(part, start)


def _copied(part: Kept, start: Fraction) -> Generator[Any, None, None]:
    times = list(islice(_times(part.path), part.frames))
    # Some containers store no decoding times. The sorted presentation times serve as such,
    # shifted early enough for every packet.
    shown = sorted(times)
    late = max(second - first for first, second in zip(times, shown, strict=True))
    with av.open(str(part.path)) as container:
        track: Any = container.streams.video[0]
        units = BitStreamFilterContext(_AS_ENCODED, track)
        packets = (packet for packet in container.demux(track) if packet.size)
        shift = round(start / track.time_base) - shown[0]
        for time, packet in zip(shown, packets, strict=False):
            for out in units.filter(packet):
                out.pts, out.dts = out.pts + shift, time - late + shift
                out.time_base = track.time_base
                yield out


def _complete_frames(path: Path) -> int:
    """Count the first packets of a possibly truncated file that hold complete first frames.

    Frames are stored in decoding order. A frame with the latest presentation time so far may be
    followed by frames shown before it; those have all been read when the next such frame comes.
    """
    complete, latest = 0, None
    for number, time in enumerate(_times(path)):
        if latest is None or time > latest:
            complete, latest = number, time
    return complete


def _times(path: Path) -> Iterator[int]:
    """Yield the presentation times of a possibly truncated file's packets, in file order."""
    with suppress(OSError, av.FFmpegError, IndexError), av.open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size and packet.pts is not None:
                yield packet.pts


def _count_frames(path: Path) -> int:
    """Count the frames of a file that may be truncated or missing."""
    count = 0
    with suppress(OSError, av.FFmpegError, IndexError), av.open(str(path)) as container:
        for _ in container.decode(container.streams.video[0]):
            count += 1
    return count


def _digest(image: ImageInput) -> str:
    return hashlib.sha256(encode_image(image, "style")).hexdigest()
