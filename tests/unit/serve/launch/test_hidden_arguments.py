"""Arguments that the process list does not show."""

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from photoreal.serve.launch import hidden_arguments
from photoreal.serve.launch.hidden_arguments import start
from tests.shared import wait_until

from .conftest import KEY

PROGRAM = """
import json, os, subprocess, sys
child = subprocess.run(["/usr/bin/env"], capture_output=True, text=True, check=True)
print(json.dumps([sys.argv[1:], dict(os.environ), child.stdout]), flush=True)
sys.stdin.read()
import time
time.sleep(60)
"""
SHOWN = [sys.executable, "-c", PROGRAM, "--key=***", "--other", "--again=***"]
REAL = [sys.executable, "-c", PROGRAM, f"--key={KEY}", "--other", f"--again={KEY}{KEY}"]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "COLOR": "blue"}


@contextlib.contextmanager
def running(shown=SHOWN, real=REAL):
    """The program, and what it has said."""
    started = start(shown, real, ENVIRONMENT, stdout=subprocess.PIPE)
    with started.process as process:
        assert process.stdout is not None
        try:
            yield started, json.loads(process.stdout.readline())
        finally:
            process.kill()


def _children():
    return {child.pid for child in psutil.Process().children()}


def test_a_program_gets_its_arguments_and_the_process_list_does_not():
    with running() as (started, (arguments, environment, of_child)):
        assert started.hidden
        assert arguments == REAL[3:]
        assert psutil.Process(started.process.pid).cmdline() == SHOWN
        assert environment["COLOR"] == "blue"
        assert KEY not in json.dumps(environment)
        assert KEY not in of_child
        assert "COLOR=blue" in of_child
        assert started.process.poll() is None


def test_the_key_is_in_no_command_line_at_any_moment():
    seen: list[str] = []
    done = threading.Event()

    def watch():
        while not done.is_set():
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    seen.extend(child.cmdline())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(3):
            with running():
                pass
    finally:
        done.set()
        watcher.join()
    assert "--key=***" in seen
    assert not [one for one in seen if KEY in one]


def test_a_script_of_another_program_gets_them_too(tmp_path):
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\nprintf \'["%s"]\\n\' "$2"\nexec sleep 60\n')
    script.chmod(0o755)
    shown = [str(script), "--shown"]
    with running([*shown, "***"], [*shown, KEY]) as (started, said):
        assert (said, started.hidden) == ([KEY], True)


def test_a_program_has_a_session_of_its_own_and_its_end_is_seen():
    shown = ["/bin/sh", "-c", "exit 7"]
    assert start([*shown, "***"], [*shown, KEY], ENVIRONMENT).process.wait(10) == 7
    sleeping = start(["/bin/sleep", "60"], ["/bin/sleep", "60"], ENVIRONMENT)
    with sleeping.process as process:
        assert sleeping.hidden  # there is nothing to hide
        stat = Path(f"/proc/{process.pid}/stat").read_text()
        process.kill()
    assert int(stat.rpartition(")")[2].split()[3]) == process.pid


@pytest.mark.parametrize("fails", ["hold", "memory", "detach"])
def test_where_ptrace_is_not_permitted_they_are_visible(fails, monkeypatch):
    def refuse(*arguments):
        raise PermissionError

    if fails == "hold":
        monkeypatch.setattr(hidden_arguments, "_HOLD", "import os; os._exit(97)")
    elif fails == "memory":
        monkeypatch.setattr(hidden_arguments._Memory, "replace", refuse)
    else:
        monkeypatch.setattr(hidden_arguments, "_ptrace", lambda *arguments: -1)
    before = _children()
    with running() as (started, (arguments, environment, _)):
        assert not started.hidden
        assert arguments == REAL[3:]
        assert KEY not in json.dumps(environment)
        assert _children() - before == {started.process.pid}


def test_a_missing_program_cannot_be_started(tmp_path):
    missing = str(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        start([missing, "***"], [missing, KEY], ENVIRONMENT)


def test_an_interruption_leaves_no_process(monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(hidden_arguments._Memory, "replace", interrupt)
    before = _children()
    with pytest.raises(KeyboardInterrupt):
        start(SHOWN, REAL, ENVIRONMENT)
    wait_until(lambda: not _children() - before)
