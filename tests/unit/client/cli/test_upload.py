"""`photoreal upload` against answers of all kinds, and `photoreal web` before it serves."""

import socket

import pytest

from photoreal import cli

from ..conftest import PHOTO, png


def answer(status, body):
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )


@pytest.fixture
def upload(photo_file, tmp_path):
    """Runs the command; gives its exit code."""

    def run(url, *options):
        photos = ("--content_image", str(photo_file), "--style-image", str(photo_file))
        where = ("--api-url", f"http://{url}/upload_images/", "-o", str(tmp_path / "out.png"))
        return cli.main(["upload", *photos, *where, *options])

    return run


def test_sends_a_form_and_writes_the_picture(upload, serve_bytes, photo_file, tmp_path, capsys):
    url = serve_bytes(answer(200, png(PHOTO)))
    mask = ("--content-mask", str(photo_file), "--style_mask", str(photo_file))
    assert upload(url, "--alpha", "0.5", "--size", "64", *mask) == 0
    assert (tmp_path / "out.png").read_bytes() == png(PHOTO)
    assert "out.png" in capsys.readouterr().out
    (request,) = serve_bytes.requests
    assert request.startswith(b"POST /upload_images/ HTTP/1.1\r\n")
    for name in (b"content_image", b"style_image", b"content_mask", b"style_mask"):
        assert b'name="%s"; filename="%s"' % (name, name) in request
    assert request.count(photo_file.read_bytes()) == 4
    assert b'name="alpha"\r\n\r\n0.5\r\n' in request
    assert b'name="size"\r\n\r\n64\r\n' in request
    assert upload(url, "--quiet") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (400, b'{"detail": "size is 3."}', 2, "Error: size is 3."),
        (413, b'{"detail": "Too large."}', 2, "Error: Too large."),
        (502, b'{"detail": "It broke."}', 1, "Error: It broke."),
        (503, b'{"detail": "Not ready."}', 1, "Error: Not ready."),
        (504, b'{"detail": "Too slow."}', 1, "Error: Too slow."),
        (200, b"<html>", 1, "is not a gateway (HTTP status 200)"),
        (500, b"<html>", 1, "is not a gateway (HTTP status 500)"),
        (404, b'{"detail": 3}', 1, "is not a gateway (HTTP status 404)"),
        (400, b"[]", 1, "is not a gateway (HTTP status 400)"),
    ],
)
def test_other_answers(upload, serve_bytes, tmp_path, capsys, status, body, code, words):
    assert upload(serve_bytes(answer(status, body))) == code
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""
    assert not (tmp_path / "out.png").exists()


def test_no_answer(upload, closed_url, silent_url, capsys):
    assert upload(closed_url) == 1
    assert "No response from" in capsys.readouterr().err
    assert upload(silent_url, "--timeout", "0.2") == 1
    assert "did not answer within 0.2 seconds." in capsys.readouterr().err


def test_calls_that_cannot_succeed(upload, capsys, tmp_path):
    for options in (
        ("--api-url", "nonsense"),
        ("--output", "out.jpg"),
        ("--output", str(tmp_path / "none" / "out.png")),
        ("--style-mask", str(tmp_path / "none.png")),
        ("--timeout", "0"),
    ):
        assert upload("localhost:1", *options) == 2
        printed = capsys.readouterr()
        assert "Error: " in printed.err
        assert "Traceback" not in printed.err


class TestWeb:
    def test_port_is_taken_before_a_server_is_started(self, capsys):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            assert cli.main(["web", "--port", port]) == 1
        assert f"The port {port} on 127.0.0.1 cannot be used" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "options",
        [("--url", "ftp://here"), ("--timeout", "0"), ("--port", "0"), ("--max-upload", "0")],
    )
    def test_options_that_make_no_sense(self, capsys, options):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            free = str(taken.getsockname()[1])
        assert cli.main(["web", "--port", free, *options]) == 2
        assert "Error: " in capsys.readouterr().err
