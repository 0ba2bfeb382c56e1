"""`photoreal stylize`, and the command `photoreal` around it."""

import io
import re
import sys
import types
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from PIL import Image

from photoreal import __version__, cli
from photoreal.client import StyleTransferClient, errors
from photoreal.client.cli import server_options
from photoreal.client.cli.stylize import stylize
from photoreal.client.cli.terminal import progress
from photoreal.errors import InvalidOption, ServeError, WeightsError

from ..conftest import PHOTO, FakeTransport, connect_over, png

EMBEDDED = "photoreal.serve.launch.embedded"


@pytest.fixture(autouse=True)
def _nothing_is_done_here(monkeypatch):
    """A server is needed, as where the extra `local` is not installed."""
    monkeypatch.setattr(server_options, "is_installed", lambda: False)


@pytest.fixture
def gone():
    return FakeTransport(error=errors.ServerUnavailable("Nobody."))


@pytest.fixture
def run(photo_file, tmp_path, transport):
    """Runs the command over a transport without a network; notes how it connected."""

    def invoke(
        *options, transport=transport, content=photo_file, output=tmp_path / "out.png", stdin=None
    ):
        def connect(url, **how):
            invoke.connected.append({"url": url, **{name: str(how[name]) for name in how}})
            chosen = transport[url] if isinstance(transport, dict) else transport
            return StyleTransferClient(transport=chosen, timeout=how["timeout"])

        arguments = [str(content), str(photo_file), "-o", str(output), *options]
        return CliRunner().invoke(stylize, arguments, obj=connect, input=stdin)

    invoke.connected = []
    return invoke


class TestDone:
    def test_writes_and_reports(self, run, tmp_path, transport):
        outcome = run()
        assert outcome.exit_code == 0, outcome.output
        assert (tmp_path / "out.png").read_bytes() == png(PHOTO)
        assert f"{tmp_path / 'out.png'}: 6 x 4 pixels, regions from the segmenter" in outcome.stdout
        assert "1 matched, 1 " in outcome.stdout
        assert "Decode 0.01 s, segment 0.20 s, transfer 1.50 s, encode 0.03 s" in outcome.stdout
        assert "server at localhost:8000" in outcome.stderr
        usual = {"url": None, "protocol": "http", "timeout": "300.0", "retries": "2"}
        assert usual in run.connected
        assert sorted(transport.inputs) == ["CONTENT", "FORMAT", "STYLE"]
        assert transport.calls[-1][1] == ["IMAGE", "REPORT"]
        assert (run("--quiet").exit_code, run("--quiet").output) == (0, "")

    def test_options_are_sent(self, run, transport, photo_file, monkeypatch):
        monkeypatch.setenv("PHOTOREAL_API_KEY", "a-key")
        mask = str(photo_file)
        outcome = run(
            *("--alpha", "0.5", "--size", "256", "--match", "nearest", "--no-segment"),
            *("--blend", "5", "--transfer-at", "encoder,skip"),
            *("--content-mask", mask, "--style-mask", mask),
            *("--timeout", "7", "--retries", "5", "--url", "there:1", "--protocol", "grpc"),
            *("--ca-cert", "a", "--client-cert", "b", "--client-key", "c"),
        )
        assert outcome.exit_code == 0, outcome.output
        photos = ("CONTENT", "STYLE", "CONTENT_MASK", "STYLE_MASK")
        assert transport.inputs == dict.fromkeys(photos, photo_file.read_bytes()) | {
            "ALPHA": 0.5,
            "SIZE": 256,
            "MATCH": b"nearest",
            "BLEND": 5,
            "SEGMENT": False,
            "TRANSFER_AT": b"encoder,skip",
            "FORMAT": b"png",
        }
        where = {"url": "there:1", "protocol": "grpc", "timeout": "7.0", "retries": "5"}
        shown = {"ca_certificate": "a", "client_certificate": "b", "client_key": "c"}
        assert run.connected == [where | shown | {"api_key": "a-key"}]

    @pytest.mark.parametrize(
        ("suffix", "kind"), [(".jpg", "JPEG"), (".webp", "WEBP"), (".tif", "TIFF")]
    )
    def test_other_format(self, run, tmp_path, transport, suffix, kind):
        assert run(output=tmp_path / f"out{suffix}").exit_code == 0
        assert transport.inputs["FORMAT"] == kind.lower().encode()
        with Image.open(tmp_path / f"out{suffix}") as image:
            assert image.format == kind


