"""What the label values of each source mean: data, no code.

`SOURCES` lists the folders that a data folder may hold. A table names, for each label value from
0 on, a class, "CLASS|CLASS" (one of them), "not CLASS" (the pixel is anything but that class) or
"-" (the source does not say).
"""

from __future__ import annotations

from dataclasses import dataclass

CLASSES = (
    "other",
    "sky",
    "vegetation",
    "building",
    "ground",
    "vehicle",
    "person",
    "water",
    "terrain",
    "animal",
)
"""The classes of the default segmenter, all of them groups of `photoreal.regions.classes`."""

IGNORED = "-"
"""In a table: the source does not say what the pixel is."""


@dataclass(frozen=True)
class Source:
    """A set of labeled photos: its name and folder, what it is, its terms, its table.

    `short_side` is the short side in pixels at which it is measured; None takes the photos as
    they are. `commercial` says whether its terms allow commercial use of what is made from it.
    """

    name: str
    about: str
    terms: str
    table: tuple[str, ...]
    short_side: int | None = None
    commercial: bool = False


def _spread(*runs: str) -> tuple[str, ...]:
    """A table from runs such as "vehicle*8": the class and how many values in a row have it."""
    table: list[str] = []
    for run in runs:
        name, _, count = run.partition("*")
        table += [name] * int(count or 1)
    return tuple(table)


_CAMVID = (
    "sky",
    "building",
    "other",  # pole
    "ground",  # road
    "ground",  # pavement
    "vegetation",
    "other",  # sign
    "other",  # fence
    "vehicle",
    "person",  # pedestrian
    "person",  # bicyclist
    IGNORED,
)
_LABELMEFACADE = (
    IGNORED,
    "building",
    "vehicle",
    "building",  # door
    "ground",  # pavement
    "ground",  # road
    "sky",
    "vegetation",
    "building",  # window
)
_STANFORD = (
    "sky",
    "vegetation",  # tree
    "ground",  # road
    "vegetation",  # grass
    "water",
    "building",
    "terrain",  # mountain
    "other|vehicle|person|animal",  # foreground object
)
_MSRC = (
    IGNORED,
    "building",
    "vegetation",  # grass
    "vegetation",  # tree
    "animal",  # cow
    "animal",  # horse
    "animal",  # sheep
    "sky",
    "terrain",  # mountain
    "vehicle",  # airplane
    "water",
    "person",  # face
    "vehicle",  # car
    "vehicle",  # bicycle
    "vegetation",  # flower
    "building",  # signboard
    "animal",  # bird
    "other",  # book
    "other",  # chair
    "ground",  # road
    "animal",  # cat
    "animal",  # dog
    "person",  # body
    "vehicle",  # boat
)
# COCO-Stuff's ids less one. Indoor things and walls are "other"; what lies outdoors and indoors
# alike (brick, stone, windows) is left out.
_COCO = _spread(
    "person",
    "vehicle*8",  # bicycle to boat
    "other*6",  # traffic light to bench
    "animal*10",  # bird to giraffe
    "person*7",  # hat to tie: worn or carried
    "other*31",  # suitcase to couch
    "vegetation",  # potted plant
    "other*29",  # bed to blanket
    "vegetation",  # branch
    "building*2",  # bridge, building
    "vegetation",  # bush
    "other*8",  # cabinet to clothes, among them ceilings
    "sky",  # clouds
    "other*4",  # counter to desk
    "ground",  # dirt
    "other*2",  # door, fence
    "ground*5",  # floors
    "vegetation",  # flower
    IGNORED,  # fog
    "other*3",  # food, fruit, furniture
    "vegetation",  # grass
    "ground*2",  # gravel, ground
    "terrain",  # hill
    "building",  # house
    "vegetation",  # leaves
    "other*4",  # light to mirror
    "vegetation",  # moss
    "terrain",  # mountain
    "ground",  # mud
    "other*3",  # napkin to paper
    "ground",  # pavement
    "other",  # pillow
    "vegetation",  # plant
    "other",  # plastic
    "ground",  # platform
    IGNORED,  # playing field: grass or not
    "other",  # railing
    "ground",  # railroad
    "water",  # river
    "ground",  # road
    "terrain",  # rock
    "building",  # roof
    "ground",  # rug
    "other",  # salad
    "ground",  # sand
    "water",  # sea
    "other",  # shelf
    "sky",
    "building",  # skyscraper
    "ground",  # snow
    IGNORED,  # other solid things
    "building",  # stairs
    "terrain",  # stone
    "vegetation",  # straw
    IGNORED,  # other structures
    "other",  # table
    "building",  # tent
    "other*2",  # textile, towel
    "vegetation",  # tree
    "other",  # vegetable
    f"{IGNORED}*2",  # walls of brick and concrete
    "other*2",  # other walls, panels
    IGNORED,  # walls of stone
    "other*2",  # walls of tiles and wood
    "water",
    IGNORED,  # drops of water
    "other",  # blind
    IGNORED,  # window
    "other",  # wood
)

SOURCES = (
    Source(
        "camvid",
        "streets from a car (Brostow et al., Pattern Recognition Letters 2009)",
        "research use",
        _CAMVID,
        short_side=240,
    ),
    Source(
        "labelmefacade",
        "streets and facades (Fröhlich et al., ICPR 2010)",
        "non-commercial and research use",
        _LABELMEFACADE,
        short_side=300,
    ),
    Source(
        "ade_sky",
        "a small part of ADE20K, sky or not (Zhou et al., CVPR 2017)",
        "research use",
        ("not sky", "sky"),
    ),
    Source(
        "stanford_background",
        "outdoor scenes (Gould et al., ICCV 2009)",
        "research use",
        _STANFORD,
    ),
    Source(
        "msrc21",
        "scenes, animals and things (Shotton et al., ECCV 2006), labels cleaned by Malisiewicz"
        " and Efros (BMVC 2007)",
        "non-commercial research use",
        _MSRC,
    ),
    Source(
        "river",
        "rivers and lakes, water or not (Lopez-Fuentes et al., 2017)",
        "research use",
        ("not water", "water"),
    ),
    Source(
        "human_seg",
        "portraits and groups (V. Shenoy); the background may hold other people",
        "research use",
        ("not person", "person"),
    ),
    Source(
        "ccp",
        "clothes in the street (Yang et al., CVPR 2014); the background may hold other people",
        "research use",
        _spread("not person", "person*58"),
    ),
    Source(
        "horizon_uav",
        "frames of a model plane, sky or land (N. P. Indarto, 2021)",
        "MIT",
        ("not sky", "sky"),
        commercial=True,
    ),
    Source(
        "sky_small",
        "two small sets of unusual skies (E. B. Alexandre, 2016; kirainmoe)",
        "research use and MIT",
        ("not sky", "sky"),
    ),
    Source(
        "coco_stuff21",
        "21 photos of COCO-Stuff, interiors among them (Caesar et al., CVPR 2018)",
        "labels CC BY 4.0, photos under their Flickr terms",
        _COCO,
    ),
)
"""Every known source, in the order in which photos are listed."""

MEASURED_ELSEWHERE = frozenset(
    f"ade_sky/test/ADE_val_{number:08d}.jpg" for number in (597, 817, 853, 1599, 1821, 1843, 1860)
)
"""Test photos that are in another source's training part, and so are left out of the tests."""
