"""The sky, and the lake that mirrors it."""

from __future__ import annotations

import numpy as np

from scenery.looks import Floats, Look
from scenery.noise import Noise, mix, rgb, step


def sky_light(noise: Noise, look: Look, across: Floats, up: Floats) -> Floats:
    """Light of the sky, (..., 3), for view rays (across, up, 1)."""
    norm = np.sqrt(across * across + up * up + 1)
    height = np.clip(up / norm, 0, 1)
    sun = rgb(look.toward_sun) / np.float32(np.linalg.norm(look.toward_sun))
    facing = np.clip((across * sun[0] + up * sun[1] + sun[2]) / norm, -1, 1)
    toward = np.clip(0.5 + 0.5 * facing, 0, 1) ** 3
    glow = mix(rgb(look.horizon_far), rgb(look.horizon_glow), toward)
    light = mix(glow, rgb(look.zenith), 1 - np.exp(-height / (0.10 + 0.10 * toward)))

    # A cloud layer in perspective: it gets denser toward the horizon.
    far = 1 / (height + 0.07)
    u, v = across * far * 0.5 * look.cloud_scale, far * 0.75 * look.cloud_scale
    u = u + 0.7 * noise.fbm(u * 0.8 + 40, v * 0.5, 3)
    puffs = noise.fbm(u + 5, v + 3, 8, gain=0.55)
    # Clouds between a point and the sun darken it.
    before = noise.fbm(u + 5 + 0.2 * np.float32(sun[0]), v + 2.82, 5, gain=0.55)
    edge = 1 - look.cloud_cover
    cover = step(edge - 0.03, edge + 0.20, puffs)
    lit = np.clip(0.62 + 3.2 * (puffs - before) - 1.1 * (puffs - edge), 0, 1)
    cloud = mix(rgb(look.cloud_shade), rgb(look.cloud_lit), lit)
    if look.toward_sun[1] < 0.3:  # a low sun lights only the clouds on its side
        cloud = cloud * (0.45 + 0.75 * toward)[..., None]
    cloud = mix(glow, cloud, step(0.0, 0.22, height))
    light = mix(light, cloud, 0.92 * cover)
    if look.stars:
        cells_x = np.floor(across * 700).astype(np.int32)
        cells_y = np.floor(up * 700).astype(np.int32) + 57 * (cells_x >> 8)
        star = np.clip(noise.hashed(cells_x, cells_y) - 0.998, 0, 1) / 0.002
        light = light + (look.stars * star**2 * (1 - cover) * step(0.05, 0.3, height))[..., None]
    return light.astype(np.float32)


def lake_light(
    noise: Noise, look: Look, dry: Floats, x: Floats, z: Floats, horizon: float
) -> Floats:
    """Color of the lake, (H, W, 3): the picture above it, upside down and rippled."""
    height, width = z.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    waves = noise.fbm(x / 2.6, z / 0.9, 4, gain=0.6) - 0.5
    swell = noise.fbm(x / 45, z / 45, 3)
    strength = height * (0.012 + 0.10 * step(250, 10, z)) * (0.35 + 1.3 * swell)
    mirrored = np.zeros_like(dry)
    for spread in (0.4, 0.8, 1.2, 1.6):
        at = np.abs(2 * horizon - rows) - strength * (spread * (0.5 + waves))
        row = np.clip(at, 0, max(horizon - 1, 0)).astype(np.int32)
        shift = (strength * 0.25 * waves).astype(np.int32)
        column = np.clip(np.arange(width, dtype=np.int32) + shift, 0, width - 1)
        mirrored += dry[row, column] / 4
    grazing = np.float32(look.camera) / np.maximum(z, 1)
    mirror = np.clip(0.94 - 1.5 * grazing - 0.25 * np.abs(waves), 0.35, 1)
    deep = rgb(look.ambient) * rgb((0.05, 0.20, 0.24))
    return mix(np.broadcast_to(deep, mirrored.shape), mirrored, mirror)
