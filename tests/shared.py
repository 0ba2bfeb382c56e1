"""Pictures, networks and checks for tests of many folders."""

from __future__ import annotations

import io
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

import click
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

from photoreal.cli import SUBCOMMANDS
from photoreal.contract import LEVELS, Unpool
from photoreal.networks import vgg
from photoreal.networks.vgg import Decoder, Encoder, Skips
from photoreal.regions.classes import GROUPS
from photoreal.transfer.progressive import Engine, LabelledImage, NetworkEngine
from photoreal.weights.networks import load_wct2
from tests.reference_cases import seeded_module, seeded_wct2

Array = npt.NDArray[Any]
Photo = npt.NDArray[np.uint8]
T = TypeVar("T")


def random_image(height: int, width: int, seed: int = 0) -> Tensor:
    """A random image (1, 3, H, W) in 0..1, the same one for the same size and seed."""
    generator = torch.Generator().manual_seed(1000 * height + width + 7919 * seed)
    return torch.rand((1, 3, height, width), generator=generator)


def smooth_image(height: int, width: int, seed: int = 0) -> Tensor:
    """An image (1, 3, H, W) of soft color gradients."""
    rows, columns = torch.linspace(0, 1, height).view(-1, 1), torch.linspace(0, 1, width)
    waves = [0.5 + 0.4 * torch.sin((2 + k) * rows + (3 - k) * columns + k + seed) for k in range(3)]
    return torch.stack(waves)[None]


def unlabelled(image: Tensor) -> LabelledImage:
    """The image as one region, label 0."""
    return LabelledImage(image, np.zeros(image.shape[-2:], dtype=np.uint8))


def photo(height: int, width: int, seed: int = 0) -> Photo:
    """A random photo (H, W, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(picture: Array | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """An array or a Pillow image as a file."""
    stream = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def psnr(one: Tensor, other: Tensor) -> float:
    """The peak signal-to-noise ratio of two images in 0..1, in dB."""
    return float(-10 * torch.log10(((one.double() - other.double()) ** 2).mean()))


def class_probabilities(**probabilities: float) -> Array:
    """Class probabilities (1, groups) of a region, 0 for the classes not named."""
    found = np.zeros((1, len(GROUPS)), dtype=np.float32)
    for name, probability in probabilities.items():
        found[0, GROUPS.index(name)] = probability
    return found


def region_order(found: Array, expected: Array) -> list[int]:
    """For each region of `expected` (K, H, W) the one of `found` (K, H, W) that covers it.

    Rounding may decide between two ways to find the same clusters, in another order.
    """
    shared = found.reshape(len(found), -1) @ expected.reshape(len(expected), -1).T
    order: list[int] = shared.argmax(axis=0).tolist()
    assert sorted(order) == list(range(len(expected)))
    return order


seeded_networks = cache(seeded_wct2)
"""WCT2's networks with seeded parameters, not to be changed."""


@cache
def builtin_networks(unpool: Unpool) -> tuple[Encoder, Decoder]:
    """WCT2's networks with the built-in weights, not to be changed."""
    return load_wct2(unpool=unpool)


NARROW = {1: 4, 2: 6, 3: 8, 4: 10}
"""Channels of the levels of `narrow_networks`."""


@cache
def narrow_networks(unpool: Unpool = "cat5") -> tuple[Encoder, Decoder]:
    """WCT2's networks with few channels and seeded parameters, for tests of the code around them.

    Decomposing matrices of 512 channels is most of the work for a small picture.
    """
    narrowing = {"conv4_1": 8, "conv3_1": 6, "conv2_1": 4, "conv1_1": 3}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vgg, "CHANNELS", NARROW)
        patch.setattr(vgg, "_NARROWING", narrowing)
        encoder, decoder = Encoder(unpool), Decoder(unpool)
    seeded_module(encoder)
    seeded_module(decoder)
    return encoder, decoder


def narrow_engine(unpool: Unpool = "cat5") -> NetworkEngine:
    """An engine with few channels."""
    return NetworkEngine(*narrow_networks(unpool))


def seeded_engine(unpool: Unpool = "cat5") -> NetworkEngine:
    """An engine with seeded parameters."""
    return NetworkEngine(*seeded_networks(unpool))


def builtin_engine(unpool: Unpool = "cat5") -> NetworkEngine:
    """An engine with the built-in weights."""
    return NetworkEngine(*builtin_networks(unpool))


def reconstruct(engine: Engine, image: Tensor) -> Tensor:
    """The image (1, 3, H, W) through all levels, nothing transformed."""
    x, skips = image, list[Skips]()
    for level in LEVELS:
        x, skip = engine.encode(level, x)
        skips += [] if skip is None else [skip]
    for level in reversed(LEVELS):
        x = engine.decode(level, x, skips.pop() if level > 1 else None)
    assert not skips
    return x


def check_sentence(error: object) -> None:
    """Assert that an error's words can travel to a caller: a sentence, no path, no traceback."""
    words = str(error)
    assert words.endswith("."), words
    for forbidden in ("/", "\\", "Traceback", "\n", "Error", "object at 0x"):
        assert forbidden not in words, words


def wait_until(condition: Callable[[], T], seconds: float = 60.0) -> T:
    """What the condition gives as soon as it is true; fails when that takes too long."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.02)
    return found


def parse_command(call: Sequence[str]) -> click.Context:
    """Parse a call of `photoreal` as the program itself does, without running it."""
    program, verb, *arguments = call
    assert program == "photoreal"
    subcommand = SUBCOMMANDS[verb]
    command: click.Command = getattr(import_module(subcommand.module), subcommand.attribute)
    return command.make_context(verb, arguments)


def output_of(*command: object, **how: Any) -> str:
    """What a program prints; fails with its errors unless it ends with 0."""
    call = [str(word) for word in command]
    done: subprocess.CompletedProcess[str] = subprocess.run(
        call, capture_output=True, text=True, check=False, **how
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def refused(error: type[Exception], words: str) -> Iterator[pytest.ExceptionInfo[Exception]]:
    """Expect an error whose words match the pattern and can travel to a caller."""
    with pytest.raises(error, match=words) as caught:
        yield caught
    check_sentence(caught.value)
