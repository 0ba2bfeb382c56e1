"""Measuring of styles for presets."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from photoreal import regions
from photoreal.arrays import Floats
from photoreal.color.align import region_colors
from photoreal.errors import InvalidOption, ServeError
from photoreal.pipeline.looks import as_bytes
from photoreal.pipeline.photos import photo_keys, read_photos, style_files
from photoreal.pipeline.presets.preset import Preset, write_preset
from photoreal.pipeline.presets.tensor_file import Array, read_tensors
from photoreal.pipeline.reading import read_options
from photoreal.pipeline.regions.known import KnownRegions
from photoreal.pipeline.regions.labels import decode_masks
from photoreal.pipeline.regions.report import listing
from photoreal.pipeline.regions.soft import mask_regions, source_of, style_regions
from photoreal.pipeline.request import Models, StylizeRequest, StylizeResponse
from photoreal.pipeline.stopwatch import Stopwatch
from photoreal.preprocess import Limits, encode_labels
from photoreal.regions import soft
from photoreal.regions.soft import SoftRegions


def measure_styles(
    request: StylizeRequest,
    models: Models,
    limits: Limits,
    known: KnownRegions | None = None,
    check: Callable[[], None] = lambda: None,
) -> StylizeResponse:
    """Measure the styles of a request as presets; arguments and errors are those of `stylize`.

    The content is not read. With the method `color` a preset holds no moments of features.
    """
    watch = Stopwatch(check)
    asked = read_options(request, limits)
    if request.method == "published":
        raise InvalidOption(
            "The method is published, which works on label maps; expected wct2 or color for a"
            " preset."
        )
    photos = read_photos(style_files(request), request, asked.size, limits, check, models.device)
    if len(photos.decoded) < len(photos.working):
        raise InvalidOption("The style is a preset already; expected a photo to measure.")
    masks = decode_masks(request, photos.originals, limits, check)
    watch.lap("decode")
    segmenting = models if request.segment else None
    edges = request.match != "published" if request.mask_edges is None else request.mask_edges
    source = source_of(masks, segmenting)
    keys = photo_keys(request, photos)
    files, labels, listings = [], [], []
    for role, photo in photos.decoded.items():
        original = photos.originals[role]
        if masks is not None:
            found = mask_regions(masks[role], photo, edges=edges)
        elif segmenting is None or segmenting.segment is None:
            found = soft.whole_photo(photo)
        else:
            found = style_regions(segmenting, original, photo, known, keys[role])
        check()
        features: dict[str, Array] = {}
        weights = ""
        if request.method == "wct2":
            if models.measure is None:
                raise ServeError("There is no model that measures; expected one, or method color.")
            about, features = read_tensors(
                models.measure(photo, as_bytes(found.weights), keys[role])
            )
            weights = about["weights"]
        kind = "" if masks is None else masks[role].kind
        preset = _preset(photo, found, source, kind, weights)
        files.append(write_preset(preset, features))
        used = (
            regions.resize_labels(found.labels, *original.shape) if request.style_labels else None
        )
        labels.append(b"" if used is None else encode_labels(used))
        listings.append(listing(found))
    watch.lap("measure")
    seconds = watch.total()
    report = {
        "regions": source,
        "method": request.method,
        "style_regions": listings[0] if len(listings) == 1 else listings,
        "seconds": seconds,
    }
    return StylizeResponse(b"", b"", labels, json.dumps(report), seconds, files)


def _preset(
    photo: Floats,
    found: SoftRegions,
    source: str,
    kind: str,
    weights: str,
) -> Preset:
    counts = np.bincount(found.labels.ravel(), minlength=regions.LABELS)
    return Preset(
        size=(photo.shape[1], photo.shape[2]),
        source=source,
        kind=kind,
        infos=found.infos,
        traits=found.traits,
        shares=found.shares,
        pixels=[int(counts[info.label]) for info in found.infos],
        colors=region_colors(photo, found.weights),
        weights=weights,
    )
