"""The node: pictures (B, H, W, 3) and masks (B, H, W) in 0..1 in, pictures out."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from photoreal import Pipeline
from photoreal.options import DEFAULT_SIZE, METHODS
from photoreal.preprocess import Limits

_LIMITS = Limits()


@cache
def _pipeline() -> Pipeline:
    """Loaded with the first picture; PHOTOREAL_DEVICE says where it runs."""
    return Pipeline()


class PhotorealStyleTransfer:
    """Gives pictures the light and colors of a reference, region by region."""

    CATEGORY: ClassVar[str] = "image/postprocessing"
    DESCRIPTION: ClassVar[str] = (
        "Gives an image the light and colors of a reference, region by region, without"
        " repainting it. With both masks, what is inside takes from inside and outside from"
        " outside; else regions are found."
    )
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("IMAGE",)
    FUNCTION: ClassVar[str] = "stylize"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:  # noqa: N802 (ComfyUI's name)
        """What the node takes, as ComfyUI describes it."""
        return {
            "required": {
                "image": ("IMAGE",),
                "reference": ("IMAGE", {"tooltip": "One for all images, or one for each."}),
                "method": (list(METHODS), {"default": METHODS[0]}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05}),
                "size": (
                    "INT",
                    {
                        "default": DEFAULT_SIZE,
                        "min": _LIMITS.min_size,
                        "max": _LIMITS.max_size,
                        "step": 16,
                        "tooltip": "Shorter side to work at; the image keeps its own.",
                    },
                ),
            },
            "optional": {"image_mask": ("MASK",), "reference_mask": ("MASK",)},
        }

    def stylize(
        self,
        image: Tensor,
        reference: Tensor,
        method: str,
        strength: float,
        size: int,
        image_mask: Tensor | None = None,
        reference_mask: Tensor | None = None,
    ) -> tuple[Tensor]:
        """The images (B, H, W, 3) in the look of the reference (1 or B, h, w, 3).

        Raises ValueError, in a sentence, for inputs that do not go together.
        """
        if (image_mask is None) != (reference_mask is None):
            raise ValueError(
                "There is one mask; expected one of the image and one of the reference."
            )
        count = len(image)
        references = _one_for_each(reference, count, "reference images")
        pictures = []
        for index in range(count):
            masks: dict[str, Any] = {}
            if image_mask is not None and reference_mask is not None:
                for role, mask, picture in (
                    ("content_mask", image_mask, image[index]),
                    ("style_mask", reference_mask, references[index]),
                ):
                    own = _one_for_each(mask, count, role.replace("_", " ") + "s")[index]
                    masks[role] = _labels(own, picture)
            options: dict[str, Any] = {"method": method, "alpha": strength, "size": size}
            content, style = _pixels(image[index]), _pixels(references[index])
            result = _pipeline().stylize(content, style, **masks, **options).image
            height, width = content.shape[:2]
            if result.size != (width, height):  # of the method "published"
                result = result.resize((width, height), Image.Resampling.LANCZOS)
            pictures.append(torch.from_numpy(np.array(result, dtype=np.float32) / 255))
        return (torch.stack(pictures),)


def _one_for_each(batch: Tensor, count: int, name: str) -> Tensor:
    if len(batch) not in (1, count):
        raise ValueError(
            f"There are {len(batch)} {name} for {count} images; expected 1 or {count}."
        )
    return batch.expand(count, *batch.shape[1:])


def _pixels(picture: Tensor) -> NDArray[np.uint8]:
    """A picture (H, W, 3 or more) in 0..1 as (H, W, 3) uint8."""
    values = picture[..., :3].float().cpu().numpy()
    return np.asarray(np.rint(np.clip(values, 0.0, 1.0) * 255.0), dtype=np.uint8)


def _labels(mask: Tensor, picture: Tensor) -> NDArray[np.uint8]:
    """A mask (h, w) in 0..1 as labels 0 and 1 of the picture's size."""
    inside = Image.fromarray((mask.float().cpu().numpy() > 0.5).astype(np.uint8))
    height, width = picture.shape[:2]
    return np.asarray(inside.resize((width, height), Image.Resampling.NEAREST))


NODE_CLASS_MAPPINGS = {"PhotorealStyleTransfer": PhotorealStyleTransfer}
NODE_DISPLAY_NAME_MAPPINGS = {"PhotorealStyleTransfer": "Photorealistic Style Transfer"}
