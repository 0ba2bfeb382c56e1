"""Runs over a film: shots, what is sent, and runs that stop half way."""

import os
import resource
import signal
import time
from contextlib import contextmanager

import numpy as np
import pytest
from click.testing import CliRunner

from photoreal.client import (
    RequestRejected,
    ServerUnavailable,
    StyleTransferClient,
    patience,
)
from photoreal.client.video.command import video
from photoreal.client.video.run import VideoStopped, stylize_video
from photoreal.contract import DEFAULT_STEADY

from ..conftest import PHOTO, png
from .video import HEIGHT, WIDTH, FailsLater, Mirror, film, scene, times

STYLE = png(PHOTO)


def two_shots(step):
    return scene(step) if step < 5 else 255 - scene(step)


def run(transport, source, output, **options):
    return stylize_video(StyleTransferClient(transport=transport), source, STYLE, output, **options)


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
        report = run(mirror, film(tmp_path / "in.mp4", 9, picture=two_shots), tmp_path / "out.mp4")
        names = mirror.sent("SEQUENCE")
        assert report.shots == 2
        assert len(set(names[:5])) == len(set(names[5:])) == 1
        assert names[4] != names[5]
        assert mirror.sent("STEADY") == pytest.approx([DEFAULT_STEADY] * 9)

    def test_without_steadying_no_frame_knows_of_another(self, tmp_path):
        mirror = Mirror()
        run(mirror, film(tmp_path / "in.mp4", 9), tmp_path / "out.mp4", steady=0.0)
        assert mirror.sent("SEQUENCE") == mirror.sent("STEADY") == [None] * 9

    def test_options_go_with_every_frame(self, tmp_path):
        mirror = Mirror()
        source = film(tmp_path / "in.mp4", 2)
        run(mirror, source, tmp_path / "out.mp4", alpha=0.5, segment=False)
        assert mirror.sent("ALPHA") == [0.5, 0.5]
        assert mirror.sent("SEGMENT") == [False, False]


class TestStopped:
    def test_a_server_that_goes_away_leaves_the_frames_before(self, tmp_path):
        source, output = film(tmp_path / "in.mp4", 12), tmp_path / "out.mp4"
        with pytest.raises(VideoStopped, match=r"gone.*first 7 frames, is in") as caught:
            run(FailsLater(7, ServerUnavailable("The server is gone.")), source, output)
        kept = tmp_path / "out.partial.mp4"
        assert caught.value.kept == (kept, 7)
        assert times(kept) == pytest.approx(times(source)[:7], abs=1e-3)
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {"in.mp4", "out.partial.mp4", "out.partial.mp4.json"}

    def test_a_refused_first_frame_leaves_nothing(self, tmp_path):
        source = film(tmp_path / "in.mp4", 3)
        with pytest.raises(RequestRejected, match="alpha is 7"):
            run(FailsLater(0, RequestRejected("alpha is 7.")), source, tmp_path / "out.mp4")
        assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]

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

        def noise(pixels):
            return rng.integers(0, 256, pixels.shape, dtype=np.uint8)

        with (
            small_disk(300_000),
            pytest.raises(VideoStopped, match="cannot be written") as caught,
        ):
            run(Mirror(noise), source, output)
        path, frames = caught.value.kept
        assert path.name == f"out.partial{suffix}"
        assert 0 < frames == len(times(path)) < 200
        assert not output.exists()


class TestCommand:
    @pytest.fixture
    def command(self, tmp_path, photo_file):
        def invoke(*options, transport=None, source=None):
            def connect(url, *, protocol, timeout, retries):
                mirror = transport or Mirror()
                return StyleTransferClient(transport=mirror, timeout=timeout, retries=0)

            source = source or film(tmp_path / "in.mp4", 4, sound="aac")
            arguments = [str(source), *options, "-o", str(tmp_path / "out.mp4")]
            return CliRunner().invoke(video, arguments, obj=connect)

        return invoke

    def test_done(self, command, photo_file):
        outcome = command(str(photo_file))
        assert outcome.exit_code == 0, outcome.output
        assert f"4 frames of {WIDTH} x {HEIGHT} pixels, 1 shot, original sound." in outcome.stdout

    def test_styles_and_weights(self, command, photo_file):
        mirror = Mirror()
        styles = ("--style", str(photo_file), "--style", str(photo_file))
        outcome = command(*styles, "--weights", "0.3", "0.7", transport=mirror)
        assert outcome.exit_code == 0, outcome.output
        assert mirror.calls[0]["STYLE"].tolist() == [photo_file.read_bytes()] * 2
        assert mirror.calls[0]["STYLE_WEIGHTS"].tolist() == pytest.approx([0.3, 0.7])

    def test_a_restart_half_way_is_sat_out(self, command, photo_file, monkeypatch, tmp_path):
        monkeypatch.setattr(patience, "_SHORTEST_S", 0.001)
        gone = ServerUnavailable("No server is ready.", transient=True)
        transport = FailsLater(2, gone, times=5)
        outcome = command(str(photo_file), transport=transport)
        assert outcome.exit_code == 0, outcome.output
        assert "4 frames of" in outcome.stdout
        assert "No server is ready. Waiting for it, at most 600 s." in outcome.stderr
        assert len(times(tmp_path / "out.mp4")) == 4

    def test_patience_is_not_for_ever(self, command, photo_file, tmp_path):
        gone = ServerUnavailable("No server is ready.", transient=True)
        outcome = command(str(photo_file), "--patience", "0", transport=FailsLater(2, gone))
        assert outcome.exit_code == 1
        assert "the first 2 frames, is in" in outcome.stderr

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_a_shutdown_keeps_what_is_done(self, command, photo_file, tmp_path, number):
        class Ends(Mirror):
            def infer(self, *arguments):
                if len(self.calls) == 3:
                    os.kill(os.getpid(), number)
                    time.sleep(0.2)  # in a thread of the pool; the main one takes signals
                return super().infer(*arguments)

        before = signal.getsignal(number)
        outcome = command(str(photo_file), transport=Ends())
        assert outcome.exit_code == 1  # click's own, as the command is called here
        assert ", is in" in outcome.stderr
        assert times(tmp_path / "out.partial.mp4")  # how many, depends on the main thread's turns
        assert signal.getsignal(number) is before

    def test_a_failure_half_way_says_where_the_rest_is(self, command, photo_file):
        outcome = command(
            str(photo_file), transport=FailsLater(2, ServerUnavailable("The server is gone."))
        )
        assert outcome.exit_code == 1
        assert "The server is gone. The finished part, the first 2 frames" in outcome.stderr

    def test_what_is_no_video(self, command, photo_file):
        outcome = command(str(photo_file), source=photo_file)
        assert outcome.exit_code == 2
        assert "is a picture; expected a video." in outcome.stderr
