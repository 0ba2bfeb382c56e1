"""Contract of the models in the repository: names, types and shapes of their tensors.

The Triton adapters, the client and the export use these specs, and a test compares them with
every ``config.pbtxt``. The options of a request are declared in `photoreal.options`; their inputs
are generated from these declarations.

Shapes omit the batch dimension, as in Triton's configs; -1 is a dynamic size. Image tensors are
channels first, (3, H, W), RGB.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from photoreal.options import DEFAULT_ALPHA as DEFAULT_ALPHA
from photoreal.options import DEFAULT_BLEND as DEFAULT_BLEND
from photoreal.options import DEFAULT_SIZE as DEFAULT_SIZE
from photoreal.options import DEFAULT_STEADY as DEFAULT_STEADY
from photoreal.options import MATCH_RULES as MATCH_RULES
from photoreal.options import MAX_BLEND as MAX_BLEND
from photoreal.options import MAX_SEQUENCE_ID as MAX_SEQUENCE_ID
from photoreal.options import MAX_STEADY as MAX_STEADY
from photoreal.options import MAX_STYLES as MAX_STYLES
from photoreal.options import PLACES as PLACES
from photoreal.options import SOFT_PLACES as SOFT_PLACES
from photoreal.options import STYLIZE_OPTIONS, TRANSFER_OPTIONS, Option
from photoreal.options import MatchRule as MatchRule
from photoreal.options import Place as Place

Unpool = Literal["cat5", "sum"]
UNPOOLS: tuple[Unpool, ...] = ("cat5", "sum")
"""How unpooled bands are joined: concatenated with the original features, or summed."""

ENGINES = ("local", "bls")
ENGINE_PARAMETER = "engine"
ENGINE_VARIABLE = "PHOTOREAL_ENGINE"
"""Environment variable that takes precedence over the config's ``engine`` parameter."""

MAX_SIDE_PARAMETER = "max_side"
"""Parameter in the config of `wct2`: maximum side in pixels that the TensorRT engines support."""

DEVICES = ("cpu", "cuda")
DEVICE_PARAMETER = "device"
DEVICE_VARIABLE = "PHOTOREAL_DEVICE"
"""Environment variable: device of the local engine; overrides the config's ``device``."""
PRECISIONS = ("fp32", "fp16")
PRECISION_PARAMETER = "precision"
PRECISION_VARIABLE = "PHOTOREAL_PRECISION"
"""Environment variable: of the local engine's networks on a GPU; precedes the config's."""

STYLE_CACHE_VARIABLE = "PHOTOREAL_STYLE_CACHE_BYTES"
"""Environment variable: size limit of the style cache in bytes; 0 disables the cache."""
DEFAULT_STYLE_CACHE_BYTES = 256 << 20
BLAS_THREADS_VARIABLE = "OPENBLAS_NUM_THREADS"
"""Threads of numpy's products, which `photoreal serve` sets to 1."""
KEEP_MEMORY_VARIABLE = "PHOTOREAL_KEEP_MEMORY_SECONDS"
"""Environment variable that says how long freed memory waits for a next request."""
DEFAULT_KEEP_MEMORY_S = 300

DEFAULT_MAX_QUEUE = 16
"""Default maximum queue length of `stylize`; further requests are rejected immediately."""
DEFAULT_MAX_SECONDS = 600
"""Default timeout in seconds, both for waiting in the queue and for processing."""
TIMED_OUT = "The request was stopped after"
"""Beginning of the message when a request that is being processed times out."""
TIMED_OUT_IN_QUEUE = "Request timeout expired"
"""Likewise when it times out in the queue. Clients know the errors of `stylize` by these texts:
the three have one status, HTTP 503 or UNAVAILABLE."""
QUEUE_IS_FULL = "Exceeds maximum queue size"
"""Likewise when the queue is full. This text and that of the queue's timeout are those of Triton's
own queue, which `stylize` replaces."""
CANCEL_PARAMETER = "cancel"
"""Request parameter: a key of 32 hexadecimal digits by which the request can be canceled."""
WHOLE_PHOTO = -1
"""In PAIRS: the content label takes the whole style photo."""
NO_PARTNER = -2
"""In PAIRS: this style has no match for the content label."""

