"""The segmenter that comes with photoreal, as a plain export serves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from photoreal.client import StylizeResult
from photoreal.export import ExportSettings, export_repository, repository
from photoreal.regions.classes import GROUPS
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.settings import ServeSettings

pytestmark = pytest.mark.server

SIZE = 256
HIT = 0.9
"""Share of the sky of the noon scene that has to be found."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on an export that names no segmenter; the levels for "bls" are left out."""
    folder = tmp_path_factory.mktemp("default")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repository, "_network_levels", lambda *_: iter(()))
        export_repository(ExportSettings(folder / "repository"), print)
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    settings = ServeSettings(
        folder / "repository", http_port=http, grpc_port=grpc, metrics_port=metrics
    )
    with (folder / "log").open("wb") as log, Server(settings, log) as running:
        yield running


def test_server_finds_the_sky_of_a_landscape(
    server: Server,
    stylize: Callable[..., StylizeResult],
    pair: Callable[[str], dict[str, Any]],
) -> None:
    files = pair("lake-dusk")
    result = stylize(
        server, content=files["content"], style=files["style"], size=SIZE, method="published"
    )
    report = result.report
    assert (report["regions"], report["match"]) == ("segmenter", "nearest")
    assert "sky" in [entry["content"] for entry in report["pairs"]]
    assert report["unstyled"] == []
    with Image.open(files["content_mask"]) as image:
        blue = (np.asarray(image.convert("RGB")) == (0, 0, 255)).all(axis=2)
    found = result.content_labels == GROUPS.index("sky")
    assert found[blue].mean() > HIT
    assert found[-64:].mean() < 1 - HIT  # the ground at the camera's feet
