"""The parts of the suite, and some of `tests.shared` as fixtures."""

from __future__ import annotations

import os

from photoreal.contract import BLAS_THREADS_VARIABLE

# As in the server, before numpy is imported: sums over other threads differ in their last bits,
# and pictures of the server are compared byte for byte with those of this process.
os.environ[BLAS_THREADS_VARIABLE] = "1"

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from torch import Tensor

from photoreal.contract import Unpool
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.transfer.progressive import NetworkEngine
from tests import shared

# A busy machine is no failure.
settings.register_profile("photoreal", deadline=None)
settings.load_profile("photoreal")

TESTS = Path(__file__).parent
PARTS = {
    "adapters": "unit",
    "cluster": "slow",
    "deploy": "deploy",
    "documentation": "docs",
    "export": "slow",
    "faults": "server",
    "integration": "server",
    "repository": "unit",
    "unit": "unit",
}
"""The mark of the tests below a folder, wherever it is; the innermost folder counts."""
NOT_UNIT = ("browser", "long", "server", "slow")
"""Marks of tests that are no unit tests, in any folder."""
LINUX_ONLY = (
    "adapters",
    "benchmarks",
    "deploy",
    "faults",
    "integration",
    "serve",
    "test_operations.py",
    "test_video_run.py",
)
"""Folders and files about the server, its processes and its measurement, which need Linux."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out tests that need Linux elsewhere, and for `-m unit` folders that have no unit test.

    Many of them cannot even be imported there, and importing them takes time.
    """
    elsewhere = sys.platform != "linux" and collection_path.name in LINUX_ONLY
    other_part = PARTS.get(collection_path.name, "unit") != "unit"
    return elsewhere or (config.option.markexpr == "unit" and other_part) or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its part, before `-m` chooses; leave out long tests not asked for."""
    for item in items:
        folders = item.path.relative_to(TESTS).parts
        part = next((PARTS[one] for one in reversed(folders) if one in PARTS), None)
        if part and not (part == "unit" and any(map(item.get_closest_marker, NOT_UNIT))):
            item.add_marker(part)
    if "long" not in config.option.markexpr:
        asked = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(asked)])
        items[:] = asked


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """The pictures are so small that on a busy machine threads mostly wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def seeded_networks() -> Callable[[Unpool], tuple[Encoder, Decoder]]:
    return shared.seeded_networks


@pytest.fixture(scope="session")
def builtin_networks() -> Callable[[Unpool], tuple[Encoder, Decoder]]:
    return shared.builtin_networks


@pytest.fixture(scope="session")
def builtin_engine() -> Callable[[Unpool], NetworkEngine]:
    return shared.builtin_engine


@pytest.fixture(scope="session")
def random_image() -> Callable[..., Tensor]:
    return shared.random_image


@pytest.fixture(scope="session")
def check_sentence() -> Callable[[object], None]:
    return shared.check_sentence
