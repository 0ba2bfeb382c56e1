"""Landscape pictures rendered from noise, with the exact region of every pixel.

``python examples/scenes.py OUT_DIR`` writes ``noon.png``, ``dusk.png`` and their label maps
``noon_mask.png`` and ``dusk_mask.png``. Nobody else has rights in the scenes, a seed always gives
the same picture, and no two of them share a layout: matching their regions takes the masks.

The camera stands above the origin and looks along +z over a height field; distances are metres.
A picture column is a vertical plane through the camera, so its heights are sampled once, at
distances that grow by a constant factor, and a bisection per pixel then finds what it shows.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats: TypeAlias = npt.NDArray[np.float32]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Colour: TypeAlias = tuple[float, float, float]
Time = Literal["noon", "dusk", "night"]

TIMES: Final[tuple[Time, ...]] = get_args(Time)

REGIONS: Final[tuple[tuple[str, tuple[int, int, int]], ...]] = (
    ("sky", (0, 0, 255)),
    ("terrain", (128, 128, 128)),
    ("vegetation", (0, 255, 0)),
    ("water", (0, 255, 255)),
    ("ground", (255, 255, 0)),
)
"""The region that each label stands for, and its colour in a mask; the index is the label."""

SKY, TERRAIN, VEGETATION, WATER, GROUND = range(len(REGIONS))

OVERSAMPLING = 2
NEAREST, FARTHEST = 4.0, 16000.0
FOCAL = 0.95
"""Focal length over the picture's width: a horizontal angle of view of 55 degrees."""


@dataclass(frozen=True)
class Look:
    """Light and layout of a scene. Colours are linear light, (R, G, B), about 0 to 3."""

    seed: int
    camera: float  # height over the lake
    horizon: float  # row of the horizon over the picture's height
    near_shore: float  # distance where the ground in front of the camera ends
    far_shore: float
    peaks: float  # height of the mountains
    snow_line: float
    toward_sun: tuple[float, float, float]  # x to the right, y up, z away from the camera
    sun: Colour
    ambient: Colour
    zenith: Colour
    horizon_glow: Colour  # on the side of the sun
    horizon_far: Colour
    cloud_lit: Colour
    cloud_shade: Colour
    cloud_cover: float
    cloud_scale: float  # clouds get smaller as it grows
    trees: tuple[tuple[float, float, int], ...]  # groves nearby: x/z from, to, and how many
    haze: float  # distance over which haze takes over 63 % of the light
    exposure: float
    contrast: float = 0.3  # slope that the middle tones gain
    stars: float = 0.0


LOOKS: Final[dict[Time, Look]] = {
    "noon": Look(
        seed=11,
        camera=34.0,
        horizon=0.50,
        near_shore=300.0,
        far_shore=1500.0,
        peaks=2300.0,
        snow_line=900.0,
        toward_sun=(-0.85, 0.75, 0.05),
        sun=(2.6, 2.4, 2.05),
        ambient=(0.20, 0.29, 0.45),
        zenith=(0.10, 0.26, 0.66),
        horizon_glow=(0.72, 0.85, 1.0),
        horizon_far=(0.62, 0.78, 0.98),
        cloud_lit=(1.75, 1.75, 1.75),
        cloud_shade=(0.72, 0.80, 0.95),
        cloud_cover=0.53,
        cloud_scale=2.1,
        trees=((-0.53, -0.36, 7), (0.42, 0.55, 5)),
        haze=17000.0,
        exposure=0.85,
        contrast=0.5,
    ),
    "dusk": Look(
        seed=29,
        camera=12.0,
        horizon=0.56,
        near_shore=85.0,
        far_shore=1900.0,
        peaks=1150.0,
        snow_line=900.0,
        toward_sun=(0.93, 0.17, 0.33),
        sun=(1.7, 0.72, 0.26),
        ambient=(0.13, 0.12, 0.21),
        zenith=(0.04, 0.08, 0.26),
        horizon_glow=(2.9, 1.05, 0.24),
        horizon_far=(0.60, 0.24, 0.28),
        cloud_lit=(2.1, 0.66, 0.28),
        cloud_shade=(0.19, 0.13, 0.23),
        cloud_cover=0.52,
        cloud_scale=1.25,
        trees=((-0.53, -0.36, 5), (0.40, 0.52, 3)),
        haze=16000.0,
        exposure=1.05,
        contrast=0.6,
    ),
    "night": Look(
        seed=43,
        camera=20.0,
        horizon=0.56,
        near_shore=120.0,
        far_shore=1700.0,
        peaks=1000.0,
        snow_line=560.0,
        toward_sun=(-0.6, 0.6, -0.2),
        sun=(0.16, 0.19, 0.26),
        ambient=(0.018, 0.026, 0.055),
        zenith=(0.008, 0.016, 0.05),
        horizon_glow=(0.07, 0.09, 0.15),
        horizon_far=(0.04, 0.06, 0.12),
        cloud_lit=(0.12, 0.14, 0.20),
        cloud_shade=(0.03, 0.04, 0.07),
        cloud_cover=0.42,
        cloud_scale=1.4,
        trees=((0.25, 0.55, 9),),
        haze=14000.0,
        exposure=1.4,
        stars=1.0,
    ),
}


