"""Films that are resumed where an earlier run has stopped."""

import io
import json
import shutil

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from photoreal.client import InvalidInput, StyleTransferClient
from photoreal.client.video.command import video
from photoreal.client.video.run import VideoStopped, stylize_video

from ..conftest import PHOTO, connect_over, png
from .video import (
    GONE,
    FailsLater,
    Mirror,
    film,
    frames_of,
    names,
    run,
    scene,
    sound_packets,
    times,
)


def stop_at(frames, source, output, **options):
    """Run until the server goes away; the part that is kept."""
    with pytest.raises(VideoStopped) as caught:
        run(FailsLater(frames, GONE), source, output, **options)
    return caught.value.kept


def resume(source, output, **options):
    """The report of a resumed run, and what it sent."""
    mirror = Mirror()
    return run(mirror, source, output, resume=True, **options), mirror


def decoding_times(path):
    with av.open(str(path)) as container:
        return [packet.dts for packet in container.demux(video=0) if packet.size]


def sent_frames(mirror, source):
    """Which frames of the film were sent, in order."""
    frames = frames_of(source)
    sent = [np.asarray(Image.open(io.BytesIO(data))) for data in mirror.sent("CONTENT")]
    return [next(i for i, one in enumerate(frames) if np.array_equal(one, two)) for two in sent]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.mp4"


class TestResumed:
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_the_film_is_whole_and_its_first_part_as_it_was(self, tmp_path, suffix):
        source = film(tmp_path / f"in{suffix}", 40, sound="aac")
        output = tmp_path / f"out{suffix}"
        before = frames_of(stop_at(25, source, output).path)
        assert len(before) == 25
        report, _ = resume(source, output)
        assert (report.frames, report.shots, report.sound) == (40, 1, "kept")
        assert times(output) == pytest.approx(times(source), abs=1e-3)
        pairs = list(zip(before, frames_of(output), strict=False))
        # Up to a group of B-frames is made again.
        assert sum(np.array_equal(one, two) for one, two in pairs) >= 20
        assert max(np.abs(one.astype(int) - two).mean() for one, two in pairs) < 2
        assert sound_packets(output) == sound_packets(source)
        assert names(tmp_path) == {source.name, output.name}

    def test_twice(self, tmp_path, out):
        source = film(tmp_path / "in.mp4", 30)
        stop_at(8, source, out)
        assert stop_at(20, source, out, resume=True).frames >= 15
        resume(source, out)
        assert times(out) == pytest.approx(times(source), abs=1e-3)

    def test_frames_that_last_longer_behind_the_seam(self, tmp_path, out):
        source = film(tmp_path / "in.mp4", 20, lasts=lambda step: 20 if step < 10 else 3000)
        stop_at(11, source, out)
        resume(source, out)
        assert times(out) == pytest.approx(times(source), abs=1e-3)
        assert (np.diff(decoding_times(out)) > 0).all()

    @pytest.mark.parametrize("killed", [False, True])
    def test_without_a_part_it_begins_at_the_start(self, tmp_path, out, killed):
        source = film(tmp_path / "in.mp4", 3)
        if killed:  # before anything was on the disk
            stop_at(2, source, out).path.unlink()
            (tmp_path / ".out.growing.mp4").touch()
        assert len(resume(source, out)[1].calls) == 3

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_a_killed_run_goes_on_from_what_was_on_the_disk(self, tmp_path, suffix):
        source = film(tmp_path / "in.mp4", 90, sound="aac", lasts=lambda step: 200)
        output, copy = tmp_path / f"out{suffix}", tmp_path / "copy"

        def copy_then_stop(done, total):
            if done == 80:
                shutil.copy(tmp_path / f".out.growing{suffix}", copy)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(Mirror(), source, output, progress=copy_then_stop)
        (tmp_path / f"out.partial{suffix}").unlink()
        copy.replace(tmp_path / f".out.growing{suffix}")
        report, mirror = resume(source, output)
        assert report.frames == 90
        assert len(mirror.calls) < 75
        assert names(tmp_path) == {"in.mp4", output.name}
        # Matroska moves all by what precedes AAC's first sample.
        assert np.diff(times(output)) == pytest.approx(np.diff(times(source)), abs=1e-3)