API_KEY_VARIABLE = "PHOTOREAL_API_KEY"
"""Environment variable with the key that requests for inference need, or show."""
API_KEY_HEADERS = {"http": "api-key", "grpc": "triton-grpc-protocol-api-key"}
"""Header with that key; Triton puts the prefix before the name in gRPC's metadata."""
HTTP_PORT, GRPC_PORT, METRICS_PORT = 8000, 8001, 8002
"""Default ports of the server, the same as Triton's."""
HEALTH_PORT = 8003
"""Likewise its supervisor."""
DEFAULT_EXIT_TIMEOUT_S = 20
"""Shutdown timeout in seconds: how long a stopping server waits for open requests."""

LEVELS = (1, 2, 3, 4)
CHANNELS = {1: 64, 2: 128, 3: 256, 4: 512}
"""Feature channels at each VGG level."""
BANDS = ("LH", "HL", "HH")
"""The high-frequency Haar bands that a pooling passes to its unpooling."""
ORIGINAL = "ORIGINAL"
"""The features before a pooling, which "cat5" passes as well."""
POOLINGS = (1, 2, 3)
PADDING_MULTIPLE = 8
"""Three poolings by two: heights and widths inside the networks are multiples of this."""


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a model: its name, Triton data type, and shape without the batch dimension.

    `stride` is the number of image pixels per step along a dynamic size.
    """

    name: str
    dtype: Literal["FP32", "UINT8", "INT32", "BOOL", "BYTES"]
    dims: tuple[int, ...]
    optional: bool = False
    stride: int = 1


@dataclass(frozen=True)
class ModelSpec:
    """One model of the repository; ``max_batch_size`` 0 disables batching."""

    name: str
    backend: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int = 0

    def input_names(self) -> list[str]:
        """Names of the inputs, in the order of the config."""
        return [spec.name for spec in self.inputs]

    def output_names(self) -> list[str]:
        """Names of the outputs, in the order of the config."""
        return [spec.name for spec in self.outputs]


def _option_inputs(options: Iterable[Option]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(option.tensor, option.dtype, option.dims, optional=True) for option in options
    )


STYLIZE = ModelSpec(
    name="stylize",
    backend="python",
    inputs=(
        TensorSpec("CONTENT", "BYTES", (1,)),
        TensorSpec("STYLE", "BYTES", (-1,)),
        TensorSpec("CONTENT_MASK", "BYTES", (1,), optional=True),
        TensorSpec("STYLE_MASK", "BYTES", (-1,), optional=True),
        *_option_inputs(STYLIZE_OPTIONS),
    ),
    outputs=(
        TensorSpec("IMAGE", "BYTES", (1,)),
        TensorSpec("CONTENT_LABELS", "BYTES", (1,)),
        TensorSpec("STYLE_LABELS", "BYTES", (-1,)),  # one for each style
        TensorSpec("REPORT", "BYTES", (1,)),
        # One for each style if requested without IMAGE, otherwise empty.
        TensorSpec("PRESET", "BYTES", (-1,)),
    ),
)

WCT2 = ModelSpec(
    name="wct2",
    backend="python",
    inputs=(
        TensorSpec("CONTENT", "FP32", (3, -1, -1)),
        # Several styles are laid side by side, each at the top left of its part.
        TensorSpec("STYLE", "FP32", (3, -1, -1), optional=True),
        TensorSpec("STYLE_SIZES", "INT32", (-1, 2), optional=True),  # height, width
        TensorSpec("CONTENT_LABELS", "UINT8", (-1, -1), optional=True),
        TensorSpec("STYLE_LABELS", "UINT8", (-1, -1), optional=True),
        TensorSpec("PAIRS", "INT32", (-1, -1), optional=True),  # content label, style labels
        # Alternative to labels and pairs: a plane of weights (0..255) for each region, and for
        # each content region its shares of the styles' regions, style by style.
        TensorSpec("CONTENT_REGIONS", "UINT8", (-1, -1, -1), optional=True),
        TensorSpec("STYLE_REGIONS", "UINT8", (-1, -1, -1), optional=True),
        TensorSpec("COUPLING", "FP32", (-1, -1), optional=True),
        # With soft regions: for each style its preset, or nothing for the next one of STYLE.
        TensorSpec("STYLE_MEASURES", "BYTES", (-1,), optional=True),
        *_option_inputs(TRANSFER_OPTIONS),
    ),
    outputs=(
        TensorSpec("IMAGE", "FP32", (3, -1, -1)),
        TensorSpec("STYLE_CACHED", "BOOL", (-1,)),  # one for each style
        # With soft regions, one for each style if requested without IMAGE, otherwise empty.
        TensorSpec("STYLE_MEASURES", "BYTES", (-1,)),
    ),
)

CANCEL = ModelSpec(
    name="cancel",
    backend="python",
    inputs=(TensorSpec("KEY", "BYTES", (1,)),),
    outputs=(TensorSpec("ACCEPTED", "BOOL", (1,)),),
)
SEGMENTER = ModelSpec(
    name="segmenter",
    backend="onnxruntime",
    inputs=(TensorSpec("IMAGE", "FP32", (3, -1, -1)),),
    outputs=(
        TensorSpec("LABELS", "UINT8", (-1, -1)),
        TensorSpec("PROBABILITIES", "FP32", (-1, -1, -1), stride=8),  # one plane per class
    ),
    max_batch_size=4,
)
CANARY_ID = "canary"
"""Id of the small health-check request, whose style is not cached."""

UNPOOL_PARAMETER = "unpool"
WEIGHTS_FILE = "weights.pt"
"""File next to the `model.py` of wct2 with the weights of the local engine; default: built-in."""

SEGMENTER_CLASSES_FILE = "labels.txt"
"""File next to the segmenter's config: its class names, one per line, in label order."""


