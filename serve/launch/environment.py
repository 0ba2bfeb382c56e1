"""Environment checks for the server from the wheel, before it starts.

Without these checks, failures are silent: if libpython is missing, the server never finishes
loading; with numpy 2, every output is empty.
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

from photoreal.contract import BLAS_THREADS_VARIABLE
from photoreal.errors import ServeError
from photoreal.serve.launch.security import without_keys

_INSTALL = "install it with: pip install 'photoreal[{}]'"


@dataclass(frozen=True)
class Wheel:
    """Paths of the parts of the nvidia-pytriton wheel."""

    binary: Path
    python_backend: Path
    stub: Path
    libraries: Path


@dataclass(frozen=True)
class Installation:
    """A Triton installation that is ready to start.

    `libraries` is the folder of its shared libraries; None if its image already provides them.
    """

    binary: Path
    backends: Path
    libraries: Path | None = None


def check_environment() -> Wheel:
    """Check platform, Python, packages and libraries; raises ServeError that says what to do."""
    check_platform(sys.platform, platform.machine())
    check_packages("torch", "onnxruntime", "pytriton")
    wheel = _find_wheel(sys.version_info[:2])
    _find_libpython()
    return wheel


def check_platform(system: str, machine: str) -> None:
    """Raise ServeError unless the wheel's binary can run here."""
    if system != "linux" or machine != "x86_64":
        raise ServeError(
            "The server from the wheel requires Linux on x86_64, but this is"
            f" {system} on {machine}; use NVIDIA's Triton container with the same model repository."
        )


def check_packages(*packages: str, extra: str = "serve") -> None:
    """Raise ServeError if a package of an extra is missing, or numpy cannot be used."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ServeError(f"The package {package} is missing; {_INSTALL.format(extra)}.")
    check_numpy(importlib.metadata.version("numpy"))


def check_numpy(version: str) -> None:
    """Raise ServeError for numpy 2 or later, with which the server's outputs are empty."""
    if int(version.split(".")[0]) >= 2:
        raise ServeError(
            f"numpy {version} is not supported, since the server's outputs would be empty; install"
            " an older one with: pip install 'numpy<2'."
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
            f"The server from the wheel does not support Python {version}; use Python 3.11 or 3.12."
        )
    return Wheel(
        binary=server / "bin" / "tritonserver",
        python_backend=server / "backends" / "python",
        stub=stub,
        libraries=package.parent / "nvidia_pytriton.libs",
    )


def _find_libpython() -> Path:
    """Folder of the shared libpython that the backend's model processes link to."""
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
    """Raise ServeError if a port is out of range, used twice or already in use on `host`."""
    if len(set(ports.values())) < len(ports):
        raise ServeError(f"The ports {_list(ports)} are not all different; choose different ones.")
    for name, port in ports.items():
        if not 0 < port < 65536:
            raise ServeError(f"The {name} port is {port}; expected 1 to 65535.")
        try:
            with socket.socket(_family(host)) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        except OSError as error:
            raise ServeError(
                f"The {name} port {port} on {host} cannot be used ({error.strerror}); stop the"
                f" program that uses it, or choose another port with --{name}-port."
            ) from error


def free_ports(host: str, count: int) -> list[int]:
    """Return `count` ports of `host` that are currently free."""
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
    """Environment variables of the server process.

    Model processes find a virtual environment only through PATH, by its folder `programs`.
    """
    given, python = os.environ.get("LD_LIBRARY_PATH", ""), str(_find_libpython())
    if python in _loader_folders():
        # Named here, it would take precedence over the libraries bundled with PyTorch: NVIDIA's
        # image has another cuDNN there, and parts of two cuDNN releases do not work together.
        python = ""
    # The path in an image is already ordered: some entries must precede the system's libraries.
    libraries = [given, python]
    if triton.libraries is not None:
        libraries = [str(triton.libraries), python, given]
    return {
        # Feature maps of 100 MB are allocated often: huge pages cut page faults to a thirtieth.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        # Waiting threads spin briefly, then sleep: other processes are not starved, and the many
        # short waits inside an eigendecomposition stay cheap.
        "GOMP_SPINCOUNT": "1000",
        # numpy's products are small: on more threads they take as long, and hold up the networks.
        BLAS_THREADS_VARIABLE: "1",
        **without_keys(os.environ),
        "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", "")]),
        "LD_LIBRARY_PATH": _joined(libraries),
        **extra,
    }


def _loader_folders() -> set[str]:
    """Folders that the dynamic loader always searches."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    return {
        f"{root}/{name}" for root in ("", "/usr") for name in ("lib", "lib64", f"lib/{multiarch}")
    }


def _joined(parts: Iterable[str]) -> str:
    return os.pathsep.join(part for part in parts if part)


def _list(ports: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {port}" for name, port in ports.items())
