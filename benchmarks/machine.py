"""Machine and software versions that a measurement belongs to."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("photoreal", "torch", "onnxruntime", "numpy", "pillow")

_ROOT = Path(__file__).parents[1]


def machine() -> dict[str, Any]:
    """Processor, memory and versions as plain JSON values; None where unknown."""
    return {
        "machine": platform.machine(),
        "cpu": cpu_model(_read("/proc/cpuinfo")),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": memory_gib(_read("/proc/meminfo")),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "commit": commit(),
    }


def cpu_model(cpuinfo: str) -> str | None:
    """Processor name from the text of ``/proc/cpuinfo``."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return None


def memory_gib(meminfo: str) -> float | None:
    """Memory in GiB, rounded to a tenth, from the text of ``/proc/meminfo``."""
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return round(int(line.split()[1]) / 2**20, 1)  # the file is in KiB
    return None


def commit() -> str | None:
    """The commit that is checked out, with ``+`` if the working tree differs from it."""
    git = shutil.which("git")
    if git is None:
        return None
    found = [
        subprocess.run([git, *arguments], cwd=_ROOT, capture_output=True, text=True, check=False)
        for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain"])
    ]
    if any(one.returncode for one in found):
        return None
    return found[0].stdout.strip()[:12] + ("+" if found[1].stdout.strip() else "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError:
        return ""
