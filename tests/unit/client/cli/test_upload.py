"""`photoreal upload` against answers of all kinds, and `photoreal web` before it serves."""

import socket

import pytest

from photoreal import cli

from ..conftest import PHOTO, http, png


@pytest.fixture
def upload(photo_file, tmp_path):
    """Runs the command; gives its exit code."""

    def run(url, *options):
        photos = ("--content_image", str(photo_file), "--style-image", str(photo_file))
        where = ("--api-url", f"http://{url}/upload_images/", "-o", str(tmp_path / "out.png"))
        return cli.main(["upload", *photos, *where, *options])

    return run


def test_sends_a_form_and_writes_the_picture(upload, serve_bytes, photo_file, tmp_path, capsys):
    url = serve_bytes(http(200, png(PHOTO), connection="close"))
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
        *((status, {"detail": "Reason."}, 2, "Error: Reason.") for status in (400, 413)),
        *((status, {"detail": "Reason."}, 1, "Error: Reason.") for status in (502, 503, 504)),
        (200, b"<html>", 1, "gateway (HTTP status 200)"),
        (500, b"<html>", 1, "gateway (HTTP status 500)"),
        (404, {"detail": 3}, 1, "gateway (HTTP status 404)"),
        (400, b"[]", 1, "gateway (HTTP status 400)"),
    ],
)
def test_other_answers(upload, serve_bytes, tmp_path, capsys, status, body, code, words):
    assert upload(serve_bytes(http(status, body))) == code
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""
    assert not (tmp_path / "out.png").exists()


def test_no_answer(upload, closed_url, silent_url, capsys):
    assert upload(closed_url) == 1
    assert closed_url in capsys.readouterr().err
    assert upload(silent_url, "--timeout", "0.2") == 1
    assert "0.2 seconds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("--api-url", "nonsense"), ("--output", "out.jpg"), ("--output", "none/out.png")),
        *(("--style-mask", "none.png"), ("--timeout", "0")),
    ],
)
def test_calls_that_cannot_succeed(upload, capsys, name, value):
    assert upload("localhost:1", name, value) == 2
    printed = capsys.readouterr().err
    assert "Error: " in printed
    assert "Traceback" not in printed


def test_web_takes_its_port_before_a_server_is_started(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert cli.main(["web", "--port", port]) == 1
    assert f"The port {port} on 127.0.0.1 cannot be used" in capsys.readouterr().err
