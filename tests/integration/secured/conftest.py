"""One server for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kinds import TempFolders
from tests.shared import encoded, photo

from .running import Secured, serving


@pytest.fixture(scope="package")
def server(repository: Path, tmp_path_factory: TempFolders) -> Iterator[Secured]:
    """A `photoreal serve` with every lock and every window."""
    with serving(tmp_path_factory.mktemp("secured"), repository) as running:
        yield running


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A small photo."""
    return encoded(photo(40, 48))
