"""The parts of the suite; seeded parameters, networks, pictures and files that many tests use."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import settings
from PIL import Image
from torch import Tensor, nn

from photoreal.contract import Unpool
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.transfer.progressive import LabelledImage, NetworkEngine
from photoreal.weights.networks import load_wct2
from tests.reference_cases import seeded_entry, seeded_wct2

Array = npt.NDArray[Any]
State = dict[str, Tensor]

# A busy machine is no failure.
settings.register_profile("photoreal", deadline=None)
settings.load_profile("photoreal")

TESTS = Path(__file__).parent
DATA = TESTS / "data"
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
"""Marks of tests that are no unit tests, whatever their folder."""
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


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the tests that need Linux elsewhere; many of them could not even be imported."""
    return True if sys.platform != "linux" and collection_path.name in LINUX_ONLY else None


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
def data_folder() -> Path:
    """The folder of the reference numbers."""
    return DATA


@pytest.fixture(scope="session")
def published_shapes() -> dict[str, dict[str, list[int]]]:
    """For each published checkpoint file the shapes of its entries, by name."""
    shapes: dict[str, dict[str, list[int]]] = {}
    for model in ("wct2", "segmenter"):
        shapes |= json.loads((DATA / model / "state_dict_shapes.json").read_text())
    return shapes


@pytest.fixture(scope="session")
def seeded_state(
    published_shapes: dict[str, dict[str, list[int]]],
) -> Callable[[str], State]:
    """Gives the seeded content of a published checkpoint file."""

    def state(file: str) -> State:
        return {name: seeded_entry(name, shape) for name, shape in published_shapes[file].items()}

    return state


@pytest.fixture(scope="session")
def seeded_module() -> Callable[[nn.Module], nn.Module]:
    """Gives every entry of a module its seeded value, and the module back for inference."""

    def fill(module: nn.Module) -> nn.Module:
        state = {
            name: seeded_entry(name, value.shape) for name, value in module.state_dict().items()
        }
        module.load_state_dict(state)
        return module.eval().requires_grad_(False)

    return fill


@pytest.fixture(scope="session")
def seeded_networks() -> Callable[[Unpool], tuple[Encoder, Decoder]]:
    """Gives WCT2's networks with seeded parameters, which nobody may change."""

    return cache(seeded_wct2)


@pytest.fixture(scope="session")
def builtin_networks() -> Callable[[Unpool], tuple[Encoder, Decoder]]:
    """Gives WCT2's networks with the built-in weights, which nobody may change."""
    return cache(lambda unpool: load_wct2(unpool=unpool))


@pytest.fixture(scope="session")
def builtin_engine(
    builtin_networks: Callable[[Unpool], tuple[Encoder, Decoder]],
) -> Callable[[Unpool], NetworkEngine]:
    """Gives an engine with the built-in weights."""
    return lambda unpool: NetworkEngine(*builtin_networks(unpool))


@pytest.fixture(scope="session")
def random_image() -> Callable[..., Tensor]:
    """Makes a random image (1, 3, H, W) in 0..1, the same one for the same size and seed."""

    def image(height: int, width: int, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(1000 * height + width + 7919 * seed)
        return torch.rand((1, 3, height, width), generator=generator)

    return image


@pytest.fixture(scope="session")
def smooth_image() -> Callable[..., Tensor]:
    """Makes an image (1, 3, H, W) of soft color gradients."""

    def image(height: int, width: int, seed: int = 0) -> Tensor:
        rows = torch.linspace(0, 1, height).view(-1, 1)
        columns = torch.linspace(0, 1, width)
        waves = [
            0.5 + 0.4 * torch.sin((2 + k) * rows + (3 - k) * columns + k + seed) for k in range(3)
        ]
        return torch.stack(waves)[None]

    return image


@pytest.fixture(scope="session")
def unlabelled() -> Callable[[Tensor], LabelledImage]:
    """Makes a labelled image of one region, label 0."""
    return lambda image: LabelledImage(image, np.zeros(image.shape[-2:], dtype=np.uint8))


@pytest.fixture(scope="session")
def psnr() -> Callable[[Tensor, Tensor], float]:
    """Measures the peak signal-to-noise ratio of two images in 0..1, in dB."""

    def measure(one: Tensor, other: Tensor) -> float:
        return float(-10 * torch.log10(((one.double() - other.double()) ** 2).mean()))

    return measure


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """Encodes an array or a Pillow image as a file, a PNG unless told otherwise."""

    def encode(picture: Array | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
        stream = io.BytesIO()
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(stream, format=kind, **options)
        return stream.getvalue()

    return encode


@pytest.fixture(scope="session")
def photo() -> Callable[..., npt.NDArray[np.uint8]]:
    """Makes a random photo (H, W, 3) uint8."""

    def make(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
        return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)

    return make


@pytest.fixture(scope="session")
def check_sentence() -> Callable[[object], None]:
    """Asserts that an error's words can travel to a caller: a sentence, no path, no traceback."""

    def check(error: object) -> None:
        words = str(error)
        assert words.endswith("."), words
        for forbidden in ("/", "\\", "Traceback", "\n", "Error", "object at 0x"):
            assert forbidden not in words, words

    return check
