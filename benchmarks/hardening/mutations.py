"""Files with something wrong: in their bytes, their structure, their metadata, their size."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator

from PIL import Image

from hardening import seeds

Mutation = Callable[[random.Random, bytes], bytes]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NUMBERS = (0, 1, 7, 8, 255, 256, 4095, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_SIDES = (0, 1, 7, 8, 9, 31, 300, 8000, 8001, 65_535, 2**31 - 1)
_CHUNKS = (b"tRNS", b"PLTE", b"iCCP", b"eXIf", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"acTL", b"zTXt")
_BOMB = zlib.compress(bytes(8 << 20), 9)
"""Eight kilobytes that become eight megabytes."""


def mutate(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """Change a file in one to three ways; also tells which."""
    names = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        fitting = [*_ANY, *(_PNG if data.startswith(_SIGNATURE) else [])]
        fitting += _JPEG if data.startswith(b"\xff\xd8") else []
        change = rng.choice(fitting)
        names.append(change.__name__)
        data = change(rng, data)
    return "+".join(names), data


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    """Change single bits anywhere."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def header_bytes(rng: random.Random, data: bytes) -> bytes:
    """Change bytes near the start, where formats keep what they are."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if changed:
            changed[rng.randrange(min(64, len(changed)))] = rng.choice((0, 1, 127, 128, 254, 255))
    return bytes(changed)


def number(rng: random.Random, data: bytes) -> bytes:
    """Write a number that counts, sizes and offsets seldom have, in either byte order."""
    form = rng.choice("<>") + rng.choice("HI")
    size = struct.calcsize(form)
    if len(data) <= size:
        return data
    at = rng.randrange(len(data) - size)
    value = rng.choice(_NUMBERS) % (1 << 8 * size)
    return data[:at] + struct.pack(form, value) + data[at + size :]


def cut(rng: random.Random, data: bytes) -> bytes:
    """End too early."""
    return data[: rng.randrange(len(data) + 1)]


def lose(rng: random.Random, data: bytes) -> bytes:
    """Lose a stretch in the middle."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.randint(1, 64) :]


def repeat(rng: random.Random, data: bytes) -> bytes:
    """Have a stretch twice."""
    at = rng.randrange(len(data) + 1)
    return data[: at + rng.randint(1, 64)] + data[at:]


def splice(rng: random.Random, data: bytes) -> bytes:
    """Begin as one file and go on as another."""
    other = rng.choice(list(seeds.photos().values()))
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other)) :]


def trail(rng: random.Random, data: bytes) -> bytes:
    """Go on behind the end."""
    return data + rng.randbytes(rng.randint(1, 200))


def foreign_profile(rng: random.Random, data: bytes) -> bytes:
    """Carry a damaged color profile and odd EXIF data in a file that is whole otherwise."""
    image = Image.fromarray(seeds.pixels())
    profile = flip_bits(rng, number(rng, seeds.profile()))
    mode, kind = rng.choice(
        (("RGB", "JPEG"), ("CMYK", "JPEG"), ("L", "PNG"), ("RGBA", "PNG"), ("RGB", "WEBP"))
    )
    turned = flip_bits(rng, seeds.exif(rng.randint(0, 9)))
    return seeds.encode(image.convert(mode), kind, icc_profile=profile, exif=turned)


def png_chunk(rng: random.Random, data: bytes) -> bytes:
    """Change the data of a chunk, whose checksum is right nevertheless."""
    chunks = list(_chunks(data))
    if not chunks:
        return data
    at = rng.randrange(len(chunks))
    name, content = chunks[at]
    chunks[at] = (name, rng.choice((flip_bits, number, cut, repeat))(rng, content))
    return _png(chunks)


def png_order(rng: random.Random, data: bytes) -> bytes:
    """Lose, double or reorder chunks, or take in one that does not belong."""
    chunks = list(_chunks(data))
    if not chunks:
        return data
    at = rng.randrange(len(chunks))
    way = rng.randrange(4)
    if way == 0:
        del chunks[at]
    elif way == 1:
        chunks.insert(at, chunks[at])
    elif way == 2:
        rng.shuffle(chunks)
    else:
        content = rng.randbytes(rng.choice((0, 1, 2, 3, 6, 32, 256, 768, 900)))
        chunks.insert(max(at, 1), (rng.choice(_CHUNKS), content))
    return _png(chunks)


def png_header(rng: random.Random, data: bytes) -> bytes:
    """Claim another size, depth or kind of color, with a right checksum."""
    chunks = list(_chunks(data))
    if not chunks or len(chunks[0][1]) != 13:
        return data
    fields = list(struct.unpack(">IIBBBBB", chunks[0][1]))
    at = rng.randrange(7)
    fields[at] = rng.choice(_SIDES if at < 2 else (0, 1, 2, 3, 4, 6, 8, 16, 255))
    chunks[0] = (chunks[0][0], struct.pack(">IIBBBBB", *fields))
    return _png(chunks)


def png_bomb(rng: random.Random, data: bytes) -> bytes:
    """Hold far more than it says, in its pixels or in its text."""
    chunks = list(_chunks(data))
    if not chunks:
        return data
    if rng.random() < 0.5:
        chunks = [(name, _BOMB if name == b"IDAT" else content) for name, content in chunks]
    else:
        kind = rng.choice((b"zTXt", b"iCCP", b"iTXt"))
        chunks.insert(1, (kind, b"name\0\0" + (b"\1\0\0\0" if kind == b"iTXt" else b"") + _BOMB))
    return _png(chunks)


def jpeg_segment(rng: random.Random, data: bytes) -> bytes:
    """Lie in the length or the content of a segment: its size, tables or metadata."""
    starts = [at for at in range(2, len(data) - 4) if data[at] == 0xFF and data[at + 1] >= 0xC0]
    if not starts:
        return data
    at = rng.choice(starts)
    changed = bytearray(data)
    if rng.random() < 0.5:
        struct.pack_into(">H", changed, at + 2, rng.choice((0, 1, 2, 3, 17, 255, 65_535)))
    else:
        for _ in range(rng.randint(1, 6)):
            changed[min(at + rng.randrange(4, 40), len(changed) - 1)] = rng.randrange(256)
    return bytes(changed)


def jpeg_size(rng: random.Random, data: bytes) -> bytes:
    """Claim another size than the data have."""
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    if not 0 <= at < len(data) - 9:
        return data
    sides = (rng.choice((0, 1, 8, 25, 300, 3000, 9000, 65_535)) for _ in range(2))
    return data[: at + 5] + struct.pack(">HH", *sides) + data[at + 9 :]


_ANY: list[Mutation] = [
    flip_bits,
    header_bytes,
    number,
    cut,
    lose,
    repeat,
    splice,
    trail,
    foreign_profile,
]
_PNG: list[Mutation] = [png_chunk, png_order, png_header, png_bomb] * 2
_JPEG: list[Mutation] = [jpeg_segment, jpeg_segment, jpeg_size]


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of a PNG's chunks, as far as they can be told apart."""
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [_SIGNATURE]
    for name, content in chunks:
        parts += [
            struct.pack(">I", len(content)),
            name,
            content,
            struct.pack(">I", zlib.crc32(name + content)),
        ]
    return b"".join(parts)
