"""Looks as 3D lookup tables (LUTs), for use in other programs.

A table has a value at every point of a lattice in the color cube and is trilinear in between. It
is fitted to pairs of colors before and after in two steps: the least-squares affine map, then the
residual by least squares on the lattice values interpolated at the colors before (Garcia, Arora
and Gupta, "Lattice Regression", NIPS 2009), with the second differences of the lattice as a
penalty. Away from the observed colors the table tends smoothly to the affine map.

File formats: .cube (Adobe, "Cube LUT Specification" 1.0, 2013), read by Lightroom, DaVinci Resolve
and ffmpeg's `lut3d`, and the Hald image (E. Ström, "HaldCLUT") of ffmpeg, RawTherapee and GIMP.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, cg

from photoreal.errors import InvalidOption, NumericalError

Colors = npt.NDArray[np.float32]  # (N, 3), RGB in 0..1
Table = npt.NDArray[np.float32]  # (n, n, n, 3), indexed by red, green, blue of the color before

POINTS = 33
"""Points per side; every program reads this size."""
FEWEST, MOST = 2, 65
HALD_LEVEL = 8
"""Hald level: an image of 512 x 512 pixels with 64 points per side."""

_SMOOTH = 1e-3
"""Weight of the smoothness penalty relative to one color sample."""
_SMALL = 1e-3
"""Weight of the residual itself in the penalty: it decays to 0 away from all colors."""
_RIDGE = 1e-5  # variance
_PRECISION, _STEPS = 1e-4, 300
_FAINT = 0.1  # changes of this size are fitted with that precision, smaller ones less exactly


def fit_table(before: Colors, after: Colors, points: int = POINTS) -> Table:
    """Fit a table that maps colors `before` (N, 3) to `after` (N, 3), both in 0..1.

    Raises InvalidOption for an unsupported number of points, NumericalError when the fit does not
    converge.
    """
    check_points(points)
    weights = _interpolation(before, points)
    straight = _affine(before.astype(np.float64), after.astype(np.float64))
    grid = identity_table(points).reshape(-1, 3).astype(np.float64)
    rest = after - _with_one(before.astype(np.float64)) @ straight
    share = len(before) / points**3
    penalty = _SMOOTH * max(share, 1e-3)

    def normal(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        lattice = values.reshape(points, points, points)
        bent = sum(_bending(lattice, axis) for axis in range(3))
        seen = weights.T @ (weights @ values)
        return np.asarray(seen + penalty * (np.ravel(bent) + _SMALL * values))

    size = points**3
    operator = LinearOperator((size, size), matvec=normal, dtype=np.float64)
    enough = _PRECISION * _FAINT * float(np.linalg.norm(weights.T @ np.ones(len(before))))
    columns = []
    for channel in range(3):
        goal = weights.T @ rest[:, channel]
        found, failed = cg(operator, goal, rtol=_PRECISION, atol=enough, maxiter=_STEPS)
        if failed < 0 or not np.isfinite(found).all():
            raise NumericalError("no table fits its colors; another content photo may do.")
        columns.append(found)
    table = _with_one(grid) @ straight + np.stack(columns, axis=1)
    inside = np.clip(table, 0.0, 1.0).astype(np.float32)
    return np.asarray(inside.reshape(points, points, points, 3))


def check_points(points: int) -> None:
    """Raise InvalidOption for an unsupported number of points."""
    if not FEWEST <= points <= MOST:
        raise InvalidOption(
            f"A table of {points} points a side was asked for; expected {FEWEST} to {MOST}."
        )


def identity_table(points: int = POINTS) -> Table:
    """Return the identity table."""
    steps = np.linspace(0.0, 1.0, points, dtype=np.float32)
    table: Table = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    return table


def apply_table(table: Table, colors: Colors) -> Colors:
    """Apply a table to colors (N, 3) in 0..1 by trilinear interpolation."""
    places = np.clip(colors, 0.0, 1.0).T * np.float32(len(table) - 1)
    channels = [map_coordinates(table[..., k], places, order=1) for k in range(3)]
    return np.asarray(np.stack(channels, axis=1), dtype=np.float32)


def cube_text(table: Table, title: str) -> str:
    """Format a table as the text of a .cube file, with red changing fastest."""
    name = "".join(letter for letter in title if letter.isprintable() and letter != '"')[:60]
    rows = table.transpose(2, 1, 0, 3).reshape(-1, 3)
    lines = [f'TITLE "{name}"', f"LUT_3D_SIZE {len(table)}", "DOMAIN_MIN 0 0 0", "DOMAIN_MAX 1 1 1"]
    lines += [f"{red:.6f} {green:.6f} {blue:.6f}" for red, green, blue in rows.tolist()]
    return "\n".join(lines) + "\n"


def hald_picture(table: Table, level: int = HALD_LEVEL) -> npt.NDArray[np.uint8]:
    """Convert a table to a Hald image (level**3, level**3, 3) with level**2 points per side."""
    grid = identity_table(level**2).transpose(2, 1, 0, 3).reshape(-1, 3)
    values = np.rint(apply_table(table, grid) * 255.0).astype(np.uint8)
    return np.asarray(values.reshape(level**3, level**3, 3))


def _affine(
    before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Least-squares affine map (4, 3); directions without color samples are left unchanged."""
    centered = before - before.mean(axis=0)
    covariance = centered.T @ centered / len(before) + _RIDGE * np.eye(3)
    shared = centered.T @ (after - after.mean(axis=0)) / len(before) + _RIDGE * np.eye(3)
    matrix = np.linalg.solve(covariance, shared)
    return np.vstack([matrix, after.mean(axis=0) - before.mean(axis=0) @ matrix])


def _with_one(colors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.hstack([colors, np.ones((len(colors), 1))])


def _interpolation(colors: Colors, points: int) -> csr_array:
    """Matrix (N, points**3) of trilinear weights of the lattice points at colors (N, 3)."""
    places = np.clip(colors.astype(np.float64), 0.0, 1.0) * (points - 1)
    low = np.minimum(places.astype(np.int64), points - 2)
    far = places - low
    columns, values = [], []
    for corner in np.ndindex(2, 2, 2):
        index = low + corner
        columns.append((index[:, 0] * points + index[:, 1]) * points + index[:, 2])
        values.append(np.where(corner, far, 1.0 - far).prod(axis=1))
    starts = np.arange(0, 8 * len(colors) + 1, 8)
    entries = (np.stack(values, axis=1).ravel(), np.stack(columns, axis=1).ravel(), starts)
    return csr_array(entries, shape=(len(colors), points**3))


def _bending(lattice: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    """Gradient of half the sum of squared second differences along an axis."""
    values = np.moveaxis(lattice, axis, 0)
    second = values[:-2] - 2.0 * values[1:-1] + values[2:] if len(values) > 2 else values[:0]
    bent = np.zeros_like(values)
    if len(values) > 2:
        bent[:-2] += second
        bent[1:-1] -= 2.0 * second
        bent[2:] += second
    return np.moveaxis(bent, 0, axis)
