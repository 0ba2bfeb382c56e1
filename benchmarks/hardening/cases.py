"""Test inputs for a server, each determined by a seed and its number."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hardening import seeds
from hardening.mutations import mutate
from hardening.wire import Tensor, tensors

SIZES = (16, 17, 24, 31, 32)
_PLACES = ("encoder",) * 6 + ("skip", "decoder", "encoder,skip,decoder")
_OTHER: dict[str, Sequence[Any]] = {
    "name": ["", "CONTENT", "STYLE", "content", "IMAGE", "ALPHA", "SIZE", "X" * 300, "\0"],
    "dtype": ["", "BYTES", "FP32", "INT32", "INT64", "BOOL", "UINT8", "FP64", "BF16", "NONE"],
    "shape": [(), (0,), (-1,), (2,), (1, 1), (2**31,), (2**62, 4), (3, 2**40)],
}
"""Values of a tensor's declaration that violate the contract, most of the time."""


@dataclass(frozen=True)
class Case:
    """One request, and what its response must be.

    `size`: the working size that a picture must have. `ours`: whether an error comes from
    photoreal, whose sentences end with a full stop, or from Triton.
    """

    name: str
    tensors: Sequence[Tensor]
    size: int
    ours: bool = True


def make_case(seed: int, number: int) -> Case:
    """The input of this number, determined by the seed and the number alone."""
    rng = random.Random(f"{seed}/{number}")  # noqa: S311 (reproducible, not secret)
    make = rng.choices((_photo_case, _mask_case, _protocol_case), (6, 2, 2))[0]
    return make(rng)


def _photo_case(rng: random.Random) -> Case:
    """A damaged content or style photo, or both."""
    names = list(seeds.photos())
    values = _options(rng)
    parts = []
    damaged = rng.choice((("content",), ("style",), ("content", "style")))
    for role in ("content", "style"):
        kind = rng.choice(names) if role in damaged else "png"
        values[role] = seeds.photos()[kind]
        if role in damaged:
            change, values[role] = mutate(rng, values[role])
            parts.append(f"{role} {kind}: {change}")
    return Case("; ".join(parts), tensors(**values), values["size"])


def _mask_case(rng: random.Random) -> Case:
    """Valid photos with a damaged mask, or with two valid masks of any kind."""
    values = _options(rng) | {"content": seeds.photos()["png"], "style": seeds.photos()["jpeg"]}
    first, second = (rng.choice(list(seeds.masks())) for _ in range(2))
    values |= {"content_mask": seeds.masks()[first], "style_mask": seeds.masks()[second]}
    change = "whole"
    if rng.random() < 0.8:
        role = rng.choice(("content_mask", "style_mask"))
        change, values[role] = mutate(rng, values[role])
    return Case(f"masks {first} and {second}: {change}", tensors(**values), values["size"])


def _protocol_case(rng: random.Random) -> Case:
    """A request whose tensors violate the contract."""
    values = _options(rng) | {"content": seeds.photos()["png"], "style": seeds.photos()["png"]}
    sent = tensors(**values)
    change = rng.choice(("without", "twice", *_OTHER, "length", "element"))
    if change == "without":  # any but the size, since the default one takes seconds
        sent = [one for one in sent if one.name == "SIZE" or rng.random() < 0.5]
    elif change == "twice":
        sent.append(rng.choice(sent))
    else:
        chosen = rng.randrange(len(sent))
        sent[chosen] = _altered(rng, sent[chosen], change)
    return Case(f"protocol: {change}", sent, values["size"], ours=False)


def _altered(rng: random.Random, one: Tensor, change: str) -> Tensor:
    if change in _OTHER:
        return replace(one, **{change: rng.choice(_OTHER[change])})
    data = one.data
    if change == "element":  # a wrong length prefix
        prefix = rng.choice((0, 1, 2**16, 2**31 - 1, 2**32 - 1)).to_bytes(4, "little")
        return replace(one, data=prefix + data[4:])
    return replace(one, data=rng.choice((b"", data[:-1], data[:3], data + b"x", data * 2)))


def _options(rng: random.Random) -> dict[str, Any]:
    """Valid options, sometimes with the segmenter."""
    return {
        "size": rng.choice(SIZES),
        "transfer_at": rng.choice(_PLACES),
        "segment": rng.random() < 0.1,
        "alpha": rng.choice((None, 0.0, 0.5, 1.0)),
        "match": rng.choice((None, "published", "nearest")),
        "blend": rng.choice((None, 0, 2, 64)),
    }
