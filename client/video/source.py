"""Video input: upright RGB frames, and the packets of the sound unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

from photoreal.client.errors import InvalidInput
from photoreal.client.video.colors import FULL_RANGE, Colors, colors_of

Pixels = npt.NDArray[np.uint8]

_SCALING = Interpolation.LANCZOS | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_USUAL_RATE = Fraction(25)
_ENDS_EARLY_S = 0.5  # a header may be off by a few frames


class Frame(NamedTuple):
    """An RGB frame (H, W, 3); time stamp and duration are in units of the time base."""

    pixels: Pixels
    pts: int
    duration: int


class Sound(NamedTuple):
    """A packet of sound."""

    packet: Any
    stream: AudioStream


@dataclass(frozen=True)
class Geometry:
    """Geometry of the pictures: `height` and `width` are upright, with square pixels."""

    height: int
    width: int
    quarter_turns: int

    @property
    def lying(self) -> tuple[int, int]:
        """Height and width before rotation."""
        return (self.width, self.height) if self.quarter_turns % 2 else (self.height, self.width)


class VideoSource:
    """A video file, read once from start to end.

    Attributes:
        sounds: the audio tracks.
        time_base: unit of the time stamps in seconds.
        rate: average frames per second.
        seconds: duration, if the file has it.
        frames: approximate number of frames, or None.
        colors, geometry: those of the frames, known from the first one.
        hdr: whether the colors are for HDR displays.
        ended_at: duration that was read, in seconds.
        damaged: number of packets that could not be decoded.

    Raises:
        InvalidInput: the file is missing, is not a video or has no video track.
    """

    def __init__(self, path: Path, size: int | None = None) -> None:
        self._path = path
        self._size = size
        self._container = _opened(path)
        tracks = [
            stream
            for stream in self._container.streams.video
            if not stream.disposition & Disposition.attached_pic
        ]
        if not tracks:
            self._container.close()
            raise InvalidInput(f"The file {str(path)!r} has no video track.")
        self._track = tracks[0]
        self._track.thread_type = "AUTO"
        self.sounds = list(self._container.streams.audio)
        self.metadata = dict(self._container.metadata)
        self.time_base = self._track.time_base or Fraction(1, 90_000)
        self.rate = self._track.average_rate or self._track.guessed_rate or _USUAL_RATE
        length = self._container.duration
        self.seconds = None if length is None else float(length / av.time_base)
        self.frames = self._track.frames or (
            round(self.seconds * self.rate) if self.seconds else None
        )
        self.ended_at = 0.0
        self.damaged = 0
        self._last_pts: int | None = None
        self._first = self._decoded_first()
        self.colors: Colors = colors_of(self._first)
        self.geometry = self._shape(self._first)

    @property
    def start(self) -> Fraction:
        """Time of the first frame in seconds."""
        return (self._first.pts or 0) * self.time_base

    @property
    def hdr(self) -> bool:
        """Whether the colors are for HDR displays; they are read without tone mapping."""
        return self.colors.hdr

    @property
    def ends_early(self) -> bool:
        """Whether frames and sound end well before the duration in the file's header."""
        if self.seconds is None:
            return False
        return self.ended_at < self.seconds - max(_ENDS_EARLY_S, 2 / float(self.rate))

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Frame | Sound]:
        """Yield frames and sound in the order of the file."""
        for item in self._items:
            yield self._frame(item) if isinstance(item, VideoFrame) else item

    def _decoded_first(self) -> VideoFrame:
        """Read up to the first frame, and keep everything read for the iteration."""
        self._items = self._decoded()
        early: list[VideoFrame | Sound] = []
        for item in self._items:
            early.append(item)
            if isinstance(item, VideoFrame):
                rest = self._items
                self._items = (part for parts in (early, rest) for part in parts)
                return item
        self._container.close()
        raise InvalidInput(f"No frame of the video {str(self._path)!r} can be decoded.")

    def _decoded(self) -> Iterator[VideoFrame | Sound]:
        packets = self._container.demux([self._track, *self.sounds])
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError:  # the file is truncated here
                self.damaged += 1
                return
            if isinstance(packet.stream, AudioStream):
                if packet.dts is not None:
                    self._reach((packet.dts + (packet.duration or 0)) * packet.time_base)
                    yield Sound(packet, packet.stream)
                continue
            try:
                yield from packet.decode()
            except av.FFmpegError:
                self.damaged += 1

    def _reach(self, time: Fraction) -> None:
        start = (self._container.start_time or 0) / av.time_base
        self.ended_at = max(self.ended_at, float(time) - start)

    def _shape(self, frame: VideoFrame) -> Geometry:
        turns = round(frame.rotation / 90) % 4
        aspect = float(self._track.sample_aspect_ratio or 1)
        tall, wide = float(frame.height), frame.width * aspect
        if turns % 2:
            tall, wide = wide, tall
        # Chroma is subsampled by two, so both sides must be even.
        shorter = min(tall, wide)
        size = int(shorter) if self._size is None else min(self._size, int(shorter))
        scale = max(2, size // 2 * 2) / shorter
        return Geometry(_even(tall * scale), _even(wide * scale), turns)

    def _frame(self, frame: VideoFrame) -> Frame:
        tall, wide = self.geometry.lying
        pixels = frame.reformat(
            width=wide,
            height=tall,
            format="rgb24",
            src_colorspace=self.colors.conversion,
            src_color_range=self.colors.color_range,
            dst_color_range=FULL_RANGE,
            interpolation=_SCALING,
        ).to_ndarray()
        usual = max(1, round(1 / (self.rate * self.time_base)))
        duration = frame.duration or usual
        pts = frame.pts
        if pts is None:
            pts = 0 if self._last_pts is None else self._last_pts + usual
        if self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + 1
        self._last_pts = pts
        self._reach((pts + duration) * self.time_base)
        upright = np.rot90(pixels, self.geometry.quarter_turns)
        return Frame(np.ascontiguousarray(upright), pts, duration)


def _opened(path: Path) -> Any:
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise InvalidInput(f"The video file {str(path)!r} does not exist.") from None
    except IsADirectoryError:
        raise InvalidInput(f"The video {str(path)!r} is a folder; expected a file.") from None
    except OSError as error:
        raise InvalidInput(f"The video {str(path)!r} cannot be read: {error.strerror}.") from None
    container = None
    with suppress(av.FFmpegError):
        container = av.open(str(path), metadata_errors="replace")
    if container is None:
        raise InvalidInput(
            f"The file {str(path)!r} is not a video, or is truncated before its index."
        )
    names = set(container.format.name.split(","))
    if any(name == "image2" or name.endswith("_pipe") for name in names):
        container.close()
        raise InvalidInput(f"The file {str(path)!r} is a picture; expected a video.")
    if "tty" in names:  # FFmpeg reads text files as video of a terminal
        container.close()
        raise InvalidInput(f"The file {str(path)!r} is a text file; expected a video.")
    return container


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))
