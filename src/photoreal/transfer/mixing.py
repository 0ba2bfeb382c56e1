"""Mixing of several styles: one mean and one coloring root per region.

The mix is linear in the means and in the symmetric roots. At every place it equals the weighted
sum of the features that each style alone produces, as Li et al. interpolate between textures
("Universal Style Transfer via Feature Transforms", NIPS 2017): sum w (R x + m) = (sum w R) x +
sum w m, with x the whitened content. A sum of symmetric positive roots is again a symmetric
positive root, so the mix is the mean in the root Euclidean metric of covariances (Dryden,
Koloydenko and Zhou, "Non-Euclidean Statistics for Covariance Matrices", 2009). For commuting
covariances it is also the Wasserstein barycenter; in general that barycenter needs an iteration
and is not a weighted sum of the transformed features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from photoreal.regions import Pair
from photoreal.transfer.progressive import StyleMeasures
from photoreal.transfer.whitening import StyleStatistics


class Ingredient(NamedTuple):
    """One style of a mix: its measures, region pairs and weight."""

    measures: StyleMeasures
    pairs: Sequence[Pair]
    weight: float


def mix_styles(styles: Sequence[Ingredient]) -> tuple[StyleMeasures, list[Pair]]:
    """Mix styles into measures keyed by content label, and the matching identity pairs.

    If a style has no statistics for a content label (no pair, or a region that has vanished at a
    place), the weights of the other styles are renormalized. Weights are at least 0; a style of
    weight 0 is ignored.
    """
    labels = {pair.content for style in styles if style.weight > 0.0 for pair in style.pairs}
    # Keep the order of the styles' pairs where they agree, as for a single style.
    order = [label for style in styles for label, _ in style.pairs if label in labels]
    pairs = [Pair(label, label) for label in dict.fromkeys(order)]
    partners = [{pair.content: pair.style for pair in style.pairs} for style in styles]
    places = dict.fromkeys(place for style in styles for place in style.measures)
    mixed: StyleMeasures = {}
    for place in places:
        mixed[place] = {}
        for label, _ in pairs:
            shares = [
                (style.weight, found)
                for style, partner in zip(styles, partners, strict=True)
                if style.weight > 0.0
                and (found := _statistics(style.measures.get(place, {}), partner, label))
            ]
            if shares:
                mixed[place][label] = _mean(shares)
    return mixed, pairs


def _statistics(
    found: Mapping[int | None, StyleStatistics], partner: Mapping[int, int | None], label: int
) -> StyleStatistics | None:
    return found.get(partner[label]) if label in partner else None


def _mean(shares: Sequence[tuple[float, StyleStatistics]]) -> StyleStatistics:
    if len(shares) == 1:
        return shares[0][1]
    total = sum(weight for weight, _ in shares)
    first, *others = ((weight / total, statistics) for weight, statistics in shares)
    mean, root = (first[0] * part for part in first[1])
    for weight, statistics in others:
        mean = mean.add(statistics.mean, alpha=weight)
        root = root.add(statistics.root, alpha=weight)
    return StyleStatistics(mean, root)
