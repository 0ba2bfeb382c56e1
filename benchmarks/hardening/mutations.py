"""Mutations of image files: errors in their bytes or metadata.

Attacks on a format's structure (sizes, bombs, segments) are in ``tests/unit/preprocess``.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable

from pictures import encoded
from PIL import Image
from PIL.PngImagePlugin import putchunk

from hardening import seeds

Mutation = Callable[[random.Random, bytes], bytes]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NUMBERS = (0, 1, 7, 8, 255, 256, 4095, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def mutate(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """Apply one to three mutations to a file; return their names and the new data."""
    names = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        change = rng.choice([*_ANY, *([png_chunk] * 3 if data.startswith(_SIGNATURE) else [])])
        names.append(change.__name__)
        data = change(rng, data)
    return "+".join(names), data


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    """Flip single bits at random positions."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def number(rng: random.Random, data: bytes) -> bytes:
    """Overwrite bytes with an integer unusual for counts, sizes and offsets, in any byte order."""
    size = rng.choice((2, 4))
    if len(data) <= size:
        return data
    at = rng.randrange(len(data) - size)
    value = rng.choice(_NUMBERS) % (1 << 8 * size)
    return data[:at] + value.to_bytes(size, rng.choice(("little", "big"))) + data[at + size :]


def cut(rng: random.Random, data: bytes) -> bytes:
    """Truncate the file."""
    return data[: rng.randrange(len(data) + 1)]


def repeat(rng: random.Random, data: bytes) -> bytes:
    """Duplicate or delete a range of bytes."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[max(0, at + rng.randint(-64, 64)) :]


def splice(rng: random.Random, data: bytes) -> bytes:
    """Join the beginning of the file with the end of another one."""
    other = rng.choice(list(seeds.photos().values()))
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other)) :]


def trail(rng: random.Random, data: bytes) -> bytes:
    """Append bytes after the end."""
    return data + rng.randbytes(rng.randint(1, 200))


def foreign_profile(rng: random.Random, data: bytes) -> bytes:
    """Embed a damaged color profile and unusual EXIF data in an otherwise valid file."""
    image = Image.fromarray(seeds.pixels())
    profile = flip_bits(rng, number(rng, seeds.profile()))
    kinds = (("RGB", "JPEG"), ("CMYK", "JPEG"), ("L", "PNG"), ("RGBA", "PNG"), ("RGB", "WEBP"))
    mode, kind = rng.choice(kinds)
    turned = flip_bits(rng, seeds.exif(rng.randint(0, 9)))
    return encoded(image.convert(mode), kind, icc_profile=profile, exif=turned)


def png_chunk(rng: random.Random, data: bytes) -> bytes:
    """Corrupt the data of a chunk, with a valid checksum."""
    chunks, at = [], len(_SIGNATURE)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : end]))
        at = end + 4
    chosen = rng.randrange(max(1, len(chunks)))
    made = io.BytesIO()
    made.write(_SIGNATURE)
    for position, (name, content) in enumerate(chunks):
        if position == chosen:
            content = rng.choice((flip_bits, number, cut, repeat))(rng, content)
        putchunk(made, name, content)
    return made.getvalue()


_ANY: list[Mutation] = [flip_bits, number, cut, repeat, splice, trail, foreign_profile]
