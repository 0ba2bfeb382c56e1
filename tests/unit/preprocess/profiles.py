"""ICC profiles made from primaries and one power law."""

from __future__ import annotations

import struct

# XYZ of the primaries, adapted to D50, as profiles hold them.
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841))


ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))
Primaries = tuple[tuple[float, ...], ...]


def power(gamma: float) -> bytes:
    """A curve that is a power law."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def parametric(kind: int, *values: float) -> bytes:
    """A curve by a formula."""
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _fixed(*values)


def table(*values: int) -> bytes:
    """A curve by 16-bit values."""
    raw = struct.pack(f">I{len(values)}H", len(values), *values)
    return b"curv" + bytes(4) + raw + bytes(-len(raw) % 4)


def rgb_profile(primaries: Primaries, curve: float | bytes) -> bytes:
    """An ICC profile of an RGB space: three primaries, and a curve or the exponent of one."""
    curve = curve if isinstance(curve, bytes) else power(curve)
    tags = {}
    for letter, primary in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags[letter + b"XYZ"] = b"XYZ " + bytes(4) + _fixed(*primary)
        tags[letter + b"TRC"] = curve
    return _profile(b"RGB ", tags)


def gray_profile(gamma: float) -> bytes:
    """An ICC profile of gray with a power law."""
    return _profile(b"GRAY", {b"kTRC": power(gamma)})


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    white = _fixed(0.9642, 1.0, 0.8249)
    tags = {
        b"desc": name + bytes(-len(name) % 4),
        b"cprt": b"text" + bytes(4) + b"none" + bytes(4),
        b"wtpt": b"XYZ " + bytes(4) + white,
        **tags,
    }
    entries, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        entries += tag + struct.pack(">II", offset + len(body), len(content))
        body += content
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + white
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + entries + body


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)
