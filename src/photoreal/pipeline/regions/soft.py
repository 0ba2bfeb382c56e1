"""Soft regions of a request and their couplings with the styles."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from photoreal import regions
from photoreal.arrays import Floats, is_tensor, to_host
from photoreal.cores import available_cores, map_on_cores
from photoreal.errors import InvalidOption, NumericalError
from photoreal.options import MatchRule
from photoreal.pipeline.presets.preset import Preset, taken_preset
from photoreal.pipeline.regions.known import KnownRegions, cached
from photoreal.pipeline.request import FloatImage, Models
from photoreal.preprocess import Mask, Photo
from photoreal.regions import Pair, classes, soft
from photoreal.regions.coupling import Matrix, couple
from photoreal.regions.features import mean_classes
from photoreal.regions.partners import whole_shares
from photoreal.regions.people import kept_colors
from photoreal.regions.soft import RegionPlan, SoftRegions

SEGMENT_PIXELS = 200_000
"""Maximum size at which photos are segmented, close to the training size of segmenters."""
_HeldBack = Callable[[npt.NDArray[np.float32], npt.NDArray[np.float32], Matrix], Matrix]
_LEAST_SHARE = 0.005  # a smaller style region has no reliable statistics


@dataclass
class SoftMatch:
    """The regions of the content and of each style, and their couplings.

    `couplings` hold for each style the shares (K, J) of its regions in each content region's
    mix; a row of zeros leaves that content region unchanged. `plan` records how the content's
    regions were found, `chosen` which of them the caller paired with another partner.
    """

    content: SoftRegions
    styles: list[SoftRegions | Preset]
    source: str
    match: str
    couplings: list[Matrix]
    plan: RegionPlan | None = None
    chosen: Sequence[int] = ()

    @property
    def count(self) -> int:
        """Number of the content's regions."""
        return len(self.content.infos)

    def kept(self, weights: Sequence[float]) -> Matrix | None:
        """Shares (K,) of their own look that the content's regions keep; `weights` are the styles'.

        None where all change in full, as regions without classes and those paired by the caller.
        """
        return _none_if_zero(self._held_back(kept_colors, weights))

    def whole(self, weights: Sequence[float]) -> Matrix | None:
        """Shares (K,) of the change of the content's regions that are the whole photo's.

        `weights` are the styles'. None where all change by their partners alone.
        """
        unlike = self._held_back(whole_shares, weights)
        return _none_if_zero(1.0 - (1.0 - self.content.whole) * (1.0 - unlike))

    def _held_back(self, rule: _HeldBack, weights: Sequence[float]) -> Matrix:
        """Mean over the styles of what a rule holds back of the change of each region (K,)."""
        if self.source != "segmenter":
            return np.zeros(self.count)
        ours = mean_classes(self.content.traits)
        shares = [
            weight * rule(ours, mean_classes(style.traits), coupling)
            for weight, style, coupling in zip(weights, self.styles, self.couplings, strict=True)
        ]
        found: Matrix = np.sum(shares, axis=0) / sum(weights)
        found[list(self.chosen)] = 0.0
        return found

    def take(self, pairs: Sequence[Pair]) -> None:
        """Replace the coupling of the only style; raises InvalidOption for an absent region.

        Regions whose partner is not the one found are `chosen`: nothing of their change is held
        back.
        """
        before, self.couplings = self.couplings[0], [_given(pairs, self.content, self.styles[0])]
        changed = before.argmax(axis=1) != self.couplings[0].argmax(axis=1)
        self.chosen = np.flatnonzero(changed).tolist()
        self.match = "given"


def _none_if_zero(shares: Matrix) -> Matrix | None:
    return shares if shares.any() else None


def find_soft(
    originals: Mapping[str, Photo],
    photos: Mapping[str, Floats | Preset],
    masks: Mapping[str, Mask] | None,
    models: Models | None,
    rule: MatchRule,
    *,
    mask_edges: bool,
    plan: RegionPlan | None = None,
    known: KnownRegions | None = None,
    keys: Mapping[str, bytes] | None = None,
) -> SoftMatch:
    """Find the regions of photos (3, H, W) in 0..1 at working size and couple them.

    Photos are keyed by role: "content", then the styles, some of which may be presets. Masks take
    precedence over the segmenter of `models`; without either, each photo is a single region.
    `plan` comes from the previous frame of the shot; `known` caches the regions of styles under
    their `keys`.

    Raises InvalidMask for a preset whose regions do not go with those of the content.
    """
    keys = keys or {}
    content, *styles = photos
    photo = photos[content]
    assert not isinstance(photo, Preset)  # noqa: S101 (for the type checker)
    source = source_of(masks, models)
    if masks is not None:
        kind = masks[content].kind

        def masked(role: str) -> SoftRegions | Preset:
            one = photos[role]
            if isinstance(one, Preset):
                return taken_preset(one, role, source, kind)
            find = partial(mask_regions, masks[role], one, edges=mask_edges)
            return find() if role == content else cached(known, keys.get(role), find)

        ours, *theirs = map_on_cores(masked, photos, threads=1 if is_tensor(photo) else None)
        assert not isinstance(ours, Preset)  # noqa: S101 (the content is a photo)
        couplings = [_by_label(ours, style, rule) for style in theirs]
        return SoftMatch(ours, theirs, source, rule, couplings)
    if models is None or models.segment is None:
        ours = soft.whole_photo(photo)
        theirs = [
            one if isinstance(one := photos[role], Preset) else soft.whole_photo(one)
            for role in styles
        ]
        return SoftMatch(ours, theirs, source, rule, [_whole(ours, style) for style in theirs])

    groups = segment_groups(models, originals[content], photo)
    finding = _Beside(partial(soft.find_regions, photo, groups, plan))
    if models.segments_elsewhere:
        finding.start()
    theirs = [
        taken_preset(one, role, source)
        if isinstance(one := photos[role], Preset)
        else style_regions(models, originals[role], one, known, keys.get(role), finding.start)
        for role in styles
    ]
    ours, plan = finding.result()
    couplings = [coupled(ours, style, rule) for style in theirs]
    return SoftMatch(ours, theirs, source, rule, couplings, plan)


