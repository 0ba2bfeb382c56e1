"""A disk that fills while `photoreal export` writes: the repository stays as it was."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("photoreal")
# Configs and adapters fit, the first network does not.
ROOM = 100_000
OLD = {"wct2/1/model.py": "old adapter", "wct2_encoder_1/1/model.onnx": "old model"}

_LIMITED = (
    "import resource, sys\n"
    f"resource.setrlimit(resource.RLIMIT_FSIZE, ({ROOM}, {ROOM}))\n"
    "from photoreal.cli import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)


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


def _run(command: Sequence[object], folder: Path) -> subprocess.CompletedProcess[str]:
    options = ["export", "--repository", folder, "--segmenter", "none"]
    return subprocess.run(
        [*map(str, command), *map(str, options)], capture_output=True, text=True, timeout=120
    )


def _check_error(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 1, done
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("Error: The models cannot be written to ")
    assert done.stderr.endswith(f"({words}); what was there is unchanged.\n")


def test_a_file_that_may_not_grow_leaves_no_half_model(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    _fill(old)
    _check_error(_run([sys.executable, "-c", _LIMITED], old), "File too large")
    assert _files(old) == OLD
    assert [path.name for path in old.iterdir() if path.name.startswith(".")] == []
    _check_error(_run([sys.executable, "-c", _LIMITED], new), "File too large")
    assert not new.exists()


def test_a_full_disk_leaves_no_half_model(tmp_path: Path) -> None:
    """On a real file system of its own, in a mount namespace that ends with the command."""
    enter = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size={ROOM} tmpfs {tmp_path}"
    if (
        shutil.which("unshare") is None
        or subprocess.run([*enter, mount], capture_output=True).returncode
    ):
        pytest.skip("no file system can be mounted here")
    folder = tmp_path / "repository"
    show = f"cd {folder} && find . -type f | sort && cat $(find . -type f | sort)"
    fill = " && ".join(
        f"mkdir -p {(folder / name).parent} && printf '{text}' > {folder / name}"
        for name, text in OLD.items()
    )
    script = f'{mount} && {fill} && {{ "$0" "$@"; code=$?; {show}; exit $code; }}'
    done = _run([*enter, script, PROGRAM], folder)
    _check_error(done, "No space left on device")
    names = [f"./{name}" for name in sorted(OLD)]
    assert done.stdout.endswith("\n".join(names) + "\n" + "".join(OLD[name[2:]] for name in names))
