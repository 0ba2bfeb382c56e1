"""Writing a video: H.264 at the source's time stamps, and the source's sound.

The file grows beside its place under another name and is renamed when it is whole. What is
written can be played at any moment, so that a run that stops half way leaves its part; the next
run copies the packets of that part and goes on behind them.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame

from photoreal.client.errors import InvalidInput
from photoreal.client.video.colors import FULL_RANGE
from photoreal.client.video.source import Pixels, Sound, VideoSource
from photoreal.client.video.unfinished import Kept, Unfinished, copied_packets

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
DEFAULT_CRF = 18
"""x264's constant rate factor: 18 is near to no visible loss."""
MAX_CRF = 51

# A second at a time reaches the disk. MP4's fragments are made one whole file at the end; a table
# of contents that waits for the first of them can say where time begins.
_MP4 = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000"}
_MATROSKA = {"cluster_time_limit": "1000"}
_SOUND_CODEC = "aac"
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}  # by channels, which is all some files say


class VideoSink:
    """A video file that is being written.

    `part` is what an earlier run has finished; its frames come first, each by a call of `copy`.

    Attributes:
        sounds_left_out: tracks of sound that cannot be read.

    Raises:
        InvalidInput: the suffix names no known container, or the part does not fit.
        OSError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        source: VideoSource,
        crf: int = DEFAULT_CRF,
        part: Kept | None = None,
    ) -> None:
        self._files = Unfinished(path)
        self._time_base = source.time_base
        self._colors = source.colors.written
        kind = container_of(path)
        self._container = av.open(
            str(self._files.growing),
            "w",
            format=kind,
            options={"flush_packets": "1"} | (_MATROSKA if kind == "matroska" else _MP4),
        )
        self._container.metadata.update(source.metadata)
        self._track = self._video_track(source, crf)
        known = [sound for sound in source.sounds if _is_known(sound)]
        self.sounds_left_out = len(source.sounds) - len(known)
        self._sounds = {sound.index: _SoundTrack(self._container, sound) for sound in known}
        self._closed = False
        self._copies: Generator[Any, None, None] | None = None
        self._last_dts: Fraction | None = None  # of a copied packet, and of those behind it
        if part is not None:
            self._continue(part, source.start)

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

    def _continue(self, part: Kept, start: Fraction) -> None:
        try:
            self._container.start_encoding()
            self._copies = copied_packets(part, start, self._track.codec_context.extradata)
        except BaseException:
            self._closed = True
            self._container.close()
            self._files.growing.unlink()
            raise

    def copy(self) -> None:
        """Write the next frame of the part that an earlier run has finished.

        Raises:
            OSError: the file cannot be written.
        """
        assert self._copies is not None  # noqa: S101 (tells the type checker)
        packet = next(self._copies)
        self._last_dts = packet.dts * packet.time_base
        self._mux([packet])

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
        self._mux(self._behind_copies(self._track.encode(frame)))

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
        self._files.finish()

    def stop(self) -> Kept | None:
        """End the file early, under a name that says so; None when there is no frame in it."""
        with suppress(OSError, av.FFmpegError):  # on a full disk it stays as far as it came
            self._end()
        return self._files.keep()

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._mux(self._behind_copies(self._track.encode(None)))
            for sound in self._sounds.values():
                self._container.mux(sound.packets(None))
        finally:
            if self._copies is not None:
                self._copies.close()
            self._container.close()

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            packet.stream = self._track
            self._container.mux(packet)

    def _behind_copies(self, packets: Sequence[Any]) -> Iterator[Any]:
        """See that times of decoding grow: an encoder begins before its first frame is shown."""
        for packet in packets:
            if self._last_dts is not None:
                earliest = math.floor(self._last_dts / packet.time_base) + 1
                packet.dts = max(packet.dts, earliest)
                self._last_dts = packet.dts * packet.time_base
            yield packet


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
