"""The documentation's pages, their commands and programs, and a server to try them on.

A test that takes `command_line` is run for every call of `photoreal` that a page shows, one that
takes `shell_line` for every line of a block marked ``bash``, `running_line` for those of them that
can be run here, `program` for every block of Python, and `link` for every link to a file.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from photoreal.client import StyleTransferClient
from photoreal.client.canary import send_canary
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server
from photoreal.serve.supervise.health import HealthServer, Status
from tests.unit.client.video.video import film

ROOT = Path(__file__).parents[3]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
        *sorted((ROOT / "docs").glob("*.md")),
    )
}
RUNNING = re.compile(r"(curl|photoreal (health|look|perf-data|preset|stylize|upload|video|warm)) ")
"""Calls that end by themselves; those of `export`, `serve` and `web` have tests of their own."""
ELSEWHERE = "photos.example"
NAMED_ALONE = {"batch", "look", "perf-data", "preset", "stylize", "video", "upload", "warm"}
"""Commands that need arguments, which a sentence may name without them."""


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _shell_lines(text: str) -> list[str]:
    lines = "\n".join(_blocks(text, "bash")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _calls(text: str) -> list[str]:
    """The calls of `photoreal` in blocks and in sentences."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`(photoreal [a-z][^`]*)`", re.sub(r"\s+", " ", prose))
    return [line for line in _shell_lines(text) if line.startswith("photoreal ")] + [
        call for call in named if shlex.split(call)[1:] not in [[one] for one in NAMED_ALONE]
    ]


def _running_lines() -> list[str]:
    """What can be run here, each call once, whichever pages show it."""
    lines = [
        line.partition(" #")[0].strip() for text in PAGES.values() for line in _shell_lines(text)
    ]
    return [
        line for line in dict.fromkeys(lines) if RUNNING.match(f"{line} ") and ELSEWHERE not in line
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each page's pieces to the tests that ask for them."""
    finders: dict[str, Callable[[str], list[str]]] = {
        "command_line": _calls,
        "shell_line": _shell_lines,
        "program": lambda text: _blocks(text, "python"),
        "link": lambda text: re.findall(r"\]\(([^)\s]+)\)", text),
    }
    for name, find in finders.items():
        if name in metafunc.fixturenames:
            cases = [
                pytest.param(page, piece, id=f"{page}-{piece[:60]}")
                for page, text in PAGES.items()
                for piece in dict.fromkeys(find(text))
            ]
            metafunc.parametrize(("page", name), cases)
    if "running_line" in metafunc.fixturenames:
        metafunc.parametrize("running_line", _running_lines(), ids=lambda line: str(line)[:70])


@pytest.fixture(scope="session")
def pages() -> dict[str, str]:
    """The text of every page, by its path in the project."""
    return PAGES


class Addresses(NamedTuple):
    """Where the ports that the documentation names are in the tests, as HOST:PORT."""

    http: str
    grpc: str
    health: str
    web: str

    def put_in(self, text: str) -> str:
        """Replace the documentation's addresses by those of the tests."""
        for host in ("localhost", "127.0.0.1"):
            for port, address in zip((8000, 8001, 8003, 8080), self, strict=True):
                text = text.replace(f"{host}:{port}", address)
        return text


@pytest.fixture(scope="session")
def addresses(local: Server, gateway: str) -> Iterator[Addresses]:
    """A server, a `photoreal web` before it, and the word of a canary on its health."""
    (port,) = free_ports("127.0.0.1", 1)
    status = Status()
    with StyleTransferClient(local.http_url) as client:
        send_canary(client)
    status.problem = None
    with HealthServer("127.0.0.1", port, status):
        yield Addresses(
            local.http_url, local.grpc_url, f"127.0.0.1:{port}", gateway.removeprefix("http://")
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the examples and, tiny, every photo that the pages speak of."""
    (tmp_path / "examples").mkdir()
    for kind in ("photos", "rendered"):
        (tmp_path / "examples" / kind).symlink_to(ROOT / "examples" / kind)
    photo = Image.open(ROOT / "examples" / "photos" / "china.jpg").resize((48, 32))
    names = ["street.jpg", "sunset.jpg", "rain.jpg", "dusk.jpg", "content.png", "style.png"]
    for name in (*names, "content.jpg", "style.jpg", "holiday/lake.jpg", "looks/lake.jpg"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        photo.save(file)
    labels = {"images": [{"id": 1, "file_name": "lake.jpg"}], "annotations": []}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    film(tmp_path / "holiday.mp4", 2)
    return tmp_path
