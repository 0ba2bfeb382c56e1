import errno
import os
import threading

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from photoreal.client import (
    RequestRejected,
    ServerUnavailable,
    StyleTransferClient,
    patience,
)
from photoreal.client.cli.stylize import stylize
from photoreal.client.errors import ServerBusy
from photoreal.client.folder.manifest import NAME, Manifest
from photoreal.client.folder.run import FolderRun

from ..conftest import FakeTransport, answer, png

SERVER = "Using the server at localhost:8000.\n"


class PhotoTransport(FakeTransport):
    """Gives every photo back as the result, but raises what `errors` has for one."""

    def __init__(self):
        super().__init__()
        self.errors = {}
        self.failures = {}  # that end after a while
        self.on_call = lambda: None
        self.lock = threading.Lock()
        self.at_once = self.most_at_once = 0

    def infer(self, inputs, outputs, request_id, timeout):
        content = inputs["CONTENT"].item()
        with self.lock:
            self.calls.append((inputs, list(outputs), request_id, timeout))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.on_call()
        with self.lock:
            self.at_once -= 1
        if self.failures.get(content):
            raise self.failures[content].pop()
        if content in self.errors:
            raise self.errors[content]
        return answer(IMAGE=content)

    @property
    def contents(self):
        return {call[0]["CONTENT"].item() for call in self.calls}


def photo(number):
    return png(np.full((4, 6, 3), number, dtype=np.uint8))


@pytest.fixture
def transport():
    return PhotoTransport()


@pytest.fixture
def folder(tmp_path):
    """Three photos, a style, and what else lies about in a folder."""
    contents = tmp_path / "in"
    (contents / "more.png").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "c.PNG")):
        (contents / name).write_bytes(photo(number))
    (contents / "notes.txt").write_text("hello")
    (contents / ".hidden.png").write_bytes(photo(9))
    (tmp_path / "style.png").write_bytes(photo(100))
    return contents


@pytest.fixture
def run(folder, tmp_path, transport):
    def invoke(*options, style=("--style", tmp_path / "style.png"), output=tmp_path / "out"):
        def connect(url, *, protocol, timeout, retries):
            return StyleTransferClient(transport=transport, timeout=timeout, retries=0)

        transport.calls.clear()
        arguments = ["--content-dir", folder, *style, "-o", output, *options]
        return CliRunner().invoke(stylize, list(map(str, arguments)), obj=connect)

    return invoke


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class TestDone:
    def test_every_photo_and_nothing_else(self, run, transport, tmp_path):
        outcome = run("--alpha", "0.5", "--mask-edges", "--no-segment")
        assert outcome.exit_code == 0, outcome.output
        assert names(tmp_path / "out") == ["a.png", "b.png", "c.PNG", NAME]
        for number, name in enumerate(("a.png", "b.png", "c.PNG")):
            assert (tmp_path / "out" / name).read_bytes() == photo(number)
        assert "3 photos, 3 done. Ignored 3 other files." in outcome.stdout
        assert outcome.stderr == SERVER
        inputs = transport.inputs
        assert inputs["STYLE"] == photo(100)
        assert (inputs["ALPHA"], inputs["MASK_EDGES"], inputs["SEGMENT"]) == (0.5, True, False)

    def test_format(self, run, tmp_path):
        assert run("--format", "jpg", "--quiet").output == ""
        assert names(tmp_path / "out") == ["a.jpg", "b.jpg", "c.jpg", NAME]
        with Image.open(tmp_path / "out" / "a.jpg") as image:
            assert image.format == "JPEG"

    def test_styles_by_name(self, run, transport, tmp_path):
        styles = tmp_path / "styles"
        styles.mkdir()
        for number, name in enumerate(("a.bmp", "b.png", "other.png")):
            (styles / name).write_bytes(photo(50 + number))
        outcome = run(style=("--style-dir", styles))
        assert outcome.exit_code == 1
        assert "Failed: c.PNG: There is no style named 'c'." in outcome.stderr
        assert "2 done, 1 failed" in outcome.stdout
        pairs = {(c[0]["CONTENT"].item(), c[0]["STYLE"].item()) for c in transport.calls}
        assert pairs == {(photo(0), photo(50)), (photo(1), photo(51))}

    @pytest.mark.parametrize("in_flight", [1, 3])
    def test_requests_in_flight(self, run, transport, in_flight):
        barrier = threading.Barrier(in_flight)
        transport.on_call = lambda: barrier.wait(10)
        assert run("--in-flight", in_flight).exit_code == 0
        assert transport.most_at_once == in_flight


