"""`photoreal stylize --content-dir`."""

import errno
import os
import re
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from photoreal.client.cli.stylize import stylize
from photoreal.client.errors import RequestRejected, ServerBusy, ServerUnavailable
from photoreal.client.folder.manifest import NAME
from photoreal.client.folder.run import FolderRun
from photoreal.client.patience import Patience

from ..conftest import FakeTransport, answer, connect_over, png

RESTARTS = ServerUnavailable("No server is ready.", transient=True)
PHOTOS = {"a.png": 0, "b.png": 1, "c.PNG": 2}


class PhotoTransport(FakeTransport):
    """Gives every photo back as the result, but first raises what `errors` has for it."""

    def __init__(self):
        super().__init__()
        self.errors = {}
        self.on_call = lambda: None

    def infer(self, inputs, *rest):
        content = inputs["CONTENT"].item()
        super().infer(inputs, *rest)
        self.on_call()
        if self.errors.get(content):
            raise self.errors[content].pop()
        return answer(IMAGE=content)


def photo(number):
    return png(np.full((4, 6, 3), number, dtype=np.uint8))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def transport():
    return PhotoTransport()


@pytest.fixture
def folder(tmp_path):
    """Three photos, a style, and what else lies about in a folder."""
    contents = tmp_path / "in"
    (contents / "more.png").mkdir(parents=True)
    for name, number in PHOTOS.items():
        (contents / name).write_bytes(photo(number))
    (contents / "notes.txt").write_text("hello")
    (contents / ".hidden.png").write_bytes(photo(9))
    (tmp_path / "style.png").write_bytes(photo(100))
    return contents


@pytest.fixture
def run(folder, tmp_path, transport):
    def invoke(*options, style=("--style", tmp_path / "style.png"), output=tmp_path / "out"):
        transport.calls.clear()
        arguments = ["--content-dir", folder, *style, "-o", output, *options]
        return CliRunner().invoke(stylize, list(map(str, arguments)), obj=connect_over(transport))

    return invoke


class TestDone:
    def test_every_photo_and_nothing_else(self, run, transport, tmp_path):
        outcome = run("--alpha", "0.5", "--mask-edges", "--no-segment")
        assert outcome.exit_code == 0, outcome.output
        assert "server at localhost:8000" in outcome.stderr
        assert names(tmp_path / "out") == [*PHOTOS, NAME]
        for name, number in PHOTOS.items():
            assert (tmp_path / "out" / name).read_bytes() == photo(number)
        assert "3 photos, 3 done. Ignored 3 other files." in outcome.stdout
        inputs = transport.inputs
        assert inputs["STYLE"] == photo(100)
        assert (inputs["ALPHA"], inputs["MASK_EDGES"], inputs["SEGMENT"]) == (0.5, True, False)

    def test_format(self, run, folder, tmp_path):
        for name in ("d.HEIC", "e.avif"):
            (folder / name).write_bytes(photo(4))  # what a file holds is the server's business
        assert run("--quiet").output == ""
        assert names(tmp_path / "out") == ["a.png", "b.png", "c.PNG", "d.jpg", "e.avif", NAME]
        assert run("--format", "jpg", output=tmp_path / "other").exit_code == 0
        assert names(tmp_path / "other") == [*(f"{name}.jpg" for name in "abcde"), NAME]
        for path in (tmp_path / "out" / "d.jpg", tmp_path / "other" / "a.jpg"):
            with Image.open(path) as image:
                assert image.format == "JPEG"

    def test_styles_by_name(self, run, transport, tmp_path):
        styles = tmp_path / "styles"
        styles.mkdir()
        for number, name in enumerate(("a.bmp", "b.png", "other.png")):
            (styles / name).write_bytes(photo(50 + number))
        outcome = run(style=("--style-dir", styles))
        assert outcome.exit_code == 1
        assert re.search("Failed: c.PNG: .* no style .*'c'", outcome.stderr)
        assert "2 done, 1 failed" in outcome.stdout
        pairs = {(c[0]["CONTENT"].item(), c[0]["STYLE"].item()) for c in transport.calls}
        assert pairs == {(photo(0), photo(50)), (photo(1), photo(51))}

    @pytest.mark.parametrize("in_flight", [1, 3])
    def test_requests_in_flight(self, run, transport, in_flight):
        barrier, room, in_time = threading.Barrier(in_flight), threading.Semaphore(in_flight), []

        def meet():
            in_time.append(room.acquire(blocking=False))
            barrier.wait(10)
            room.release()

        transport.on_call = meet
        assert run("--in-flight", in_flight).exit_code == 0
        assert in_time == [True] * 3


