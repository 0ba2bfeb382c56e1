"""Films for tests, and a transport that gives every frame back, with a change or without."""

import io
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
from PIL import Image

from photoreal.client import ServerUnavailable, StyleTransferClient
from photoreal.client.video.run import stylize_video
from photoreal.client.video.source import Frame, VideoSource

from ..conftest import PHOTO, answer, png

HEIGHT, WIDTH = 64, 96
RATE = 24
TIME_BASE = Fraction(1, 1000)
STYLE = png(PHOTO)
GONE = ServerUnavailable("The server is gone.")


def run(transport, source, output, **options):
    return stylize_video(StyleTransferClient(transport=transport), source, STYLE, output, **options)


def names(folder):
    return {path.name for path in folder.iterdir()}


def frames_of(path):
    """The frames of a film as they are sent."""
    with VideoSource(path, 512) as source:
        return [item.pixels for item in source if isinstance(item, Frame)]


def scene(step, shade=60):
    """A frame of four flat colors, of which one changes with `step`."""
    pixels = np.empty((HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[:, : WIDTH // 2] = (30, 200, shade)
    pixels[: HEIGHT // 2, WIDTH // 2 :] = (200, shade, 40)
    pixels[HEIGHT // 2 :, WIDTH // 2 :] = (40 + 2 * (step % 100), 80, 200)
    return pixels


def film(
    path: Any,
    frames: int = 8,
    *,
    picture: Any = scene,
    sound: Any = None,
    matrix: Any = 1,
    color_range: Any = 1,
    tagged: bool = True,
    options: Any = None,
    lasts: Callable[[int], int] = lambda step: 40 if step % 3 else 80,
) -> Any:
    """Write a film; as `lasts` has it, every third frame lasts twice as long."""
    with av.open(str(path), "w", options=options or {}) as container:
        track = container.add_stream("libx264", rate=RATE, options={"crf": "1", "g": "4"})
        context = track.codec_context
        context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context.time_base = track.time_base = TIME_BASE
        if tagged:
            context.colorspace = context.color_primaries = context.color_trc = matrix
            context.color_range = color_range
        voice = sound and container.add_stream(sound, rate=44100, layout="mono")
        pts = 0
        for step in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(step), format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace={1: 1, 6: 5}[matrix],
                src_color_range=2,
                dst_color_range=color_range,
            )
            frame.pts, frame.time_base = pts, TIME_BASE
            pts += lasts(step)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
        if voice:
            wave = 0.2 * np.sin(0.05 * np.arange(44100 * pts // 1000), dtype=np.float32)
            heard = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            heard.rate, heard.pts = 44100, 0
            resampler = av.AudioResampler(voice.codec_context.format.name, "mono", 44100)
            for part in resampler.resample(heard):
                container.mux(voice.encode(part))
            container.mux(voice.encode(None))
    return path


def times(path):
    """Seconds at which the frames of a film begin."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(container.streams.video[0])]


def sound_packets(path):
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio)
        return [bytes(packet) for packet in packets if packet.size]


class Mirror:
    """Answers each frame with itself, put through `change`; remembers what it was asked."""

    def __init__(self, change=lambda pixels: pixels):
        self.change = change
        self.calls = []

    def infer(self, inputs, outputs, request_id, timeout):
        self.calls.append(inputs)
        with Image.open(io.BytesIO(inputs["CONTENT"].item())) as image:
            pixels = np.asarray(image.convert("RGB"))
        return answer(IMAGE=png(np.ascontiguousarray(self.change(pixels))))

    def ready(self, timeout):
        return True

    def close(self):
        pass

    def sent(self, name):
        return [inputs[name].item() if name in inputs else None for inputs in self.calls]


class FailsLater(Mirror):
    """Fails at a frame, so many times."""

    def __init__(self, at, error, times=1_000):
        super().__init__()
        self.at, self.error, self.times = at, error, times

    def infer(self, *arguments):
        if len(self.calls) == self.at and self.times:
            self.times -= 1
            raise self.error
        return super().infer(*arguments)
