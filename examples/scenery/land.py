"""Land: heights, shadows, the visible surface of each pixel, and trees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scenery.looks import (
    FARTHEST,
    FOCAL,
    GROUND,
    NEAREST,
    TERRAIN,
    VEGETATION,
    WATER,
    Bytes,
    Floats,
    Look,
)
from scenery.noise import Noise, mix, rgb, step


def land_heights(noise: Noise, look: Look, x: Floats, z: Floats, octaves: int) -> Floats:
    """Heights of the bare land above the lake, any shape; below 0 is water."""
    wander = noise.fbm(x / 420 + 7, z / 420, 3) - 0.5
    near = z * (1 + 0.9 * wander) + 0.10 * np.abs(x)
    # The ground falls from the camera's feet to the shore, higher on one side than the other.
    side = 0.5 * noise(x / 90, z / 300) + 0.35
    ground = look.camera * 0.8 * side * (1 - near / look.near_shore)
    ground = np.where(ground < 0, ground * 1.5, ground)
    far = z + 900 * wander + 0.25 * np.abs(x)
    rise = step(look.far_shore, look.far_shore + 5200, far)
    hills = 60 * step(look.far_shore, look.far_shore + 500, far)
    hills = hills * (0.3 + noise.fbm(x / 500 + 3, z / 500, 4))
    massif = 0.25 + 1.5 * step(0.25, 0.8, noise(x / 4200 + 60, z / 6500))
    mountains = look.peaks * rise * massif * noise.ridged(x / 3600, z / 3600 + 0.4, octaves)
    bed = -6 - 4 * wander
    return np.maximum(ground, np.where(far > look.far_shore, mountains + hills + 0.5, bed))


def shade_map(noise: Noise, look: Look, x: Floats, z: Floats) -> Floats:
    """Share of sunlight, 0 to 1, that the mountains let through to points of the land."""
    side, reach = 640, 2 * FARTHEST
    sx, sy, sz = look.toward_sun
    flat = float(np.hypot(sx, sz))
    ux, uz = sx / flat, sz / flat
    # In a grid turned toward the sun, a shadow is one running maximum along the rows.
    axis = (np.arange(side, dtype=np.float32) / (side - 1) - 0.5) * np.float32(reach)
    u, v = axis[:, None], axis[None, :]
    middle = FARTHEST / 2
    heights = land_heights(noise, look, u * ux - v * uz, u * uz + v * ux + middle, 6)
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


@dataclass(frozen=True)
class Surface:
    """Samples of the land, (S, W) per step and column, with colors (S, W, 3)."""

    x: Floats
    z: Floats
    height: Floats
    color: Floats
    label: Bytes


def surface_of(noise: Noise, look: Look, across: Floats, steps: int) -> Surface:
    """Sample the land below every picture column; ``across`` is the rays' x/z, (W,)."""
    z = np.geomspace(NEAREST, FARTHEST, steps).astype(np.float32)[:, None]
    x = z * across[None, :]
    z = np.broadcast_to(z, x.shape)
    land = land_heights(noise, look, x, z, 9)
    near = (z < look.near_shore * 2.5) & (land > -2)
    # Rocks break through the ground nearby; grass is too thin, so noise stands for it.
    rugged = noise.fbm(x / 7 + 90, z / 7, 6, gain=0.55)
    rocky = np.where(near, step(0.52, 0.74, rugged + 0.5 * (noise(x / 45 + 8, z / 45) - 0.55)), 0)
    tufts = noise.fbm(x * 1.7, z * 0.8, 5, gain=0.7)
    bulge = 1.8 * rocky * (rugged - 0.20) + 0.35 * rocky * noise.fbm(x / 1.1, z / 1.1, 4)
    land = land + np.where(near, bulge + 0.35 * (tufts - 0.5) * (1 - rocky), 0)

    # Slopes: along a row of the lattice z is constant, along a column it follows the ray.
    by_x = np.gradient(land, axis=1) / np.gradient(x, axis=1)
    by_z = np.gradient(land, axis=0) / np.gradient(z, axis=0) - across * by_x
    normal_y = 1 / np.sqrt(1 + by_x**2 + by_z**2)
    sun = rgb(look.toward_sun) / np.float32(np.linalg.norm(look.toward_sun))
    facing = (sun[1] - sun[0] * by_x - sun[2] * by_z) * normal_y
    shade = shade_map(noise, look, x, z)

    # Bare land: rock, with snow on what is high and flat, and scree that varies its color.
    patches = noise.fbm(x / 160, z / 160, 5)
    rock = mix(rgb((0.19, 0.17, 0.155)), rgb((0.36, 0.33, 0.30)), patches)
    snow = step(-60, 160, land + 500 * (patches - 0.5) - look.snow_line)
    snow = snow * step(0.50, 0.72, normal_y)
    albedo = mix(rock, rgb((0.90, 0.92, 0.95)), snow)
    label = np.full(land.shape, TERRAIN, np.uint8)

    # The ground nearby: a meadow with bare patches, and its rocks.
    meadow = mix(rgb((0.07, 0.12, 0.025)), rgb((0.24, 0.25, 0.07)), patches)
    earth = step(0.52, 0.66, noise.fbm(x / 14 + 2, z / 14, 5))
    meadow = mix(meadow, rgb((0.24, 0.19, 0.13)), 0.7 * earth) * (0.4 + 1.2 * tufts)[..., None]
    stone = rgb((0.30, 0.28, 0.26)) * (0.35 + 1.2 * noise.fbm(x * 2.3, z * 2.3, 4))[..., None]
    albedo = np.where(
        near[..., None], mix(meadow, stone, step(0.15, 0.5, rocky + 0.3 * (tufts - 0.5))), albedo
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
    leaf = mix(rgb((0.035, 0.065, 0.028)), rgb((0.105, 0.135, 0.045)), own)
    albedo = np.where(tree[..., None], leaf * (0.35 + 1.1 * cone)[..., None], albedo)
    aside = 1.6 * (dx * sun[0] + dz * sun[2]) + 0.5 * sun[1] + 0.25
    facing = np.where(tree, 0.5 * aside + 0.5 * facing, facing)
    label[tree | wood] = VEGETATION

    water = (height <= 0) & (z > NEAREST * 1.5)
    label[water] = WATER
    height = np.where(water, 0, height).astype(np.float32)
    open_sky = (0.45 + 0.55 * normal_y)[..., None]
    direct = (np.clip(facing, 0, 1) * shade)[..., None]
    color = albedo * (rgb(look.sun) * direct + rgb(look.ambient) * open_sky)
    return Surface(x, z, height, color.astype(np.float32), label)


def look_up(
    surface: Surface, look: Look, up: Floats
) -> tuple[npt.NDArray[np.int32], Floats, npt.NDArray[np.bool_]]:
    """Find the step that each pixel shows.

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


def plant_trees(
    noise: Noise, look: Look, light: Floats, labels: Bytes, rng: np.random.Generator
) -> None:
    """Draw the groves nearby over light (H, W, 3) and labels (H, W), the farthest tree first."""
    rows, columns = labels.shape
    focal, horizon = FOCAL * columns, look.horizon * rows
    sun = rgb(look.toward_sun) / np.float32(np.linalg.norm(look.toward_sun))
    trees = [
        (look.near_shore * rng.uniform(0.45, 0.85), rng.uniform(low, high), rng.uniform(0.7, 1.15))
        for low, high, count in look.trees
        for _ in range(count)
    ]
    for z, across, size in sorted(trees, reverse=True):
        place = np.array([across * z], np.float32), np.array([z], np.float32)
        base = float(land_heights(noise, look, *place, 2)[0])
        # In pixels: the foot of the trunk, and the height of the tree.
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
        leaf = rgb((0.050, 0.085, 0.030)) * np.float32(rng.uniform(0.8, 1.25))
        shown = leaf * (rgb(look.sun) * lit[..., None] + rgb(look.ambient) * 0.6)
        bark = rgb((0.11, 0.085, 0.065)) * (0.3 * rgb(look.sun) + rgb(look.ambient))
        shown = np.where(inside[..., None], shown, bark)
        drawn = inside | trunk
        window = slice(top, bottom), slice(left, right)
        light[window] = np.where(drawn[..., None], shown, light[window])
        labels[window] = np.where(drawn, VEGETATION, labels[window])
