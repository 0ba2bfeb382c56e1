from __future__ import annotations

import subprocess
import sys

import pytest

from photoreal.client.batch.cluster import ClusterFailed, Layout, Resources, lay_out
from photoreal.client.errors import InvalidInput
from photoreal.contract import DEVICE_VARIABLE

SMALL: Resources = {"CPU": 2.0, "memory": 1e9}
LARGE: Resources = {"CPU": 10.0}
GPUS: Resources = {"CPU": 16.0, "GPU": 8.0}


@pytest.fixture(autouse=True)
def _any_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DEVICE_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("nodes", "asked", "layout"),
    [
        ([SMALL], {}, Layout(1, 2, "cpu")),
        ([SMALL], {"cores": 1}, Layout(2, 1, "cpu")),
        ([LARGE], {}, Layout(2, 4, "cpu")),
        ([SMALL, LARGE], {}, Layout(6, 2, "cpu")),
        ([SMALL, LARGE], {"cores": 4}, Layout(2, 4, "cpu")),
        ([SMALL, GPUS], {}, Layout(8, 2, "cuda")),
        ([GPUS], {"cores": 8}, Layout(2, 8, "cuda")),
        ([GPUS], {"workers": 3}, Layout(3, 2, "cuda")),
        ([GPUS], {"photos": 2}, Layout(2, 2, "cuda")),
        ([SMALL], {"workers": 5, "grows": True}, Layout(5, 2, "cpu")),
        ([{}], {"workers": 5, "grows": True}, Layout(5, 4, "cpu")),
    ],
)
def test_workers_fill_the_nodes(
    nodes: list[Resources], asked: dict[str, int], layout: Layout
) -> None:
    assert lay_out(nodes, **{"photos": 100} | asked) == layout


def test_the_device_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    assert lay_out([GPUS], 100) == Layout(4, 4, "cpu")


@pytest.mark.parametrize(
    ("device", "asked", "words"),
    [
        ("cpu", {"cores": 4}, "0 workers with 4 cores fit; expected at least 1"),
        ("cpu", {"cores": 1, "workers": 3}, "2 workers with 1 core fit; expected at least 3"),
        ("cuda", {}, "0 workers with 4 cores and a GPU fit"),
    ],
)
def test_what_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, device: str, asked: dict[str, int], words: str
) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, device)
    with pytest.raises(InvalidInput, match=words):
        lay_out([SMALL], 100, **asked)


@pytest.mark.skipif(sys.platform != "linux", reason="the extra dev has Ray for Linux alone")
def test_a_cluster_that_does_not_answer_is_a_sentence() -> None:
    code = (
        "from photoreal.client.batch.cluster import ray_cluster\n"
        "try:\n    ray_cluster('127.0.0.1:9').__enter__()\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    words = "No Ray cluster answers at '127.0.0.1:9': Connection refused."
    assert done.stdout == f"{ClusterFailed.__name__} {words}\n"
    assert done.stderr == ""
