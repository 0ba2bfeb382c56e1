"""Types of the fixtures that many tests take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from torch import Tensor

from photoreal.client import StylizeResult
from photoreal.contract import Unpool
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.transfer.progressive import NetworkEngine

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Pixels = npt.NDArray[np.uint8]

Patch = pytest.MonkeyPatch
Capture = pytest.CaptureFixture[str]
TempFolders = pytest.TempPathFactory

Images = Callable[..., Tensor]
"""`random_image` and `smooth_image`: an image (1, 3, H, W) of a height, a width and a seed."""
Sentence = Callable[[object], None]
"""`check_sentence`: asserts that an error's words can travel to a caller."""
Networks = Callable[[Unpool], tuple[Encoder, Decoder]]
Engines = Callable[[Unpool], NetworkEngine]

Load = Callable[[str], Any]
"""`load_adapter`: a model from an adapter's file."""
Arguments = Callable[..., dict[str, str]]
"""`arguments`: what Triton hands to `initialize`."""
Start = Callable[..., Any]
"""`start`: an initialized model of a name, with variables of the environment."""

PairFiles = Callable[[str], dict[str, Any]]
"""`pair`: the files of an example pair by the client's arguments."""
Stylize = Callable[..., StylizeResult]
"""`stylize`: a call of the project's client on a server."""
Call = Callable[..., Arrays]
"""`call` and `tensors`: a call of a model with NVIDIA's client, and its inputs."""
Refused = Callable[..., str]
"""`refused`: asserts that a model refuses a request, and returns the sentence."""
