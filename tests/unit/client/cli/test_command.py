import io
import sys
import types
from contextlib import contextmanager

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from photoreal import __version__, cli
from photoreal.client import (
    RequestRejected,
    RequestTimeout,
    ServerFailed,
    ServerUnavailable,
    StyleTransferClient,
)
from photoreal.client.cli import server_options
from photoreal.client.cli.stylize import stylize
from photoreal.client.cli.terminal import progress
from photoreal.errors import InvalidOption, ServeError, WeightsError

from ..conftest import LABELS, PHOTO, FakeTransport, png


@pytest.fixture(autouse=True)
def _nothing_is_done_here(monkeypatch):
    """A server is needed, as where the extra `local` is not installed."""
    monkeypatch.setattr(server_options, "is_installed", lambda: False)


@pytest.fixture
def run(photo_file, tmp_path, transport):
    """Runs the command over a transport without a network; tells the addresses it asked for."""

    def invoke(
        *options, transport=transport, content=photo_file, output=tmp_path / "out.png", stdin=None
    ):
        def connect(url, *, protocol, timeout, retries, **credentials):
            invoke.addresses.append((url, protocol, timeout))
            invoke.retries = retries
            invoke.credentials = credentials
            chosen = transport[url] if isinstance(transport, dict) else transport
            return StyleTransferClient(transport=chosen, timeout=timeout)

        arguments = [str(content), str(photo_file), "-o", str(output), *options]
        return CliRunner().invoke(stylize, arguments, obj=connect, input=stdin)

    invoke.addresses = []
    return invoke


class TestDone:
    def test_writes_and_reports(self, run, tmp_path, transport):
        outcome = run()
        assert outcome.exit_code == 0, outcome.output
        assert (tmp_path / "out.png").read_bytes() == png(PHOTO)
        assert f"{tmp_path / 'out.png'}: 6 x 4 pixels, regions from the segmenter" in outcome.stdout
        assert "1 matched, 1 left as they are" in outcome.stdout
        assert "Decode 0.01 s, segment 0.20 s, transfer 1.50 s, encode 0.03 s" in outcome.stdout
        assert outcome.stderr == "The server at localhost:8000 does the work.\n"
        assert set(run.addresses) == {(None, "http", 300.0)}
        assert sorted(transport.inputs) == ["CONTENT", "STYLE"]

    def test_options_are_sent(self, run, transport, photo_file):
        mask = str(photo_file)
        outcome = run(
            *("--alpha", "0.5", "--size", "256", "--match", "nearest", "--no-segment"),
            *("--blend", "5"),
            *("--transfer-at", "encoder,skip", "--content-mask", mask, "--style-mask", mask),
            *("--timeout", "7", "--retries", "5", "--url", "there:1", "--protocol", "grpc"),
        )
        assert outcome.exit_code == 0, outcome.output
        data = photo_file.read_bytes()
        assert transport.inputs == {
            "CONTENT": data,
            "STYLE": data,
            "CONTENT_MASK": data,
            "STYLE_MASK": data,
            "ALPHA": 0.5,
            "SIZE": 256,
            "MATCH": b"nearest",
            "BLEND": 5,
            "SEGMENT": False,
            "TRANSFER_AT": b"encoder,skip",
        }
        assert run.addresses == [("there:1", "grpc", 7.0)]
        assert run.retries == 5

    def test_other_format(self, run, tmp_path, transport):
        for suffix, kind in ((".jpg", "JPEG"), (".webp", "WEBP"), (".tif", "TIFF")):
            assert run(output=tmp_path / f"out{suffix}").exit_code == 0
            assert transport.inputs["FORMAT"] == kind.lower().encode()
            with Image.open(tmp_path / f"out{suffix}") as image:
                assert image.format == kind

    def test_quiet(self, run):
        outcome = run("--quiet")
        assert (outcome.exit_code, outcome.output) == (0, "")

    def test_labels(self, run, tmp_path):
        folder = tmp_path / "deep" / "labels"
        outcome = run("--save-labels", str(folder))
        assert outcome.exit_code == 0
        assert str(folder) in outcome.stdout
        assert (folder / "content_labels.png").read_bytes() == png(LABELS)
        with Image.open(folder / "style_labels.png") as image:
            assert np.array_equal(np.asarray(image), LABELS.T)
        for name in ("content_regions.png", "style_regions.png"):
            with Image.open(folder / name) as image:
                assert image.mode == "RGB"
        assert len(list(folder.iterdir())) == 4


