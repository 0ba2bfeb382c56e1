"""Every command that calls a server finds it in the same way, secured ones included."""

import json
import re
from contextlib import nullcontext
from pathlib import Path

import click
import numpy as np
import pytest

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
from photoreal.client.web.command import web
from photoreal.errors import WeightsError

from ..conftest import REPORT, FakeTransport, http, http_answer, png, read_request, serving
from ..video.video import HEIGHT, WIDTH, film

COMMAND_LINE = Path(__file__).parents[4] / "docs" / "command-line.md"
KEY = "a-key"
FRAME = png(np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8))
MADE = http_answer(IMAGE=FRAME, REPORT=json.dumps(REPORT | {"style": "measured"}).encode())
DENIED = http(403, {"error": "This API is restricted, expecting header 'api-key'"})


@click.command()
@server_options(waits_for="it", embedding="never")
def bare(server):
    """A command with these options only."""


def option_names(command):
    return {name for one in command.params for name in one.opts}


@pytest.fixture(scope="module")
def guarded():
    """Address of a server that makes pictures for those who show the key."""

    def handle(connection):
        request = read_request(connection)
        reply = MADE if f"\r\napi-key: {KEY}\r\n".encode() in request else DENIED
        connection.sendall(reply if request.startswith(b"POST") else http(200))

    with serving(handle) as url:
        yield url


@pytest.fixture
def calls(tmp_path, photo_file):
    """Arguments of the commands that end."""
    photo, source = str(photo_file), str(film(tmp_path / "in.mp4", 2))
    return {
        "stylize": ["stylize", photo, photo, "-o", str(tmp_path / "out.png")],
        "video": ["video", source, photo, "-o", str(tmp_path / "out.mp4")],
        "warm": ["warm", photo],
        "health": ["health"],
    }


@pytest.mark.parametrize("command", ["stylize", "video", "warm", "health"])
def test_the_key_of_the_environment_is_shown(command, calls, guarded, monkeypatch, capsys):
    call = [*calls[command], "--url", guarded]
    monkeypatch.delenv("PHOTOREAL_API_KEY", raising=False)
    assert main(call) == 2
    assert "API key" in capsys.readouterr().err
    monkeypatch.setenv("PHOTOREAL_API_KEY", KEY)
    assert main(call) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ca-cert", "none.pem"), "TLS"),
        (("--url", "https://there:1", "--ca-cert", "none.pem"), "does not exist"),
        (("--repository", "somewhere"), "--embedded"),
        (("--timeout", "0"), "--timeout"),
        (("--url", "ftp://here"), "ftp"),
        (("--port", "0"), "--port"),
        (("--max-upload", "0"), "--max-upload"),
    ],
)
def test_invalid_options_are_refused(closed_url, capsys, options, words):
    port = closed_url.split(":")[1]
    assert main(["web", "--port", port, "--url", "there:1", *options]) == 2
    error = capsys.readouterr().err
    assert "Error: " in error
    assert words in error


@pytest.mark.parametrize("command", [stylize, video, look, web, warm, health])
def test_every_command_has_the_options(command):
    assert option_names(bare) <= option_names(command)
    embeds = command in (stylize, video, look, web)
    assert ({"--embedded", "--repository"} <= option_names(command)) == embeds


def test_the_page_of_the_commands_names_them_all():
    rows = re.findall(r"^\| (.*?) \|", COMMAND_LINE.read_text(), re.MULTILINE)
    named = set(re.findall(r"`(--[a-z-]+)`", "\n".join(rows)))
    assert named == option_names(bare) | {"--embedded", "--repository"}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("command", "works_here"),
    [("stylize", True), ("video", True), ("look", True), ("warm", False), ("health", False)],
)
def test_which_commands_run_without_a_server(
    command, works_here, calls, tmp_path, photo_file, closed_url, monkeypatch, capsys
):
    def load(timeout):
        raise WeightsError("They would be loaded here.")

    calls["look"] = ["look", str(photo_file), "-o", str(tmp_path / "out.cube")]
    monkeypatch.setattr(module, "is_installed", lambda: True)
    monkeypatch.setattr(module, "client_of_this_process", load)
    # A client of a closed port where none was named: a server may run at the usual one.
    instead = lambda url, **how: StyleTransferClient(url or closed_url, **how)  # noqa: E731
    monkeypatch.setattr(module, "StyleTransferClient", instead)
    assert main(calls[command]) == 1
    assert ("They would be loaded here." in capsys.readouterr().err) == works_here
    assert main([*calls[command], "--url", closed_url]) == 1
    assert "They would be loaded here." not in capsys.readouterr().err


def test_an_embedded_server_is_shown_no_credentials(monkeypatch):
    seen, said = [], []

    def make(url, **arguments):
        seen.append((url, arguments))
        gone = FakeTransport(error=ServerUnavailable("Nobody."))
        return StyleTransferClient(transport=gone if url is None else FakeTransport())

    monkeypatch.setattr(module, "own_server", lambda *how: nullcontext("own:8001"))
    key = {"api_key": "secret"}
    options = ServerOptions(None, "grpc", 5, 1, embedded=True, credentials=key, make=make)
    assert "secret" not in repr(options)
    with options.client(said.append) as client:
        assert client.ready()
    rest = {"protocol": "grpc", "timeout": 5, "retries": 1}
    assert seen == [(None, rest | key), ("own:8001", rest)]
    assert said == ["Starting Triton"]


GONE = ServerUnavailable("No.")


@pytest.mark.parametrize(
    ("error", "embedded", "offers"),
    [
        (GONE, None, ["photoreal serve"]),
        (GONE, False, ["photoreal serve", "--embedded", "photoreal[local]"]),
        (GONE, True, []),
        (ServerBusy("16 wait."), False, []),
        (RequestTimeout("Too slow."), False, ["--timeout"]),
    ],
)
def test_failures_say_what_to_do(error, embedded, offers):
    message = failure(error, embedded=embedded).message
    assert message.startswith(str(error))
    ways = ["photoreal serve", "--embedded", "photoreal[local]", "--timeout"]
    assert [way for way in ways if way in message] == offers
