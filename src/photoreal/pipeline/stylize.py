"""Core of the `stylize` model: bytes in, bytes out, without Triton or torch."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from photoreal import regions
from photoreal.arrays import Floats
from photoreal.cores import available_cores
from photoreal.errors import InvalidMask, InvalidOption, ServeError
from photoreal.options import (
    DEFAULT_BLEND,
    DEFAULT_SIZE,
    PUBLISHED_SIZE,
    Place,
    check_options,
    check_style_count,
    check_weights,
    parse_places,
)
from photoreal.pipeline import looks, soft_regions
from photoreal.pipeline.known_regions import KnownRegions, photo_key
from photoreal.pipeline.label_regions import decode_masks, describe, find_regions
from photoreal.pipeline.photos import read_photos
from photoreal.pipeline.rendering import check_bit_depth, render, result_type, scaled
from photoreal.pipeline.request import (
    Models,
    Shot,
    StyleInput,
    StylizeRequest,
    StylizeResponse,
    shot_of,
)
from photoreal.pipeline.sequences import SteadyRegions
from photoreal.pipeline.soft_regions import find_soft
from photoreal.preprocess import (
    Limits,
    Mask,
    Metadata,
    Photo,
    check_size,
    encode_labels,
    encode_pixels,
    to_pixels,
)
from photoreal.regions import Pair
from photoreal.render.pixels import Pixels


class _Stopwatch:
    """Stage times of one request in seconds; `check` is called between stages."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._start = self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._last, 4)
        self._last = now
        self._check()

    def total(self) -> dict[str, float]:
        return {**self.seconds, "total": round(time.perf_counter() - self._start, 4)}


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
    watch = _Stopwatch(check)
    asked = _read_options(request, limits)
    device = None if request.method == "published" else models.device
    originals, photos = read_photos(request, asked.size, limits, check, device)
    masks = decode_masks(request, originals, limits, check)
    watch.lap("decode")
    work = _Work(request, asked, originals, photos, masks, models, watch)
    if request.method == "published":
        done = _published(work, sequences, known)
    else:
        done = _soft(work, sequences, known)

    def encode_map(photo: Photo, used: regions.LabelMap) -> bytes:
        # At the photo's original size, a label map can be sent back as its mask.
        return encode_labels(regions.resize_labels(used, *photo.shape))

    image, size = b"", {}
    with ThreadPoolExecutor(available_cores()) as pool:  # Pillow releases the GIL
        maps = pool.map(encode_map, originals.values(), done.labels)
        if done.pixels is not None:
            metadata = done.metadata if request.metadata else done.metadata.without_exif()
            image = encode_pixels(done.pixels, request.format, metadata)
            size = {"height": done.pixels.shape[0], "width": done.pixels.shape[1]}
        labels = list(maps)
    watch.lap("encode")
    seconds = watch.total()
    report = done.report | size | {"method": request.method, "seconds": seconds}
    return StylizeResponse(image, labels[0], labels[1:], json.dumps(report), seconds)


class _Work(NamedTuple):
    """A request with its photos decoded."""

    request: StylizeRequest
    asked: _Options
    originals: dict[str, Photo]
    photos: dict[str, Floats]
    masks: dict[str, Mask] | None
    models: Models
    watch: _Stopwatch

    def keys(self) -> dict[str, bytes]:
        """Cache keys of the photos with their regions, by role."""
        files = [self.request.content, *self.request.styles]
        masks = [self.request.content_mask, *(self.request.style_masks or [])]
        masks += [None] * (len(files) - len(masks))
        how = self.request.segment, self.request.mask_edges, self.request.match
        return {
            role: photo_key(file + b"|" + (mask or b""), tuple(photo.shape), how)
            for (role, photo), file, mask in zip(self.photos.items(), files, masks, strict=True)
        }

    @property
    def segmenting(self) -> Models | None:
        return self.models if self.request.segment else None


class _Done(NamedTuple):
    """The result (H, W, 3), or None with `regions_only`, and the regions that were used."""

    pixels: Pixels | None
    labels: list[regions.LabelMap]
    report: dict[str, Any]
    metadata: Metadata = Metadata()


