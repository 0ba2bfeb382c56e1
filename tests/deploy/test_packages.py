"""The sdist and the wheel: what they hold, what they say, and that the wheel runs."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

import photoreal
from photoreal.cli import SUBCOMMANDS
from tests.kinds import TempFolders
from tests.shared import output_of

BUILD = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"
LARGEST = 8 * 2**20
"""Bytes of the wheel; the segmenter's weights are most of it."""


def _build(kind: str, source: Path, target: Path) -> Path:
    """Build with this environment's setuptools, which asks no registry for anything."""
    output_of(sys.executable, "-c", BUILD.format(kind), target, cwd=source)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def tracked(root: Path) -> list[str]:
    """Every file of the project, by its path."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return [file for file in output_of(*listed, cwd=root).splitlines() if (root / file).is_file()]


@pytest.fixture(scope="module")
def sdist(root: Path, tracked: list[str], tmp_path_factory: TempFolders) -> Path:
    """The sdist, unpacked; it is built from a copy, since building writes into the source."""
    folder = tmp_path_factory.mktemp("sdist")
    for file in tracked:
        (folder / "source" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / file, folder / "source" / file)
    (folder / "built").mkdir()
    archive = _build("sdist", folder / "source", folder / "built")
    # Python 3.12 warns without a filter, and 3.11 has one from 3.11.4 on.
    safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    shutil.unpack_archive(archive, folder / "unpacked", **safely)
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: TempFolders) -> Path:
    """The wheel that the sdist builds."""
    return _build("wheel", sdist, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """The wheel's files."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def about(wheel: Path, names: set[str]) -> Message:
    """The wheel's metadata."""
    (file,) = [name for name in names if name.endswith(".dist-info/METADATA")]
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(file))


def test_the_sdist_is_the_whole_source(sdist: Path, tracked: list[str]) -> None:
    ours = {file for file in tracked if not file.startswith((".github/", ".ci/", ".git"))}
    assert len(ours) > 300
    missing = {file for file in ours if not (sdist / file).exists()}
    assert not missing


def test_the_wheel_has_every_module_but_those_of_the_training(
    names: set[str], tracked: list[str]
) -> None:
    homes = {"src/photoreal/": "photoreal/"}
    homes |= {f"{one}/": f"photoreal/{one}/" for one in ("preprocess", "export", "serve", "client")}
    expected = {
        home + file.removeprefix(folder)
        for folder, home in homes.items()
        for file in tracked
        if file.startswith(folder) and file.endswith(".py")
    }
    assert len(expected) > 100
    assert expected <= names
    assert "photoreal/model_repository/stylize/config.pbtxt" in names
    assert "photoreal/client/web/static/index.html" in names
    assert "photoreal/client/web/photos/china.jpg" in names
    assert not [name for name in names if re.search(r"photoreal/train\b|(^|/)tests?/", name)]
    assert {name.split("/")[0].split("-")[0] for name in names} == {"photoreal"}


def test_the_wheel_has_the_weights_but_no_list_of_photos(wheel: Path, names: set[str]) -> None:
    folder = "photoreal/weights/segmenter/"
    files = {name.removeprefix(folder) for name in names if name.startswith(folder)}
    assert files == {"segmenter.safetensors", "settings.json", "MODEL_CARD.md"}
    assert wheel.stat().st_size < LARGEST


def test_its_metadata_states_both_licenses(about: Message, names: set[str]) -> None:
    assert about["License-Expression"] == "MIT AND LicenseRef-Research-NonCommercial"
    assert about.get_all("License-File") == ["LICENSE", "LICENSE-weights.md"]
    for file in ("LICENSE", "LICENSE-weights.md"):
        assert [name for name in names if name.endswith(f".dist-info/licenses/{file}")]
    # With a license expression a classifier would be a second statement.
    assert not [one for one in about.get_all("Classifier", []) if one.startswith("License")]


def test_the_version_is_the_program_s(about: Message, root: Path) -> None:
    assert about["Version"] == photoreal.__version__
    for file in (root / "deploy" / "kubernetes").glob("*.yaml"):
        for version in re.findall(r"/photoreal:([\d.]+)", file.read_text()):
            assert version == photoreal.__version__, file.name
    assert f"version: {photoreal.__version__}\n" in (root / "CITATION.cff").read_text()


def test_the_wheel_runs_and_says_that_it_cannot_train(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)  # noqa: S202 (our own, and no tar file)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; from photoreal.cli import main; sys.exit(main(sys.argv[1:]))"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
        )

    shown = run("--version")
    assert shown.returncode == 0, shown.stderr
    assert photoreal.__version__ in shown.stdout
    for name, subcommand in SUBCOMMANDS.items():
        if subcommand.module.startswith("photoreal.train"):
            refused = run(name, "--help")
            assert refused.returncode == 1
            assert "only a checkout of the source has" in refused.stderr