class TestGoingOn:
    def test_finished_photos_are_left_out(self, run, transport):
        run()
        again = run()
        assert (again.exit_code, transport.calls) == (0, [])
        assert "3 photos, 0 done, 3 already finished." in again.stdout

    def test_whatever_has_changed_is_done_again(self, run, transport, folder, tmp_path):
        run()
        (folder / "a.png").write_bytes(photo(40))
        os.utime(folder / "a.png", ns=(1, 1))
        (tmp_path / "out" / "b.png").unlink()
        assert "2 done, 1 already finished" in run().stdout
        assert transport.contents == {photo(40), photo(1)}
        assert "3 done" in run("--alpha", "0.5").stdout
        assert "3 already finished" in run("--alpha", "0.5").stdout
        os.utime(tmp_path / "style.png", ns=(1, 1))
        assert "3 done" in run("--alpha", "0.5").stdout
        assert "3 done" in run("--alpha", "0.5", "--overwrite").stdout

    def test_a_picture_of_someone_elses_is_no_finished_one(self, run, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a.png").write_bytes(b"other")
        assert "3 done" in run().stdout
        assert (tmp_path / "out" / "a.png").read_bytes() == photo(0)

    @pytest.mark.parametrize("rest", ["", '{"output": "b.png", "by', "\0\0\n[1]\n"])
    def test_a_manifest_that_was_cut_off_tells_what_it_can(self, run, tmp_path, rest):
        run("--in-flight", 1)
        manifest = tmp_path / "out" / NAME
        first = manifest.read_text().splitlines()[0]
        manifest.write_text(f"{first}\n{rest}")
        assert "2 done, 1 already finished" in run().stdout
        assert "0 done, 3 already finished" in run().stdout


class TestPatience:
    @pytest.fixture(autouse=True)
    def _short_waits(self, monkeypatch):
        monkeypatch.setattr(patience, "_SHORTEST_S", 0.001)

    def test_a_restart_in_the_middle_loses_no_photo(self, run, transport, tmp_path):
        gone = ServerUnavailable("No server is ready.", transient=True)
        transport.failures[photo(1)] = [gone, gone]
        transport.failures[photo(2)] = [ServerBusy("The queue is full.", transient=True)]
        outcome = run("--in-flight", 1)
        assert outcome.exit_code == 0, outcome.output
        assert "3 photos, 3 done." in outcome.stdout
        assert "No server is ready. Waiting for it, at most 600 s." in outcome.stderr
        assert len(transport.calls) == 6

    def test_it_can_be_turned_off(self, run, transport):
        gone = ServerUnavailable("No server is ready.", transient=True)
        transport.failures[photo(1)] = [gone] * 3
        outcome = run("--in-flight", 1, "--patience", 0)
        assert outcome.exit_code == 1
        assert "1 done, 2 not started" in outcome.stdout


class TestFailures:
    def test_one_photo_is_not_fatal(self, run, transport, tmp_path):
        transport.errors[photo(1)] = RequestRejected("The content photo is damaged.")
        outcome = run()
        assert outcome.exit_code == 1
        assert outcome.stderr == f"{SERVER}Failed: b.png: The content photo is damaged.\n"
        assert "3 photos, 2 done, 1 failed." in outcome.stdout
        assert names(tmp_path / "out") == ["a.png", "c.PNG", NAME]
        transport.errors.clear()
        assert "1 done, 2 already finished" in run().stdout

    def test_no_server_ends_all_at_once(self, run, transport, tmp_path):
        transport.errors = {photo(n): ServerUnavailable("Nobody.") for n in range(3)}
        outcome = run("--in-flight", 1)
        assert outcome.exit_code == 1
        assert outcome.stderr.startswith(f"{SERVER}Error: Nobody. Start one with `photoreal serve`")
        assert "3 not started; repeat the command to continue" in outcome.stdout
        assert len(transport.calls) == 1
        assert names(tmp_path / "out") == []

    def test_full_disk_keeps_what_was_finished(self, run, transport, tmp_path, monkeypatch):
        from pathlib import Path

        write = Path.write_bytes

        def full(path, data):
            if data == photo(1):
                write(path, data[:10])
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(path, data)

        monkeypatch.setattr(Path, "write_bytes", full)
        outcome = run("--in-flight", 1)
        assert outcome.exit_code == 1
        assert "b.png' cannot be written: No space left on device." in outcome.stderr
        assert "1 done, 2 not started" in outcome.stdout
        assert names(tmp_path / "out") == ["a.png", NAME]
        monkeypatch.undo()
        assert "2 done, 1 already finished" in run().stdout

    def test_interruption_keeps_what_was_begun(self, run, transport, tmp_path, monkeypatch):
        wait = FolderRun.wait

        def interrupted(self):
            monkeypatch.setattr(FolderRun, "wait", wait)
            answered.wait(10)
            raise KeyboardInterrupt

        answered, go_on = threading.Event(), threading.Event()

        def hold():
            answered.set()
            go_on.wait(10)

        finish = FolderRun.finish_early

        def finishing(self):
            self._stop.set()
            go_on.set()
            return finish(self)

        monkeypatch.setattr(FolderRun, "wait", interrupted)
        monkeypatch.setattr(FolderRun, "finish_early", finishing)
        transport.on_call = hold
        outcome = run("--in-flight", 1)
        assert outcome.exit_code == 130
        assert "1 done, 2 not started; repeat the command to continue" in outcome.stdout
        assert names(tmp_path / "out") == ["a.png", NAME]


class TestRefused:
    def test_calls_that_make_no_sense(self, run, folder, tmp_path, transport):
        style = tmp_path / "style.png"
        (tmp_path / "empty").mkdir()
        for outcome, words in (
            (run(style=()), "requires either --style or --style-dir"),
            (run(style=("--style", style, "--style-dir", folder)), "requires either"),
            (run(style, style), "replaces CONTENT and STYLE"),
            (run("--style-mask", style), "for one photo"),
            (run("--save-labels", tmp_path / "labels"), "for one photo"),
            (run("--format", "gif"), "gif"),
            (run("--in-flight", "0"), "0"),
            (run(style=("--style", tmp_path / "none")), "does not exist"),
            (run(style=("--style", folder)), "is a folder; expected a file"),
            (run(style=("--style-dir", style)), "is a file; expected a folder"),
            (run(output=folder), "expected another"),
            (run(output=style), "is a file; expected a folder"),
            (run("--content-dir", tmp_path / "none"), "does not exist"),
            (run("--content-dir", style), "is a file"),
            (run("--content-dir", tmp_path / "empty"), "holds no photo"),
        ):
            assert outcome.exit_code == 2, outcome.output
            assert words in outcome.stderr
            assert "Traceback" not in outcome.output
        assert transport.calls == []

    def test_photos_of_phones(self, run, folder, transport, tmp_path):
        for name in ("d.HEIC", "e.avif"):
            (folder / name).write_bytes(photo(4))  # what a file holds is the server's business
        assert run().exit_code == 0
        assert names(tmp_path / "out") == ["a.png", "b.png", "c.PNG", "d.jpg", "e.avif", NAME]
        with Image.open(tmp_path / "out" / "d.jpg") as image:
            assert image.format == "JPEG"
        assert run("--format", "webp", output=tmp_path / "other").exit_code == 0
        assert "d.webp" in names(tmp_path / "other")

    def test_two_photos_of_one_name(self, run, folder, tmp_path):
        (folder / "a.jpg").write_bytes(photo(7))
        assert run().exit_code == 0
        outcome = run("--format", "png")
        assert outcome.exit_code == 2
        assert "Both 'a.jpg' and 'a.png' would become 'a.png'." in outcome.stderr
        outcome = run(style=("--style-dir", folder), output=tmp_path / "other")
        assert outcome.exit_code == 2
        assert "has both 'a.jpg' and 'a.png'" in outcome.stderr

    def test_single_call_has_no_folder_options(self, run, tmp_path):
        style = str(tmp_path / "style.png")
        for options in (
            ["--overwrite"],
            ["--format", "png"],
            ["--in-flight", "2"],
        ):
            outcome = CliRunner().invoke(stylize, [style, style, "-o", "x.png", *options])
            assert outcome.exit_code == 2
            assert f"{options[0]} requires --content-dir." in outcome.stderr
        outcome = CliRunner().invoke(stylize, [style, "-o", "x.png"])
        assert outcome.exit_code == 2
        assert "Give the photos CONTENT and STYLE" in outcome.stderr


def test_manifest_knows_the_recipe(tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"12")
    Manifest(tmp_path).add(picture, {"alpha": 0.5})
    again = Manifest(tmp_path)
    assert again.is_finished(picture, {"alpha": 0.5})
    assert not again.is_finished(picture, {"alpha": 0.6})
    picture.write_bytes(b"123")
    assert not again.is_finished(picture, {"alpha": 0.5})
