"""Runs over a film: shots, what is sent, and runs that stop half way."""

import os
import resource
import signal
import time
from contextlib import contextmanager

import numpy as np
import pytest
from click.testing import CliRunner

from photoreal.client import RequestRejected, ServerUnavailable
from photoreal.client.video.command import video
from photoreal.client.video.run import VideoStopped
from photoreal.contract import DEFAULT_STEADY

from ..conftest import connect_over
from .video import GONE, HEIGHT, WIDTH, FailsLater, Mirror, film, names, run, scene, times

RESTARTS = ServerUnavailable("No server is ready.", transient=True)


@contextmanager
def small_disk(size):
    """No file of this process may grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestShots:
    def test_each_shot_has_its_own_sequence(self, tmp_path):
        mirror = Mirror()
        picture = lambda step: scene(step) if step < 5 else 255 - scene(step)  # noqa: E731
        report = run(mirror, film(tmp_path / "in.mp4", 9, picture=picture), tmp_path / "out.mp4")
        shots = mirror.sent("SEQUENCE")
        assert report.shots == 2
        assert len(set(shots[:5])) == len(set(shots[5:])) == 1
        assert shots[4] != shots[5]
        assert mirror.sent("STEADY") == pytest.approx([DEFAULT_STEADY] * 9)

    def test_without_steadying_no_frame_knows_of_another(self, tmp_path):
        mirror = Mirror()
        source = film(tmp_path / "in.mp4", 4)
        run(mirror, source, tmp_path / "out.mp4", steady=0.0, alpha=0.5, segment=False)
        assert mirror.sent("SEQUENCE") == mirror.sent("STEADY") == [None] * 4
        assert mirror.sent("ALPHA") == [0.5] * 4  # options go with every frame
        assert mirror.sent("SEGMENT") == [False] * 4


class TestStopped:
    def test_a_server_that_goes_away_leaves_the_frames_before(self, tmp_path):
        source, output = film(tmp_path / "in.mp4", 12), tmp_path / "out.mp4"
        with pytest.raises(VideoStopped, match=r"gone.*first 7 frames") as caught:
            run(FailsLater(7, GONE), source, output)
        kept = tmp_path / "out.partial.mp4"
        assert caught.value.kept == (kept, 7)
        assert times(kept) == pytest.approx(times(source)[:7], abs=1e-3)
        assert names(tmp_path) == {"in.mp4", "out.partial.mp4", "out.partial.mp4.json"}

    def test_a_refused_first_frame_leaves_nothing(self, tmp_path):
        source = film(tmp_path / "in.mp4", 3)
        with pytest.raises(RequestRejected, match="alpha is 7"):
            run(FailsLater(0, RequestRejected("alpha is 7.")), source, tmp_path / "out.mp4")
        assert names(tmp_path) == {"in.mp4"}

    def test_an_interruption_keeps_what_is_done(self, tmp_path):
        source = film(tmp_path / "in.mp4", 12)

        def interrupt(done, total):
            if done == 5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt) as caught:
            run(Mirror(), source, tmp_path / "out.mp4", progress=interrupt)
        assert caught.value.args[1] == (tmp_path / "out.partial.mp4", 5)
        assert len(times(tmp_path / "out.partial.mp4")) == 5

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    @pytest.mark.slow
    def test_a_full_disk_keeps_what_fitted(self, tmp_path, suffix):
        source, output = film(tmp_path / "in.mp4", 200), tmp_path / f"out{suffix}"
        rng = np.random.default_rng(0)
        noise = Mirror(lambda pixels: rng.integers(0, 256, pixels.shape, dtype=np.uint8))
        with small_disk(300_000), pytest.raises(VideoStopped, match="cannot be written") as caught:
            run(noise, source, output)
        path, frames = caught.value.kept
        assert path.name == f"out.partial{suffix}"
        assert 0 < frames == len(times(path)) < 200
        assert not output.exists()


class TestCommand:
    @pytest.fixture
    def command(self, tmp_path, photo_file):
        """Runs the command on a film of 4 frames."""

        def invoke(transport, *options, style=(str(photo_file),), source=None):
            source = source or film(tmp_path / "in.mp4", 4, sound="aac")
            arguments = [str(source), *style, *options, "-o", str(tmp_path / "out.mp4")]
            return CliRunner().invoke(video, arguments, obj=connect_over(transport))

        return invoke

    def test_done_with_styles_and_weights(self, command, photo_file):
        mirror, styles = Mirror(), ("--style", str(photo_file)) * 2
        outcome = command(mirror, "--weights", "0.3", "0.7", style=styles)
        assert outcome.exit_code == 0, outcome.output
        assert f"4 frames of {WIDTH} x {HEIGHT} pixels, 1 shot, " in outcome.stdout
        assert mirror.calls[0]["STYLE"].tolist() == [photo_file.read_bytes()] * 2
        assert mirror.calls[0]["STYLE_WEIGHTS"].tolist() == pytest.approx([0.3, 0.7])

    @pytest.mark.usefixtures("quick")
    def test_a_restart_half_way_is_waited_for(self, command, tmp_path):
        outcome = command(FailsLater(2, RESTARTS, times=5))
        assert outcome.exit_code == 0, outcome.output
        assert "4 frames of" in outcome.stdout
        assert "No server is ready. Waiting" in outcome.stderr
        assert len(times(tmp_path / "out.mp4")) == 4

    def test_a_failure_half_way_says_where_the_rest_is(self, command):
        outcome = command(FailsLater(2, RESTARTS), "--patience", "0")
        assert outcome.exit_code == 1
        assert str(RESTARTS) in outcome.stderr
        assert "the first 2 frames" in outcome.stderr

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_a_shutdown_keeps_what_is_done(self, command, tmp_path, number):
        class Ends(Mirror):
            def infer(self, *arguments):
                if len(self.calls) == 3:
                    os.kill(os.getpid(), number)
                    time.sleep(0.2)  # in a thread of the pool; the main one takes signals
                return super().infer(*arguments)

        before = signal.getsignal(number)
        outcome = command(Ends())
        assert outcome.exit_code == 1  # click's own, as the command is called here
        assert "out.partial.mp4" in outcome.stderr
        assert times(tmp_path / "out.partial.mp4")  # how many, depends on the main thread's turns
        assert signal.getsignal(number) is before

    def test_invalid_videos(self, command, photo_file):
        outcome = command(Mirror(), source=photo_file)
        assert outcome.exit_code == 2
        assert "is a picture" in outcome.stderr