def source_of(masks: object, models: Models | None) -> str:
    """Source of the regions: "masks", "segmenter" or "whole"."""
    if masks is not None:
        return "masks"
    return "whole" if models is None or models.segment is None else "segmenter"


def mask_regions(mask: Mask, photo: Floats, *, edges: bool) -> SoftRegions:
    """The regions of a mask for a photo (3, H, W)."""
    names = tuple(regions.MASK_COLORS) if mask.kind == "colors" else ()
    return soft.mask_regions(mask.labels, names, photo, edges=edges)


class _Beside:
    """Finds the regions of the content on a thread of its own, from `start` on.

    The segmenter uses all cores, and what follows it mostly one.
    """

    def __init__(self, find: Callable[[], tuple[SoftRegions, RegionPlan]]) -> None:
        self._find = find
        self._running: Future[tuple[SoftRegions, RegionPlan]] | None = None

    def start(self) -> None:
        if self._running is None:
            self._running = _threads().submit(self._find)

    def result(self) -> tuple[SoftRegions, RegionPlan]:
        """The regions, found here and now if not started."""
        return self._find() if self._running is None else self._running.result()


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(available_cores(), "photoreal-regions")


def style_regions(
    models: Models,
    original: Photo,
    photo: Floats,
    known: KnownRegions | None,
    key: bytes | None,
    segmented: Callable[[], None] = lambda: None,
) -> SoftRegions:
    """The regions that the segmenter finds in a style photo (3, H, W), cached under the `key`.

    `segmented` is called when the segmenter is done.
    """

    def find() -> SoftRegions:
        groups = segment_groups(models, original, photo)
        segmented()
        return soft.find_regions(photo, groups)[0]

    return cached(known, key, find)


def _whole(content: SoftRegions | Preset, style: SoftRegions | Preset) -> Matrix:
    """Coupling (K, J) in which every content region takes the whole style."""
    if len(style.infos) == 1:
        return np.ones((len(content.infos), 1))
    return np.tile(style.shares.astype(np.float64), (len(content.infos), 1))


def coupled(content: SoftRegions | Preset, style: SoftRegions | Preset, rule: MatchRule) -> Matrix:
    """Couple regions that the segmenter found, or any with those of a whole photo in a preset."""
    if any(isinstance(one, Preset) and one.source == "whole" for one in (content, style)):
        return _whole(content, style)
    if rule == "published":
        return _by_label(content, style, rule)
    if content.traits.shape[1] != style.traits.shape[1]:
        raise InvalidOption(
            "The preset describes its regions in another way than this version does; measure the"
            " style again with photoreal preset."
        )
    return couple(content.traits, style.traits, content.shares, style.shares)


def segment_groups(models: Models, original: Photo, photo: Floats) -> FloatImage:
    """Group probabilities (groups, h, w), computed at the working size or smaller.

    Raises NumericalError when the segmenter returns non-finite values.
    """
    assert models.segment is not None  # noqa: S101 (for the type checker)
    _, height, width = photo.shape
    scale = math.sqrt(SEGMENT_PIXELS / (height * width))
    if scale < 1.0:
        small = original.resized(round(height * scale), round(width * scale))
    else:
        small = to_host(photo)
    probabilities = models.segment(small)
    if not np.isfinite(probabilities).all():
        raise NumericalError("the segmenter's probabilities are not finite; give masks instead.")
    return classes.group_probabilities(probabilities, models.segmenter_classes)


def _by_label(
    content: SoftRegions | Preset, style: SoftRegions | Preset, rule: MatchRule
) -> Matrix:
    """Couple equal labels; with the rule "nearest" all other regions take the whole style."""
    if rule == "published":
        return _given(regions.match_published(content.labels, style.labels), content, style)
    usable = {
        info.label: index
        for index, (info, share) in enumerate(zip(style.infos, style.shares, strict=True))
        if share >= _LEAST_SHARE
    }
    pairs = [
        Pair(info.label, info.label if info.label in usable else None) for info in content.infos
    ]
    return _given(pairs, content, style)


def _given(
    pairs: Sequence[Pair], content: SoftRegions | Preset, style: SoftRegions | Preset
) -> Matrix:
    """Coupling (K, J) from pairs of labels; the whole style is all its regions by area share."""
    ours = {info.label: index for index, info in enumerate(content.infos)}
    theirs = {info.label: index for index, info in enumerate(style.infos)}
    coupling = np.zeros((len(ours), len(theirs)))
    for label, partner in pairs:
        if partner is not None and partner not in theirs:
            raise InvalidOption(
                f"The pairs name the style region {partner}, which the style photo lacks at"
                " this size."
            )
        if label not in ours:
            continue
        if partner is None:
            coupling[ours[label]] = style.shares
        else:
            coupling[ours[label], theirs[partner]] = 1.0
    return coupling