class TestMemory:
    """The server has forgotten the shot, and is sent what matters of it."""

    def test_the_first_frame_and_the_last_ones_are_sent_again(self, tmp_path, out):
        source = film(tmp_path / "in.mp4", 40)
        stop_at(30, source, out)
        _, mirror = resume(source, out)
        sent = sent_frames(mirror, source)
        # At 0.5 the seventh frame back counts for less than a hundredth.
        assert sent[0] == 0
        assert sent[1:] == list(range(sent[1], 40))
        assert 30 - 4 - 7 <= sent[1] <= 30 - 7
        assert len(set(mirror.sent("SEQUENCE"))) == 1

    def test_of_a_shot_that_has_just_begun_only_its_own(self, tmp_path, out):
        picture = lambda step: scene(step) if step < 27 else 255 - scene(step)  # noqa: E731
        source = film(tmp_path / "in.mp4", 40, picture=picture)
        stop_at(36, source, out)
        report, mirror = resume(source, out)
        assert report.shots == 2
        sent, shots = sent_frames(mirror, source), mirror.sent("SEQUENCE")
        of_second = [number for number, shot in zip(sent, shots, strict=True) if shot == shots[-1]]
        assert of_second == list(range(27, 40))

    def test_nothing_where_no_frame_depends_on_another(self, tmp_path, out):
        source = film(tmp_path / "in.mp4", 20)
        stop_at(15, source, out, steady=0.0, in_flight=1)
        assert len(resume(source, out, steady=0.0)[1].calls) <= 20 - 15 + 5


class TestRefused:
    @pytest.fixture
    def stopped(self, tmp_path, out):
        """A source, an output and its part."""
        source = film(tmp_path / "in.mp4", 12)
        return source, out, stop_at(9, source, out).path

    def test_a_part_is_not_overwritten(self, stopped):
        source, output, part = stopped
        before = part.read_bytes()
        with pytest.raises(InvalidInput, match=r"out.partial.mp4' is left"):
            run(Mirror(), source, output)
        # Nor by a resumed run that comes less far.
        with pytest.raises(VideoStopped, match=r"gone.*the first 9 frames"):
            run(FailsLater(0, GONE), source, output, resume=True)
        assert part.read_bytes() == before
        resume(source, output)
        assert len(times(output)) == 12

    @pytest.mark.parametrize(("name", "value"), [("alpha", 0.5), ("crf", 30), ("steady", 0.0)])
    def test_other_arguments(self, stopped, name, value):
        source, output, part = stopped
        with pytest.raises(InvalidInput, match=f" {name}"):
            resume(source, output, **{name: value})
        assert part.exists()

    def test_another_style_or_film(self, stopped):
        source, output, _ = stopped
        client = StyleTransferClient(transport=Mirror())
        with pytest.raises(InvalidInput, match=" style"):
            stylize_video(client, source, png(255 - PHOTO), output, resume=True)
        film(source, 13)
        with pytest.raises(InvalidInput, match=" video"):
            resume(source, output)

    @pytest.mark.parametrize("text", [None, "{", "[]"])
    def test_a_part_of_unknown_making(self, stopped, text):
        source, output, part = stopped
        recipe = part.with_name(f"{part.name}.json")
        recipe.unlink()
        if text is not None:
            recipe.write_text(text)
        with pytest.raises(InvalidInput, match=r"\.mp4\.json' does not"):
            resume(source, output)

    def test_a_part_of_another_encoder(self, stopped):
        source, output, part = stopped
        recipe = part.with_name(f"{part.name}.json")
        recipe.write_text(json.dumps({**json.loads(recipe.read_text()), "crf": 40}))
        with pytest.raises(InvalidInput, match="another version of x264"):
            resume(source, output, crf=40)
        assert part.exists()
        assert ".out.growing.mp4" not in names(output.parent)


def test_the_command_goes_on(tmp_path, out, photo_file):
    arguments = [str(film(tmp_path / "in.mp4", 12)), str(photo_file), "-o", str(out)]
    stopped = CliRunner().invoke(video, arguments, obj=connect_over(FailsLater(9, GONE)))
    assert "the first 9 frames" in stopped.stderr
    assert "--resume" in stopped.stderr
    assert CliRunner().invoke(video, arguments, obj=connect_over(Mirror())).exit_code == 2
    done = CliRunner().invoke(video, [*arguments, "--resume"], obj=connect_over(Mirror()))
    assert done.exit_code == 0, done.output
    assert "12 frames of" in done.stdout
