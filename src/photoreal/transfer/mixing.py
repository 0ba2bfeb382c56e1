"""Several styles at once: for each region one mean and one coloring root out of several.

The mix is linear in the means and in the symmetric roots. At every place, that is the weighted
sum of the features that each style alone would give, as Li et al. interpolate between textures
("Universal Style Transfer via Feature Transforms", NIPS 2017): sum w (R x + m) = (sum w R) x +
sum w m, with x the whitened content. A sum of symmetric positive roots is such a root again, so
the mix is the mean in the root Euclidean metric of covariances (Dryden, Koloydenko and Zhou,
"Non-Euclidean Statistics for Covariance Matrices", 2009). Where the covariances commute it is
also the barycenter in the Wasserstein metric; elsewhere that one needs an iteration, and is no
weighted sum of what this transform does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from photoreal.regions import Pair
from photoreal.transfer.progressive import StyleMeasures
from photoreal.transfer.whitening import StyleStatistics


class Ingredient(NamedTuple):
    """One style of a mix: its measures, which content label takes what of it, its weight."""

    measures: StyleMeasures
    pairs: Sequence[Pair]
    weight: float


def mix_styles(styles: Sequence[Ingredient]) -> tuple[StyleMeasures, list[Pair]]:
    """Measures by content label instead of style label, and the pairs that say so.

    A style that has nothing for a content label (no pair, or a region that has vanished at a
    place) leaves it to the others, whose weights count as if they were all. Weights are from
    0 up; a style of weight 0 adds nothing.
    """
    labels = {pair.content for style in styles if style.weight > 0.0 for pair in style.pairs}
    # In the order of a style's pairs where they agree, as one style alone has it.
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