class TestGoingOn:
    def test_changed_photos_styles_and_options_are_done_again(
        self, run, transport, folder, tmp_path
    ):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a.png").write_bytes(b"somebody else's")
        assert "3 photos, 3 done" in run().stdout
        assert (tmp_path / "out" / "a.png").read_bytes() == photo(0)
        again = run()
        assert (again.exit_code, transport.calls) == (0, [])
        assert re.search("3 photos, 0 done, 3 .*finished", again.stdout)
        (folder / "a.png").write_bytes(photo(40))
        os.utime(folder / "a.png", ns=(1, 1))
        (tmp_path / "out" / "b.png").unlink()
        (tmp_path / "out" / "c.PNG").write_bytes(b"cut off")
        assert "3 done" in run().stdout
        assert photo(40) in {call[0]["CONTENT"].item() for call in transport.calls}
        assert "3 done" in run("--alpha", "0.5").stdout
        assert re.search("3 .*finished", run("--alpha", "0.5").stdout)
        os.utime(tmp_path / "style.png", ns=(1, 1))
        assert "3 done" in run("--alpha", "0.5").stdout
        assert "3 done" in run("--alpha", "0.5", "--overwrite").stdout

    @pytest.mark.parametrize("rest", ["", '{"output": "b.png", "by', "\0\0\n[1]\n"])
    def test_a_truncated_manifest_is_used_as_far_as_it_goes(self, run, tmp_path, rest):
        run("--in-flight", 1)
        manifest = tmp_path / "out" / NAME
        first = manifest.read_text().splitlines()[0]
        manifest.write_text(f"{first}\n{rest}")
        assert re.search("2 done, 1 .*finished", run().stdout)
        assert re.search("0 done, 3 .*finished", run().stdout)


