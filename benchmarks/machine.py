"""Machine and software versions that a measurement belongs to."""

from __future__ import annotations

import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

PACKAGES = ("photoreal", "torch", "onnxruntime", "numpy", "pillow")


def machine() -> dict[str, Any]:
    """Processor, memory and versions as plain JSON values, as far as they are known."""
    found = {
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cpus": psutil.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "commit": commit(Path(__file__).parent),
    }
    return {name: value for name, value in found.items() if value is not None}


def commit(folder: Path) -> str | None:
    """The commit that is checked out, with ``+`` if tracked files differ from it."""
    call = ["git", "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
    with suppress(OSError):
        found = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
        return found.stdout.strip() or None
    return None


def _version(package: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(package)
    return None


def _cpu_model() -> str | None:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return None
