"""The forms that the endpoints take: their fields, and what the client is called with."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import File, Form, UploadFile
from starlette.exceptions import HTTPException

from photoreal.client.errors import InvalidInput
from photoreal.client.web.settings import GatewaySettings, in_mebibytes
from photoreal.contract import (
    DEFAULT_ALPHA,
    DEFAULT_BLEND,
    DEFAULT_SIZE,
    DEFAULT_TRANSFER_AT,
    MatchRule,
)

Photo = Annotated[UploadFile, File(description="JPEG, PNG, WebP, TIFF or BMP.")]


# FastAPI reads the fields from the signatures of these classes, whose annotations it finds only
# where they are not postponed.
@dataclass
class RegionsForm:
    """The fields that say which photos and which regions; the files are not read yet."""

    content_image: Photo
    style_image: Photo
    size: Annotated[
        int | None,
        Form(description=f"Shorter side of the result in pixels; {DEFAULT_SIZE} unless given."),
    ] = None
    content_mask: Annotated[
        UploadFile | None,
        File(
            description="PNG of the photo's size: one gray value or one of nine colors a region."
            " Masks come in pairs and replace segmentation."
        ),
    ] = None
    style_mask: Annotated[
        UploadFile | None, File(description="The style's mask, in the same labels or colors.")
    ] = None
    segment: Annotated[
        bool | None, Form(description="false takes photos without masks whole; true unless given.")
    ] = None
    match: Annotated[
        MatchRule | None,
        Form(description="published (default with masks) or nearest (default without)."),
    ] = None

    async def arguments(self, settings: GatewaySettings) -> dict[str, Any]:
        """What the client's `find_regions` is called with.

        Raises:
            HTTPException: a file is empty (400) or too large (413).
        """
        files = {
            "content": await _read(self.content_image, "content image", settings),
            "style": await _read(self.style_image, "style image", settings),
            "content_mask": await _read(self.content_mask, "content mask", settings),
            "style_mask": await _read(self.style_mask, "style mask", settings),
        }
        return {**files, "size": self.size, "segment": self.segment, "match": self.match}


@dataclass
class StylizeForm(RegionsForm):
    """The fields that ask for a picture: those of the regions, and those of the transfer."""

    alpha: Annotated[
        float | None, Form(description=f"Strength, 0 to 1; {DEFAULT_ALPHA:g} unless given.")
    ] = None
    transfer_at: Annotated[
        str | None,
        Form(description=f"Where features are transformed; {DEFAULT_TRANSFER_AT} unless given."),
    ] = None
    blend: Annotated[
        int | None,
        Form(
            description="Pixels from a border up to which regions mix; unless given"
            f" {DEFAULT_BLEND['published']} with published, {DEFAULT_BLEND['nearest']} with"
            " nearest."
        ),
    ] = None
    pairs: Annotated[
        str | None,
        Form(
            description="Instead of match, JSON: which content label takes which style label,"
            " such as [[1, 1], [2, null]]; null is the whole style photo, a content region that"
            " is not named stays as it is."
        ),
    ] = None

    async def arguments(self, settings: GatewaySettings) -> dict[str, Any]:
        """What the client's `stylize` is called with.

        Raises:
            HTTPException: a file is empty (400) or too large (413).
            InvalidInput: the pairs are no list of pairs.
        """
        return {
            **await super().arguments(settings),
            "alpha": self.alpha,
            "transfer_at": self.transfer_at,
            "blend": self.blend,
            "pairs": _parse_pairs(self.pairs),
        }


async def _read(file: UploadFile | None, words: str, settings: GatewaySettings) -> bytes | None:
    """The bytes of a file of a form."""
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


def _parse_pairs(text: str | None) -> list[tuple[int, int | None]] | None:
    """Pairs of labels from their JSON."""
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
