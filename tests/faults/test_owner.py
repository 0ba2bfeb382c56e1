"""Nothing of a server outlives the process that it belongs to, however that one ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from photoreal.client import StyleTransferClient
from photoreal.serve.launch.watchdog import PREFIX, SHARED_MEMORY

pytestmark = pytest.mark.server

# The thread that starts the server ends long before the server has to.
EMBEDDED = """
import sys, threading
from contextlib import ExitStack
from pathlib import Path
from photoreal.serve.launch.embedded import embedded_server

stack, urls = ExitStack(), []
def start():
    urls.append(stack.enter_context(embedded_server(Path(sys.argv[1]))).http_url)
thread = threading.Thread(target=start)
thread.start()
thread.join()
print(urls[0], flush=True)
sys.stdin.read()
"""


def _gone(family: list[psutil.Process]) -> bool:
    return not [one for one in family if one.is_running() and one.status() != "zombie"]


def _check_all_gone(family: list[psutil.Process], wait: Callable[..., float]) -> float:
    """Kill the first process; everything of the server ends with it. The seconds it took."""
    regions, folders = "shm-region-prefix-name=", _backend_folders(family)
    words = [word for one in family for word in one.cmdline()]
    (prefix,) = {word.partition(regions)[2] for word in words if regions in word}
    assert prefix.startswith(PREFIX)
    assert list(SHARED_MEMORY.glob(f"{prefix}*"))
    family[0].kill()
    seconds = wait("every process has ended", lambda: _gone(family), 20)
    wait("no shared memory is left", lambda: not list(SHARED_MEMORY.glob(f"{prefix}*")), 5)
    wait("no temporary folder is left", lambda: not any(map(Path.exists, folders)), 5)
    return seconds


def _backend_folders(family: list[psutil.Process]) -> set[Path]:
    """The temporary folders that model processes run from."""
    stubs = [one.cmdline()[0] for one in family if "triton_python_backend_stub" in one.cmdline()[0]]
    assert len(stubs) >= 2
    return {Path(stub).parents[2] for stub in stubs}


def test_command_killed(
    serving: Callable[..., Any], wait: Callable[..., float], shown: Callable[[str], None]
) -> None:
    with serving() as service:
        family = service.family()
        assert len(family) == 7  # the command, its watchdog, the server and four models
        seconds = _check_all_gone(family, wait)
        assert service.process.wait(5) == -9
        shown(f"photoreal serve killed: everything has ended after {seconds:.1f} s")


def test_owner_of_an_embedded_server_killed(
    repository: Path, wait: Callable[..., float], shown: Callable[[str], None], tmp_path: Path
) -> None:
    printed = tmp_path / "printed"
    with (
        printed.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-c", EMBEDDED, str(repository)],
            stdin=subprocess.PIPE,
            stdout=output,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        ) as owner,
    ):
        wait("the embedded server is ready", lambda: printed.read_text().endswith("\n"))
        url = printed.read_text().strip()
        process = psutil.Process(owner.pid)
        family = [process, *process.children(recursive=True)]
        time.sleep(0.5)
        with StyleTransferClient(url) as client:
            assert client.ready()  # though its thread is gone
        seconds = _check_all_gone(family, wait)
        shown(f"owner of an embedded server killed: everything has ended after {seconds:.1f} s")


def test_failing_again_and_again_ends_the_command(
    serving: Callable[..., Any], wait: Callable[..., float], shown: Callable[[str], None]
) -> None:
    with serving("--restart-limit=1") as service:
        service.model("stylize").kill()
        wait("seen", lambda: not service.is_ready(), 10)
        wait("ready again", service.is_ready)
        family = service.family()
        start = time.monotonic()
        service.model("stylize").kill()
        assert service.process.wait(60) == 1
        shown(f"failing beyond the limit: exit code 1 after {time.monotonic() - start:.1f} s")
    last = service.log.splitlines()[-1]
    assert last.startswith("Error: The limit of 1 restarts within 300 s is reached; giving up.")
    assert "stylize failed (died): Process" in last
    assert "Traceback" not in service.log
    assert _gone(family)