def _soft(work: _Work, sequences: SteadyRegions | None, known: KnownRegions | None) -> _Done:
    """Method by soft regions: color alignment, WCT2, then the change applied to the photo."""
    request, asked = work.request, work.asked
    content, *styles = work.photos.values()
    memory = None
    if sequences is not None and asked.shot is not None:
        styles_seen = hashlib.blake2b(b"".join(request.styles)).digest()
        pairs = None if asked.pairs is None else tuple(asked.pairs)
        source = (work.masks is None, request.segment)
        memory = sequences.memory(
            asked.shot, [content.shape, source, request.match, pairs, styles_seen]
        )
    rule = request.match or "nearest"
    found = find_soft(
        *(work.originals, work.photos, work.masks, work.segmenting, rule),
        mask_edges=rule != "published" if request.mask_edges is None else request.mask_edges,
        plan=None if memory is None else memory.plan,
        known=known,
        keys=work.keys(),
    )
    if asked.pairs is not None:
        found.take(asked.pairs)
    elif memory is not None and memory.plan is not None and memory.couplings is not None:
        found.couplings = memory.couplings  # the plan guarantees the same regions
    work.watch.lap("segment")
    labels = [found.content.labels, *(style.labels for style in found.styles)]
    if request.regions_only:
        return _Done(None, labels, soft_regions.describe(found, {}))
    strength = request.alpha * request.color_strength
    steady = None if memory is None or asked.shot is None else memory.steadied(asked.shot.steady)
    image = looks.align(content, styles, found, asked.weights, strength, steady)
    work.watch.lap("colors")
    cached = False
    further = looks.wct2_strength(request, found)
    if further > 0.0:
        if work.models.transfer_soft is None:
            raise ServeError("There is no model for soft regions; expected one, or method color.")
        image, cached = looks.transfer_features(
            *(image, styles, found, asked.weights, work.models.transfer_soft, further),
            *(asked.places, asked.shot, list(work.keys().values())[1:]),
        )
        work.watch.lap("transfer")
    if memory is not None and sequences is not None and asked.shot is not None:
        memory.plan, memory.couplings = found.plan, found.couplings
        sequences.remember(asked.shot, memory)
    original = work.originals["content"]
    pixels = render(original, content, image, result_type(request, original), request.output_size)
    work.watch.lap("upsample")
    report = {"style": "cached" if cached else "measured"}
    described = soft_regions.describe(found, {}) | report
    return _Done(pixels, labels, described, original.metadata)


def _published(work: _Work, sequences: SteadyRegions | None, known: KnownRegions | None) -> _Done:
    """WCT2 as published: label maps, no color alignment, pixels straight from the network."""
    request, asked = work.request, work.asked
    smooth = None
    if sequences is not None and asked.shot is not None:
        smooth = partial(sequences.smooth, asked.shot)
    found = find_regions(
        *(work.originals, work.photos, work.masks, work.segmenting, request.match, smooth, known)
    )
    if asked.pairs is not None:
        found.take(asked.pairs)
    work.watch.lap("segment")
    labels = [found.content, *found.styles]
    if request.regions_only:
        return _Done(None, labels, describe(found, {}))
    content, *styles = work.photos.values()
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
    original = work.originals["content"]
    pixels = scaled(to_pixels(result.image, result_type(request, original)), request.output_size)
    return _Done(pixels, labels, describe(found, {}) | cached, original.metadata.in_srgb())


class _Options(NamedTuple):
    """Settings derived from the options of a request."""

    size: int
    places: Collection[Place]
    weights: list[float]
    shot: Shot | None
    pairs: list[Pair] | None


def _read_options(request: StylizeRequest, limits: Limits) -> _Options:
    check_options(request)
    check_bit_depth(request)
    size = request.size
    if size is None:
        size = PUBLISHED_SIZE if request.method == "published" else DEFAULT_SIZE
        size = min(size, limits.max_size)
    check_size(size, limits)
    count = check_style_count(len(request.styles))
    if request.pairs is not None and count > 1:
        raise InvalidOption("The pairs are given for several styles; expected a single style.")
    if (request.content_mask is None) != (request.style_mask is None):
        given, lacking = (
            ("content", "style") if request.style_mask is None else ("style", "content")
        )
        raise InvalidMask(f"There is a {given} mask but no {lacking} mask; give both or none.")
    return _Options(
        size=size,
        places=parse_places(request.transfer_at),
        weights=check_weights(request.weights, count),
        shot=shot_of(request),
        pairs=None if request.pairs is None else regions.given_pairs(request.pairs),
    )
