"""One server for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pytest

from .running import Secured, serving


@pytest.fixture(scope="package")
def server(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A `photoreal serve` with every lock and every window."""
    with serving(tmp_path_factory.mktemp("secured"), repository) as running:
        yield running


@pytest.fixture(scope="session")
def picture(encoded: Callable[..., bytes], photo: Callable[..., npt.NDArray[Any]]) -> bytes:
    """A small photo."""
    return encoded(photo(40, 48))
