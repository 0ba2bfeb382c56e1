"""Photorealistic style transfer in one process: `Pipeline`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Unpack

import torch

from photoreal.client._images import ImageInput, encode_image
from photoreal.client._keywords import check_names, spell_out
from photoreal.client._outputs import PRESET_OUTPUTS, REGION_OUTPUTS, picture_outputs
from photoreal.client._transport.inputs import NOTHING, StyleInput, build_inputs
from photoreal.client.look import Look, make_look
from photoreal.client.region_looks import make_region_looks
from photoreal.client.result import (
    FoundRegions,
    StylizeResult,
    parse_outputs,
    parse_regions,
)
from photoreal.client.style import Style, parse_style
from photoreal.color.cube import POINTS
from photoreal.contract import (
    DEFAULT_STYLE_CACHE_BYTES,
    DEVICE_VARIABLE,
    DEVICES,
    PRECISION_VARIABLE,
    PRECISIONS,
)
from photoreal.errors import InvalidOption
from photoreal.local.transport import LocalTransport
from photoreal.options import (
    STYLIZE_OPTIONS,
    RegionArguments,
    StylizeArguments,
    offered,
)
from photoreal.options.checks import one_of, whole_between
from photoreal.pipeline.engine import network_engine
from photoreal.pipeline.in_process import in_process_models
from photoreal.preprocess import Limits, readable_formats
from photoreal.weights.networks import BUILTIN, fingerprint, load_wct2
from photoreal.weights.segmenters import DEFAULT_SEGMENTER, load_segmenter

_MOST_THREADS = 1024

Device = Literal["cpu", "cuda"]
Precision = Literal["fp32", "fp16"]


class Pipeline:
    """Stylizes photos in this process, without a server.

    ::

        from photoreal import Pipeline

        pipeline = Pipeline()
        pipeline.stylize("street.jpg", "sunset.jpg").save("street_at_sunset.jpg")

    Arguments, options, results and pictures are those of a server with the same weights on the
    same device (:class:`photoreal.client.StyleTransferClient`). Thread-safe; photos are processed
    one at a time. Needs ``pip install "photoreal[local]"``.

    Args:
        device: "cpu" or "cuda"; defaults to the environment variable PHOTOREAL_DEVICE, or else to
            "cuda" where PyTorch can use a GPU.
        precision: "fp32" or "fp16"; "fp16" needs a GPU and is the default there.
        weights: of WCT2, "builtin" (computed), "wct2" (published, downloaded once), or a folder
            with files under the published names.
        segmenter: "default" (the project's own, for research and non-commercial use), "ade20k"
            (published, downloaded once), a file or folder of a training, or None: each photo
            without a mask is then a single region.
        limits: limits of a request; photos that exceed them are rejected before decoding. Defaults
            to a server's default limits, but also accepts AVIF, and HEIC with
            ``pip install "photoreal[heic]"``.
        cache_bytes: size limit of the style cache in bytes.
        threads: number of PyTorch CPU threads, a process-wide setting; unchanged by default. A
            server uses every core.

    Raises:
        InvalidOption: the device or precision is unknown or not available here.
        WeightsError: weights cannot be loaded or do not match the networks.
    """

    def __init__(
        self,
        *,
        device: Device | None = None,
        precision: Precision | None = None,
        weights: str | Path = BUILTIN,
        segmenter: str | Path | None = DEFAULT_SEGMENTER,
        limits: Limits | None = None,
        cache_bytes: int = DEFAULT_STYLE_CACHE_BYTES,
        threads: int | None = None,
    ) -> None:
        if threads is not None:
            whole_between(1, _MOST_THREADS)("threads", threads)
            torch.set_num_threads(threads)
        chosen = _device(device)
        half = _is_half(precision, chosen)
        finder, classes = (None, ()) if segmenter is None else load_segmenter(segmenter)
        if finder is not None:
            finder.to(chosen)
        networks = load_wct2(weights)
        models = in_process_models(
            *(network_engine(*networks, chosen, half=half), finder, classes),
            cache_bytes=cache_bytes,
            device=None if chosen == "cpu" else chosen,
            weights=cache(lambda: fingerprint(*networks)),
        )
        self.transport = LocalTransport(models, limits or Limits(formats=readable_formats()))
        """Transport to these models for a :class:`photoreal.client.StyleTransferClient`."""

    @spell_out(STYLIZE_OPTIONS)
    def stylize(
        self,
        content: ImageInput,
        style: StyleInput | Sequence[StyleInput],
        *,
        content_mask: ImageInput | None = None,
        style_mask: ImageInput | Sequence[ImageInput] | None = None,
        labels: bool = False,
        **options: Unpack[StylizeArguments],
    ) -> StylizeResult:
        """Give the content photo the colors, light and mood of the style photo.

        An image is a path, the bytes of a file, a Pillow image or a uint8 array (H, W, 3) in
        RGB; a mask may also be an array (H, W) of labels.

        Args:
            content: the photo to change.
            style: the photo to take the look from, whose size may differ from the content's, a
                result of :meth:`style`, or a preset file. A list of up to four styles is mixed.
            content_mask: regions of the content photo, of the same size: a label map or an image
                with one color per region. Needs ``style_mask``, or styles with a mask, and
                replaces segmentation.
            style_mask: regions of the style photo, with the same labels or colors; for several
                styles, a list with one mask each.
            labels: whether the result has the label maps of the regions that were used.
            **options: options such as ``alpha=0.7``: see
                :class:`photoreal.client.StylizeArguments`.

        Raises:
            InvalidRequest: a file is missing or cannot be read, a mask does not match its photo,
                or an argument is invalid; the message says which.
            NumericalError: the result is not finite.
        """
        check_names("stylize", options, STYLIZE_OPTIONS)
        masks = _masks(style, style_mask, masked=content_mask is not None)
        inputs = build_inputs(
            content=content, style=style, content_mask=content_mask, style_mask=masks, **options
        )
        outputs = self.transport.infer(inputs, picture_outputs(labels=labels))
        return parse_outputs(outputs, None, labels=labels)

    @spell_out(offered("regions"))
    def find_regions(
        self,
        content: ImageInput,
        style: StyleInput,
        *,
        content_mask: ImageInput | None = None,
        style_mask: ImageInput | None = None,
        **options: Unpack[RegionArguments],
    ) -> FoundRegions:
        """Find the regions that ``stylize`` would use, and their pairs, without a transfer.

        The label maps and the pairs can be edited and passed to ``stylize`` as masks and
        ``pairs``. Arguments and errors are as in :meth:`stylize`, options as in
        :class:`photoreal.client.RegionArguments`.
        """
        check_names("find_regions", options, offered("regions"))
        masks = _masks(style, style_mask, masked=content_mask is not None)
        inputs = build_inputs(
            content=content, style=style, content_mask=content_mask, style_mask=masks, **options
        )
        return parse_regions(self.transport.infer(inputs, REGION_OUTPUTS), None)

    @spell_out(offered("regions"))
    def style(
        self,
        photo: ImageInput,
        mask: ImageInput | None = None,
        **options: Unpack[RegionArguments],
    ) -> Style:
        """Measure a style once, to use it with many photos or to save it as a preset file.

        The measures are also kept in this pipeline's style cache, keyed by the photo's pixels and
        the options, so they apply to calls with the same ``size``, ``method``, ``segment`` and
        ``match``, and to photos of at least that size. An evicted style is measured again on use.

        Args:
            photo: the style photo.
            mask: its regions, for use with content masks.
            **options: the options of the later calls.

        Raises:
            InvalidRequest: as from :meth:`stylize`.
        """
        check_names("style", options, offered("regions"))
        given = Style(
            encode_image(photo, "style"),
            None if mask is None else encode_image(mask, "style mask", mask=True),
        )
        if options.get("method") == "published":
            # With the style itself as content, every region of the style is measured.
            self.stylize(given.file, given, content_mask=given.mask, **options)
            return given
        inputs = build_inputs(content=NOTHING, style=given.file, style_mask=given.mask, **options)
        found = parse_style(self.transport.infer(inputs, PRESET_OUTPUTS), None)
        return replace(found, photo=given.photo, mask=given.mask)

    def look(
        self,
        style: StyleInput | Sequence[StyleInput],
        content: ImageInput | None = None,
        *,
        points: int = POINTS,
        **options: Any,
    ) -> Look:
        """Make a color lookup table (LUT) from a style, for programs that read .cube files.

        Arguments and errors are as in :func:`photoreal.client.look.make_look`.
        """
        return make_look(self, style, content, points=points, **options)

    def region_looks(
        self,
        style: StyleInput | Sequence[StyleInput],
        content: ImageInput | None = None,
        *,
        points: int = POINTS,
        **options: Any,
    ) -> list[Look]:
        """Make one color lookup table for each region of the style, or of the content if given.

        Arguments and errors are as in
        :func:`photoreal.client.region_looks.make_region_looks`.
        """
        return make_region_looks(self, style, content, points=points, **options)


def _masks(style: Any, style_mask: Any, *, masked: bool) -> Any:
    """The style masks: those given, or else those of the styles that were measured here."""
    if not masked or style_mask is not None:
        return style_mask
    several = list(style) if isinstance(style, list | tuple) else [style]
    photos = [one for one in several if not isinstance(one, Style) or one.photo is not None]
    masks = [one.mask for one in photos if isinstance(one, Style) and one.mask is not None]
    return masks if masks and len(masks) == len(photos) else None


def _device(given: str | None) -> str:
    usable = torch.cuda.is_available()
    chosen = given or os.environ.get(DEVICE_VARIABLE) or ("cuda" if usable else "cpu")
    one_of(DEVICES)("device", chosen)
    if chosen == "cuda" and not usable:
        raise InvalidOption(
            "device is 'cuda', but PyTorch cannot use a GPU here; expected 'cpu', or a build of"
            " PyTorch with CUDA and a driver for it."
        )
    return chosen


def _is_half(given: str | None, device: str) -> bool:
    usual = "fp16" if device == "cuda" else "fp32"
    chosen = given or os.environ.get(PRECISION_VARIABLE) or usual
    one_of(PRECISIONS)("precision", chosen)
    if device == "cpu" and chosen == "fp16":
        raise InvalidOption("precision is 'fp16', which is for a GPU; expected 'fp32' on a CPU.")
    return chosen == "fp16"
