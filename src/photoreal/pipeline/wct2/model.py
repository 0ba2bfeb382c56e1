"""Core of the `wct2` model on arrays."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Hashable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from photoreal import regions
from photoreal.errors import InvalidOption, NumericalError
from photoreal.options import (
    TRANSFER_OPTIONS,
    StylizeOptions,
    check_options,
    check_style_count,
    check_weights,
    parse_places,
)
from photoreal.pipeline.request import Shot, shot_of
from photoreal.pipeline.sequences import SequenceStore
from photoreal.pipeline.tensors import Array, blobs, bytes_tensor, read_options
from photoreal.pipeline.wct2.gpu_memory import within_gpu_memory
from photoreal.pipeline.wct2.measures_file import measured_places, write_measures
from photoreal.pipeline.wct2.soft_inputs import NAMES as SOFT_INPUTS
from photoreal.pipeline.wct2.soft_inputs import Prepared, prepare_soft, read_soft
from photoreal.pipeline.wct2.style_cache import StyleCache
from photoreal.pipeline.wct2.style_strip import cut_out, given, read_pairs
from photoreal.regions import Pair
from photoreal.transfer.mixing import Ingredient, mix_styles
from photoreal.transfer.padding import check_side
from photoreal.transfer.progressive import (
    Engine,
    LabelledImage,
    Steady,
    apply_style,
)
from photoreal.transfer.soft_transfer import SoftImage
from photoreal.transfer.steady import SteadyMoments
from photoreal.transfer.whitening import Moments


@within_gpu_memory
def serve_wct2(
    inputs: dict[str, Array],
    engine: Engine,
    cache: StyleCache,
    sequences: SequenceStore[SteadyMoments] | None = None,
    wanted: Collection[str] = ("IMAGE", "STYLE_CACHED"),
) -> dict[str, Array]:
    """Transfer the light and colors of the styles to one content.

    `sequences` keeps the moments of videos between frames, `wanted` are the names of the outputs.
    Raises InvalidOption for inconsistent inputs, NumericalError when the result is not finite.
    """
    options = StylizeOptions(**read_options(inputs, TRANSFER_OPTIONS))
    check_options(options)
    soft = any(name in inputs for name in SOFT_INPUTS)
    prepared = (read_soft if soft else _labelled)(inputs, options, engine, cache)
    outputs = {"STYLE_CACHED": np.array(prepared.cached)}
    if "IMAGE" in wanted:
        shot = None if options.sequence is None else shot_of(options)
        style_key = _checksum(inputs) if shot is not None else 0
        image = _applied(prepared, shot, style_key, sequences)
        outputs["IMAGE"] = np.ascontiguousarray(image.cpu().numpy())
    if "STYLE_MEASURES" in wanted:
        files = [b""] * len(prepared.cached)
        if "IMAGE" not in wanted:
            files = _measures(prepared, cache.weights(), engine.depth)
        outputs["STYLE_MEASURES"] = bytes_tensor(files)
    return outputs


@within_gpu_memory
def transfer_tensors(
    content: SoftImage,
    styles: Sequence[SoftImage | bytes],
    couplings: Sequence[npt.NDArray[np.float64]],
    options: StylizeOptions,
    engine: Engine,
    cache: StyleCache,
    sequences: SequenceStore[SteadyMoments] | None = None,
) -> tuple[torch.Tensor, bool]:
    """Transfer by soft regions between tensors of one device.

    A style is an image with a key, or a preset. Returns the image (3, H, W), and whether every
    style was cached. Raises NumericalError when the result is not finite.
    """
    prepared = prepare_soft(content, styles, couplings, options, engine, cache)
    style_key = hash(tuple(one.key if isinstance(one, SoftImage) else one for one in styles))
    return _applied(prepared, shot_of(options), style_key, sequences), all(prepared.cached)


def _applied(
    prepared: Prepared,
    shot: Shot | None,
    style_key: int,
    sequences: SequenceStore[SteadyMoments] | None,
) -> torch.Tensor:
    """Result (3, H, W) of a transfer, steadied over the frames of a shot."""
    if sequences is None or shot is None:
        return _checked(prepared.apply(steady=None))
    memory = sequences.get(shot.sequence, (prepared.shot_key, style_key))
    memory.next_frame()
    try:
        image = _checked(prepared.apply(steady=_steady(memory, prepared.partner_key, shot.steady)))
    except NumericalError:
        sequences.forget(shot.sequence)  # otherwise later frames fail too
        raise
    sequences.keep(shot.sequence, (prepared.shot_key, style_key), memory)
    return image


def _checksum(inputs: dict[str, Array]) -> int:
    """Checksum of the styles: their pictures and presets."""
    checksum = 0
    if "STYLE" in inputs:
        checksum = zlib.crc32(np.ascontiguousarray(inputs["STYLE"]).data)
    if "STYLE_MEASURES" in inputs:
        checksum = zlib.crc32(b"".join(blobs(inputs["STYLE_MEASURES"])), checksum)
    return checksum


def _measures(prepared: Prepared, weights: str, depth: int) -> list[bytes]:
    """The moments of each style as a file; empty for label maps."""
    if not prepared.measures:
        return [b""] * len(prepared.cached)
    if any(measured_places(depth).keys() - found.keys() for found in prepared.measures):
        raise InvalidOption(
            "STYLE_MEASURES holds the moments at all places; expected TRANSFER_AT with all of them."
        )
    return [write_measures(found, weights) for found in prepared.measures]


def _labelled(
    inputs: dict[str, Array], options: StylizeOptions, engine: Engine, cache: StyleCache
) -> Prepared:
    """Prepare a transfer by label maps: read the inputs and measure the styles."""
    content, styles = _picture(inputs, "CONTENT"), _styles(inputs)
    weights = check_weights(options.weights, check_style_count(len(styles)))
    pairs = _pairs(inputs, content, styles)
    places = parse_places(options.transfer_at, soft=False)
    for picture in (content, *styles):
        check_side(picture.image)
    known = [
        cache.measure(style, {pair.style for pair in own}, engine, places)
        for style, own in zip(styles, pairs, strict=True)
    ]
    measures, taken = known[0][0], pairs[0]
    if len(styles) > 1:
        parts = zip((found for found, _ in known), pairs, weights, strict=True)
        measures, taken = mix_styles([Ingredient(*part) for part in parts])
    apply = partial(
        apply_style,
        *(content, measures, taken, engine),
        alpha=options.alpha,
        places=places,
        blend=options.blend or 0,
    )
    partners = [{pair.content: pair.style for pair in own} for own in pairs]
    return Prepared(
        apply,
        [cached for _, cached in known],
        lambda label: tuple((label in own, own.get(label)) for own in partners),
        (content.image.shape, tuple(weights), options.alpha, places),
    )


def _checked(result: torch.Tensor) -> torch.Tensor:
    """Convert an image (1, 3, H, W) to float32 (3, H, W).

    Raises NumericalError for non-finite values.
    """
    image = result[0].float()
    if not image.isfinite().all():
        raise NumericalError(
            "the features left the range of half precision; serve with fp32."
            if result.dtype == torch.float16
            else "it holds values that are not finite; networks exported with fp16 may do with"
            " fp32, and weights other than the built-in ones may not fit the photo."
        )
    return image


def _steady(memory: SteadyMoments, partner_key: Callable[[int], Hashable], share: float) -> Steady:
    """Return a function that smooths the moments of a region while its style partners are equal."""

    def smooth(place: Hashable, region: int, found: Moments) -> Moments:
        return memory((place, region, partner_key(region)), found, share)

    return smooth


def _styles(inputs: dict[str, Array]) -> list[LabelledImage]:
    sizes = inputs.get("STYLE_SIZES")
    if sizes is None:
        return [_picture(inputs, "STYLE")]
    strip = _picture(inputs, "STYLE")
    images = cut_out(strip.image[0].numpy(), sizes)
    labels = cut_out(strip.labels, sizes)
    return [
        LabelledImage(torch.from_numpy(np.array(image[None])), np.ascontiguousarray(own))
        for image, own in zip(images, labels, strict=True)
    ]


def _picture(inputs: dict[str, Array], role: str) -> LabelledImage:
    image = given(inputs, role)
    if not np.isfinite(image).all():
        raise InvalidOption(f"{role} holds values that are not finite; expected 0 to 1.")
    labels = inputs.get(f"{role}_LABELS")
    if labels is None:
        labels = np.zeros(image.shape[1:], dtype=np.uint8)
    elif labels.shape != image.shape[1:]:
        raise InvalidOption(
            f"{role}_LABELS is {_size(labels)} but {role} is {_size(image)}; expected the same"
            " height and width."
        )
    return LabelledImage(torch.from_numpy(np.array(image[None])), labels)


def _pairs(
    inputs: dict[str, Array], content: LabelledImage, styles: Sequence[LabelledImage]
) -> list[list[Pair]]:
    """Pairs of each style: from PAIRS if given, otherwise by the published rule."""
    if ("CONTENT_LABELS" in inputs) != ("STYLE_LABELS" in inputs):
        raise InvalidOption(
            "One label map is missing; give CONTENT_LABELS and STYLE_LABELS or none."
        )
    if "PAIRS" in inputs:
        return read_pairs(inputs["PAIRS"], len(styles))
    if "CONTENT_LABELS" in inputs:
        return [regions.match_published(content.labels, style.labels) for style in styles]
    return [[Pair(0, None)] for _ in styles]


def _size(array: Array) -> str:
    return "x".join(map(str, array.shape[-2:]))
