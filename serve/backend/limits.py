"""Limits of requests: the list of settings, and how they are read.

Each limit is an option of `photoreal serve` and an environment variable, which the model processes
read; a container sets only the variable. `docs/limits.md` holds the table made by `table`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from photoreal import contract
from photoreal.errors import ServeError
from photoreal.pipeline import memory
from photoreal.preprocess import MORE_FORMATS, PHOTO_FORMATS, Limits, has_heif
from photoreal.regions import MAX_REGIONS

AUTOMATIC = "auto"


@dataclass(frozen=True)
class Setting:
    """One limit: a whole number, except for the names in `FORMATS`.

    `answer` is the HTTP status of a request that exceeds it. `lowest` and `highest` are the range
    of the setting; `word` is a keyword that is accepted instead of a number.
    """

    option: str
    default: str
    unit: str
    meaning: str
    answer: str = "400"
    lowest: int = 1
    highest: int | None = None
    word: str = ""

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return f"PHOTOREAL_{self.option.strip('-').replace('-', '_').upper()}"

    def number(self, environment: Mapping[str, str]) -> int:
        """Return the environment's value or the default; raises ServeError if it is invalid."""
        text = environment.get(self.variable) or self.default
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
        if number is None or number < self.lowest or self._above(number):
            top = f" to {self.highest}" if self.highest is not None else " or more"
            word = f"{self.word} or " if self.word else ""
            raise ServeError(
                f"{self.option} ({self.variable}) is {text[:30]!r}; expected"
                f" {word}{self.lowest}{top}."
            )
        return number

    def _above(self, number: int) -> bool:
        return self.highest is not None and number > self.highest


_DEFAULTS = Limits()
IMAGE_BYTES = Setting(
    "--max-image-bytes", str(_DEFAULTS.max_bytes), "BYTES", "Size of one encoded photo or mask."
)
PIXELS = Setting(
    "--max-pixels",
    str(_DEFAULTS.max_pixels),
    "PIXELS",
    "Pixels of one photo or mask as sent, read from its header.",
    highest=178_000_000,  # Pillow rejects larger images
)
SIZE = Setting(
    "--max-size",
    str(_DEFAULTS.max_size),
    "PIXELS",
    "Shorter side of the working size.",
    lowest=_DEFAULTS.min_size,
)
WORKING_PIXELS = Setting(
    "--max-working-pixels",
    str(_DEFAULTS.max_working_pixels),
    "PIXELS",
    "Pixels of one photo at the working size.",
    lowest=_DEFAULTS.min_size**2,
)
SIDE = Setting(
    "--max-side",
    "0",
    "PIXELS",
    "Longer side of one photo at the working size; 0 means no limit except that of"
    " TensorRT engines.",
    lowest=0,
)
REGIONS = Setting(
    "--max-regions",
    str(_DEFAULTS.max_regions),
    "COUNT",
    "Distinct labels in a mask.",
    highest=MAX_REGIONS,
)
FORMATS = Setting(
    "--formats",
    ",".join(_DEFAULTS.formats),
    "NAMES",
    "Accepted photo formats, separated by commas; AVIF and HEIF can be added. Masks are PNG.",
)
MEMORY = Setting(
    "--max-memory",
    AUTOMATIC,
    "BYTES",
    "Memory for one request, estimated before it starts; auto is the memory available to the"
    " machine or container at startup, less a reserve; 0 means no limit.",
    lowest=0,
    word=AUTOMATIC,
)
SECONDS = Setting(
    "--max-seconds",
    str(contract.DEFAULT_MAX_SECONDS),
    "SECONDS",
    "Processing time of a request, and likewise its time in the queue; a shorter timeout of the"
    " request takes precedence.",
    answer="503",
)
QUEUE = Setting(
    "--max-queue",
    str(contract.DEFAULT_MAX_QUEUE),
    "COUNT",
    "Requests that may wait while another one is processed.",
    answer="503 immediately",
)
SETTINGS = (
    *(IMAGE_BYTES, PIXELS, FORMATS, SIZE, WORKING_PIXELS, SIDE),
    *(REGIONS, MEMORY, SECONDS, QUEUE),
)


def request_limits(environment: Mapping[str, str] = os.environ) -> Limits:
    """Read the limits of one request from the environment; raises ServeError."""
    return Limits(
        max_bytes=IMAGE_BYTES.number(environment),
        max_pixels=PIXELS.number(environment),
        max_size=SIZE.number(environment),
        max_working_pixels=WORKING_PIXELS.number(environment),
        max_side=SIDE.number(environment) or None,
        max_regions=REGIONS.number(environment),
        max_memory=_memory(environment),
        formats=_formats(environment),
    )


def max_seconds(environment: Mapping[str, str] = os.environ) -> int:
    """Seconds that a request may be computed or wait in the queue; raises ServeError."""
    return SECONDS.number(environment)


def max_queue(environment: Mapping[str, str] = os.environ) -> int:
    """Number of requests that may wait while one is computed; raises ServeError."""
    return QUEUE.number(environment)


def resolve_limits(
    environment: Mapping[str, str], engines_side: int | None = None
) -> dict[str, str]:
    """Return the checked settings for the model processes, with the memory limit as a number.

    The available memory is determined once, at the start: otherwise a reloaded model would
    count memory that the other models have cached as unavailable. `engines_side` is the longest
    side in pixels that the repository's engines accept, None for any. Raises ServeError.
    """
    limits = request_limits(environment)
    max_seconds(environment)
    max_queue(environment)
    given = {one.variable: environment.get(one.variable) or one.default for one in SETTINGS}
    sides = [side for side in (limits.max_side, engines_side) if side is not None]
    return given | {
        MEMORY.variable: str(limits.max_memory or 0),
        SIDE.variable: str(min(sides, default=0)),
    }


def table() -> str:
    """Return the settings as a Markdown table."""
    lines = [
        "| option of `photoreal serve` | environment variable | default | limits | when exceeded |",
        "|---|---|---|---|---|",
        *(
            f"| `{one.option} {one.unit}` | `{one.variable}` | {one.default} | {one.meaning} |"
            f" {one.answer} |"
            for one in SETTINGS
        ),
    ]
    return "\n".join(lines) + "\n"


def _memory(environment: Mapping[str, str]) -> int | None:
    if (environment.get(MEMORY.variable) or AUTOMATIC).lower() == AUTOMATIC:
        return memory.default_budget()
    return MEMORY.number(environment) or None


def _formats(environment: Mapping[str, str]) -> tuple[str, ...]:
    text = environment.get(FORMATS.variable) or FORMATS.default
    names = [name.strip().upper() for name in text.split(",")]
    known = (*PHOTO_FORMATS, *MORE_FORMATS)
    if not set(names) <= set(known):
        raise ServeError(
            f"{FORMATS.option} ({FORMATS.variable}) is {text[:30]!r}; expected some of"
            f" {','.join(known)}."
        )
    if "HEIF" in names and not has_heif():
        raise ServeError(
            f"{FORMATS.option} includes HEIF, but no decoder for it is installed; install one with:"
            ' pip install "photoreal[heic]".'
        )
    return tuple(name for name in known if name in names)
