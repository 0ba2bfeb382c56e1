"""The image: what it copies, starts and pins."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.utils import exclude_paths
from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from photoreal.export.acceleration import ENGINE_CACHE
from photoreal.serve.launch.installation import TRITON_VARIABLE
from tests.shared import output_of, parse_command

from .conftest import check_pinned

OF_CUDA = ("nvidia-cu", "nvidia-n", "cuda-", "triton")
IMAGE_PYTHON = "3.12"
"""Of Triton's Python backend in the image, under which everything is installed there."""
Instructions = list[tuple[str, str]]


@pytest.fixture(scope="module")
def instructions(root: Path) -> Instructions:
    """Every instruction with its value, in order."""
    structure = DockerfileParser(str(root / "Dockerfile")).structure
    return [(one["instruction"], one["value"]) for one in structure]


@pytest.fixture(scope="module")
def sent(root: Path) -> set[str]:
    """Files that the build gets to see."""
    patterns = [
        line
        for line in (root / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    return {path for path in exclude_paths(str(root), patterns) if (root / path).is_file()}


def _values(instructions: Instructions, name: str) -> list[str]:
    return [value for instruction, value in instructions if instruction == name]


def test_the_linter_finds_nothing(root: Path) -> None:
    linter = Path(sys.executable).with_name("hadolint")
    output_of(linter, root / "Dockerfile")


def test_what_is_copied_is_there_and_sent(
    instructions: Instructions, root: Path, sent: set[str]
) -> None:
    copied = []
    for value in _values(instructions, "COPY"):
        *sources, _ = shlex.split(value)
        if not sources[0].startswith("--from="):
            copied += sources
    assert len(copied) == len(set(copied)) >= 11
    for source in copied:
        assert (root / source).exists()
        assert any(file == source or file.startswith(f"{source}/") for file in sent), source
    # And nothing that is sent is left lying.
    wanted = {*copied, "Dockerfile", ".dockerignore"}
    assert all(any(f"{file}/".startswith(f"{one}/") for one in wanted) for file in sent)


def test_every_package_is_copied(sent: set[str], root: Path) -> None:
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    for package, folder in settings["package-dir"].items():
        if package not in settings["packages"]:  # the training code, for checkouts
            assert not [file for file in sent if file.startswith(f"{folder}/")]
            continue
        tracked = output_of("git", "ls-files", folder, cwd=root).split()
        assert tracked
        assert set(tracked) <= sent


def test_no_built_model_and_nothing_private_is_sent(sent: set[str]) -> None:
    assert not [file for file in sent if Path(file).suffix in (".onnx", ".plan", ".pt", ".pyc")]
    assert not [file for file in sent if file.startswith((".git", ".venv", ".env", "tests"))]


def test_the_release_is_pinned_once(instructions: Instructions) -> None:
    (release,) = [
        value.removeprefix("TRITON=")
        for value in _values(instructions, "ARG")
        if value.startswith("TRITON=")
    ]
    for value in _values(instructions, "FROM"):
        image = value.split(" AS ")[0]
        if ":" in image:
            assert image == "nvcr.io/nvidia/tritonserver:${TRITON}"
            check_pinned(image.replace("${TRITON}", release))
    # Earlier ones let code in through the Python backend.
    assert tuple(map(int, release.split("-")[0].split("."))) >= (25, 7)


def test_it_starts_the_server_as_a_user_without_rights(instructions: Instructions) -> None:
    (command,) = _values(instructions, "CMD")
    options = parse_command(json.loads(command)).params
    assert str(options["repository"]) == "/models"
    assert options["host"] == "0.0.0.0"  # noqa: S104 (a container's own network)
    (exposed,) = _values(instructions, "EXPOSE")
    ports = [options[f"{kind}_port"] for kind in ("http", "grpc", "metrics", "health")]
    assert [int(port) for port in exposed.split()] == ports
    last = [name for name, _ in instructions].index("USER")
    assert _values(instructions[last:], "USER") == ["1000:1000"]
    assert not _values(instructions[last:], "RUN")


def test_its_folders_are_those_of_the_program(instructions: Instructions) -> None:
    (environment,) = _values(instructions, "ENV")
    assert f"{TRITON_VARIABLE}=/opt/tritonserver" in environment
    assert "PATH=/opt/photoreal/bin:${PATH}" in environment
    (final,) = [run for run in _values(instructions, "RUN") if "install -d" in run]
    assert final.endswith(f"install -d -o 1000 -g 1000 {ENGINE_CACHE}")


def test_its_health_is_asked_of_the_supervisor(instructions: Instructions) -> None:
    (check,) = _values(instructions, "HEALTHCHECK")
    parse_command(json.loads(check.partition("CMD ")[2]))


@pytest.mark.parametrize("extra", ["runtime", "export"])
def test_everything_that_it_installs_is_pinned_for_its_python(extra: str, root: Path) -> None:
    """As far as is known without a registry: from the packages installed here, for any Python."""
    assert f"has Python {IMAGE_PYTHON}" in (root / "Dockerfile").read_text()
    assert f"--python-version {IMAGE_PYTHON} " in (root / "Makefile").read_text()  # make lock
    pins = {}
    for line in (root / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            pin = Requirement(line)
            pins[canonicalize_name(pin.name)] = str(pin.specifier).removeprefix("==")
    needed = list(_needed(Requirement(f"photoreal[{extra}]"), set()))
    assert len(needed) > 10
    for requirement in needed:
        if requirement.name.startswith(OF_CUDA):
            continue  # of a PyTorch for CUDA, which pins them itself
        version = pins.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} has no pin"
        assert requirement.specifier.contains(version, prereleases=True), requirement
        assert importlib.metadata.version(requirement.name).split("+")[0] == version
        pythons = importlib.metadata.metadata(requirement.name)["Requires-Python"] or ""
        assert SpecifierSet(pythons).contains(f"{IMAGE_PYTHON}.3"), requirement.name
    ours = importlib.metadata.metadata("photoreal")["Requires-Python"]
    assert SpecifierSet(ours).contains(f"{IMAGE_PYTHON}.3")
    assert "nvidia-pytriton" not in {requirement.name for requirement in needed}


def test_a_package_for_other_pythons_alone_would_be_missed() -> None:
    """The check is of the image's Python, not of this one."""
    older = Requirement("tomli; python_version < '3.12'")
    newer = Requirement("newer; python_version >= '3.12'")
    assert not _applies(older, [""])
    assert _applies(newer, [""])


def _applies(requirement: Requirement, extras: list[str]) -> bool:
    """Whether the image needs it, being asked for with one of the extras ("" is none)."""
    image = {
        "python_version": IMAGE_PYTHON,
        "python_full_version": f"{IMAGE_PYTHON}.3",
        "implementation_version": f"{IMAGE_PYTHON}.3",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    }
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**image, "extra": extra}) for extra in extras)


