"""Video output: H.264 at the source's time stamps, and the source's sound.

The file is written under a temporary name and renamed when it is complete. What is written is
playable at any time, so a run that stops early leaves a usable part; the next run copies its
packets and continues after them.
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
"""x264's constant rate factor: 18 is almost visually lossless."""
MAX_CRF = 51

# Data is flushed every second. MP4's fragments are merged into one regular file at the end; the
# table of contents (moov) is delayed until the first fragment, so that it has the start time.
_MP4 = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000"}
_MATROSKA = {"cluster_time_limit": "1000"}
_SOUND_CODEC = "aac"
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}  # by channels, all that some files give


class VideoSink:
    """A video file that is being written.

    `part` is the finished part of an earlier run; its frames come first, one per call of `copy`.

    Attributes:
        sounds_left_out: number of audio tracks that cannot be read.

    Raises:
        InvalidInput: the suffix is not that of a known container, or the part does not fit.
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
        self._last_dts: Fraction | None = None  # of the last packet written, if a part is copied
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
        """Write the next frame of the earlier run's part.

        Raises:
            OSError: the file cannot be written.
        """
        assert self._copies is not None  # noqa: S101 (for the type checker)
        packet = next(self._copies)
        self._last_dts = packet.dts * packet.time_base
        self._mux([packet])

    def write(self, pixels: Pixels, pts: int, duration: int) -> None:
        """Encode an RGB picture (H, W, 3); time stamp and duration are in the source's time base.

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
        """Copy a packet of sound, or re-encode it if the container does not support its codec.

        Raises:
            OSError: the file cannot be written.
        """
        if sound.stream.index in self._sounds:
            self._container.mux(self._sounds[sound.stream.index].packets(sound.packet))

    def finish(self) -> None:
        """Write the remaining packets, and rename the file to its final name.

        Raises:
            OSError: the file cannot be written.
        """
        self._end()
        self._files.finish()

    def stop(self) -> Kept | None:
        """End the file early, under the name of a part; None if there is no frame in it."""
        with suppress(OSError, av.FFmpegError):  # on a full disk, what was written is kept
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
        """Make decoding times increase: an encoder's begin before the first frame is shown."""
        for packet in packets:
            if self._last_dts is not None:
                earliest = math.floor(self._last_dts / packet.time_base) + 1
                packet.dts = max(packet.dts, earliest)
                self._last_dts = packet.dts * packet.time_base
            yield packet


def _is_known(sound: AudioStream) -> bool:
    """Whether a track has the parameters needed to write it."""
    context = sound.codec_context
    return context is not None and bool(context.sample_rate and context.layout.nb_channels)


class _SoundTrack:
    """One audio track: copied if the container supports its codec, else encoded as AAC."""

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
        """Return the packets to write for a packet, or at the end of the track (None)."""
        if self.resampler is None:
            if packet is None:
                return []
            packet.stream = self._track
            return [packet]
        try:
            frames = packet.decode() if packet is not None else [None]
        except av.FFmpegError:  # leaves out a damaged packet: a moment of silence
            return []
        made: list[Any] = [part for frame in frames for part in self.resampler.resample(frame)]
        if packet is None:
            made.append(None)
        return [out for part in made for out in self._track.encode(part)]


def container_of(path: Path) -> str:
    """FFmpeg's name of the container for the suffix of ``path``.

    Raises:
        InvalidInput: the suffix is not that of a known container.
    """
    if path.suffix.lower() not in FORMATS:
        raise InvalidInput(
            f"The name {str(path)!r} does not end in a video format that can be written;"
            f" expected {', '.join(FORMATS)}."
        )
    return FORMATS[path.suffix.lower()]
