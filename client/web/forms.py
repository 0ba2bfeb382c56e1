"""Forms of the endpoints: their fields, and the client arguments made from them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import fastapi
from fastapi import UploadFile
from starlette.exceptions import HTTPException

from photoreal.client.errors import InvalidInput
from photoreal.client.web.settings import GatewaySettings, in_mebibytes
from photoreal.options import Option, Where, offered
from photoreal.options.declared import Kind, plain

_FORMATS = "JPEG, PNG, WebP, TIFF or BMP."
_FILES = {
    "content_image": Annotated[UploadFile, fastapi.File(description=_FORMATS)],
    "style_image": Annotated[UploadFile, fastapi.File(description=_FORMATS)],
    "content_mask": Annotated[
        UploadFile | None,
        fastapi.File(
            description="PNG of the photo's size: one gray value or one of nine colors a region."
            " Masks come in pairs and replace segmentation."
        ),
    ],
    "style_mask": Annotated[
        UploadFile | None,
        fastapi.File(description="The style's mask, in the same labels or colors."),
    ],
}
_DEFAULTS = {"format": "png"}
"""Defaults of the endpoint where they are not the server's: its scripts expect a PNG."""
_REQUIRED = ("content_image", "style_image")
_TYPES: dict[Kind, Any] = {
    "number": float,
    "whole": int,
    "flag": bool,
    "words": str,
    "id": str,
    "pairs": str,
}


@dataclass(frozen=True)
class Form:
    """The submitted fields by name; the files are not read yet."""

    files: dict[str, UploadFile | None]
    options: dict[str, Any]

    async def arguments(self, settings: GatewaySettings) -> dict[str, Any]:
        """Return the arguments for the client.

        Raises:
            HTTPException: a file is empty (400) or too large (413).
        """
        files = {
            name.removesuffix("_image"): await _read(file, name.replace("_", " "), settings)
            for name, file in self.files.items()
        }
        return files | self.options


def form(where: Where) -> Callable[..., Form]:
    """Return a FastAPI dependency for the files and the options that are offered there.

    FastAPI takes the fields and their descriptions from its signature.
    """
    options = offered(where)

    def read(**fields: Any) -> Form:
        values = {
            one.name: _parse_pairs(one.name, fields[one.name])
            if one.kind == "pairs"
            else fields[one.name] or _DEFAULTS.get(one.name, fields[one.name])
            for one in options
        }
        return Form({name: fields[name] for name in _FILES}, values)

    fields = {**_FILES, **{option.name: _field(option) for option in options}}
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if name in _REQUIRED else None,
            annotation=annotation,
        )
        for name, annotation in fields.items()
    ]
    vars(read)["__signature__"] = inspect.Signature(parameters)
    return read


def _field(option: Option) -> Any:
    """A field's type and description, in the form that FastAPI takes."""
    words = plain(option.help)
    if option.kind == "pairs":
        words += ", as JSON such as [[1, 1], [2, null]]"
    if default := _DEFAULTS.get(option.name, option.default_text):
        words += f"; {plain(default)} unless given"
    if option.more:
        words += f". {plain(option.more)}"
    taken = Literal[option.choices] if option.kind == "choice" else _TYPES[option.kind]
    return Annotated[taken | None, fastapi.Form(description=f"{words}.")]


async def _read(file: UploadFile | None, words: str, settings: GatewaySettings) -> bytes | None:
    """Read an uploaded file."""
    if file is None:
        return None
    if not file.size:
        raise HTTPException(400, f"The {words} is an empty file; expected an image.")
    if file.size > settings.max_file_bytes:
        raise HTTPException(
            413,
            f"The {words} has {in_mebibytes(file.size)};"
            f" expected at most {in_mebibytes(settings.max_file_bytes)}.",
        )
    return await file.read()


def _parse_pairs(name: str, text: str | None) -> list[tuple[int, int | None]] | None:
    """Parse pairs of labels from JSON."""
    if text is None:
        return None
    try:
        rows: Any = json.loads(text)
    except ValueError:
        rows = None
    if not isinstance(rows, list) or any(not isinstance(row, list) for row in rows):
        raise InvalidInput(
            f"{name} cannot be read; expected JSON such as [[1, 1], [2, null]]: a content label"
            " and the style label that it takes."
        )
    return rows