class TestExitCodes:
    @pytest.mark.parametrize(
        ("error", "code", "words"),
        [
            (RequestRejected("alpha is 2."), 2, "Error: alpha is 2.\n"),
            (ServerUnavailable("Nobody."), 1, "photoreal serve"),
            (RequestTimeout("Too slow."), 1, "--timeout"),
            (ServerFailed("It broke.", request_id="abc"), 1, "request abc"),
        ],
    )
    def test_errors(self, run, tmp_path, error, code, words):
        outcome = run(transport=FakeTransport(error=error))
        assert outcome.exit_code == code
        assert words in outcome.stderr
        assert outcome.stderr.startswith("Error: ")
        assert outcome.stderr.count("\n") == 1
        assert outcome.stdout == ""
        assert not (tmp_path / "out.png").exists()

    def test_nothing_is_sent_for_a_call_that_cannot_succeed(self, run, tmp_path, transport):
        (tmp_path / "folder.png").mkdir()
        (tmp_path / "file").touch()
        for outcome in (
            run(content=tmp_path / "none.png"),
            run("--content-mask", str(tmp_path / "none.png")),
            run(output=tmp_path / "out.doc"),
            run(output=tmp_path / "none" / "out.png"),
            run(output=tmp_path / "folder.png"),
            run("--save-labels", str(tmp_path / "file")),
            run("--timeout", "0"),
            run("--repository", "somewhere"),
            run("--match", "closest"),
            run("--blend", "soft"),
            run("--alpha", "much"),
        ):
            assert outcome.exit_code == 2
            assert "Error: " in outcome.stderr
            assert "Traceback" not in outcome.output
        assert not transport.calls

    def test_disk_fails(self, run, tmp_path, monkeypatch):
        def full(self, data):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("pathlib.Path.write_bytes", full)
        outcome = run()
        assert outcome.exit_code == 1
        assert "No space left on device" in outcome.stderr
        assert not list(tmp_path.glob("*.part"))


class TestEmbedded:
    @pytest.fixture
    def server(self, monkeypatch):
        """A stand-in for the server that `photoreal.serve` starts."""
        seen = types.SimpleNamespace(repositories=[], stopped=0, error=None)

        @contextmanager
        def embedded_server(repository=None):
            seen.repositories.append(repository)
            if seen.error is not None:
                raise seen.error
            yield types.SimpleNamespace(http_url="own:8000", grpc_url="own:8001")
            seen.stopped += 1

        module = types.ModuleType("photoreal.serve.launch.embedded")
        module.embedded_server = embedded_server
        monkeypatch.setitem(sys.modules, "photoreal.serve.launch.embedded", module)
        return seen

    @pytest.mark.parametrize(("protocol", "own"), [("http", "own:8000"), ("grpc", "own:8001")])
    def test_starts_when_nothing_answers(self, run, server, tmp_path, protocol, own):
        gone, there = FakeTransport(error=ServerUnavailable("Nobody.")), FakeTransport()
        options = ("--embedded", "--protocol", protocol, "--repository", str(tmp_path))
        outcome = run(*options, transport={None: gone, own: there})
        assert outcome.exit_code == 0, outcome.output
        assert len(there.calls) == 1
        assert server.repositories == [tmp_path]
        assert (server.stopped, gone.closed, there.closed) == (1, 1, 1)

    def test_uses_the_one_that_answers(self, run, server, transport):
        assert run("--embedded").exit_code == 0
        assert len(transport.calls) == 1
        assert not server.repositories

    def test_cannot_start(self, run, server):
        server.error = ServeError("The port is taken.")
        outcome = run("--embedded", transport=FakeTransport(error=ServerUnavailable("Nobody.")))
        assert (outcome.exit_code, outcome.stderr) == (1, "Error: The port is taken.\n")

    def test_is_not_installed(self, run, monkeypatch):
        monkeypatch.setitem(sys.modules, "photoreal.serve.launch.embedded", None)
        outcome = run("--embedded", transport=FakeTransport(error=ServerUnavailable("Nobody.")))
        assert outcome.exit_code == 1
        assert "photoreal[serve]" in outcome.stderr

    def test_missing_photo_is_found_before_a_server_is_started(self, run, server, tmp_path):
        gone = FakeTransport(error=ServerUnavailable("Nobody."))
        assert run("--embedded", content=tmp_path / "none.png", transport=gone).exit_code == 2
        assert not server.repositories


