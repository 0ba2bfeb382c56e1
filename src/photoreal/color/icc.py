"""RGB color spaces from ICC profiles that define them by primaries and tone curves.

Display P3, Adobe RGB, ProPhoto RGB, Rec. 2020 and most profiles of cameras and displays are of
this kind (ICC.1:2022, annex F.3: three-component matrix-based profiles). Other profiles (tables,
CMYK, Lab) cannot be inverted in general; photos that have one are converted by LittleCMS.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Curve = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]  # (3, H, W) in 0..1

# Primaries of sRGB as columns in XYZ, adapted to D50, the white of profiles (IEC 61966-2-1).
_SRGB = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
_TABLES = (b"A2B0", b"A2B1", b"A2B2")
_MOST_BYTES = 1 << 20
_MOST_TAGS = 100
_POINTS = np.linspace(0.0, 1.0, 4097)
_SAME = 1 / 255
_WHITE_TOLERANCE = 0.02


@dataclass(frozen=True)
class RgbSpace:
    """An RGB color space: its matrix to linear sRGB, and the curve of each channel.

    `curves` (3, n) are the linear values at n equally spaced encoded values from 0 to 1.
    """

    matrix: npt.NDArray[np.float64] = field(repr=False)
    curves: Curve = field(repr=False)

    def to_srgb(self, image: FloatImage) -> FloatImage:
        """Convert an image (3, H, W) in 0..1 to sRGB; colors outside sRGB are clipped."""
        linear = [
            np.interp(plane, _POINTS, curve)
            for plane, curve in zip(image, self.curves, strict=True)
        ]
        mixed = np.tensordot(self.matrix, np.stack(linear), axes=1)
        return encode_srgb(np.clip(mixed, 0.0, 1.0)).astype(np.float32)

    def from_srgb(self, image: FloatImage) -> FloatImage:
        """Convert an sRGB image (3, H, W) in 0..1 to this space, clipped to 0..1."""
        linear = np.tensordot(np.linalg.inv(self.matrix), decode_srgb(image), axes=1)
        planes = [
            np.interp(plane, curve, _POINTS)
            for plane, curve in zip(linear, self.curves, strict=True)
        ]
        return np.stack(planes).astype(np.float32)

    @property
    def is_srgb(self) -> bool:
        """Whether every color is the same in sRGB, within one of 255 levels."""
        grid = np.linspace(0.0, 1.0, 18)
        colors = np.stack(np.meshgrid(grid, grid, grid)).reshape(3, 1, -1).astype(np.float32)
        return bool(np.abs(self.to_srgb(colors) - colors).max() <= _SAME)


def read_rgb_space(profile: bytes) -> RgbSpace | None:
    """Read the space of an RGB profile; None for other profiles and damaged ones."""
    tags = _tags(profile, b"RGB ")
    if tags is None or any(name in tags for name in _TABLES):
        return None
    try:
        primaries = np.stack([_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=1)
        curves = np.stack([_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")])
        matrix = np.linalg.inv(_SRGB) @ primaries
    except (KeyError, ValueError, struct.error):
        return None
    white = matrix.sum(axis=1, keepdims=True)
    if np.abs(white - 1).max() > _WHITE_TOLERANCE or np.linalg.cond(matrix) > 1e3:
        return None
    return RgbSpace(matrix / white, curves)  # white is exactly white


def read_gray_curve(profile: bytes) -> Curve | None:
    """Read the curve of a gray profile: linear values at equally spaced encoded values from 0 to 1.

    None for other profiles and damaged ones.
    """
    tags = _tags(profile, b"GRAY")
    try:
        return None if tags is None else _curve(tags[b"kTRC"])
    except (KeyError, ValueError, struct.error):
        return None


def decode_srgb(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Linear values of sRGB values in 0..1 (IEC 61966-2-1)."""
    encoded = np.asarray(values, dtype=np.float64)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encode_srgb(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """SRGB values of linear values in 0..1 (IEC 61966-2-1)."""
    linear = np.asarray(values, dtype=np.float64)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _tags(profile: bytes, space: bytes) -> Mapping[bytes, bytes] | None:
    """Tags of a profile for devices of a color space, whose values are XYZ (ICC.1:2022, 7)."""
    if not 132 <= len(profile) <= _MOST_BYTES or profile[36:40] != b"acsp":
        return None
    if profile[16:20] != space or profile[20:24] != b"XYZ ":
        return None
    (count,) = struct.unpack_from(">I", profile, 128)
    if count > _MOST_TAGS or len(profile) < 132 + 12 * count:
        return None
    entries = struct.iter_unpack(">4sII", profile[132 : 132 + 12 * count])
    return {name: profile[offset : offset + size] for name, offset, size in entries}


def _xyz(tag: bytes) -> npt.NDArray[np.float64]:
    if tag[:4] != b"XYZ ":
        raise ValueError("not a color")
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _curve(tag: bytes) -> Curve:
    """Sample a tone curve at `_POINTS`; raises ValueError if it is not an increasing one."""
    kinds = {b"curv": _sampled, b"para": _parametric}
    if tag[:4] not in kinds:
        raise ValueError("not a curve")
    with np.errstate(all="ignore"):
        values = np.clip(kinds[tag[:4]](tag), 0.0, 1.0)
    # A plateau, as at black, is inverted to one of its points.
    if not np.isfinite(values).all() or (np.diff(values) < 0).any() or np.ptp(values) < 0.5:
        raise ValueError("not an increasing curve")
    return values


def _sampled(tag: bytes) -> Curve:
    """CurveType (ICC.1:2022, 10.6): the identity, a power, or a table."""
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return _POINTS
    if count == 1:
        return np.power(_POINTS, struct.unpack_from(">H", tag, 12)[0] / 256)
    table = np.frombuffer(tag[12 : 12 + 2 * count], dtype=">u2") / 65535
    if len(table) != count:
        raise ValueError("too short a table")
    return np.interp(_POINTS, np.linspace(0.0, 1.0, count), table)


def _parametric(tag: bytes) -> Curve:
    """ParametricCurveType (ICC.1:2022, 10.18): a power, with a linear part at its start."""
    kind = struct.unpack_from(">H", tag, 8)[0]
    if kind > 4:
        raise ValueError("unknown kind of curve")
    given = struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)
    g, a, b, c, d, e, f = [value / 65536 for value in given] + [0.0] * (7 - len(given))
    if kind == 0:
        return np.power(_POINTS, g)
    if a == 0.0:
        raise ValueError("a power of nothing")
    # In kinds 1 and 2, `c` offsets both parts, which meet where the base of the power is 0.
    offset, slope, start = (c, 0.0, -b / a) if kind < 3 else (e, c, d)
    power = np.maximum(a * _POINTS + b, 0.0) ** g + offset
    linear = slope * _POINTS + (offset if kind < 3 else f)
    return np.where(start <= _POINTS, power, linear)
