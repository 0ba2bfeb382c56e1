"""The form that asks for a picture: its fields, and what the client is called with."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import File, Form, UploadFile
from starlette.exceptions import HTTPException

from photoreal.client.errors import InvalidInput
from photoreal.client.web.settings import GatewaySettings, in_mebibytes
from photoreal.contract import DEFAULT_ALPHA, DEFAULT_BLEND, DEFAULT_SIZE, DEFAULT_TRANSFER_AT

Photo = Annotated[UploadFile, File(description="JPEG, PNG, WebP, TIFF or BMP.")]
ContentMask = Annotated[
    UploadFile | None,
    File(
        description="PNG of the photo's size: one gray value or one of nine colors a region."
        " Masks come in pairs and replace segmentation."
    ),
]
StyleMask = Annotated[
    UploadFile | None, File(description="The style's mask, in the same labels or colors.")
]
Alpha = Annotated[
    float | None, Form(description=f"Strength, 0 to 1; {DEFAULT_ALPHA:g} unless given.")
]
Size = Annotated[
    int | None,
    Form(description=f"Shorter side of the result in pixels; {DEFAULT_SIZE} unless given."),
]
TransferAt = Annotated[
    str | None,
    Form(description=f"Where features are transformed; {DEFAULT_TRANSFER_AT} unless given."),
]
Segment = Annotated[
    bool | None, Form(description="false takes photos without masks whole; true unless given.")
]
Match = Annotated[
    str | None,
    Form(description="published (default with masks) or nearest (default without)."),
]
Blend = Annotated[
    int | None,
    Form(
        description="Pixels from a border up to which regions mix; unless given"
        f" {DEFAULT_BLEND['published']} with published, {DEFAULT_BLEND['nearest']} with nearest."
    ),
]
Pairs = Annotated[
    str | None,
    Form(
        description="Instead of match, JSON: which content label takes which style label, such"
        " as [[1, 1], [2, null]]; null is the whole style photo, a content region that is not"
        " named stays as it is."
    ),
]


async def read_files(
    settings: GatewaySettings, **files: UploadFile | None
) -> dict[str, bytes | None]:
    """The bytes of the files of a form.

    Raises:
        HTTPException: a file is empty (400) or too large (413).
    """
    found: dict[str, bytes | None] = {}
    for name, file in files.items():
        if file is None:
            found[name] = None
            continue
        words = name.replace("_", " ")
        if not file.size:
            raise HTTPException(400, f"The {words} is an empty file; expected an image.")
        if file.size > settings.max_file_bytes:
            raise HTTPException(
                413,
                f"The {words} has {in_mebibytes(file.size)};"
                f" expected at most {in_mebibytes(settings.max_file_bytes)}.",
            )
        found[name] = await file.read()
    return found


def parse_pairs(text: str | None) -> list[tuple[int, int | None]] | None:
    """Pairs of labels from their JSON.

    Raises:
        InvalidInput: the text is no list of pairs.
    """
    if text is None:
        return None
    try:
        rows: Any = json.loads(text)
    except ValueError:
        rows = None
    if not isinstance(rows, list) or any(not isinstance(row, list) for row in rows):
        raise InvalidInput(
            "pairs cannot be read; expected JSON such as [[1, 1], [2, null]]: a content label"
            " and the style label that it takes."
        )
    return rows