def _features(name: str, channels: int, stride: int) -> TensorSpec:
    return TensorSpec(name, "FP32", (channels, -1, -1), stride=stride)


def skip_specs(pooling: int, unpool: Unpool = "cat5") -> tuple[TensorSpec, ...]:
    """Tensors that the pooling after VGG level 1..3 passes to its unpooling."""
    channels = CHANNELS[pooling]
    bands = tuple(_features(name, channels, 2**pooling) for name in BANDS)
    if unpool == "sum":
        return bands
    return (*bands, _features(ORIGINAL, channels, 2 ** (pooling - 1)))


def encoder(level: int, unpool: Unpool = "cat5") -> ModelSpec:
    """Spec of encoder level 1..4: features in; features and, at three of the levels, skips out.

    "cat5" pools at the start of levels 2, 3 and 4, "sum" at the end of levels 1, 2 and 3.
    """
    pooling = level - 1 if unpool == "cat5" else level
    pools = pooling in POOLINGS
    stride = 2 ** max(level - 2, 0) if unpool == "cat5" else 2 ** (level - 1)
    return ModelSpec(
        name=f"wct2_encoder_{level}",
        backend="onnxruntime",
        inputs=(_features("INPUT", 3 if level == 1 else CHANNELS[level - 1], stride),),
        outputs=(
            _features("FEATURES", CHANNELS[level], 2 * stride if pools else stride),
            *(skip_specs(pooling, unpool) if pools else ()),
        ),
        max_batch_size=4,
    )


def decoder(level: int, unpool: Unpool = "cat5") -> ModelSpec:
    """Spec of decoder level 4..1: features and, except at level 1, skips in; features out."""
    unpools = level > LEVELS[0]
    stride = 2 ** (level - 1)
    below = CHANNELS[level - 1] if unpools else 3
    return ModelSpec(
        name=f"wct2_decoder_{level}",
        backend="onnxruntime",
        inputs=(
            _features("FEATURES", CHANNELS[level], stride),
            *(skip_specs(level - 1, unpool) if unpools else ()),
        ),
        outputs=(_features("OUTPUT", below, stride // 2 if unpools else stride),),
        max_batch_size=4,
    )


def network_levels(unpool: Unpool = "cat5") -> tuple[ModelSpec, ...]:
    """Specs of encoder levels 1..4 and decoder levels 4..1."""
    encoders = tuple(encoder(level, unpool) for level in LEVELS)
    return encoders + tuple(decoder(level, unpool) for level in reversed(LEVELS))


def models(unpool: Unpool = "cat5") -> tuple[ModelSpec, ...]:
    """Specs of every model of the repository."""
    return (STYLIZE, WCT2, SEGMENTER, CANCEL, *network_levels(unpool))
