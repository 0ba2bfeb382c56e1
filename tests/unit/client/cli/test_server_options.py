"""Every command that calls a server finds it in the same way, secured ones included."""

import json
import re
import socketserver
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import numpy as np
import pytest
import uvicorn
from click.testing import CliRunner
from starlette.testclient import TestClient

from photoreal.cli import main
from photoreal.client import RequestTimeout, ServerBusy, ServerUnavailable, StyleTransferClient
from photoreal.client.cli import server_options as module
from photoreal.client.cli.failures import failure
from photoreal.client.cli.health import health
from photoreal.client.cli.look import look
from photoreal.client.cli.server_options import ServerOptions, server_options
from photoreal.client.cli.stylize import stylize
from photoreal.client.cli.warm import warm
from photoreal.client.video.command import video
from photoreal.client.web import command as web_module
from photoreal.client.web.command import web
from photoreal.errors import WeightsError

from ..conftest import REPORT, FakeTransport, answer, png, read_request
from ..transport.test_transport import http, http_answer
from ..video.video import HEIGHT, WIDTH, film

COMMAND_LINE = Path(__file__).parents[4] / "docs" / "command-line.md"
KEY = "a-key"
FRAME = png(np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8))


def option_names(command):
    return {name for one in command.params for name in one.opts}


@pytest.fixture(scope="module")
def guarded():
    """Address of a server that makes pictures for those who show the key."""
    denied = http(403, b'{"error": "This API is restricted, expecting header \'api-key\'"}')
    made = http_answer(
        answer(IMAGE=FRAME, REPORT=json.dumps(REPORT | {"style": "measured"}).encode())
    )

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            request = read_request(self.request)
            if not request.startswith(b"POST"):
                self.request.sendall(http(200, b""))
            else:
                shown = f"\r\napi-key: {KEY}\r\n".encode() in request
                self.request.sendall(made if shown else denied)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def calls(tmp_path, photo_file):
    """Arguments of the commands that end by themselves."""
    photo, source = str(photo_file), str(film(tmp_path / "in.mp4", 2))
    return {
        "stylize": ["stylize", photo, photo, "-o", str(tmp_path / "out.png")],
        "video": ["video", source, photo, "-o", str(tmp_path / "out.mp4")],
        "warm": ["warm", photo],
        "health": ["health"],
    }


@pytest.mark.parametrize("command", ["stylize", "video", "warm", "health"])
class TestGuardedServer:
    def test_is_reached_with_the_key_of_the_environment(
        self, command, calls, guarded, monkeypatch, capsys
    ):
        monkeypatch.setenv("PHOTOREAL_API_KEY", KEY)
        assert main([*calls[command], "--url", guarded]) == 0, capsys.readouterr().err

    def test_is_not_reached_without(self, command, calls, guarded, monkeypatch, capsys):
        monkeypatch.delenv("PHOTOREAL_API_KEY", raising=False)
        assert main([*calls[command], "--url", guarded]) == 2
        assert "requires an API key" in capsys.readouterr().err


class TestGateway:
    @pytest.fixture
    def post(self, guarded, monkeypatch):
        """Runs `photoreal web` before the guarded server, without a port; posts one form."""
        answers = []

        class Server:
            def __init__(self, config):
                self.app = config.app

            def run(self, sockets):
                files = dict.fromkeys(("content_image", "style_image"), ("a.png", FRAME))
                with TestClient(self.app, base_url="http://localhost") as caller:
                    answers.append(caller.post("/upload_images/", files=files))

        @contextmanager
        def listen(host, port):
            yield None

        monkeypatch.setattr(uvicorn, "Server", Server)
        monkeypatch.setattr(web_module, "_listen", listen)
        monkeypatch.setattr(web_module, "interrupt_on_signals", lambda: None)

        def run(*options):
            outcome = CliRunner().invoke(web, ["--url", guarded, *options])
            assert outcome.exit_code == 0, outcome.output
            return answers[0]

        return run

    def test_shows_the_server_its_key(self, post, monkeypatch):
        monkeypatch.setenv("PHOTOREAL_API_KEY", KEY)
        response = post()
        assert (response.status_code, response.content) == (200, FRAME)

    def test_does_not_blame_its_caller_for_a_missing_key(self, post, monkeypatch, caplog, guarded):
        monkeypatch.delenv("PHOTOREAL_API_KEY", raising=False)
        response = post()
        assert response.status_code == 502
        assert guarded not in response.text
        assert "environment variable PHOTOREAL_API_KEY" in caplog.text

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--ca-cert", "none.pem"), "Certificates need TLS"),
            (("--url", "https://there:1", "--ca-cert", "none.pem"), "does not exist"),
            (("--repository", "somewhere"), "--repository needs --embedded"),
            (("--timeout", "0"), "--timeout"),
        ],
    )
    def test_refuses_options_that_make_no_sense(self, post, guarded, capsys, options, words):
        assert main(["web", "--url", guarded, *options]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [stylize, video, look, web, warm, health], ids=lambda one: one.name
)
def test_every_command_has_the_options(command):
    @click.command()
    @server_options(waits_for="it", embedding="never")
    def bare(server):
        pass

    assert option_names(bare) <= option_names(command)
    embeds = command in (stylize, video, look, web)
    assert ({"--embedded", "--repository"} <= option_names(command)) == embeds


