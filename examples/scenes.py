"""Landscape pictures rendered from noise, with the exact region of every pixel.

``python examples/scenes.py OUT_DIR`` writes ``noon.png``, ``dusk.png`` and their label maps
``noon_mask.png`` and ``dusk_mask.png``. The scenes are free of third-party rights, a seed always
gives the same picture, and no two scenes share a layout, so that only the masks match their
regions.

The camera stands above the origin and looks along +z over a height field; distances are meters.
A picture column is a vertical plane through the camera, so its heights are sampled once, at
distances that grow by a constant factor, and a bisection per pixel then finds the visible point.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from scenery.air import lake_light, sky_light
from scenery.land import look_up, plant_trees, surface_of
from scenery.looks import (
    FOCAL,
    LOOKS,
    OVERSAMPLING,
    REGIONS,
    SKY,
    TIMES,
    WATER,
    Bytes,
    Floats,
    Look,
    Time,
)
from scenery.noise import Noise, rgb


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
    """Downscale labels by a vote in 5x5 neighborhoods, which removes specks of a pixel or two."""
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

    surface = surface_of(noise, look, across, steps=max(200, rows))
    step, back, hit = look_up(surface, look, up)

    def seen(values: Floats) -> Floats:
        column = np.arange(columns)[None, :]
        share = back[..., None] if values.ndim == 3 else back
        now: Floats = values[step, column]
        value: Floats = now + (values[step - 1, column] - now) * share
        return value

    x, z = seen(surface.x), seen(surface.z)
    sky = sky_light(noise, look, *np.broadcast_arrays(across[None, :], up[:, None]))
    # Haze has the color of the sky just over the horizon, and blue light scatters first.
    air = sky_light(noise, look, across[None, :], np.full((1, 1), 0.02, np.float32))
    clear = np.exp(-z[..., None] / (look.haze * rgb((1.25, 1.0, 0.75))))
    hazed = seen(surface.color) * clear + air * (1 - clear)
    light = np.where(hit[..., None], hazed, sky)
    labels = np.where(hit, surface.label[step, np.arange(columns)[None, :]], SKY)
    wet = labels == WATER
    lake = lake_light(noise, look, light, x, z, horizon)
    lake = lake * clear + air * (1 - clear)
    light = np.where(wet[..., None], lake, light)

    rng = np.random.default_rng(look.seed)
    labels = labels.astype(np.uint8)
    plant_trees(noise, look, light, labels, rng)
    return _develop(_shrink(light, OVERSAMPLING), look, rng), _settle(labels, OVERSAMPLING)


def mask_image(labels: Bytes) -> Bytes:
    """Paint labels, uint8 (H, W), in the colors of ``REGIONS``: uint8 RGB (H, W, 3)."""
    colors = np.array([color for _, color in REGIONS], np.uint8)
    painted: Bytes = colors[labels]
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
        # PNG, never JPEG, whose compression would add colors along the borders.
        mask = Image.fromarray(mask_image(labels))
        mask.save(options.out / f"{time}_mask.png", optimize=True)
        print(f"{time}: {picture.shape[1]}x{picture.shape[0]}")


if __name__ == "__main__":
    main()
