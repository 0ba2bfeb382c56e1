"""Arguments that the process list does not show."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from photoreal.serve.launch import hidden_arguments
from photoreal.serve.launch.hidden_arguments import Started, start

KEY = "a-key-of-these-tests"
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


def _said(started: Started) -> Any:
    assert started.process.stdout is not None
    return json.loads(started.process.stdout.readline())


def _ended(started: Started) -> None:
    with started.process as process:
        process.kill()


def test_a_program_gets_its_arguments_and_nobody_sees_them() -> None:
    started = start(SHOWN, REAL, ENVIRONMENT, stdout=subprocess.PIPE)
    try:
        arguments, environment, of_child = _said(started)
        assert started.hidden
        assert arguments == REAL[3:]
        assert psutil.Process(started.process.pid).cmdline() == SHOWN
        assert environment["COLOR"] == "blue"
        assert KEY not in json.dumps(environment)
        assert KEY not in of_child
        assert "COLOR=blue" in of_child
        assert started.process.poll() is None
    finally:
        _ended(started)


def test_the_key_is_in_no_command_line_at_any_moment() -> None:
    seen: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    seen.extend(child.cmdline())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(3):
            started = start(SHOWN, REAL, ENVIRONMENT, stdout=subprocess.PIPE)
            _said(started)
            _ended(started)
    finally:
        done.set()
        watcher.join()
    assert "--key=***" in seen
    assert not [one for one in seen if KEY in one]


def test_a_script_of_another_program_gets_them_too(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\nprintf \'["%s"]\\n\' "$2"\nexec sleep 60\n')
    script.chmod(0o755)
    shown = [str(script), "--shown", "***"]
    started = start(shown, [*shown[:2], KEY], ENVIRONMENT, stdout=subprocess.PIPE)
    try:
        assert _said(started) == [KEY]
        assert started.hidden
    finally:
        _ended(started)


def test_a_program_has_a_session_of_its_own_and_its_end_is_seen() -> None:
    shown = ["/bin/sh", "-c", "exit 7", "***"]
    started = start(shown, [*shown[:3], KEY], ENVIRONMENT)
    assert started.process.wait(10) == 7
    sleeping = start(["/bin/sleep", "60"], ["/bin/sleep", "60"], ENVIRONMENT)
    try:
        assert sleeping.hidden  # there is nothing to hide
        stat = Path(f"/proc/{sleeping.process.pid}/stat").read_text()
        assert int(stat.rpartition(")")[2].split()[3]) == sleeping.process.pid
    finally:
        _ended(sleeping)


@pytest.mark.parametrize("fails", ["hold", "memory", "detach"])
def test_where_ptrace_is_not_permitted_they_are_visible(
    fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> int:
        raise PermissionError

    if fails == "hold":
        monkeypatch.setattr(hidden_arguments, "_HOLD", "import os; os._exit(97)")
    elif fails == "memory":
        monkeypatch.setattr(hidden_arguments._Memory, "replace", refuse)
    else:
        monkeypatch.setattr(hidden_arguments, "_ptrace", lambda *arguments: -1)
    before = {child.pid for child in psutil.Process().children()}
    started = start(SHOWN, REAL, ENVIRONMENT, stdout=subprocess.PIPE)
    try:
        arguments, environment, _ = _said(started)
        assert not started.hidden
        assert arguments == REAL[3:]
        assert KEY not in json.dumps(environment)
        assert {child.pid for child in psutil.Process().children()} - before == {
            started.process.pid
        }
    finally:
        _ended(started)


def test_a_program_that_is_not_there_cannot_be_started(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        start([missing, "***"], [missing, KEY], ENVIRONMENT)


def test_an_interruption_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hidden_arguments._Memory, "replace", interrupt)
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(KeyboardInterrupt):
        start(SHOWN, REAL, ENVIRONMENT)
    deadline = time.monotonic() + 10
    while {child.pid for child in psutil.Process().children()} - before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