class TestExitCodes:
    @pytest.mark.parametrize(
        ("error", "code", "words"),
        [
            (errors.RequestRejected("alpha is 2."), 2, "Error: alpha is 2.\n"),
            (errors.ServerUnavailable("Nobody."), 1, "photoreal serve"),
            (errors.RequestTimeout("Too slow."), 1, "--timeout"),
            (errors.ServerFailed("It broke.", request_id="abc"), 1, "request abc"),
        ],
    )
    def test_errors(self, run, tmp_path, error, code, words):
        outcome = run(transport=FakeTransport(error=error))
        assert (outcome.exit_code, outcome.stdout) == (code, "")
        assert words in outcome.stderr
        assert outcome.stderr.startswith("Error: ")
        assert outcome.stderr.count("\n") == 1
        assert not (tmp_path / "out.png").exists()

    @pytest.mark.parametrize(
        "options",
        [
            *(("--content-mask", "none.png"), ("--save-labels", __file__), ("--timeout", "0")),
            *(("--repository", "somewhere"), ("--match", "closest"), ("--blend", "soft")),
            *(("--alpha", "much"), ("-o", "out.doc"), ("-o", "none/out.png")),
        ],
    )
    def test_nothing_is_sent_for_options_that_cannot_succeed(self, run, transport, options):
        outcome = run(*options)
        assert outcome.exit_code == 2
        assert "Error: " in outcome.stderr
        assert "Traceback" not in outcome.output
        assert not transport.calls

    def test_files_are_looked_at_before_a_server(self, run, tmp_path, gone):
        (tmp_path / "folder.png").mkdir()
        assert run(content=tmp_path / "none.png", transport=gone).exit_code == 2
        assert run(output=tmp_path / "folder.png", transport=gone).exit_code == 2
        assert not gone.calls

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

        module = types.ModuleType(EMBEDDED)
        module.embedded_server = embedded_server
        monkeypatch.setitem(sys.modules, EMBEDDED, module)
        return seen

    @pytest.mark.parametrize(("protocol", "own"), [("http", "own:8000"), ("grpc", "own:8001")])
    def test_starts_when_nothing_answers(self, run, server, gone, tmp_path, protocol, own):
        there = FakeTransport()
        options = ("--embedded", "--protocol", protocol, "--repository", str(tmp_path))
        outcome = run(*options, transport={None: gone, own: there})
        assert outcome.exit_code == 0, outcome.output
        assert len(there.calls) == 1
        assert server.repositories == [tmp_path]
        assert (server.stopped, gone.closed, there.closed) == (1, 1, 1)

    def test_uses_the_one_that_answers(self, run, server, transport, gone, tmp_path):
        assert run("--embedded").exit_code == 0
        assert len(transport.calls) == 1
        assert run("--embedded", content=tmp_path / "none.png", transport=gone).exit_code == 2
        assert not server.repositories

    def test_cannot_start(self, run, server, gone, monkeypatch):
        server.error = ServeError("The port is taken.")
        outcome = run("--embedded", transport=gone)
        assert (outcome.exit_code, outcome.stderr) == (1, "Error: The port is taken.\n")
        monkeypatch.setitem(sys.modules, EMBEDDED, None)
        outcome = run("--embedded", transport=gone)
        assert outcome.exit_code == 1
        assert "photoreal[serve]" in outcome.stderr