def _needed(requirement: Requirement, seen: set[str]) -> Iterator[Requirement]:
    """What a requirement brings with it, by the metadata of what is installed here."""
    extras = ["", *sorted(requirement.extras)]
    for text in importlib.metadata.requires(requirement.name) or []:
        found = Requirement(text)
        if not _applies(found, extras):
            continue
        if canonicalize_name(found.name) != "photoreal":
            yield found
        key = f"{canonicalize_name(found.name)}{sorted(found.extras)}"
        if key not in seen:
            seen.add(key)
            yield from _needed(found, seen)


def test_the_image_that_the_documentation_shows_is_like_this_one(
    instructions: Instructions, root: Path, tmp_path: Path
) -> None:
    """A plain tritonserver with photoreal's packages."""
    page = (root / "docs" / "models.md").read_text()
    (shown,) = re.findall(r"^```dockerfile\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "Dockerfile").write_text(shown)
    lines = [
        (one["instruction"], one["value"])
        for one in DockerfileParser(str(tmp_path / "Dockerfile")).structure
    ]
    (triton,) = _values(instructions, "ARG")[:1]
    assert _values(lines, "FROM") == [
        f"nvcr.io/nvidia/tritonserver:{triton.removeprefix('TRITON=')}"
    ]
    (install,) = _values(lines, "RUN")
    ours = " ".join(_values(instructions, "RUN"))
    for step in install.split(" && "):
        assert step == "cd /source" or step in ours, step
    (path,) = _values(lines, "ENV")
    assert path in " ".join(_values(instructions, "ENV"))
    assert json.loads(_values(lines, "CMD")[0]) == ["tritonserver", "--model-repository=/models"]
