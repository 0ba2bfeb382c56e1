"""A disk that fills while `photoreal export` writes: the repository stays as it was."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("photoreal")
# Configs and adapters fit in a file of this size, the first network does not.
FILE_BYTES = 100_000
# A disk that is full while the configs are written.
DISK_BYTES = 6 * os.sysconf("SC_PAGE_SIZE")
OLD = {"wct2/1/model.py": "old adapter", "wct2_encoder_1/1/model.onnx": "old model"}

# Exports to each folder with room for files of so many bytes.
_LIMITED = """
import resource, sys
from photoreal.cli import main
for folder, room in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    code = main(["export", "--repository", folder, "--segmenter", "none"])
sys.exit(code)
"""


def _files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _fill(folder: Path) -> None:
    for name, text in OLD.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)


def _run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)


def _check_errors(done: subprocess.CompletedProcess[str], words: str, count: int) -> None:
    assert done.returncode == 1, done
    lines = done.stderr.splitlines()
    assert len(lines) == count, done.stderr
    for line in lines:
        assert line.startswith("Error: The models cannot be written to ")
        assert line.endswith(f"({words}); what was there is unchanged.")


def test_files_that_may_not_grow_leave_no_half_model(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    _fill(old)
    done = _run(sys.executable, "-c", _LIMITED, old, FILE_BYTES, new, 100)
    _check_errors(done, "File too large", 2)
    assert _files(old) == OLD
    assert [path.name for path in old.iterdir() if path.name.startswith(".")] == []
    assert not new.exists()


def test_a_full_disk_leaves_no_half_model(tmp_path: Path) -> None:
    """On a real file system of its own, in a mount namespace that ends with the command."""
    enter = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size={DISK_BYTES} tmpfs {tmp_path}"
    if shutil.which("unshare") is None or _run(*enter, mount).returncode:
        pytest.skip("no file system can be mounted here")
    folder = tmp_path / "repository"
    show = f"cd {folder} && find . -type f | sort && cat $(find . -type f | sort)"
    fill = " && ".join(
        f"mkdir -p {(folder / name).parent} && printf '{text}' > {folder / name}"
        for name, text in OLD.items()
    )
    script = f'{mount} && {fill} && {{ "$0" "$@"; code=$?; {show}; exit $code; }}'
    done = _run(*enter, script, PROGRAM, "export", "--repository", folder, "--segmenter", "none")
    _check_errors(done, "No space left on device", 1)
    names = [f"./{name}" for name in sorted(OLD)]
    assert done.stdout.endswith("\n".join(names) + "\n" + "".join(OLD[name[2:]] for name in names))
