"""Films in and out: pictures, colors, time stamps, sound, and files that are broken."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from photoreal.client import InvalidInput, StyleTransferClient
from photoreal.client.video.cuts import CutDetector
from photoreal.client.video.run import stylize_video
from photoreal.client.video.source import Frame, VideoSource

from ..conftest import PHOTO, png
from .video import HEIGHT, WIDTH, Mirror, film, scene, sound_packets, times

STYLE = png(PHOTO)


@pytest.fixture
def mirror():
    return Mirror()


@pytest.fixture
def run(mirror, tmp_path):
    """Sends a film through the transport and gives the report."""

    def stylize(source, output=tmp_path / "out.mp4", **options):
        client = StyleTransferClient(transport=options.pop("transport", mirror))
        return stylize_video(client, source, STYLE, output, **options)

    return stylize


def pictures(path, size=512):
    with VideoSource(path, size) as source:
        return [item.pixels for item in source if isinstance(item, Frame)]


def flat(pixels):
    """The middles of the four colors: chroma bleeds over edges."""
    return pixels[[16, 16, 48], [24, 72, 72]].astype(int)


class TestPictures:
    @pytest.mark.parametrize(
        ("matrix", "color_range", "tagged"),
        [(1, 1, True), (1, 2, True), (6, 1, True), (6, 2, True), (6, 1, False)],
    )
    def test_colors_are_read_and_written_as_they_are_meant(
        self, run, tmp_path, mirror, matrix, color_range, tagged
    ):
        source = film(tmp_path / "in.mp4", 3, matrix=matrix, color_range=color_range, tagged=tagged)
        run(source)
        assert mirror.sent("CONTENT")[0].startswith(b"BM")
        for found in (pictures(source)[0], pictures(tmp_path / "out.mp4")[0]):
            assert np.abs(flat(found) - flat(scene(0))).max() <= 3
        with av.open(str(tmp_path / "out.mp4")) as container:
            frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (matrix, 1)

    def test_the_result_is_what_is_written(self, run, tmp_path):
        source = film(tmp_path / "in.mp4", 3)
        run(source, transport=Mirror(lambda pixels: 255 - pixels))
        found = pictures(tmp_path / "out.mp4")
        assert np.abs(flat(found[2]) - (255 - flat(scene(2)))).max() <= 3

    def test_a_film_that_was_held_upright_stays_upright(self, run, tmp_path):
        source = film(tmp_path / "in.mp4", 2)
        data = bytearray(source.read_bytes())
        matrix = data.index(b"tkhd") + 44
        one = 1 << 16
        turned = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)  # a quarter clockwise
        data[matrix : matrix + 36] = turned
        source.write_bytes(data)
        report = run(source)
        assert (report.height, report.width) == (WIDTH, HEIGHT)
        found = pictures(tmp_path / "out.mp4")[0]
        upright = np.rot90(found)  # back again
        assert np.abs(flat(upright) - flat(scene(0))).max() <= 3

    def test_the_size_is_the_shorter_side_and_never_grows(self, run, tmp_path, mirror):
        source = film(tmp_path / "in.mp4", 2)
        report = run(source, size=33)
        assert (report.height, report.width) == (32, 48)
        assert mirror.sent("SIZE") == [None, None]  # the server chooses how large it works
        assert run(source, size=512).height == HEIGHT
        assert run(source).height == HEIGHT
        run(source, size=33, method="published")
        assert mirror.sent("SIZE")[-1] == 32


class TestTime:
    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
    def test_uneven_time_stamps_stay(self, run, tmp_path, suffix):
        source = film(tmp_path / f"in{suffix}", 9)
        output = tmp_path / f"out{suffix}"
        assert run(source, output).frames == 9
        assert times(output) == pytest.approx(times(source), abs=1e-3)
        assert len(set(np.diff(times(output)).round(3))) > 1

    @pytest.mark.parametrize("steady", [0.0, 0.8])
    def test_progress_and_order(self, run, tmp_path, steady):
        seen = []
        source = film(tmp_path / "in.mp4", 12)
        run(source, steady=steady, progress=lambda *done: seen.append(done))
        assert seen == [(done, 12) for done in range(1, 13)]
        changing = [int(frame[48, 72, 0]) for frame in pictures(tmp_path / "out.mp4")]
        assert changing == sorted(changing)
        assert changing[-1] > changing[0]


class TestSound:
    @pytest.mark.parametrize("codec", ["aac", "mp3"])
    def test_it_is_copied_bit_by_bit(self, run, tmp_path, codec):
        source = film(tmp_path / "in.mp4", sound=codec)
        assert run(source).sound == "kept"
        assert sound_packets(tmp_path / "out.mp4") == sound_packets(source)

    def test_what_the_container_cannot_hold_is_encoded_anew(self, run, tmp_path):
        source = film(tmp_path / "in.mkv", sound="wavpack")
        assert run(source).sound == "re-encoded"
        with av.open(str(tmp_path / "out.mp4")) as container:
            (track,) = container.streams.audio
            assert track.codec_context.name == "aac"
            heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(track)])
        assert 0.1 < np.sqrt((heard[2000:-3000] ** 2).mean()) < 0.18  # a sine of 0.2


class TestBroken:
    def test_no_file(self, run, tmp_path):
        with pytest.raises(InvalidInput, match="does not exist"):
            run(tmp_path / "none.mp4")

    @pytest.mark.parametrize("name", ["notes.txt", "notes.mp4"])
    def test_a_text(self, run, tmp_path, name):
        (tmp_path / name).write_text("A note.\n" * 100)
        with pytest.raises(InvalidInput, match=r"is not a video|is a text"):
            run(tmp_path / name)

    def test_a_picture(self, run, tmp_path):
        (tmp_path / "picture.png").write_bytes(png(scene(0)))
        with pytest.raises(InvalidInput, match="is a picture"):
            run(tmp_path / "picture.png")

    def test_sound_alone(self, run, tmp_path):
        path = tmp_path / "song.m4a"
        with av.open(str(path), "w") as container:
            track = container.add_stream("aac", rate=44100, layout="mono")
            quiet = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            quiet.rate = 44100
            container.mux(track.encode(quiet))
            container.mux(track.encode(None))
        with pytest.raises(InvalidInput, match="has no video track"):
            run(path)

    def test_what_is_left_of_a_truncated_film_is_done(self, run, tmp_path):
        source = film(tmp_path / "in.mp4", 40, options={"movflags": "faststart"}, picture=_grainy)
        data = source.read_bytes()
        source.write_bytes(data[: len(data) * 6 // 10])
        report = run(source)
        assert 10 < report.frames < 35
        assert len(times(tmp_path / "out.mp4")) == report.frames
        assert any("truncated" in warning for warning in report.warnings)

    def test_a_film_without_its_table_of_contents(self, run, tmp_path):
        source = film(tmp_path / "in.mp4", 20, picture=_grainy)
        source.write_bytes(source.read_bytes()[:4000])
        with pytest.raises(InvalidInput, match="is not a video, or is truncated"):
            run(source)

    def test_an_output_of_no_known_kind(self, run, tmp_path):
        with pytest.raises(InvalidInput, match=r"expected \.mp4"):
            run(film(tmp_path / "in.mp4", 1), tmp_path / "out.gif")


def _grainy(step):
    noise = np.random.default_rng(step).normal(0, 20, (HEIGHT, WIDTH, 3))
    return np.clip(scene(step) + noise, 0, 255).astype(np.uint8)


class TestCuts:
    def test_a_cut_is_found_and_a_pan_is_not(self):
        wide = np.tile(np.asarray(Image.open(_photo())), (1, 2, 1))
        pan = [wide[:200, 12 * i : 12 * i + 300] for i in range(20)]
        detector = CutDetector()
        found = [detector.is_cut(pixels) for pixels in (*pan, *(255 - p for p in pan))]
        assert [i for i, cut in enumerate(found) if cut] == [0, 20]

    def test_noise_and_slow_light_are_no_cuts(self):
        photo = np.asarray(Image.open(_photo()))[:200, :300].astype(float)
        rng = np.random.default_rng(0)
        detector = CutDetector()
        light = [1 - 0.02 * i for i in range(15)]
        frames = [np.clip(photo * k + rng.normal(0, 8, photo.shape), 0, 255) for k in light]
        assert [detector.is_cut(frame.astype(np.uint8)) for frame in frames] == [True] + [
            False
        ] * 14


def _photo():
    return Path(__file__).parents[4] / "examples" / "photos" / "china.jpg"
