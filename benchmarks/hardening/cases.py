"""Test inputs for a server, each determined by a seed and its number."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hardening import seeds
from hardening.mutations import mutate
from hardening.wire import Tensor, tensors

SIZES = (16, 17, 24, 31, 32)
_PLACES = ("encoder",) * 6 + ("skip", "decoder", "encoder,skip,decoder")
_NAMES = ("", "CONTENT", "STYLE", "content", "IMAGE", "ALPHA", "SIZE", "X" * 300, "\u00e9", "\0")
_TYPES = ("", "BYTES", "FP32", "INT32", "INT64", "BOOL", "UINT8", "FP64", "BF16", "NONSENSE")
_SHAPES: tuple[tuple[int, ...], ...] = (
    (),
    (0,),
    (-1,),
    (2,),
    (1, 1),
    (2**31,),
    (2**62, 4),
    (3, 2**40),
)


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
    change = rng.choice(_PROTOCOL)
    return Case(change.__name__.strip("_"), change(rng, sent), values["size"], ours=False)


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


def _without(rng: random.Random, sent: list[Tensor]) -> list[Tensor]:
    """Leave out inputs, but keep the size, since the default one takes seconds."""
    return [one for one in sent if one.name == "SIZE" or rng.random() < 0.5]


def _twice(rng: random.Random, sent: list[Tensor]) -> list[Tensor]:
    return [*sent, rng.choice(sent)]


def _renamed(rng: random.Random, sent: list[Tensor]) -> list[Tensor]:
    return _one(rng, sent, lambda one: replace(one, name=rng.choice(_NAMES)))


def _of_another_type(rng: random.Random, sent: list[Tensor]) -> list[Tensor]:
    return _one(rng, sent, lambda one: replace(one, dtype=rng.choice(_TYPES)))


def _of_another_shape(rng: random.Random, sent: list[Tensor]) -> list[Tensor]:
    return _one(rng, sent, lambda one: replace(one, shape=rng.choice(_SHAPES)))


def _of_another_length(rng: random.Random, sent: list[Tensor]) -> list[Tensor]:
    def change(one: Tensor) -> Tensor:
        data = rng.choice((b"", one.data[:-1], one.data[:3], one.data + b"x", one.data * 2))
        return replace(one, data=data)

    return _one(rng, sent, change)


def _element_that_lies(rng: random.Random, sent: list[Tensor]) -> list[Tensor]:
    """An element of a BYTES tensor with a wrong length prefix."""
    length = rng.choice((0, 1, 2**16, 2**31 - 1, 2**32 - 1)).to_bytes(4, "little")
    texts = [one for one in sent if one.dtype == "BYTES"]
    chosen = rng.choice(texts)
    return [replace(one, data=length + one.data[4:]) if one is chosen else one for one in sent]


def _one(
    rng: random.Random, sent: list[Tensor], change: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    chosen = rng.randrange(len(sent))
    return [change(one) if at == chosen else one for at, one in enumerate(sent)]


_PROTOCOL = (
    _without,
    _twice,
    _renamed,
    _of_another_type,
    _of_another_shape,
    _of_another_length,
    _element_that_lies,
)
