"""The forge's files: workflows, issue forms and citation are valid and name what exists."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.shared import output_of

SCHEMAS = {
    "vendor.github-workflows": [".github/workflows/ci.yml", ".github/workflows/release.yml"],
    "custom.github-workflows-require-timeout": [
        ".github/workflows/ci.yml",
        ".github/workflows/release.yml",
    ],
    "vendor.github-issue-forms": [
        ".github/ISSUE_TEMPLATE/bug.yml",
        ".github/ISSUE_TEMPLATE/feature.yml",
    ],
    "vendor.github-issue-config": [".github/ISSUE_TEMPLATE/config.yml"],
    "vendor.citation-file-format": ["CITATION.cff"],
}


@pytest.fixture(scope="module")
def jobs(root: Path) -> dict[str, dict[str, Any]]:
    """The jobs of all workflows, by their ids."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted((root / ".github" / "workflows").glob("*.yml")):
        found |= yaml.safe_load(file.read_text())["jobs"]
    return found


@pytest.fixture(scope="module")
def commands(jobs: dict[str, dict[str, Any]]) -> list[str]:
    """Every line of shell that a workflow runs."""
    steps = [step for job in jobs.values() for step in job["steps"]]
    return [line.strip() for step in steps for line in step.get("run", "").splitlines()]


@pytest.fixture(scope="module")
def settings(root: Path) -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text())


@pytest.mark.parametrize(("schema", "files"), SCHEMAS.items(), ids=list(SCHEMAS))
def test_files_are_valid(root: Path, schema: str, files: list[str]) -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    output_of(checker, "--builtin-schema", schema, *files, cwd=root)


def test_every_file_is_checked(root: Path) -> None:
    files = {str(file.relative_to(root)) for file in (root / ".github").rglob("*.*")}
    assert files <= {file for one in SCHEMAS.values() for file in one}


def test_targets_exist(commands: list[str], root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    targets = [line.split()[1] for line in commands if line.startswith("make ")]
    assert {"check", "docs", "test", "dist"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_marks_and_extras_exist(commands: list[str], root: Path, settings: dict[str, Any]) -> None:
    text = "\n".join([*commands, (root / "CONTRIBUTING.md").read_text()])
    marks = {
        mark.partition(":")[0] for mark in settings["tool"]["pytest"]["ini_options"]["markers"]
    }
    named = set(re.findall(r"pytest -m (\w+)", text))
    assert named == {"unit", "server", "browser", "docs", "deploy", "slow"}
    assert named <= marks
    extras = re.findall(r'-e "\.\[([a-z,]+)\]"', text)
    assert len(extras) == 2  # the workflow's and the guide's
    assert len(set(extras)) == 1
    assert set(extras[0].split(",")) <= set(settings["project"]["optional-dependencies"])


def test_profiles_of_compose_exist(jobs: dict[str, dict[str, Any]], root: Path) -> None:
    services = yaml.safe_load((root / "docker-compose.yml").read_text())["services"]
    for device in jobs["image"]["strategy"]["matrix"]["device"]:
        assert device in services[device]["profiles"]
        assert services[device]["image"] == f"photoreal:{device}"


def test_unit_tests_run_on_every_system_and_python(
    jobs: dict[str, dict[str, Any]], settings: dict[str, Any]
) -> None:
    matrix = jobs["unit"]["strategy"]["matrix"]
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(settings["project"]["classifiers"]))
    assert matrix["python"] == promised
    assert settings["project"]["requires-python"] == f">={promised[0]}"


def test_the_release_s_notes_are_the_changelog_s_section(
    jobs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """The step's own program, on a changelog of two versions."""
    (step,) = [one for one in jobs["release"]["steps"] if "changelog" in one.get("name", "")]
    program = step["run"].partition("test -s")[0]
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\nNext.\n"
        "\n## [0.2.0] - 2027-01-01\n\n### Added\n\n- This.\n"
        "\n## [0.1.0] - 2026-12-01\n\nBefore.\n"
    )
    environment = {"GITHUB_REF_NAME": "v0.2.0", "PATH": "/usr/bin:/bin"}
    output_of("bash", "-e", "-c", program, cwd=tmp_path, env=environment)
    assert (tmp_path / "notes.md").read_text().split() == ["###", "Added", "-", "This."]