class TestFailures:
    @pytest.mark.usefixtures("quick")
    def test_a_restart_in_the_middle_loses_no_photo(self, run, transport, tmp_path):
        busy = ServerBusy("The queue is full.", transient=True)
        transport.errors = {photo(1): [RESTARTS, RESTARTS], photo(2): [busy]}
        outcome = run("--in-flight", 1)
        assert outcome.exit_code == 0, outcome.output
        assert "3 photos, 3 done." in outcome.stdout
        assert "No server is ready. Waiting" in outcome.stderr
        assert len(transport.calls) == 6

    def test_patience_can_be_turned_off(self, run, transport):
        transport.errors = {photo(1): [RESTARTS]}
        outcome = run("--in-flight", 1, "--patience", 0)
        assert outcome.exit_code == 1
        assert "1 done, 2 not " in outcome.stdout

    def test_one_photo_is_not_fatal(self, run, transport, tmp_path):
        transport.errors = {photo(1): [RequestRejected("The content photo is damaged.")]}
        outcome = run()
        assert outcome.exit_code == 1
        assert outcome.stderr.endswith("Failed: b.png: The content photo is damaged.\n")
        assert "3 photos, 2 done, 1 failed." in outcome.stdout
        assert names(tmp_path / "out") == ["a.png", "c.PNG", NAME]
        assert re.search("1 done, 2 .*finished", run().stdout)

    def test_without_a_server_the_folder_ends_at_once(self, run, transport, tmp_path):
        transport.errors = {photo(n): [ServerUnavailable("Nobody.")] for n in range(3)}
        outcome = run("--in-flight", 1)
        assert outcome.exit_code == 1
        assert re.search("Error: Nobody. .*photoreal serve", outcome.stderr)
        assert "3 not " in outcome.stdout
        assert len(transport.calls) == 1
        assert names(tmp_path / "out") == []

    def test_full_disk_keeps_what_was_finished(self, run, tmp_path, monkeypatch):
        write = Path.write_bytes

        def full(path, data):
            if data != photo(1):
                return write(path, data)
            write(path, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
        outcome = run("--in-flight", 1)
        assert outcome.exit_code == 1
        assert "b.png' cannot be written: No space left on device." in outcome.stderr
        assert "1 done, 2 not " in outcome.stdout
        assert names(tmp_path / "out") == ["a.png", NAME]
        monkeypatch.undo()
        assert re.search("2 done, 1 .*finished", run().stdout)

    def test_interruption_keeps_what_was_begun(self, run, transport, tmp_path, monkeypatch):
        waiting, finishing, wait = threading.Event(), threading.Event(), FolderRun.wait

        def note_wait(self):
            waiting.set()
            return wait(self)

        monkeypatch.setattr(FolderRun, "wait", note_wait)
        monkeypatch.setattr(Patience, "give_up", lambda self: finishing.set())
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it

        def interrupt():
            assert waiting.wait(10)
            os.kill(os.getpid(), signal.SIGINT)
            assert finishing.wait(10)

        transport.on_call = interrupt
        outcome = run("--in-flight", 1)
        assert outcome.exit_code == 130
        assert "1 done, 2 not " in outcome.stdout
        assert names(tmp_path / "out") == ["a.png", NAME]


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["style.png", "style.png"], "CONTENT and STYLE"),
            (["--style-dir", "in"], "either"),
            (["--style-mask", "style.png"], "for one photo"),
            (["--save-labels", "labels"], "for one photo"),
            (["--format", "gif"], "gif"),
            (["--in-flight", "0"], "0"),
            (["-o", "in"], "expected another"),
            (["-o", "style.png"], "is a file"),
            (["--content-dir", "none"], "does not exist"),
            (["--content-dir", "style.png"], "is a file"),
            (["--content-dir", "in/more.png"], "holds no photo"),
        ],
    )
    def test_calls_that_make_no_sense(self, run, tmp_path, transport, monkeypatch, options, words):
        monkeypatch.chdir(tmp_path)
        outcome = run(*options)
        assert outcome.exit_code == 2, outcome.output
        assert words in outcome.stderr
        assert "Traceback" not in outcome.output
        assert transport.calls == []

    @pytest.mark.parametrize(
        ("style", "words"),
        [
            ([], "either"),
            (["--style", "none"], "does not exist"),
            (["--style", "in"], "is a folder"),
            (["--style-dir", "style.png"], "is a file"),
        ],
    )
    def test_styles_that_make_no_sense(self, run, tmp_path, monkeypatch, style, words):
        monkeypatch.chdir(tmp_path)
        outcome = run(style=style)
        assert outcome.exit_code == 2
        assert words in outcome.stderr

    def test_two_photos_of_one_name(self, run, folder, tmp_path):
        (folder / "a.jpg").write_bytes(photo(7))
        assert run().exit_code == 0
        for outcome in (run("--format", "png"), run(style=("--style-dir", folder))):
            assert outcome.exit_code == 2
            assert "oth 'a.jpg' and 'a.png'" in outcome.stderr

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["a", "b", "--overwrite"], "--content-dir"),
            (["a", "b", "--format", "png"], "--content-dir"),
            (["a", "b", "--in-flight", "2"], "--content-dir"),
            (["a"], "CONTENT and STYLE"),
        ],
    )
    def test_single_call_has_no_folder_options(self, arguments, words):
        outcome = CliRunner().invoke(stylize, [*arguments, "-o", "x.png"])
        assert outcome.exit_code == 2
        assert words in outcome.stderr
