"""What the server from the wheel needs of a machine, checked before it starts.

Without these checks the server's helper processes die without a word: no libpython leaves it
"loading" for ever, numpy 2 makes every output empty.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import socket
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from photoreal.errors import ServeError
from photoreal.serve.launch.security import without_keys

_INSTALL = "install it with: pip install 'photoreal[{}]'"


@dataclass(frozen=True)
class Wheel:
    """Where the parts of the nvidia-pytriton wheel lie."""

    binary: Path
    python_backend: Path
    stub: Path
    libraries: Path


@dataclass(frozen=True)
class Installation:
    """A Triton that is ready to be started.

    `libraries` is the folder of those that it needs; None where its image knows them itself.
    """

    binary: Path
    backends: Path
    libraries: Path | None = None


def check_environment() -> Wheel:
    """Check machine, Python, packages and libraries; raises ServeError that says what to do."""
    check_platform(sys.platform, platform.machine())
    check_packages("torch", "onnxruntime", "pytriton")
    wheel = _find_wheel(sys.version_info[:2])
    _find_libpython()
    return wheel


def check_platform(system: str, machine: str) -> None:
    """Raise ServeError unless the wheel's binary can run here."""
    if system != "linux" or machine != "x86_64":
        raise ServeError(
            f"The server from the wheel runs on Linux on x86_64, this is {system} on {machine};"
            " use NVIDIA's Triton container with the same model repository."
        )


def check_packages(*packages: str, extra: str = "serve") -> None:
    """Raise ServeError for a package of an extra that is missing, or an unusable numpy."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ServeError(f"The package {package} is missing; {_INSTALL.format(extra)}.")
    check_numpy(importlib.metadata.version("numpy"))


def check_numpy(version: str) -> None:
    """Raise ServeError for a numpy with which the server's outputs come out empty."""
    if int(version.split(".")[0]) >= 2:
        raise ServeError(
            f"numpy {version} makes the server's outputs empty; install one below 2 with:"
            " pip install 'numpy<2'."
        )


def _find_wheel(python: tuple[int, int]) -> Wheel:
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise ServeError(f"The package nvidia-pytriton is missing; {_INSTALL.format('serve')}.")
    package = Path(next(iter(spec.submodule_search_locations)))
    server = package / "tritonserver"
    version = ".".join(map(str, python))
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    if python >= (3, 13) or not stub.exists():
        raise ServeError(
            f"The server from the wheel does not work with Python {version};"
            " use Python 3.11 or 3.12."
        )
    return Wheel(
        binary=server / "bin" / "tritonserver",
        python_backend=server / "backends" / "python",
        stub=stub,
        libraries=package.parent / "nvidia_pytriton.libs",
    )


def _find_libpython() -> Path:
    """Folder of the shared libpython that the backend's helper processes link to."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"libpython{version}.so.1.0"
    configured = sysconfig.get_config_var("LIBDIR")
    system = f"/usr/lib/{sysconfig.get_config_var('MULTIARCH') or 'x86_64-linux-gnu'}"
    folders = [Path(folder) for folder in (configured, system) if folder]
    for folder in (*folders, Path(sys.base_prefix) / "lib"):
        if (folder / name).exists():
            return folder
    raise ServeError(
        f"The library {name} was not found; install it (on Debian and Ubuntu: apt-get install"
        f" libpython{version}) or use a Python built with --enable-shared."
    )


def check_ports(host: str, ports: Mapping[str, int]) -> None:
    """Raise ServeError when a port is out of range, doubly used or taken on `host`."""
    if len(set(ports.values())) < len(ports):
        raise ServeError(f"The ports {_list(ports)} are not all different; choose others.")
    for name, port in ports.items():
        if not 0 < port < 65536:
            raise ServeError(f"The {name} port {port} does not exist; expected 1 to 65535.")
        try:
            with socket.socket(_family(host)) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        except OSError as error:
            raise ServeError(
                f"The {name} port {port} on {host} cannot be used ({error.strerror}); stop what"
                f" uses it or choose another with --{name}-port."
            ) from error


def free_ports(host: str, count: int) -> list[int]:
    """Ports of `host` that nothing uses at the moment."""
    sockets = [socket.socket(_family(host)) for _ in range(count)]
    try:
        for one in sockets:
            one.bind((host, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def server_environment(
    triton: Wheel | Installation, programs: Path, extra: Mapping[str, str]
) -> dict[str, str]:
    """Environment for the server's process.

    The models' processes find a virtual environment through PATH alone, by its folder `programs`.
    """
    given, python = os.environ.get("LD_LIBRARY_PATH", ""), str(_find_libpython())
    if python in _loader_folders():
        # Named here, it would come before the libraries that PyTorch brings along: in NVIDIA's
        # image another cuDNN is there, and parts of two releases refuse to work together.
        python = ""
    # An image has them in order: some of them have to come before those of the system.
    libraries = [given, python]
    if triton.libraries is not None:
        libraries = [str(triton.libraries), python, given]
    return {
        # Feature maps of 100 MB come and go: huge pages take a thirtieth of the page faults.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        # Threads that wait spin briefly, then sleep: other processes' work does not starve behind
        # them, and the many short waits inside an eigen-decomposition stay cheap.
        "GOMP_SPINCOUNT": "1000",
        **without_keys(os.environ),
        "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", "")]),
        "LD_LIBRARY_PATH": _joined(libraries),
        **extra,
    }


def _loader_folders() -> set[str]:
    """Folders that the dynamic loader searches in any case."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    return {
        f"{root}/{name}" for root in ("", "/usr") for name in ("lib", "lib64", f"lib/{multiarch}")
    }


def _joined(parts: Iterable[str]) -> str:
    return os.pathsep.join(part for part in parts if part)


def _list(ports: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {port}" for name, port in ports.items())