class TestInThisProcess:
    @pytest.fixture
    def here(self, monkeypatch, transport):
        """The models of this process; gives the timeouts with which they were loaded."""
        loaded = []

        def make(timeout):
            loaded.append(timeout)
            return StyleTransferClient(transport=transport, timeout=timeout)

        monkeypatch.setattr(server_options, "is_installed", lambda: True)
        monkeypatch.setattr(server_options, "client_of_this_process", make)
        return loaded

    def test_where_no_server_is_ready(self, run, here, tmp_path, gone):
        outcome = run("--timeout", "9", transport=gone)
        assert outcome.exit_code == 0, outcome.output
        assert re.search("No server .* localhost:8000.* in this process", outcome.stderr)
        assert here == [9.0]
        assert (tmp_path / "out.png").read_bytes() == png(PHOTO)
        assert run("-q", transport=gone).output == ""

    def test_folders_too(self, here, tmp_path, photo_file, gone):
        (tmp_path / "photos").mkdir()
        for name in ("a.png", "b.png"):
            (tmp_path / "photos" / name).write_bytes(photo_file.read_bytes())
        call = ["--content-dir", tmp_path / "photos", "--style", photo_file, "-o", tmp_path / "out"]
        outcome = CliRunner().invoke(stylize, list(map(str, call)), obj=connect_over(gone))
        assert outcome.exit_code == 0, outcome.output
        assert "in this process" in outcome.stderr
        assert len(here) == 1
        assert (tmp_path / "out" / "b.png").read_bytes() == png(PHOTO)

    def test_never_with_a_server_that_is_named_or_ready(self, run, here, gone):
        outcome = run("--url", "there:1", transport=gone)
        assert (outcome.exit_code, outcome.stderr[:14]) == (1, "Error: Nobody.")
        assert run().exit_code == 0
        assert not here

    def test_where_that_cannot_be(self, run, here, gone, monkeypatch):
        def fail(timeout):
            raise WeightsError("They are not there.")

        monkeypatch.setattr(server_options, "client_of_this_process", fail)
        outcome = run(transport=gone)
        assert outcome.exit_code == 1
        assert outcome.stderr.endswith("Error: They are not there.\n")
        monkeypatch.setattr(server_options, "is_installed", lambda: False)
        outcome = run(transport=gone)
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

    def test_it_is_one_photo(self, run, transport):
        outcome = run(content="-", stdin=b"")
        assert outcome.exit_code == 2
        assert "Standard input is empty" in outcome.stderr
        outcome = run("--content-mask", "-", "--style-mask", "-", stdin=b"x")
        assert outcome.exit_code == 2
        assert "one file" in outcome.stderr
        assert not transport.calls


@pytest.mark.parametrize(("terminal", "quiet"), [(False, False), (True, True), (True, False)])
def test_progress_is_shown_on_a_terminal_alone(capsys, monkeypatch, terminal, quiet):
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
    with progress(quiet=quiet) as say:
        say("Stylizing")
    captured = capsys.readouterr()
    assert ("Stylizing" in captured.err) == (terminal and not quiet)
    assert captured.out == ""


class TestMain:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--help"], [one.short_help.split()[0] for one in cli.SUBCOMMANDS.values()]),
            (["--help"], list(cli.SUBCOMMANDS)),
            (["--version"], [__version__]),
            (["stylize", "--help"], ["--content-mask"]),
        ],
    )
    def test_help_and_version(self, capsys, arguments, words):
        assert cli.main(arguments) == 0
        printed = capsys.readouterr().out
        assert not [word for word in words if word not in printed]

    @pytest.mark.parametrize("name", ["paint", "stylize"])
    def test_usage_errors(self, capsys, name):
        assert cli.main([name]) == 2
        assert "Error: " in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("outcome", "code", "words"),
        [
            (3, 3, ""),
            (ServeError("It stopped."), 1, "Error: It stopped.\n"),
            (InvalidOption("No such engine."), 2, "Error: No such engine.\n"),
            (KeyboardInterrupt(), 130, "\n"),
            (ModuleNotFoundError("No module named 'torch'"), 1, 'pip install "photoreal[serve]"'),
        ],
    )
    def test_what_a_subcommand_ends_with(self, capsys, monkeypatch, outcome, code, words):
        def end():
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        module = types.ModuleType("photoreal.serve.cli.command")
        module.serve = cli.click.Command("serve", callback=end)
        monkeypatch.setitem(sys.modules, "photoreal.serve.cli.command", module)
        assert cli.main(["serve"]) == code
        assert words in capsys.readouterr().err

    def test_module_that_cannot_be_imported(self, capsys, monkeypatch):
        monkeypatch.setitem(sys.modules, "photoreal.export.command", None)
        assert cli.main(["export"]) == 1
        assert 'pip install "photoreal[export]"' in capsys.readouterr().err
