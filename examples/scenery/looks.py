"""Types, regions, and the light and layout of each scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Color: TypeAlias = tuple[float, float, float]
Time = Literal["noon", "dusk", "night"]

TIMES: Final[tuple[Time, ...]] = get_args(Time)

REGIONS: Final[tuple[tuple[str, tuple[int, int, int]], ...]] = (
    ("sky", (0, 0, 255)),
    ("terrain", (128, 128, 128)),
    ("vegetation", (0, 255, 0)),
    ("water", (0, 255, 255)),
    ("ground", (255, 255, 0)),
)
"""The region of each label, and its color in a mask; the index is the label."""

SKY, TERRAIN, VEGETATION, WATER, GROUND = range(len(REGIONS))

OVERSAMPLING = 2
NEAREST, FARTHEST = 4.0, 16000.0
FOCAL = 0.95
"""Focal length as a fraction of the picture's width: a horizontal field of view of 55 degrees."""


@dataclass(frozen=True)
class Look:
    """Light and layout of a scene. Colors are linear light, (R, G, B), about 0 to 3."""

    seed: int
    camera: float  # height above the lake
    horizon: float  # row of the horizon as a fraction of the height
    near_shore: float  # distance where the ground in front of the camera ends
    far_shore: float
    peaks: float  # height of the mountains
    snow_line: float
    toward_sun: tuple[float, float, float]  # x to the right, y up, z away from the camera
    sun: Color
    ambient: Color
    zenith: Color
    horizon_glow: Color  # on the side of the sun
    horizon_far: Color
    cloud_lit: Color
    cloud_shade: Color
    cloud_cover: float
    cloud_scale: float  # clouds get smaller as it grows
    trees: tuple[tuple[float, float, int], ...]  # groves nearby: x/z from, x/z to, number of trees
    haze: float  # distance at which haze makes up 63 % of the light
    exposure: float
    contrast: float = 0.3  # added slope of the midtones
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