def test_the_page_of_the_commands_names_them_all():
    @click.command()
    @server_options(waits_for="it")
    def bare(server):
        pass

    rows = re.findall(r"^\| (.*?) \|", COMMAND_LINE.read_text(), re.MULTILINE)
    assert set(re.findall(r"`(--[a-z-]+)`", "\n".join(rows))) == option_names(bare)


@pytest.mark.parametrize(
    ("command", "works_here"),
    [("stylize", True), ("video", True), ("look", True), ("warm", False), ("health", False)],
)
def test_which_commands_do_without_a_server(
    command, works_here, calls, tmp_path, photo_file, closed_url, monkeypatch, capsys
):
    def load(timeout):
        raise WeightsError("They would be loaded here.")

    calls["look"] = ["look", str(photo_file), "-o", str(tmp_path / "out.cube")]
    monkeypatch.setattr(module, "is_installed", lambda: True)
    monkeypatch.setattr(module, "client_of_this_process", load)
    monkeypatch.setattr(module, "StyleTransferClient", partial(_instead, closed_url))
    assert main(calls[command]) == 1
    assert ("They would be loaded here." in capsys.readouterr().err) == works_here
    assert main([*calls[command], "--url", closed_url]) == 1
    assert "They would be loaded here." not in capsys.readouterr().err


def _instead(address, url, **how):
    """A client of the address where none was named: a server may run at the usual one."""
    return StyleTransferClient(url or address, **how)


class TestServerOptions:
    def test_shows_no_key(self):
        options = ServerOptions(None, "http", 5, 0, credentials={"api_key": "secret"})
        assert "secret" not in repr(options)

    def test_a_server_of_its_own_is_shown_no_credentials(self, monkeypatch):
        seen, said = [], []

        def make(url, **arguments):
            seen.append((url, arguments))
            gone = FakeTransport(error=ServerUnavailable("Nobody."))
            return StyleTransferClient(transport=gone if url is None else FakeTransport())

        @contextmanager
        def own(repository, protocol):
            yield f"own:{protocol}"

        monkeypatch.setattr(module, "own_server", own)
        options = ServerOptions(
            None, "grpc", 5, 1, embedded=True, credentials={"api_key": "secret"}, make=make
        )
        with options.client(said.append) as client:
            assert client.ready()
        rest = {"protocol": "grpc", "timeout": 5, "retries": 1}
        assert seen == [(None, rest | {"api_key": "secret"}), ("own:grpc", rest)]
        assert said == ["Starting Triton"]


@pytest.mark.parametrize(
    ("error", "embedded", "sentence"),
    [
        (ServerUnavailable("No."), None, "No. Start one with `photoreal serve`."),
        (
            ServerUnavailable("No."),
            False,
            (
                "No. Start one with `photoreal serve`, or add --embedded."
                ' To run without a server: pip install "photoreal[local]".'
            ),
        ),
        (ServerUnavailable("No."), True, "No."),
        (ServerBusy("16 wait."), False, "16 wait."),
        (RequestTimeout("Too slow."), False, "Too slow. Allow more time with --timeout."),
    ],
)
def test_failures_say_what_to_do(error, embedded, sentence):
    assert failure(error, embedded=embedded).message == sentence
