"""Films that are resumed where an earlier run has stopped."""

import io
import json
import shutil

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from photoreal.client import InvalidInput, ServerUnavailable, StyleTransferClient
from photoreal.client.video.command import video
from photoreal.client.video.run import VideoStopped, stylize_video

from ..conftest import PHOTO, png
from .video import FailsLater, Mirror, film, scene, sound_packets, times

STYLE = png(PHOTO)
GONE = ServerUnavailable("The server is gone.")


def run(transport, source, output, **options):
    return stylize_video(StyleTransferClient(transport=transport), source, STYLE, output, **options)


def stop_at(frames, source, output, **options):
    """Run until the server goes away; the part that is kept."""
    with pytest.raises(VideoStopped) as caught:
        run(FailsLater(frames, GONE), source, output, **options)
    return caught.value.kept


def pictures(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def decoding_times(path):
    with av.open(str(path)) as container:
        return [packet.dts for packet in container.demux(video=0) if packet.size]


def names(folder):
    return {path.name for path in folder.iterdir()}


def sent_frames(mirror, source):
    """Which frames of the film were sent, in order."""
    sent = [np.asarray(Image.open(io.BytesIO(data))) for data in mirror.sent("CONTENT")]
    whole = Mirror()
    run(whole, source, source.with_name("whole.mp4"))
    frames = [np.asarray(Image.open(io.BytesIO(data))) for data in whole.sent("CONTENT")]
    return [next(i for i, one in enumerate(frames) if np.array_equal(one, two)) for two in sent]


class TestResumed:
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_the_film_is_whole_and_its_first_part_as_it_was(self, tmp_path, suffix):
        source = film(tmp_path / f"in{suffix}", 40, sound="aac")
        output = tmp_path / f"out{suffix}"
        kept = stop_at(25, source, output)
        before = pictures(kept.path)
        assert len(before) == 25
        report = run(Mirror(), source, output, resume=True)
        assert (report.frames, report.shots, report.sound) == (40, 1, "kept")
        assert times(output) == pytest.approx(times(source), abs=1e-3)
        after = pictures(output)
        unchanged = sum(map(np.array_equal, before, after))
        assert unchanged >= 20  # up to a group of B-frames is made again
        assert (
            max(
                np.abs(one.astype(int) - two).mean()
                for one, two in zip(before, after, strict=False)
            )
            < 2
        )
        assert sound_packets(output) == sound_packets(source)
        assert names(tmp_path) == {source.name, output.name}

    def test_twice(self, tmp_path):
        source, output = film(tmp_path / "in.mp4", 30), tmp_path / "out.mp4"
        stop_at(8, source, output)
        assert stop_at(20, source, output, resume=True).frames >= 15
        run(Mirror(), source, output, resume=True)
        assert times(output) == pytest.approx(times(source), abs=1e-3)

    def test_frames_that_last_longer_behind_the_seam(self, tmp_path):
        source = film(tmp_path / "in.mp4", 20, lasts=lambda step: 20 if step < 10 else 3000)
        output = tmp_path / "out.mp4"
        stop_at(11, source, output)
        run(Mirror(), source, output, resume=True)
        assert times(output) == pytest.approx(times(source), abs=1e-3)
        assert (np.diff(decoding_times(output)) > 0).all()

    def test_without_a_part_it_begins_at_the_start(self, tmp_path):
        mirror = Mirror()
        source = film(tmp_path / "in.mp4", 3)
        run(mirror, source, tmp_path / "out.mp4", resume=True)
        assert len(mirror.calls) == 3


class TestMemory:
    """The server has forgotten the shot, and is shown what matters of it."""

    def test_the_first_frame_and_the_last_ones_are_sent_again(self, tmp_path):
        source, output = film(tmp_path / "in.mp4", 40), tmp_path / "out.mp4"
        stop_at(30, source, output)
        mirror = Mirror()
        run(mirror, source, output, resume=True)
        sent = sent_frames(mirror, source)
        # At 0.5 the seventh frame back counts for less than a hundredth.
        assert sent[0] == 0
        assert sent[1:] == list(range(sent[1], 40))
        assert 30 - 4 - 7 <= sent[1] <= 30 - 7
        assert len(set(mirror.sent("SEQUENCE"))) == 1

    def test_of_a_shot_that_has_just_begun_only_its_own(self, tmp_path):
        def two_shots(step):
            return scene(step) if step < 27 else 255 - scene(step)

        source, output = film(tmp_path / "in.mp4", 40, picture=two_shots), tmp_path / "out.mp4"
        stop_at(36, source, output)
        mirror = Mirror()
        assert run(mirror, source, output, resume=True).shots == 2
        sent, shots = sent_frames(mirror, source), mirror.sent("SEQUENCE")
        of_second = [number for number, shot in zip(sent, shots, strict=True) if shot == shots[-1]]
        assert of_second == list(range(27, 40))

    def test_nothing_where_no_frame_depends_on_another(self, tmp_path):
        source, output = film(tmp_path / "in.mp4", 20), tmp_path / "out.mp4"
        stop_at(15, source, output, steady=0.0, in_flight=1)
        mirror = Mirror()
        run(mirror, source, output, resume=True, steady=0.0)
        assert len(mirror.calls) <= 20 - 15 + 5


class TestKilled:
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_what_was_on_the_disk_is_gone_on_with(self, tmp_path, suffix):
        source, output = film(tmp_path / "in.mp4", 140, sound="aac"), tmp_path / f"out{suffix}"
        copies = tmp_path / "copies"
        copies.mkdir()

        def copy_then_stop(done, total):
            if done == 130:
                shutil.copy(tmp_path / f".out.growing{suffix}", copies)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(Mirror(), source, output, progress=copy_then_stop)
        (tmp_path / f"out.partial{suffix}").unlink()
        (growing,) = copies.iterdir()
        growing.replace(tmp_path / growing.name)
        mirror = Mirror()
        assert run(mirror, source, output, resume=True).frames == 140
        assert len(mirror.calls) < 110
        assert names(tmp_path) == {"in.mp4", output.name, "copies"}
        run(Mirror(), source, whole := tmp_path / f"whole{suffix}")
        assert times(output) == pytest.approx(times(whole), abs=1e-3)

    def test_before_anything_was_on_the_disk(self, tmp_path):
        source, output = film(tmp_path / "in.mp4", 3), tmp_path / "out.mp4"
        kept = stop_at(2, source, output)
        kept.path.unlink()
        (tmp_path / ".out.growing.mp4").touch()
        mirror = Mirror()
        run(mirror, source, output, resume=True)
        assert len(mirror.calls) == 3


class TestRefused:
    @pytest.fixture
    def stopped(self, tmp_path):
        """A source, an output and its part."""
        source, output = film(tmp_path / "in.mp4", 12), tmp_path / "out.mp4"
        return source, output, stop_at(9, source, output).path

    def test_a_part_is_not_overwritten(self, stopped):
        source, output, part = stopped
        before = part.read_bytes()
        with pytest.raises(
            InvalidInput, match=r"out.partial.mp4' is left over from an earlier run"
        ):
            run(Mirror(), source, output)
        assert part.read_bytes() == before

    def test_nor_by_a_resumed_run_that_comes_less_far(self, stopped):
        source, output, part = stopped
        before = part.read_bytes()
        with pytest.raises(VideoStopped, match=r"gone. The finished part, the first 9 frames"):
            run(FailsLater(0, GONE), source, output, resume=True)
        assert part.read_bytes() == before
        run(Mirror(), source, output, resume=True)
        assert len(times(output)) == 12

    @pytest.mark.parametrize(
        ("options", "name"),
        [({"alpha": 0.5}, "alpha"), ({"crf": 30}, "crf"), ({"steady": 0.0}, "steady")],
    )
    def test_other_arguments(self, stopped, options, name):
        source, output, part = stopped
        with pytest.raises(InvalidInput, match=f"it used a different {name}. Use"):
            run(Mirror(), source, output, resume=True, **options)
        assert part.exists()

    def test_another_style_or_film(self, stopped):
        source, output, _ = stopped
        client = StyleTransferClient(transport=Mirror())
        with pytest.raises(InvalidInput, match="a different style"):
            stylize_video(client, source, png(255 - PHOTO), output, resume=True)
        film(source, 13)
        with pytest.raises(InvalidInput, match="a different video"):
            run(Mirror(), source, output, resume=True)

    @pytest.mark.parametrize("text", [None, "{", "[]"])
    def test_a_part_of_unknown_making(self, stopped, text):
        source, output, part = stopped
        recipe = part.with_name(f"{part.name}.json")
        if text is None:
            recipe.unlink()
        else:
            recipe.write_text(text)
        with pytest.raises(InvalidInput, match="does not describe the earlier run"):
            run(Mirror(), source, output, resume=True)

    def test_a_part_of_another_encoder(self, stopped):
        source, output, part = stopped
        recipe = part.with_name(f"{part.name}.json")
        recipe.write_text(json.dumps({**json.loads(recipe.read_text()), "crf": 40}))
        with pytest.raises(InvalidInput, match="another version of x264"):
            run(Mirror(), source, output, resume=True, crf=40)
        assert part.exists()
        assert ".out.growing.mp4" not in names(output.parent)


def test_the_command_goes_on(tmp_path, photo_file):
    source = film(tmp_path / "in.mp4", 12)

    def invoke(transport, *options):
        def connect(url, *, protocol, timeout, retries):
            return StyleTransferClient(transport=transport, timeout=timeout, retries=0)

        out = str(tmp_path / "out.mp4")
        return CliRunner().invoke(
            video, [str(source), str(photo_file), *options, "-o", out], obj=connect
        )

    stopped = invoke(FailsLater(9, GONE))
    assert "the first 9 frames, is in" in stopped.stderr
    assert "continue with --resume." in stopped.stderr
    assert invoke(Mirror()).exit_code == 2
    done = invoke(Mirror(), "--resume")
    assert done.exit_code == 0, done.output
    assert "12 frames of" in done.stdout