class TestInThisProcess:
    @pytest.fixture
    def here(self, monkeypatch, transport):
        """The models of this process; tells how often they were loaded, with which timeout."""
        loaded = []

        def make(timeout):
            loaded.append(timeout)
            return StyleTransferClient(transport=transport, timeout=timeout)

        monkeypatch.setattr(server_options, "is_installed", lambda: True)
        monkeypatch.setattr(server_options, "client_of_this_process", make)
        return loaded

    def test_where_no_server_is_ready(self, run, here, tmp_path, transport):
        outcome = run("--timeout", "9", transport=FakeTransport(error=ServerUnavailable("No.")))
        assert outcome.exit_code == 0, outcome.output
        words = "No server is ready at localhost:8000: the work is done in this process.\n"
        assert outcome.stderr == words
        assert here == [9.0]
        assert (tmp_path / "out.png").read_bytes() == png(PHOTO)
        assert run("-q", transport=FakeTransport(error=ServerUnavailable("No."))).output == ""

    def test_folders_too(self, run, here, tmp_path, photo_file):
        folder = tmp_path / "photos"
        folder.mkdir()
        for name in ("a.png", "b.png"):
            (folder / name).write_bytes(photo_file.read_bytes())
        gone = FakeTransport(error=ServerUnavailable("No."))
        call = ["--content-dir", folder, "--style", photo_file, "-o", tmp_path / "out"]
        outcome = CliRunner().invoke(
            stylize,
            [str(word) for word in call],
            obj=lambda url, **how: StyleTransferClient(transport=gone),
        )
        assert outcome.exit_code == 0, outcome.output
        assert "in this process" in outcome.stderr
        assert len(here) == 1
        assert (tmp_path / "out" / "b.png").read_bytes() == png(PHOTO)

    def test_never_with_a_server_that_is_named_or_ready(self, run, here):
        gone = FakeTransport(error=ServerUnavailable("No."))
        outcome = run("--url", "there:1", transport=gone)
        assert outcome.exit_code == 1
        assert outcome.stderr.startswith("Error: No.")
        assert run().exit_code == 0
        assert not here

    def test_models_that_cannot_be_loaded(self, run, here, monkeypatch):
        def fail(timeout):
            raise WeightsError("They are not there.")

        monkeypatch.setattr(server_options, "client_of_this_process", fail)
        outcome = run(transport=FakeTransport(error=ServerUnavailable("No.")))
        assert outcome.exit_code == 1
        assert outcome.stderr.endswith("Error: They are not there.\n")

    def test_without_the_packages(self, run):
        outcome = run(transport=FakeTransport(error=ServerUnavailable("No.")))
        assert outcome.exit_code == 1
        assert 'pip install "photoreal[local]"' in outcome.stderr


