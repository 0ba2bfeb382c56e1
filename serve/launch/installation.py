"""Triton installation to start: an installed folder, or one assembled from the wheel.

NVIDIA's container has Triton in /opt/tritonserver, with native backends and a Python backend whose
one stub is built for the container's Python. The wheel has only the Python backend, with a stub for
every Python version; its other backends come from this package.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import photoreal
from photoreal.errors import ServeError
from photoreal.serve.launch.environment import Installation, Wheel, check_packages

BACKENDS = Path(__file__).parents[1] / "backend"
"""Backends of this package, which run in the wheel's Python backend."""
PACKAGE = Path(photoreal.__file__).parent
"""Folder of this package as installed."""
TRITON_VARIABLE = "PHOTOREAL_TRITON"
"""Environment variable with the folder of an installed Triton; the container sets it."""

_LIBPYTHON = re.compile(rb"libpython(3\.\d+)\.so")


def find_installation(folder: Path) -> Installation:
    """Return the Triton in a folder, checked against this Python; raises ServeError."""
    check_packages("cv2", "scipy", "torch", extra="runtime")
    binary, python = folder / "bin" / "tritonserver", folder / "backends" / "python"
    stub = python / "triton_python_backend_stub"
    for program in (binary, stub):
        if not os.access(program, os.X_OK) or not program.is_file():
            raise ServeError(
                f"There is no Triton in {folder}: {program.relative_to(folder)} is missing or"
                " not executable; expected a folder such as /opt/tritonserver in the container."
            )
    _check_python(stub)
    return Installation(binary, folder / "backends")


def _check_python(stub: Path) -> None:
    """Raise ServeError unless the stub runs this version of Python.

    Another version would start as well, but find none of this environment's packages.
    """
    found = _LIBPYTHON.search(stub.read_bytes())
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    theirs = f"Python {found[1].decode()}" if found else "an unknown Python"
    if theirs != f"Python {ours}":
        raise ServeError(
            f"The Python backend in {stub.parent} runs {theirs}, but this is Python {ours};"
            " install photoreal for the backend's version."
        )


def check_backends(triton: Installation, backends: Mapping[str, str]) -> None:
    """Raise ServeError if a backend is missing; `backends` maps models to their backends."""
    for model, backend in backends.items():
        if not (triton.backends / backend).is_dir():
            raise ServeError(
                f"The model {model} requires the backend {backend}, which this Triton lacks; use"
                " NVIDIA's image."
            )


def assemble_backends(wheel: Wheel, folder: Path) -> Path:
    """Assemble a backend directory: the wheel's Python backend with its stub, and our backends."""
    backends = folder / "backends"
    python = backends / "python"
    python.mkdir(parents=True)
    for file in wheel.python_backend.iterdir():
        if file.is_file():
            # Copied: Triton rejects a library that is a link out of the directory.
            shutil.copyfile(file, python / file.name)
    (python / wheel.stub.name).symlink_to(wheel.stub)
    # On the import path of every model: the only way to find a checkout with a non-ASCII path.
    (python / PACKAGE.name).symlink_to(PACKAGE)
    for own in BACKENDS.iterdir():
        if (own / "model.py").exists():
            (backends / own.name).mkdir()
            (backends / own.name / "model.py").symlink_to((own / "model.py").resolve())
    return backends