class Noise:
    """Smooth random numbers over the plane, the same for the same seed."""

    _SIDE = 256

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._table = rng.random(self._SIDE * self._SIDE, dtype=np.float32)

    def hashed(self, i: npt.NDArray[np.int32], j: npt.NDArray[np.int32]) -> Floats:
        """One number in [0, 1) for each integer cell, of any shape."""
        side = self._SIDE
        found: Floats = self._table[(i & (side - 1)) + (j & (side - 1)) * side]
        return found

    def __call__(self, x: Floats, y: Floats) -> Floats:
        """Value noise in [0, 1) at positions of any common shape, one bump per unit."""
        floor_x, floor_y = np.floor(x), np.floor(y)
        i, j = floor_x.astype(np.int32), floor_y.astype(np.int32)
        u, v = x - floor_x, y - floor_y
        u = u * u * u * (u * (u * 6 - 15) + 10)
        v = v * v * v * (v * (v * 6 - 15) + 10)
        low, high = self.hashed(i, j), self.hashed(i, j + 1)
        low = low + u * (self.hashed(i + 1, j) - low)
        high = high + u * (self.hashed(i + 1, j + 1) - high)
        value: Floats = low + v * (high - low)
        return value

    def fbm(self, x: Floats, y: Floats, octaves: int, gain: float = 0.5) -> Floats:
        """Add up octaves in [0, 1), each one turned so that no grid shows."""
        total = np.zeros(np.broadcast(x, y).shape, np.float32)
        weight, weights = 1.0, 0.0
        for _ in range(octaves):
            total += np.float32(weight) * self(x, y)
            weights += weight
            weight *= gain
            x, y = 1.62 * x - 1.21 * y + 17.3, 1.21 * x + 1.62 * y + 9.7
        return total / np.float32(weights)

    def ridged(self, x: Floats, y: Floats, octaves: int) -> Floats:
        """Sharp crests and smooth valleys, about 0 to 1, like eroded mountains."""
        total = np.zeros(np.broadcast(x, y).shape, np.float32)
        carry = np.float32(1.0)
        weight, weights = 1.0, 0.0
        for _ in range(octaves):
            crest = (1 - np.abs(2 * self(x, y) - 1)) ** 2
            total += np.float32(weight) * crest * carry
            # Detail belongs on the crests: water has smoothed the valleys.
            carry = np.clip(1.6 * crest, 0.15, 1)
            weights += weight
            weight *= 0.48
            x, y = 1.62 * x - 1.21 * y + 31.9, 1.21 * x + 1.62 * y + 5.1
        return total / np.float32(weights)

    def bumps(self, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
        """Find the nearest of randomly placed points, one per unit cell.

        Returns the offset (dx, dy) from it, and its own number in [0, 1).
        """
        i, j = np.floor(x - 0.5).astype(np.int32), np.floor(y - 0.5).astype(np.int32)
        best = np.full(x.shape, np.inf, np.float32)
        best_dx, best_dy, own = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
        for di in (0, 1):
            for dj in (0, 1):
                a, b = i + di, j + dj
                dx = x - (a + 0.2 + 0.6 * self.hashed(a + 71, b)).astype(np.float32)
                dy = y - (b + 0.2 + 0.6 * self.hashed(a, b + 37)).astype(np.float32)
                distance = dx * dx + dy * dy
                nearer = distance < best
                best = np.where(nearer, distance, best)
                best_dx, best_dy = np.where(nearer, dx, best_dx), np.where(nearer, dy, best_dy)
                own = np.where(nearer, self.hashed(a + 13, b + 97), own)
        return best_dx, best_dy, own


def _step(low: float, high: float, value: Floats) -> Floats:
    """Go smoothly from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _rgb(colour: Colour) -> Floats:
    return np.asarray(colour, np.float32)


def _mix(first: Floats, second: Floats, share: Floats) -> Floats:
    """Blend two colours, (..., 3) or (3,), by a share in [0, 1] without the last axis."""
    return first + (second - first) * share[..., None]


def _land(noise: Noise, look: Look, x: Floats, z: Floats, octaves: int) -> Floats:
    """Heights of the bare land over the lake, any shape; below 0 there is water."""
    wander = noise.fbm(x / 420 + 7, z / 420, 3) - 0.5
    near = z * (1 + 0.9 * wander) + 0.10 * np.abs(x)
    # The ground falls from the camera's feet to the shore, higher on one side than the other.
    side = 0.5 * noise(x / 90, z / 300) + 0.35
    ground = look.camera * 0.8 * side * (1 - near / look.near_shore)
    ground = np.where(ground < 0, ground * 1.5, ground)
    far = z + 900 * wander + 0.25 * np.abs(x)
    rise = _step(look.far_shore, look.far_shore + 5200, far)
    hills = 60 * _step(look.far_shore, look.far_shore + 500, far)
    hills = hills * (0.3 + noise.fbm(x / 500 + 3, z / 500, 4))
    massif = 0.25 + 1.5 * _step(0.25, 0.8, noise(x / 4200 + 60, z / 6500))
    mountains = look.peaks * rise * massif * noise.ridged(x / 3600, z / 3600 + 0.4, octaves)
    bed = -6 - 4 * wander
    return np.maximum(ground, np.where(far > look.far_shore, mountains + hills + 0.5, bed))


def _shade_map(noise: Noise, look: Look, x: Floats, z: Floats) -> Floats:
    """Share of sunlight, 0 to 1, that the mountains let through to points of the land."""
    side, reach = 640, 2 * FARTHEST
    sx, sy, sz = look.toward_sun
    flat = float(np.hypot(sx, sz))
    ux, uz = sx / flat, sz / flat
    # In a grid turned toward the sun, a shadow is one running maximum along the rows.
    axis = (np.arange(side, dtype=np.float32) / (side - 1) - 0.5) * np.float32(reach)
    u, v = axis[:, None], axis[None, :]
    middle = FARTHEST / 2
    heights = _land(noise, look, u * ux - v * uz, u * uz + v * ux + middle, 6)
    line = heights.copy()
    drop = np.float32(reach / (side - 1) * sy / flat)
    for row in range(side - 2, -1, -1):
        np.maximum(heights[row], line[row + 1] - drop, out=line[row])
    light = 1 - np.clip((line - heights) / 40, 0, 1)
    ahead = z - middle
    at_u = np.clip((x * ux + ahead * uz) / reach + 0.5, 0, 1) * (side - 1.001)
    at_v = np.clip((ahead * ux - x * uz) / reach + 0.5, 0, 1) * (side - 1.001)
    i, j = at_u.astype(np.int32), at_v.astype(np.int32)
    p, q = at_u - i, at_v - j
    low = light[i, j] * (1 - p) + light[i + 1, j] * p
    high = light[i, j + 1] * (1 - p) + light[i + 1, j + 1] * p
    share: Floats = (low * (1 - q) + high * q).astype(np.float32)
    return share


def _sky(noise: Noise, look: Look, across: Floats, up: Floats) -> Floats:
    """Light of the sky, (..., 3), for view rays (across, up, 1)."""
    norm = np.sqrt(across * across + up * up + 1)
    height = np.clip(up / norm, 0, 1)
    sun = _rgb(look.toward_sun) / np.float32(np.linalg.norm(look.toward_sun))
    facing = np.clip((across * sun[0] + up * sun[1] + sun[2]) / norm, -1, 1)
    toward = np.clip(0.5 + 0.5 * facing, 0, 1) ** 3
    glow = _mix(_rgb(look.horizon_far), _rgb(look.horizon_glow), toward)
    light = _mix(glow, _rgb(look.zenith), 1 - np.exp(-height / (0.10 + 0.10 * toward)))

    # A layer of cloud seen in perspective: it crowds toward the horizon.
    far = 1 / (height + 0.07)
    u, v = across * far * 0.5 * look.cloud_scale, far * 0.75 * look.cloud_scale
    u = u + 0.7 * noise.fbm(u * 0.8 + 40, v * 0.5, 3)
    puffs = noise.fbm(u + 5, v + 3, 8, gain=0.55)
    # What lies between a piece of cloud and the sun dims it.
    before = noise.fbm(u + 5 + 0.2 * np.float32(sun[0]), v + 2.82, 5, gain=0.55)
    edge = 1 - look.cloud_cover
    cover = _step(edge - 0.03, edge + 0.20, puffs)
    lit = np.clip(0.62 + 3.2 * (puffs - before) - 1.1 * (puffs - edge), 0, 1)
    cloud = _mix(_rgb(look.cloud_shade), _rgb(look.cloud_lit), lit)
    if look.toward_sun[1] < 0.3:  # a low sun lights only the clouds on its side
        cloud = cloud * (0.45 + 0.75 * toward)[..., None]
    cloud = _mix(glow, cloud, _step(0.0, 0.22, height))
    light = _mix(light, cloud, 0.92 * cover)
    if look.stars:
        cells_x = np.floor(across * 700).astype(np.int32)
        cells_y = np.floor(up * 700).astype(np.int32) + 57 * (cells_x >> 8)
        star = np.clip(noise.hashed(cells_x, cells_y) - 0.998, 0, 1) / 0.002
        light = light + (look.stars * star**2 * (1 - cover) * _step(0.05, 0.3, height))[..., None]
    return light.astype(np.float32)


@dataclass(frozen=True)
class _Surface:
    """What the columns cross, (S, W) per step and column, with colours (S, W, 3)."""

    x: Floats
    z: Floats
    height: Floats
    colour: Floats
    label: Bytes


def _surface(noise: Noise, look: Look, across: Floats, steps: int) -> _Surface:
    """Sample the land below every picture column; ``across`` is the rays' x/z, (W,)."""
    z = np.geomspace(NEAREST, FARTHEST, steps).astype(np.float32)[:, None]
    x = z * across[None, :]
    z = np.broadcast_to(z, x.shape)
    land = _land(noise, look, x, z, 9)
    near = (z < look.near_shore * 2.5) & (land > -2)
    # Rocks break through the ground nearby; grass is too thin, so noise stands for it.
    rugged = noise.fbm(x / 7 + 90, z / 7, 6, gain=0.55)
    rocky = np.where(near, _step(0.52, 0.74, rugged + 0.5 * (noise(x / 45 + 8, z / 45) - 0.55)), 0)
    tufts = noise.fbm(x * 1.7, z * 0.8, 5, gain=0.7)
    bulge = 1.8 * rocky * (rugged - 0.20) + 0.35 * rocky * noise.fbm(x / 1.1, z / 1.1, 4)
    land = land + np.where(near, bulge + 0.35 * (tufts - 0.5) * (1 - rocky), 0)

    # Slopes: along a row of the lattice z is constant, along a column it follows the ray.
    by_x = np.gradient(land, axis=1) / np.gradient(x, axis=1)
    by_z = np.gradient(land, axis=0) / np.gradient(z, axis=0) - across * by_x
    normal_y = 1 / np.sqrt(1 + by_x**2 + by_z**2)
    sun = _rgb(look.toward_sun) / np.float32(np.linalg.norm(look.toward_sun))
    facing = (sun[1] - sun[0] * by_x - sun[2] * by_z) * normal_y
    shade = _shade_map(noise, look, x, z)

    # Bare land: rock, with snow on what is high and flat, and scree that varies its colour.
    patches = noise.fbm(x / 160, z / 160, 5)
    rock = _mix(_rgb((0.19, 0.17, 0.155)), _rgb((0.36, 0.33, 0.30)), patches)
    snow = _step(-60, 160, land + 500 * (patches - 0.5) - look.snow_line)
    snow = snow * _step(0.50, 0.72, normal_y)
    albedo = _mix(rock, _rgb((0.90, 0.92, 0.95)), snow)
    label = np.full(land.shape, TERRAIN, np.uint8)

    # The ground nearby: a meadow with bare patches, and its rocks.
    meadow = _mix(_rgb((0.07, 0.12, 0.025)), _rgb((0.24, 0.25, 0.07)), patches)
    earth = _step(0.52, 0.66, noise.fbm(x / 14 + 2, z / 14, 5))
    meadow = _mix(meadow, _rgb((0.24, 0.19, 0.13)), 0.7 * earth) * (0.4 + 1.2 * tufts)[..., None]
    stone = _rgb((0.30, 0.28, 0.26)) * (0.35 + 1.2 * noise.fbm(x * 2.3, z * 2.3, 4))[..., None]
    albedo = np.where(
        near[..., None], _mix(meadow, stone, _step(0.15, 0.5, rocky + 0.3 * (tufts - 0.5))), albedo
    )
    label[near] = GROUND

    # Forest: conifers as cones, on far slopes that are neither steep nor high.
    pace = 7.5
    dx, dz, own = noise.bumps(x / pace, z / pace)
    reach = np.sqrt(dx * dx + dz * dz) * (1.7 + 0.9 * noise(x * 1.9, z * 1.9))
    grown = noise.fbm(x / 330 + 11, z / 330, 4)
    wood = (z > look.far_shore * 0.9) & (land < 430 + 500 * (grown - 0.5)) & (normal_y > 0.62)
    wood &= grown > 0.36
    cone = np.clip(1 - reach, 0, 1)
    tall = (9 + 15 * own) * cone
    tree = wood & (cone > 0.02) & (land > 0.3)
    height = land + np.where(tree, tall, 0)
    leaf = _mix(_rgb((0.035, 0.065, 0.028)), _rgb((0.105, 0.135, 0.045)), own)
    albedo = np.where(tree[..., None], leaf * (0.35 + 1.1 * cone)[..., None], albedo)
    aside = 1.6 * (dx * sun[0] + dz * sun[2]) + 0.5 * sun[1] + 0.25
    facing = np.where(tree, 0.5 * aside + 0.5 * facing, facing)
    label[tree | wood] = VEGETATION

    water = (height <= 0) & (z > NEAREST * 1.5)
    label[water] = WATER
    height = np.where(water, 0, height).astype(np.float32)
    open_sky = (0.45 + 0.55 * normal_y)[..., None]
    direct = (np.clip(facing, 0, 1) * shade)[..., None]
    colour = albedo * (_rgb(look.sun) * direct + _rgb(look.ambient) * open_sky)
    return _Surface(x, z, height, colour.astype(np.float32), label)


def _look_up(
    surface: _Surface, look: Look, up: Floats
) -> tuple[npt.NDArray[np.int32], Floats, npt.NDArray[np.bool_]]:
    """Find the step that each pixel sees.

    ``up`` holds the rays' y/z by row, (H,). Returns the step, how far it lies toward the step
    before, 0 to 1, and whether the pixel sees land or water at all; each (H, W).
    """
    slope = (surface.height - np.float32(look.camera)) / surface.z
    crest = np.maximum.accumulate(slope, axis=0)
    steps, width = slope.shape
    found = np.empty((len(up), width), np.int32)
    for column in range(width):
        found[:, column] = np.searchsorted(crest[:, column], up)
    hit = found < steps
    step = np.clip(found, 1, steps - 1)
    here = np.take_along_axis(slope, step, axis=0)
    before = np.take_along_axis(slope, step - 1, axis=0)
    back = np.clip((here - up[:, None]) / np.maximum(here - before, 1e-9), 0, 1)
    return step, back.astype(np.float32), hit


def _plant(
    noise: Noise, look: Look, light: Floats, labels: Bytes, rng: np.random.Generator
) -> None:
    """Draw the groves nearby over light (H, W, 3) and labels (H, W), the farthest tree first."""
    rows, columns = labels.shape
    focal, horizon = FOCAL * columns, look.horizon * rows
    sun = _rgb(look.toward_sun) / np.float32(np.linalg.norm(look.toward_sun))
    trees = [
        (look.near_shore * rng.uniform(0.45, 0.85), rng.uniform(low, high), rng.uniform(0.7, 1.15))
        for low, high, count in look.trees
        for _ in range(count)
    ]
    for z, across, size in sorted(trees, reverse=True):
        place = np.array([across * z], np.float32), np.array([z], np.float32)
        base = float(_land(noise, look, *place, 2)[0])
        # In pixels: the foot of the trunk, and how tall the tree is.
        foot = horizon - focal * (base - 0.3 - look.camera) / z
        middle = columns / 2 + focal * across
        tall = focal * size * (look.camera * 0.45 + 9) / z
        top, bottom = max(int(foot - tall), 0), min(int(foot) + 1, rows)
        left, right = max(int(middle - 0.3 * tall), 0), min(int(middle + 0.3 * tall), columns)
        if top >= bottom or left >= right:
            continue
        t = ((foot - np.arange(top, bottom, dtype=np.float32)) / tall)[:, None].astype(np.float32)
        u = ((np.arange(left, right, dtype=np.float32) - middle) / tall)[None, :].astype(np.float32)
        t, u = np.broadcast_arrays(t, u)
        own = np.float32(100 * across + z)
        needles = noise.fbm(u * 70 + own, t * 60, 4, gain=0.65)
        # Branches in layers: they hang outward, end in teeth, and each side has its own.
        side = np.where(u > 0, np.float32(3.7), np.float32(0.0)) + own
        layer = t * 23 + np.abs(u) * 30 + 2.2 * noise(t * 15 + own, u * 22 + side)
        tooth = 1 - (layer - np.floor(layer))
        reach = (
            0.20
            * np.clip(1 - t, 0, 1) ** 0.85
            * (0.45 + 0.4 * noise(t * 13 + side, side) + 0.35 * tooth)
        )
        inside = np.abs(u) < reach * (0.55 + 0.9 * needles)
        inside &= (t > 0.05 + 0.12 * noise(u * 25 + own, side)) & (t < 1)
        trunk = (np.abs(u) < 0.010 * (1.1 - t)) & (t >= 0)
        round_off = np.clip(u / np.maximum(reach, 1e-4), -1, 1)
        lit = np.clip(0.30 + 0.55 * round_off * sun[0] + 0.35 * sun[1] - 0.25 * sun[2], 0, 1)
        lit = lit * (0.55 + 0.6 * tooth) * (3.2 * needles - 0.6).clip(0.1, 2.5)
        leaf = _rgb((0.050, 0.085, 0.030)) * np.float32(rng.uniform(0.8, 1.25))
        shown = leaf * (_rgb(look.sun) * lit[..., None] + _rgb(look.ambient) * 0.6)
        bark = _rgb((0.11, 0.085, 0.065)) * (0.3 * _rgb(look.sun) + _rgb(look.ambient))
        shown = np.where(inside[..., None], shown, bark)
        drawn = inside | trunk
        window = slice(top, bottom), slice(left, right)
        light[window] = np.where(drawn[..., None], shown, light[window])
        labels[window] = np.where(drawn, VEGETATION, labels[window])


def _lake(noise: Noise, look: Look, dry: Floats, x: Floats, z: Floats, horizon: float) -> Floats:
    """Colour of the lake, (H, W, 3): the picture above it, upside down and rippled."""
    height, width = z.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    waves = noise.fbm(x / 2.6, z / 0.9, 4, gain=0.6) - 0.5
    swell = noise.fbm(x / 45, z / 45, 3)
    strength = height * (0.012 + 0.10 * _step(250, 10, z)) * (0.35 + 1.3 * swell)
    mirrored = np.zeros_like(dry)
    for spread in (0.4, 0.8, 1.2, 1.6):
        at = np.abs(2 * horizon - rows) - strength * (spread * (0.5 + waves))
        row = np.clip(at, 0, max(horizon - 1, 0)).astype(np.int32)
        shift = (strength * 0.25 * waves).astype(np.int32)
        column = np.clip(np.arange(width, dtype=np.int32) + shift, 0, width - 1)
        mirrored += dry[row, column] / 4
    grazing = np.float32(look.camera) / np.maximum(z, 1)
    mirror = np.clip(0.94 - 1.5 * grazing - 0.25 * np.abs(waves), 0.35, 1)
    deep = _rgb(look.ambient) * _rgb((0.05, 0.20, 0.24))
    return _mix(np.broadcast_to(deep, mirrored.shape), mirrored, mirror)


def _develop(light: Floats, look: Look, rng: np.random.Generator) -> Bytes:
    """Turn linear light (H, W, 3) into a picture with a film's curve, vignette and grain."""
    height, width = light.shape[:2]
    toned = 1 - np.exp(-1.35 * look.exposure * np.maximum(light, 0))
    shown = np.power(toned, 1 / 2.2)
    shown = shown + look.contrast * (shown - 0.5) * (1 - np.abs(2 * shown - 1))
    v = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    u = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    shown = shown * (1 - 0.07 * (u * u + v * v))[..., None]
    grain = rng.normal(0, 0.006, (height, width, 1)) + rng.normal(0, 0.003, (height, width, 3))
    picture: Bytes = np.clip((shown + grain) * 255 + 0.5, 0, 255).astype(np.uint8)
    return picture


def _shrink(values: Floats, factor: int) -> Floats:
    """Average blocks of ``factor`` by ``factor``: (H, W, C) to (H / factor, W / factor, C)."""
    height, width, channels = values.shape
    blocks = values.reshape(height // factor, factor, width // factor, factor, channels)
    averages: Floats = blocks.mean(axis=(1, 3), dtype=np.float32)
    return averages


def _settle(labels: Bytes, factor: int) -> Bytes:
    """Labels of the small picture by vote in 5x5 neighbourhoods: no specks of a pixel or two."""
    votes = _shrink(np.eye(len(REGIONS), dtype=np.float32)[labels], factor)
    height, width = votes.shape[:2]
    padded = np.pad(votes, ((2, 2), (2, 2), (0, 0)), mode="edge")
    total = 2 * votes
    for dy in range(5):
        for dx in range(5):
            total = total + padded[dy : dy + height, dx : dx + width]
    settled: Bytes = total.argmax(axis=2).astype(np.uint8)
    return settled


def render_scene(
    time: Time, height: int = 512, width: int = 768, seed: int | None = None
) -> tuple[Bytes, Bytes]:
    """Render one landscape.

    Args:
        time: the time of day, which decides the light and, by its seed, the layout.
        height: rows of the picture, at least 16.
        width: columns of the picture, at least 16.
        seed: another layout under the same light.

    Returns:
        The picture, uint8 RGB (height, width, 3), and its labels, uint8 (height, width), which
        are indices into ``REGIONS``.

    Raises:
        ValueError: for an unknown time or a picture of fewer than 16 rows or columns.

    """
    if time not in LOOKS:
        raise ValueError(f"time must be one of {', '.join(TIMES)}, got {time!r}")
    if min(height, width) < 16:
        raise ValueError(f"a scene has at least 16 rows and columns, got {height}x{width}")
    look = LOOKS[time]
    noise = Noise(look.seed if seed is None else seed)
    rows, columns = OVERSAMPLING * height, OVERSAMPLING * width
    horizon = look.horizon * rows
    focal = FOCAL * columns
    across = ((np.arange(columns) + 0.5 - columns / 2) / focal).astype(np.float32)
    up = ((horizon - np.arange(rows) - 0.5) / focal).astype(np.float32)

    surface = _surface(noise, look, across, steps=max(200, rows))
    step, back, hit = _look_up(surface, look, up)

    def seen(values: Floats) -> Floats:
        column = np.arange(columns)[None, :]
        share = back[..., None] if values.ndim == 3 else back
        now: Floats = values[step, column]
        value: Floats = now + (values[step - 1, column] - now) * share
        return value

    x, z = seen(surface.x), seen(surface.z)
    sky = _sky(noise, look, *np.broadcast_arrays(across[None, :], up[:, None]))
    # Haze has the colour of the sky just over the horizon, and blue light scatters first.
    air = _sky(noise, look, across[None, :], np.full((1, 1), 0.02, np.float32))
    clear = np.exp(-z[..., None] / (look.haze * _rgb((1.25, 1.0, 0.75))))
    hazed = seen(surface.colour) * clear + air * (1 - clear)
    light = np.where(hit[..., None], hazed, sky)
    labels = np.where(hit, surface.label[step, np.arange(columns)[None, :]], SKY)
    wet = labels == WATER
    lake = _lake(noise, look, light, x, z, horizon)
    lake = lake * clear + air * (1 - clear)
    light = np.where(wet[..., None], lake, light)

    rng = np.random.default_rng(look.seed)
    labels = labels.astype(np.uint8)
    _plant(noise, look, light, labels, rng)
    return _develop(_shrink(light, OVERSAMPLING), look, rng), _settle(labels, OVERSAMPLING)


def mask_image(labels: Bytes) -> Bytes:
    """Paint labels, uint8 (H, W), in the colours of ``REGIONS``: uint8 RGB (H, W, 3)."""
    colours = np.array([colour for _, colour in REGIONS], np.uint8)
    painted: Bytes = colours[labels]
    return painted


def main() -> None:
    """Write the noon and dusk scenes and their masks into a folder."""
    parser = argparse.ArgumentParser(description="Render landscapes and their region masks.")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--times", nargs="+", choices=TIMES, default=["noon", "dusk"])
    parser.add_argument("--jpeg", action="store_true", help="small pictures instead of exact ones")
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--width", type=int, default=768)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for time in options.times:
        picture, labels = render_scene(time, options.height, options.width)
        shown = Image.fromarray(picture)
        if options.jpeg:
            shown.save(options.out / f"{time}.jpg", quality=92, optimize=True)
        else:
            shown.save(options.out / f"{time}.png")
        # Never as JPEG: it would invent colours along the borders.
        mask = Image.fromarray(mask_image(labels))
        mask.save(options.out / f"{time}_mask.png", optimize=True)
        print(f"{time}: {picture.shape[1]}x{picture.shape[0]}")


if __name__ == "__main__":
    main()
