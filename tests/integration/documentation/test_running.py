"""The commands and programs that the pages show run, against real servers.

Addresses are those of the tests' servers, photos that are not there are tiny ones, and a command
that asks for a picture asks for one of 32 pixels; everything else stands as it is written.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http

from photoreal.cli import main
from photoreal.client import StyleTransferClient, StylizeResult
from tests.kinds import Patch

pytestmark = pytest.mark.server

SIZE = "32"
SIZED = {"preset", "stylize", "video", "warm", "upload"}


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


def _own_call(line: str, addresses: Any) -> list[str]:
    """The call as it is run here."""
    program, *arguments = shlex.split(addresses.put_in(line))
    if program == "curl":
        arguments = [re.sub(r"^size=\d+$", f"size={SIZE}", word) for word in arguments]
        return ["curl", "-sSf", *arguments]
    verb = arguments[0]
    if verb in SIZED:
        arguments = _small(arguments)
    if "--quick" in arguments:
        return [program, *arguments, "--supervisor", addresses.health]
    if verb == "perf-data":
        return [program, *arguments]
    if verb != "upload":
        url = addresses.grpc if "grpc" in arguments else addresses.http
        return [program, *arguments, "--url", url]
    if "--api_url" not in arguments:
        arguments += ["--api_url", f"http://{addresses.web}/upload_images/"]
    return [program, *arguments]


def test_commands_run(running_line: str, addresses: Any, folder: Path, monkeypatch: Patch) -> None:
    monkeypatch.chdir(folder)
    program, *arguments = _own_call(running_line, addresses)
    if program == "curl":
        subprocess.run([program, *arguments], check=True, timeout=60)
    else:
        assert main(arguments) == 0
    if "-o" in arguments:
        out = Path(arguments[arguments.index("-o") + 1])
        # With --regions, the names of the files begin with that of OUT.
        assert out.exists() or any(folder.glob(f"{out.stem}-*{out.suffix}"))


def test_programs_run(
    page: str, program: str, addresses: Any, folder: Path, monkeypatch: Patch
) -> None:
    monkeypatch.chdir(folder)
    text = re.sub(r"size=256|\[256\]", lambda found: found[0].replace("256", SIZE), program)
    text = addresses.put_in(text).replace("balancer:8080", addresses.http)
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
    for name in ("out.png", "out.jpg"):
        assert Path(name).exists() or name not in program


def _inputs(folder: Path) -> list[tritonclient.http.InferInput]:
    inputs = []
    for name in ("CONTENT", "STYLE"):
        tensor = tritonclient.http.InferInput(name, [1], "BYTES")
        data = np.array([(folder / "street.jpg").read_bytes()], dtype=object)
        inputs.append(tensor.set_data_from_numpy(data))
    size = tritonclient.http.InferInput("SIZE", [1], "INT32")
    return [*inputs, size.set_data_from_numpy(np.array([int(SIZE)], dtype=np.int32))]
