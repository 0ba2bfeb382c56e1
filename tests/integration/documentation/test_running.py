"""The commands and programs that the pages show run, against real servers.

Addresses are those of the tests' servers, photos that are not there are tiny ones, and a command
that asks for a picture asks for one of 32 pixels; everything else stands as it is written.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tritonclient.http

from photoreal.client import StyleTransferClient, StylizeResult

pytestmark = pytest.mark.server

SIZE = "32"
SIZED = {"stylize", "video", "warm", "upload"}
ELSEWHERE = "photos.example"


class SmallClient(StyleTransferClient):
    """A client for fragments that name no size."""

    def stylize(self, *arguments: Any, **options: Any) -> StylizeResult:
        """Ask for a small picture."""
        return super().stylize(*arguments, **{"size": int(SIZE)} | options)


def _small(arguments: list[str]) -> list[str]:
    """The arguments with a size of 32 pixels."""
    given = list(arguments)
    if "--size" in given:
        given[given.index("--size") + 1] = SIZE
        return given
    return [*given, "--size", SIZE]


def _own_call(line: str, addresses: Any) -> list[str] | None:
    """The call to run, or None for one that is not for here."""
    words = shlex.split(addresses.put_in(line), comments=True)
    if words[0] == "curl":
        return [re.sub(r"^size=\d+$", f"size={SIZE}", word) for word in words] + ["-sSf"]
    if words[0] != "photoreal" or ELSEWHERE in line:
        return None
    _, verb, *arguments = words
    if verb in SIZED:
        arguments = _small(arguments)
    if verb == "health" and "--quick" in arguments:
        arguments += ["--supervisor", addresses.health]
    elif verb == "upload":
        if "--api_url" not in arguments:
            arguments += ["--api_url", f"http://{addresses.web}/upload_images/"]
    elif verb in ("stylize", "video", "warm", "health"):
        grpc = "grpc" in arguments
        arguments += ["--url", addresses.grpc if grpc else addresses.http]
    else:
        return None  # export, serve and web have tests of their own
    return [str(Path(sys.executable).with_name("photoreal")), verb, *arguments]


def test_commands_run(page: str, shell_line: str, addresses: Any, folder: Path) -> None:
    call = _own_call(shell_line, addresses)
    if call is None:
        pytest.skip("parsed elsewhere")
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    for option in ("-o", "--output"):
        if option in call:
            assert (folder / call[call.index(option) + 1]).exists()


def test_programs_run(
    page: str, program: str, addresses: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    text = re.sub(r"size=256|\[256\]", lambda found: found[0].replace("256", SIZE), program)
    text = addresses.put_in(text).replace("balancer:8080", addresses.http)
    if "StyleTransferClient(" in text or ("\nclient = triton" in text and "import tri" in text):
        subprocess.run([sys.executable, "-W", "error", "-c", text], cwd=folder, check=True)
        assert (folder / "out.png").exists()
        return
    with SmallClient(addresses.http) as client:
        scope: dict[str, Any] = {
            "client": client,
            "frames": ["street.jpg", "street.jpg"],
            "triton": tritonclient.http,
            "inputs": _inputs(folder),
        }
        exec(compile(text, page, "exec"), scope)  # noqa: S102
        if scope["client"] is not client:
            scope["client"].close()


def _inputs(folder: Path) -> list[tritonclient.http.InferInput]:
    import numpy as np

    inputs = []
    for name in ("CONTENT", "STYLE"):
        tensor = tritonclient.http.InferInput(name, [1], "BYTES")
        data = np.array([(folder / "street.jpg").read_bytes()], dtype=object)
        inputs.append(tensor.set_data_from_numpy(data))
    size = tritonclient.http.InferInput("SIZE", [1], "INT32")
    return [*inputs, size.set_data_from_numpy(np.array([int(SIZE)], dtype=np.int32))]


def test_most_commands_are_run(addresses: Any, pages: dict[str, str]) -> None:
    lines = re.findall(r"^(?:photoreal|curl) .*$", "\n".join(pages.values()), re.MULTILINE)
    run = [line for line in lines if _own_call(line, addresses) is not None]
    assert len(run) > 15
