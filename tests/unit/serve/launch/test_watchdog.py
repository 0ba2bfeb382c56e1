"""What is left of a server is removed, and what is somebody's is not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from photoreal.serve.launch import watchdog
from photoreal.serve.launch.watchdog import Watchdog, processes_of, remove_stale

MINE, OTHER = "photoreal_aaaaaaaaaaaa_", "photoreal_bbbbbbbbbbbb_"


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the shared memory, with regions of two servers and of a stranger."""
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(watchdog, "SHARED_MEMORY", folder)
    for name in (f"{MINE}one", f"{MINE}two", f"{OTHER}one", "triton_region", "photoreal_plain"):
        (folder / name).touch()
    return folder


@pytest.fixture
def owned(memory: Path, tmp_path: Path) -> Iterator[Watchdog]:
    """A watchdog over one of the servers, with a temporary folder."""
    folder = tmp_path / "folder"
    (folder / "backends").mkdir(parents=True)
    held = Watchdog(MINE, folder)
    yield held
    held.release()


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_only_what_nobody_owns_is_removed(memory: Path, owned: Watchdog) -> None:
    assert remove_stale() == [OTHER]
    assert _names(memory) == {
        f"{MINE}one",
        f"{MINE}two",
        f"{MINE}owner",
        "triton_region",
        "photoreal_plain",
    }


def test_what_a_dead_owner_has_left_is_removed(memory: Path) -> None:
    (memory / f"{MINE}owner").touch()  # nobody holds it
    assert remove_stale() == [MINE, OTHER]
    assert _names(memory) == {"triton_region", "photoreal_plain"}
    assert remove_stale() == []


def test_what_a_live_process_names_is_kept(memory: Path, tmp_path: Path) -> None:
    program = tmp_path / "tritonserver"
    program.write_text("#!/bin/sh\nread line\n")
    program.chmod(0o755)
    stub = tmp_path / "triton_python_backend_stub"
    stub.symlink_to("/bin/cat")
    with subprocess.Popen([stub, "-", f"{MINE}region"], stdin=subprocess.PIPE) as process:
        deadline = time.monotonic() + 5
        while not processes_of(MINE) and time.monotonic() < deadline:
            time.sleep(0.01)  # a program's arguments show a moment after it has begun
        assert processes_of(MINE) == {process.pid: "triton_python_backend_stub"}
        assert remove_stale() == [OTHER]
        watchdog.end_processes(MINE)
        assert process.wait(5) == -9
    assert processes_of(MINE) == {}
    assert remove_stale() == [MINE]


def test_other_programs_that_name_the_memory_are_nobody_s_business() -> None:
    with subprocess.Popen(["/bin/cat", "-", f"{MINE}region"], stdin=subprocess.PIPE) as process:
        assert processes_of(MINE) == {}
        process.kill()


def test_release_removes_the_regions(memory: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    held = Watchdog(MINE, folder)
    held.release()  # at once, when the watchdog has hardly begun
    assert _names(memory) == {f"{OTHER}one", "triton_region", "photoreal_plain"}
    assert folder.exists()  # it is its owner's to remove


def test_watchdog_clears_up_when_its_owner_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "backends").mkdir(parents=True)
    script = (
        "import os, sys; from pathlib import Path;"
        "from photoreal.serve.launch.watchdog import Watchdog;"
        "held = Watchdog(sys.argv[1], Path(sys.argv[2])); print(held._watchdog.pid, flush=True);"
        "os.kill(os.getpid(), 9)"
    )
    prefix = "photoreal_cccccccccccc_"
    done = subprocess.run(
        [sys.executable, "-c", script, prefix, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert done.returncode == -9
    # The pipe of its output is closed at the watchdog's start, so wait for the process itself.
    process = Path("/proc", done.stdout.strip())
    for _ in range(200):
        if not process.exists() or " Z " in (process / "stat").read_text():
            break
        subprocess.run(["sleep", "0.05"], check=True)
    assert not folder.exists()
    assert not list(watchdog.SHARED_MEMORY.glob(f"{prefix}*"))
