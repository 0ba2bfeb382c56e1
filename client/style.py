"""A style that was measured once, in memory or as a preset file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from photoreal.client._images import encode_image
from photoreal.client._outputs import output_files, parse_report
from photoreal.client.errors import InvalidInput, ServerFailed
from photoreal.client.result import write_aside

PRESET_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Style:
    """A measured style; pass it to ``stylize`` in place of the photo.

    Attributes:
        photo: the bytes of the style photo's file; None for a style from a preset file.
        mask: the bytes of its mask's file, used where a content mask is given.
        preset: the bytes of a preset file: the measures of the style's regions, without pixels.
            None with the method "published", which needs the photo.
        regions: the style's regions, each {"label", "name", "share", "sure"}; empty for a style
            from a preset file.
    """

    photo: bytes | None = field(default=None, repr=False)
    mask: bytes | None = field(default=None, repr=False)
    preset: bytes | None = field(default=None, repr=False)
    regions: tuple[dict[str, Any], ...] = ()

    @property
    def file(self) -> bytes:
        """The photo's file, which can be measured in any way, or else the preset."""
        file = self.photo or self.preset
        if file is None:
            raise InvalidInput("The style is empty; expected a photo or a preset.")
        return file

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the preset to ``path`` atomically, and return the path.

        Raises:
            InvalidInput: the suffix is not .safetensors, the style was not measured, or the path
                exists and is not a file.
            OSError: the file cannot be written.
        """
        target = check_preset_file(Path(path))
        if self.preset is None:
            raise InvalidInput("The style was not measured; expected the result of style().")
        write_aside(target, self.preset)
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Style:
        """Read a preset file; its content is checked when it is used.

        Raises:
            InvalidInput: the file is missing or cannot be read.
        """
        return cls(preset=encode_image(path, "style"))


def check_preset_file(path: Path) -> Path:
    """Return the path if a preset can be written to it; raises InvalidInput otherwise."""
    if path.suffix.lower() != PRESET_SUFFIX:
        raise InvalidInput(f"The name {str(path)!r} does not end in {PRESET_SUFFIX}.")
    return path


def parse_style(outputs: Mapping[str, NDArray[Any]], request_id: str | None) -> Style:
    """Parse the output tensors of ``stylize`` for a measured style.

    Raises:
        ServerFailed: an output is missing or violates the contract.
    """
    preset = output_files(outputs, "PRESET", request_id)[0]
    regions = parse_report(outputs, request_id).get("style_regions")
    if not preset or not isinstance(regions, list):
        raise ServerFailed("The server's answer holds no preset.", request_id=request_id)
    return Style(preset=preset, regions=tuple(regions))
