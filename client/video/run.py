"""Stylization of a video, frame by frame, through a client."""

from __future__ import annotations

import io
import math
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from photoreal.client._images import ImageInput
from photoreal.client.client import StyleTransferClient
from photoreal.client.errors import ClientError, ServerFailed
from photoreal.client.patience import Patience
from photoreal.client.video.cuts import CutDetector
from photoreal.client.video.sink import DEFAULT_CRF, VideoSink, container_of
from photoreal.client.video.source import Frame, Pixels, Sound, VideoSource
from photoreal.client.video.unfinished import Kept, Recipe, Unfinished, recipe_of
from photoreal.contract import DEFAULT_STEADY
from photoreal.errors import PhotorealError

IN_FLIGHT = 2
"""Frames in flight when no frame depends on the previous one."""

_AHEAD = 3  # frames decoded while others are in flight

_FORGOTTEN = 0.01  # weight below which an earlier frame's statistics are ignored


class VideoStopped(ClientError):
    """A run stopped before the end of the video; ``kept`` is the finished part."""

    def __init__(self, reason: str, kept: Kept) -> None:
        super().__init__(f"{reason} {kept_sentence(kept)}")
        self.kept = kept


@dataclass
class VideoReport:
    """Report of a run: size, frames, shots, sound and warnings."""

    height: int
    width: int
    frames: int = 0
    shots: int = 0
    sound: str = "none"
    warnings: list[str] = field(default_factory=list)


Progress = Callable[[int, int | None], None]
"""Called with the number of finished frames, and the approximate total if known."""


def stylize_video(
    client: StyleTransferClient | Patience,
    video: Path,
    style: ImageInput | Sequence[ImageInput],
    output: Path,
    *,
    size: int | None = None,
    steady: float = DEFAULT_STEADY,
    crf: int = DEFAULT_CRF,
    in_flight: int = IN_FLIGHT,
    resume: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> VideoReport:
    """Stylize every frame of a video; sound, time stamps and color metadata are kept.

    Args:
        client: a client of the server; a :class:`Patience` also waits while the server restarts,
            which a client alone does not.
        video: any file that FFmpeg reads.
        style: as for :meth:`StyleTransferClient.stylize`.
        output: the file to write, .mp4, .mov or .mkv; replaced when the run is complete.
        size: shorter side of the frames in pixels, which are never enlarged; that of the video
            by default.
        steady: weight of the previous frames in regions and statistics, 0 to 0.99. With 0, frames
            are independent, and several can be in flight.
        crf: x264's constant rate factor, 0 (lossless) to 51.
        in_flight: frames in flight when ``steady`` is 0.
        resume: continue the part that an earlier run with the same arguments left; without a
            part, start from the beginning.
        progress: called after every frame.
        options: as for :meth:`StyleTransferClient.stylize`.

    Raises:
        InvalidInput: the file is not a video, or the output's suffix is not a video's; a part
            exists and ``resume`` is not set, or it was made with other arguments.
        ClientError: as from :meth:`StyleTransferClient.stylize`, before the first frame.
        VideoStopped: the server, the network or the disk failed later; a part is kept.
        KeyboardInterrupt: if a part is kept, its second argument is a :class:`Kept`.
        OSError: the output cannot be written at all.
    """
    container_of(output)
    with VideoSource(video, size) as source:
        geometry = source.geometry
        report = VideoReport(geometry.height, geometry.width)
        if options.get("method") == "published":  # its results have the working size
            options |= {"size": min(geometry.height, geometry.width)}
        recipe = recipe_of(video, style, {**options, "steady": steady, "crf": crf, "size": size})
        with _opened(output, source, crf, recipe, resume) as (sink, done):
            report.sound = sink.sound
            run = _Run(client, source, sink, style, steady, report, options)
            with closing(run.stylized(in_flight, done)) as results:
                for frame, pixels in results:
                    sink.write(pixels, frame.pts, frame.duration)
                    report.frames += 1
                    if progress is not None:
                        progress(report.frames, source.frames)
            sink.finish()
        report.warnings = _warnings(source)
        if sink.sounds_left_out:
            report.warnings.append(f"{sink.sounds_left_out} audio tracks cannot be read.")
        return report


def kept_sentence(kept: Kept) -> str:
    """The sentence that says how many frames are kept, and where."""
    frames = "the first frame" if kept.frames == 1 else f"the first {kept.frames} frames"
    return f"The finished part, {frames}, is in {str(kept.path)!r}; continue with --resume."


@dataclass
class _Run:
    """Sends the frames of a video, and collects their results."""

    client: StyleTransferClient | Patience
    source: VideoSource
    sink: VideoSink
    style: ImageInput | Sequence[ImageInput]
    steady: float
    report: VideoReport
    options: dict[str, Any]

    def __post_init__(self) -> None:
        self._shot = ""
        self._waiting: deque[tuple[Frame | None, Future[Pixels]]] = deque()

    def stylized(self, in_flight: int, done: int) -> Generator[tuple[Frame, Pixels], None, None]:
        """Yield frames with their results, in order, after the first `done`, which are copied.

        The frames of a shot are sent one after the other.
        """
        cuts = CutDetector()
        threads = 1 if self.steady else max(1, in_flight)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="frames")
        again = max(0, done - _remembered(self.steady))
        first: Frame | None = None  # first frame of the shot
        number = 0
        try:
            for item in self.source:
                if isinstance(item, Sound):
                    self.sink.write_sound(item)
                    continue
                if cuts.is_cut(item.pixels):
                    self._shot = uuid.uuid4().hex
                    self.report.shots += 1
                    first = item
                if number < done:
                    self.sink.copy()
                    self.report.frames += 1
                    if number == again and first is not None and first is not item:
                        self._send(first, wanted=False)  # keeps the shot's regions
                if number >= again:
                    self._send(item, wanted=number >= done)
                number += 1
                # Limit the frames in memory, and yield those that are finished.
                while len(self._waiting) > threads + _AHEAD or (
                    self._waiting and self._waiting[0][1].done()
                ):
                    yield from self._next()
            while self._waiting:
                yield from self._next()
        finally:
            if isinstance(self.client, Patience):
                self.client.give_up()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _send(self, frame: Frame, *, wanted: bool) -> None:
        options = self.options
        if self.steady:
            options = {**options, "sequence": self._shot, "steady": self.steady}
        data = _encoded(frame.pixels)
        future = self._pool.submit(_one, self.client, data, self.style, options)
        self._waiting.append((frame if wanted else None, future))

    def _next(self) -> Iterator[tuple[Frame, Pixels]]:
        frame, future = self._waiting.popleft()
        pixels = future.result()
        if frame is not None:
            yield frame, pixels


