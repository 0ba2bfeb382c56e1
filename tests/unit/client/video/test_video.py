"""Films in and out: pictures, colors, time stamps, sound, and files that are broken."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from photoreal.client import InvalidInput
from photoreal.client.video.cuts import CutDetector

from ..conftest import png
from .video import HEIGHT, WIDTH, Mirror, film, frames_of, run, scene, sound_packets, times

CHINA = Path(__file__).parents[4] / "examples" / "photos" / "china.jpg"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.mp4"


def flat(pixels):
    """The middles of the four colors: chroma bleeds over edges."""
    return pixels[[16, 16, 48], [24, 72, 72]].astype(int)


class TestPictures:
    @pytest.mark.parametrize(
        ("matrix", "color_range", "tagged"),
        [(1, 1, True), (1, 2, True), (6, 1, True), (6, 2, True), (6, 1, False)],
    )
    def test_colors_are_read_and_written_as_they_are_meant(
        self, tmp_path, out, matrix, color_range, tagged
    ):
        source = film(tmp_path / "in.mp4", 3, matrix=matrix, color_range=color_range, tagged=tagged)
        mirror = Mirror()
        run(mirror, source, out)
        assert mirror.sent("CONTENT")[0].startswith(b"BM")
        for found in (frames_of(source)[0], frames_of(out)[0]):
            assert np.abs(flat(found) - flat(scene(0))).max() <= 3
        with av.open(str(out)) as container:
            frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (matrix, 1)

    def test_the_result_is_what_is_written(self, tmp_path, out):
        run(Mirror(lambda pixels: 255 - pixels), film(tmp_path / "in.mp4", 3), out)
        assert np.abs(flat(frames_of(out)[2]) - (255 - flat(scene(2)))).max() <= 3

    def test_a_film_that_was_held_upright_stays_upright(self, tmp_path, out):
        source = film(tmp_path / "in.mp4", 2)
        data = bytearray(source.read_bytes())
        matrix = data.index(b"tkhd") + 44
        one = 1 << 16  # a quarter clockwise
        data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
        source.write_bytes(data)
        report = run(Mirror(), source, out)
        assert (report.height, report.width) == (WIDTH, HEIGHT)
        assert np.abs(flat(np.rot90(frames_of(out)[0])) - flat(scene(0))).max() <= 3

    def test_the_size_is_the_shorter_side_and_never_grows(self, tmp_path, out):
        source, mirror = film(tmp_path / "in.mp4", 2), Mirror()
        report = run(mirror, source, out, size=33)
        assert (report.height, report.width) == (32, 48)
        assert mirror.sent("SIZE") == [None, None]  # the server chooses how large it works
        for larger in ({"size": 512}, {}):
            assert run(mirror, source, out, **larger).height == HEIGHT
        run(mirror, source, out, size=33, method="published")
        assert mirror.sent("SIZE")[-1] == 32


class TestTime:
    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
    def test_uneven_time_stamps_stay(self, tmp_path, suffix):
        source, output = film(tmp_path / f"in{suffix}", 9), tmp_path / f"out{suffix}"
        assert run(Mirror(), source, output).frames == 9
        assert times(output) == pytest.approx(times(source), abs=1e-3)
        assert len(set(np.diff(times(output)).round(3))) > 1

    @pytest.mark.parametrize("steady", [0.0, 0.8])
    def test_progress_and_order(self, tmp_path, out, steady):
        seen, source = [], film(tmp_path / "in.mp4", 12)
        run(Mirror(), source, out, steady=steady, progress=lambda *done: seen.append(done))
        assert seen == [(done, 12) for done in range(1, 13)]
        changing = [int(frame[48, 72, 0]) for frame in frames_of(out)]
        assert changing == sorted(changing)
        assert changing[-1] > changing[0]


class TestSound:
    @pytest.mark.parametrize("codec", ["aac", "mp3"])
    def test_it_is_copied_bit_by_bit(self, tmp_path, out, codec):
        source = film(tmp_path / "in.mp4", sound=codec)
        assert run(Mirror(), source, out).sound == "kept"
        assert sound_packets(out) == sound_packets(source)

    def test_what_the_container_cannot_hold_is_encoded_again(self, tmp_path, out):
        assert run(Mirror(), film(tmp_path / "in.mkv", sound="wavpack"), out).sound == "re-encoded"
        with av.open(str(out)) as container:
            (track,) = container.streams.audio
            assert track.codec_context.name == "aac"
            heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(track)])
        assert 0.1 < np.sqrt((heard[2000:-3000] ** 2).mean()) < 0.18  # a sine of 0.2


def write_text(path):
    path.write_text("A note.\n" * 100)


def write_picture(path):
    path.write_bytes(png(scene(0)))


def write_sound(path):
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=44100, layout="mono")
        quiet = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        quiet.rate = 44100
        container.mux(track.encode(quiet))
        container.mux(track.encode(None))


def write_start(path):
    path.write_bytes(film(path, 20, picture=grainy).read_bytes()[:4000])


def grainy(step):
    noise = np.random.default_rng(step).normal(0, 20, (HEIGHT, WIDTH, 3))
    return np.clip(scene(step) + noise, 0, 255).astype(np.uint8)


class TestBroken:
    @pytest.mark.parametrize(
        ("name", "write", "words"),
        [
            ("none.mp4", lambda path: None, "does not exist"),
            ("notes.txt", write_text, "video|text"),
            ("notes.mp4", write_text, "video|text"),
            ("picture.png", write_picture, "is a picture"),
            ("song.m4a", write_sound, "has no video track"),
            ("start.mp4", write_start, "cut off|truncated"),
        ],
    )
    def test_files_that_are_not_videos(self, tmp_path, out, name, write, words):
        write(tmp_path / name)
        with pytest.raises(InvalidInput, match=words):
            run(Mirror(), tmp_path / name, out)
        with pytest.raises(InvalidInput, match=r"expected \.mp4"):
            run(Mirror(), tmp_path / name, tmp_path / "out.gif")

    def test_what_is_left_of_a_truncated_film_is_done(self, tmp_path, out):
        source = film(tmp_path / "in.mp4", 40, options={"movflags": "faststart"}, picture=grainy)
        data = source.read_bytes()
        source.write_bytes(data[: len(data) * 6 // 10])
        report = run(Mirror(), source, out)
        assert 10 < report.frames < 35
        assert len(times(out)) == report.frames
        assert any("truncated" in warning for warning in report.warnings)


class TestCuts:
    def test_a_cut_is_found_and_a_pan_is_not(self):
        wide = np.tile(np.asarray(Image.open(CHINA)), (1, 2, 1))
        pan = [wide[:200, 12 * i : 12 * i + 300] for i in range(20)]
        detector = CutDetector()
        found = [detector.is_cut(pixels) for pixels in (*pan, *(255 - p for p in pan))]
        assert [i for i, cut in enumerate(found) if cut] == [0, 20]

    def test_noise_and_slow_light_are_not_cuts(self):
        photo = np.asarray(Image.open(CHINA))[:200, :300].astype(float)
        rng, detector = np.random.default_rng(0), CutDetector()
        for i in range(15):
            noisy = photo * (1 - 0.02 * i) + rng.normal(0, 8, photo.shape)
            assert detector.is_cut(np.clip(noisy, 0, 255).astype(np.uint8)) is (i == 0)