class TestStandardStreams:
    @pytest.mark.parametrize(("given", "kind"), [([], "PNG"), (["--format", "jpg"], "JPEG")])
    def test_a_photo_in_and_a_picture_out(self, run, transport, photo_file, given, kind):
        data = photo_file.read_bytes()
        outcome = run(*given, content="-", output="-", stdin=data)
        assert outcome.exit_code == 0, outcome.output
        assert transport.inputs["CONTENT"] == data
        with Image.open(io.BytesIO(outcome.stdout_bytes)) as image:
            assert (image.format, image.size) == (kind, (6, 4))
        assert "-: 6 x 4 pixels" in outcome.stderr

    def test_nothing_comes(self, run, transport):
        outcome = run(content="-", stdin=b"")
        assert outcome.exit_code == 2
        assert "Standard input is empty; expected the content" in outcome.stderr
        assert not transport.calls

    def test_it_is_one_photo(self, run, transport):
        masks = ("--content-mask", "-", "--style-mask", "-")
        outcome = run(*masks, stdin=b"x")
        assert outcome.exit_code == 2
        assert "one file of a call" in outcome.stderr


def test_progress_is_shown_on_a_terminal_alone(capsys, monkeypatch):
    with progress(quiet=False) as say:
        say("Stylizing")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with progress(quiet=True) as say:
        say("Stylizing")
    assert capsys.readouterr().err == ""
    with progress(quiet=False) as say:
        say("Stylizing")
    captured = capsys.readouterr()
    assert "Stylizing" in captured.err
    assert captured.out == ""


class TestMain:
    def test_help_lists_every_subcommand(self, capsys):
        assert cli.main(["--help"]) == 0
        printed = capsys.readouterr().out
        for name, subcommand in cli.SUBCOMMANDS.items():
            assert name in printed
            assert subcommand.short_help.split()[0] in printed

    def test_version(self, capsys):
        assert cli.main(["--version"]) == 0
        assert __version__ in capsys.readouterr().out

    def test_help_of_stylize(self, capsys):
        assert cli.main(["stylize", "--help"]) == 0
        assert "--content-mask" in capsys.readouterr().out

    def test_usage_errors(self, capsys):
        assert cli.main(["paint"]) == 2
        assert cli.main(["stylize"]) == 2
        assert "Error: " in capsys.readouterr().err

    def test_failure_of_a_subcommand(self, capsys, closed_url, photo_file, tmp_path):
        photo, out = str(photo_file), str(tmp_path / "out.png")
        assert cli.main(["stylize", photo, photo, "-o", out, "--url", closed_url]) == 1
        assert capsys.readouterr().err.startswith(f"Error: No server is ready at {closed_url}")

    @pytest.mark.parametrize(
        ("error", "code", "words"),
        [
            (ServeError("It stopped."), 1, "Error: It stopped.\n"),
            (InvalidOption("No such engine."), 2, "Error: No such engine.\n"),
            (KeyboardInterrupt(), 130, "\n"),
            (ModuleNotFoundError("No module named 'torch'"), 1, 'pip install "photoreal[serve]"'),
        ],
    )
    def test_what_escapes_a_subcommand(self, capsys, monkeypatch, error, code, words):
        def fail():
            raise error

        module = types.ModuleType("photoreal.serve.cli.command")
        module.serve = cli.click.Command("serve", callback=fail)
        monkeypatch.setitem(sys.modules, "photoreal.serve.cli.command", module)
        assert cli.main(["serve"]) == code
        assert words in capsys.readouterr().err

    def test_exit_code_of_a_subcommand(self, monkeypatch):
        module = types.ModuleType("photoreal.serve.cli.command")
        module.serve = cli.click.Command("serve", callback=lambda: 3)
        monkeypatch.setitem(sys.modules, "photoreal.serve.cli.command", module)
        assert cli.main(["serve"]) == 3

    def test_module_that_cannot_be_imported(self, capsys, monkeypatch):
        monkeypatch.setitem(sys.modules, "photoreal.export.command", None)
        assert cli.main(["export"]) == 1
        assert 'pip install "photoreal[export]"' in capsys.readouterr().err