def _remembered(steady: float) -> int:
    """How many frames back a frame still contributes to the statistics of a shot."""
    return math.ceil(math.log(_FORGOTTEN) / math.log(steady)) if steady else 0


def _one(
    client: StyleTransferClient | Patience,
    data: bytes,
    style: ImageInput | Sequence[ImageInput],
    options: dict[str, Any],
) -> Pixels:
    result = client.stylize(data, style, **options)
    pixels = np.asarray(result.image)
    expected = Image.open(io.BytesIO(data)).size[::-1]
    if pixels.shape != (*expected, 3):
        raise ServerFailed(
            f"The server's picture is {pixels.shape}; expected the frame's {expected}.",
            request_id=result.request_id,
        )
    return pixels


def _encoded(pixels: Pixels) -> bytes:
    """Encode a frame as BMP: lossless, and without the cost of compression."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="BMP")
    return stream.getvalue()


@contextmanager
def _opened(
    output: Path, source: VideoSource, crf: int, recipe: Recipe, resume: bool
) -> Iterator[tuple[VideoSink, int]]:
    """Yield a sink, and the number of frames that an earlier run has finished.

    If the run ends early, the finished part is kept as a playable file.
    """
    files = Unfinished(output)
    part = files.begin(recipe, resume=resume)
    try:
        sink = VideoSink(output, source, crf, part)
    except BaseException:
        files.keep()
        raise
    try:
        yield sink, part.frames if part is not None else 0
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt("interrupted", sink.stop()) from error
    except (PhotorealError, OSError, av.FFmpegError) as error:
        kept = sink.stop()
        if kept is None:
            raise
        raise VideoStopped(_reason(error), kept) from error


def _reason(error: Exception) -> str:
    if isinstance(error, PhotorealError):
        return str(error)
    return f"The video cannot be written: {getattr(error, 'strerror', None) or error}."


def _warnings(source: VideoSource) -> list[str]:
    found = []
    if source.ends_early:
        found.append(
            f"The video ends after {source.ended_at:.1f} of {source.seconds or 0:.1f} seconds:"
            " its file is truncated."
        )
    if source.damaged:
        found.append(f"{source.damaged} parts of the video are damaged and were left out.")
    if source.hdr:
        found.append("The video is HDR; its colors were used without tone mapping.")
    return found
