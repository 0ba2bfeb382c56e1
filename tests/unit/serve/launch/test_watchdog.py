"""Leftovers of a server are removed, and what is in use is not."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from photoreal.serve.launch import watchdog
from photoreal.serve.launch.watchdog import Watchdog, processes_of, remove_stale
from tests.shared import wait_until

MINE, OTHER = "photoreal_aaaaaaaaaaaa_", "photoreal_bbbbbbbbbbbb_"
NOT_OURS = {"triton_region", "photoreal_plain"}


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """A folder in place of the shared memory, with regions of two servers and of a stranger."""
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(watchdog, "SHARED_MEMORY", folder)
    for name in (f"{MINE}one", f"{MINE}two", f"{OTHER}one", *NOT_OURS):
        (folder / name).touch()
    return folder


@pytest.fixture
def folder(tmp_path):
    """The temporary folder of one of the servers."""
    (tmp_path / "folder" / "backends").mkdir(parents=True)
    return tmp_path / "folder"


def _names(folder):
    return {path.name for path in folder.iterdir()}


def test_what_is_owned_is_kept_until_its_release(memory, folder):
    held = Watchdog(MINE, folder)
    assert remove_stale() == [OTHER]
    assert _names(memory) == {f"{MINE}one", f"{MINE}two", f"{MINE}owner"} | NOT_OURS
    held.release()
    assert _names(memory) == NOT_OURS
    Watchdog(OTHER, folder).release()  # at once, when the watchdog has hardly begun
    assert _names(memory) == NOT_OURS
    assert folder.exists()  # it is its owner's to remove


def test_what_a_dead_owner_has_left_is_removed(memory):
    (memory / f"{MINE}owner").touch()  # without a lock
    assert remove_stale() == [MINE, OTHER]
    assert _names(memory) == NOT_OURS
    assert remove_stale() == []


def test_what_a_live_process_names_is_kept(memory, tmp_path):
    stub = tmp_path / "triton_python_backend_stub"
    stub.symlink_to("/bin/cat")
    with subprocess.Popen([stub, "-", f"{MINE}region"], stdin=subprocess.PIPE) as process:
        # A program's arguments show a moment after it has begun.
        assert wait_until(lambda: processes_of(MINE)) == {process.pid: stub.name}
        assert remove_stale() == [OTHER]
        watchdog.end_processes(MINE)
        assert process.wait(5) == -9
    assert processes_of(MINE) == {}
    assert remove_stale() == [MINE]


def test_other_programs_that_name_the_memory_do_not_count():
    with subprocess.Popen(["/bin/cat", "-", f"{MINE}region"], stdin=subprocess.PIPE) as process:
        wait_until(lambda: MINE in str(psutil.Process(process.pid).cmdline()))
        assert processes_of(MINE) == {}
        process.kill()


def test_watchdog_clears_up_when_its_owner_is_killed(folder):
    script = (
        "import os, sys; from pathlib import Path;"
        "from photoreal.serve.launch.watchdog import Watchdog;"
        "held = Watchdog(sys.argv[1], Path(sys.argv[2])); print(held._watchdog.pid, flush=True);"
        "os.kill(os.getpid(), 9)"
    )
    prefix = "photoreal_cccccccccccc_"
    command = [sys.executable, "-c", script, prefix, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert done.returncode == -9
    # The pipe of its output is closed at the watchdog's start, so wait for the process itself.
    process = Path("/proc", done.stdout.strip())
    wait_until(lambda: not process.exists() or " Z " in (process / "stat").read_text())
    assert not folder.exists()
    assert not list(watchdog.SHARED_MEMORY.glob(f"{prefix}*"))
