"""Core of the `stylize` model: bytes in, bytes out, without Triton or torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from photoreal import regions
from photoreal.cores import available_cores
from photoreal.errors import ServeError
from photoreal.options import DEFAULT_BLEND
from photoreal.pipeline import looks
from photoreal.pipeline.photos import Photos, photo_keys, read_photos, style_files
from photoreal.pipeline.presets.measure import measure_styles
from photoreal.pipeline.presets.preset import Preset
from photoreal.pipeline.reading import Options, read_options
from photoreal.pipeline.regions.known import KnownRegions
from photoreal.pipeline.regions.labels import decode_masks, describe, find_regions
from photoreal.pipeline.regions.report import describe as describe_soft
from photoreal.pipeline.regions.soft import find_soft
from photoreal.pipeline.rendering import render, result_type, scaled
from photoreal.pipeline.request import (
    Models,
    StyleInput,
    StylizeRequest,
    StylizeResponse,
)
from photoreal.pipeline.sequences import SteadyRegions
from photoreal.pipeline.stopwatch import Stopwatch
from photoreal.preprocess import (
    Limits,
    Mask,
    Metadata,
    Photo,
    encode_labels,
    encode_pixels,
    to_pixels,
)
from photoreal.render.pixels import Pixels

_WHOLE = -1
"""Label of the photo as a whole, which follows the regions in what is steadied."""


def stylize(
    request: StylizeRequest,
    models: Models,
    limits: Limits,
    sequences: SteadyRegions | None = None,
    known: KnownRegions | None = None,
    check: Callable[[], None] = lambda: None,
) -> StylizeResponse:
    """Serve one request.

    `sequences` keeps the regions of videos between frames, `known` caches the regions of styles.
    `check` is called during decoding and between stages; it raises Stopped to cancel the request.

    Raises InvalidRequest (InvalidImage, InvalidMask, InvalidOption) when the request is invalid.
    """
    if request.measures_style:
        return measure_styles(request, models, limits, known, check)
    watch = Stopwatch(check)
    asked = read_options(request, limits)
    files = {"content": request.content, **style_files(request)}
    device = None if request.method == "published" else models.device
    photos = read_photos(files, request, asked.size, limits, check, device)
    masks = decode_masks(request, photos.originals, limits, check)
    watch.lap("decode")
    work = _Work(request, asked, photos, masks, models, watch)
    if request.method == "published":
        done = _published(work, sequences, known)
    else:
        done = _soft(work, sequences, known)

    def encode_map(role: str, used: regions.LabelMap | None) -> bytes:
        wanted = request.content_labels if role == "content" else request.style_labels
        if used is None or not wanted:
            return b""
        # At the photo's original size, a label map can be sent back as its mask.
        return encode_labels(regions.resize_labels(used, *photos.originals[role].shape))

    image, size = b"", {}
    with ThreadPoolExecutor(available_cores()) as pool:  # Pillow releases the GIL
        maps = pool.map(encode_map, files, done.labels)
        if done.pixels is not None:
            metadata = done.metadata if request.metadata else done.metadata.without_exif()
            image = encode_pixels(done.pixels, asked.format, metadata)
            size = {"height": done.pixels.shape[0], "width": done.pixels.shape[1]}
        labels = list(maps)
    watch.lap("encode")
    seconds = watch.total()
    report = done.report | size | {"method": request.method, "seconds": seconds}
    presets = [b""] * len(request.styles)
    return StylizeResponse(image, labels[0], labels[1:], json.dumps(report), seconds, presets)


class _Work(NamedTuple):
    """A request with its photos decoded."""

    request: StylizeRequest
    asked: Options
    photos: Photos
    masks: dict[str, Mask] | None
    models: Models
    watch: Stopwatch

    @property
    def segmenting(self) -> Models | None:
        return self.models if self.request.segment else None


class _Done(NamedTuple):
    """The result (H, W, 3), or None with `regions_only`, and the regions that were used.

    A preset has no label map, and one that is not asked for may be missing.
    """

    pixels: Pixels | None
    labels: Sequence[regions.LabelMap | None]
    report: dict[str, Any]
    metadata: Metadata = Metadata()


def _soft(work: _Work, sequences: SteadyRegions | None, known: KnownRegions | None) -> _Done:
    """Method by soft regions: color alignment, WCT2, then the change applied to the photo."""
    request, asked = work.request, work.asked
    content, styles = work.photos.content, work.photos.styles
    memory = None
    if sequences is not None and asked.shot is not None:
        styles_seen = hashlib.blake2b(b"".join(request.styles)).digest()
        pairs = None if asked.pairs is None else tuple(asked.pairs)
        source = (work.masks is None, request.segment)
        memory = sequences.memory(
            asked.shot, [content.shape, source, request.match, pairs, styles_seen]
        )
    rule = request.match or "nearest"
    keys = photo_keys(request, work.photos)
    found = find_soft(
        *(work.photos.originals, work.photos.working, work.masks, work.segmenting, rule),
        mask_edges=rule != "published" if request.mask_edges is None else request.mask_edges,
        plan=None if memory is None else memory.plan,
        known=known,
        keys=keys,
    )
    if asked.pairs is not None:
        found.take(asked.pairs)
    elif memory is not None and memory.plan is not None and memory.couplings is not None:
        found.couplings = memory.couplings  # the plan guarantees the same regions
    work.watch.lap("segment")
    labels = [
        found.content.labels if request.content_labels else None,
        *(
            style.labels if request.style_labels and not isinstance(style, Preset) else None
            for style in found.styles
        ),
    ]
    if request.regions_only:
        return _Done(None, labels, describe_soft(found))
    strength = request.alpha * request.color_strength
    steady = None
    if memory is not None and asked.shot is not None:
        known_labels = [info.label for info in found.content.infos]
        steady = memory.steadied(asked.shot.steady, [*known_labels, _WHOLE])
    style_keys = list(keys.values())[1:]
    kept, whole = found.kept(asked.weights), found.whole(asked.weights)
    colors = looks.goals(styles, found, asked.weights, known, style_keys, whole=whole is not None)
    goals = looks.Goals(colors, strength, steady, kept, whole)
    image = looks.align(content, found, goals)
    work.watch.lap("colors")
    cached = False
    further = looks.wct2_strength(request, found)
    if further > 0.0:
        if work.models.transfer_soft is None:
            raise ServeError("There is no model for soft regions; expected one, or method color.")
        image, cached = looks.transfer_features(
            *(image, styles, found, asked.weights, work.models.transfer_soft, further),
            *(asked.places, asked.shot, style_keys, goals),
        )
        work.watch.lap("transfer")
    if memory is not None and sequences is not None and asked.shot is not None:
        memory.plan, memory.couplings = found.plan, found.couplings
        sequences.remember(asked.shot, memory)
    original = work.photos.originals["content"]
    dtype = result_type(asked.format, request.bit_depth, original)
    pixels = render(original, content, image, dtype, request.output_size)
    if asked.format == "raw":  # it has no place for a profile
        pixels = Photo(pixels, original.space).srgb()
    work.watch.lap("upsample")
    report = {"style": "cached" if cached else "measured"}
    described = describe_soft(found) | report
    return _Done(pixels, labels, described, original.metadata)


def _published(work: _Work, sequences: SteadyRegions | None, known: KnownRegions | None) -> _Done:
    """WCT2 as published: label maps, no color alignment, pixels straight from the network."""
    request, asked = work.request, work.asked
    smooth = None
    if sequences is not None and asked.shot is not None:
        smooth = partial(sequences.smooth, asked.shot)
    originals, photos = work.photos.originals, work.photos.decoded
    found = find_regions(
        *(originals, photos, work.masks, work.segmenting, request.match, smooth, known)
    )
    if asked.pairs is not None:
        found.take(asked.pairs)
    work.watch.lap("segment")
    labels = [found.content, *found.styles]
    if request.regions_only:
        return _Done(None, labels, describe(found, {}))
    content, *styles = photos.values()
    inputs = zip(styles, found.styles, found.pairs, asked.weights, strict=True)
    result = work.models.transfer(
        content,
        found.content,
        [StyleInput(*style) for style in inputs],
        alpha=request.alpha,
        places=asked.places,
        blend=DEFAULT_BLEND[found.match] if request.blend is None else request.blend,
        shot=asked.shot,
    )
    work.watch.lap("transfer")
    cached = {"style": "cached" if result.style_cached else "measured"}
    original = work.photos.originals["content"]
    dtype = result_type(asked.format, request.bit_depth, original)
    pixels = scaled(to_pixels(result.image, dtype), request.output_size)
    return _Done(pixels, labels, describe(found, {}) | cached, original.metadata.in_srgb())
