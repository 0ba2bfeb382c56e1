"""Writing a video: H.264 at the source's time stamps, and the source's sound.

The file grows beside its place under another name and is renamed when it is whole. What is
written can be played at any moment, so that a run that stops half way leaves its part.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame

from photoreal.client.errors import InvalidInput
from photoreal.client.video.colors import FULL_RANGE
from photoreal.client.video.fragments import keep_whole_fragments
from photoreal.client.video.source import Pixels, Sound, VideoSource

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
DEFAULT_CRF = 18
"""x264's constant rate factor: 18 is near to no visible loss."""
MAX_CRF = 51

# Fragments of a second, made one whole file at the end; a table of contents that waits for the
# first of them can say where time begins.
_MOVFLAGS = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000"}
_SOUND_CODEC = "aac"
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}  # by channels, which is all some files say


class Kept(NamedTuple):
    """What is left of a run that stopped: a playable file and the frames in it."""

    path: Path
    frames: int


class VideoSink:
    """A video file that is being written.

    Attributes:
        sounds_left_out: tracks of sound that cannot be read.

    Raises:
        InvalidInput: the suffix names no known container.
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, source: VideoSource, crf: int = DEFAULT_CRF) -> None:
        self._path = path
        self._aside = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
        self._time_base = source.time_base
        self._colors = source.colors.written
        kind = container_of(path)
        self._container = av.open(
            str(self._aside), "w", format=kind, options={} if kind == "matroska" else _MOVFLAGS
        )
        self._container.metadata.update(source.metadata)
        self._track = self._video_track(source, crf)
        known = [sound for sound in source.sounds if _is_known(sound)]
        self.sounds_left_out = len(source.sounds) - len(known)
        self._sounds = {sound.index: _SoundTrack(self._container, sound) for sound in known}
        self._closed = False

    @property
    def sound(self) -> str:
        """How the sound is written: "none", "kept" or "re-encoded"."""
        if not self._sounds:
            return "none"
        kept = all(track.resampler is None for track in self._sounds.values())
        return "kept" if kept else "re-encoded"

    def _video_track(self, source: VideoSource, crf: int) -> Any:
        track = self._container.add_stream(
            "libx264", rate=source.rate, options={"crf": str(crf), "preset": "medium"}
        )
        context = track.codec_context
        context.width, context.height = source.geometry.width, source.geometry.height
        context.pix_fmt = "yuv420p"
        context.time_base = track.time_base = source.time_base
        context.colorspace = self._colors.matrix
        context.color_primaries = self._colors.primaries
        context.color_trc = self._colors.transfer
        context.color_range = self._colors.color_range
        return track

    def write(self, pixels: Pixels, pts: int, duration: int) -> None:
        """Encode a picture (H, W, 3) in RGB with its time stamp in the source's time base.

        Raises:
            OSError: the file cannot be written.
        """
        frame = VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            format="yuv420p",
            dst_colorspace=self._colors.conversion,
            src_color_range=FULL_RANGE,
            dst_color_range=self._colors.color_range,
            dst_color_trc=self._colors.transfer,
            dst_color_primaries=self._colors.primaries,
        )
        frame.pts, frame.time_base, frame.duration = pts, self._time_base, duration
        self._container.mux(self._track.encode(frame))

    def write_sound(self, sound: Sound) -> None:
        """Copy a packet of sound, or re-encode it where the container has no room for its kind.

        Raises:
            OSError: the file cannot be written.
        """
        if sound.stream.index in self._sounds:
            self._container.mux(self._sounds[sound.stream.index].packets(sound.packet))

    def finish(self) -> None:
        """Write what is left and give the file its name.

        Raises:
            OSError: the file cannot be written.
        """
        self._end()
        self._aside.replace(self._path)

    def stop(self) -> Kept | None:
        """End the file early, under a name that says so; None when there is no frame in it."""
        with suppress(OSError, av.FFmpegError):  # on a full disk it stays as far as it came
            self._end()
        if self._path.suffix.lower() != ".mkv":
            with suppress(OSError):
                keep_whole_fragments(self._aside)
        frames = _count_frames(self._aside)
        if not frames:
            self._aside.unlink(missing_ok=True)
            return None
        path = self._path.with_name(f"{self._path.stem}.partial{self._path.suffix}")
        self._aside.replace(path)
        return Kept(path, frames)

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._container.mux(self._track.encode(None))
            for sound in self._sounds.values():
                self._container.mux(sound.packets(None))
        finally:
            self._container.close()


def _is_known(sound: AudioStream) -> bool:
    """Whether a track says enough of itself to be written."""
    context = sound.codec_context
    return context is not None and bool(context.sample_rate and context.layout.nb_channels)


class _SoundTrack:
    """One track of sound: copied where the container takes its kind, else as AAC."""

    def __init__(self, container: Any, source: AudioStream) -> None:
        self.resampler: AudioResampler | None = None
        context = source.codec_context
        if context.name in container.supported_codecs:
            with suppress(ValueError):
                self._track = container.add_stream_from_template(source)
                return
        self._track = container.add_stream(_SOUND_CODEC, rate=context.sample_rate)
        layout = _LAYOUTS.get(context.layout.nb_channels, "stereo")
        self._track.codec_context.layout = layout
        self.resampler = AudioResampler("fltp", layout, context.sample_rate)

    def packets(self, packet: Any) -> list[Any]:
        """What to write for a packet, or for the end (None)."""
        if self.resampler is None:
            if packet is None:
                return []
            packet.stream = self._track
            return [packet]
        try:
            frames = packet.decode() if packet is not None else [None]
        except av.FFmpegError:  # a damaged packet is a moment of silence
            return []
        made: list[Any] = [part for frame in frames for part in self.resampler.resample(frame)]
        if packet is None:
            made.append(None)
        return [out for part in made for out in self._track.encode(part)]


def container_of(path: Path) -> str:
    """FFmpeg's name of the container that the suffix of ``path`` stands for.

    Raises:
        InvalidInput: it stands for none.
    """
    if path.suffix.lower() not in FORMATS:
        raise InvalidInput(
            f"The name {str(path)!r} does not end in a video format that can be written;"
            f" expected {', '.join(FORMATS)}."
        )
    return FORMATS[path.suffix.lower()]


def _count_frames(path: Path) -> int:
    """Frames of a file that may be broken."""
    count = 0
    with suppress(OSError, av.FFmpegError, IndexError), av.open(str(path)) as container:
        for _ in container.decode(container.streams.video[0]):
            count += 1
    return count
