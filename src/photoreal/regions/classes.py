"""Class groups that matter for light and color, and the mapping from a segmenter's classes.

A segmenter separates sofas from armchairs; color transfer needs coarser regions with enough
pixels for their statistics. So the classes of a segmenter are grouped by name.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from photoreal.errors import WeightsError

GROUPS = (
    "other",
    "sky",
    "vegetation",
    "building",
    "ground",
    "vehicle",
    "person",
    "water",
    "terrain",
    "interior",
    "animal",
    "light",
)
"""Names of the groups; the index of a group is its label."""

OTHER, SKY = GROUPS.index("other"), GROUPS.index("sky")

_KIN: dict[str, tuple[str, ...]] = {
    "sky": ("water",),
    "vegetation": ("terrain", "ground"),
    "building": ("interior", "ground", "terrain"),
    "ground": ("terrain", "building", "vegetation"),
    "vehicle": ("building", "ground"),
    "person": ("animal",),
    "water": ("sky", "ground"),
    "terrain": ("ground", "vegetation"),
    "interior": ("building",),
    "animal": ("person", "vegetation"),
    "light": ("building", "interior"),
}

KINSHIP: dict[int, tuple[int, ...]] = {
    GROUPS.index(name): tuple(GROUPS.index(kin) for kin in kins) for name, kins in _KIN.items()
}
"""Labels of the related groups by group label, the closest first."""

# The 150 classes of ADE20K's scene parsing benchmark (Zhou et al., CVPR 2017), in order.
ADE20K = tuple(
    """
    wall;building;sky;floor;tree;ceiling;road;bed;windowpane;grass;cabinet;sidewalk;person;earth;
    door;table;mountain;plant;curtain;chair;car;water;painting;sofa;shelf;house;sea;mirror;rug;
    field;armchair;seat;fence;desk;rock;wardrobe;lamp;bathtub;railing;cushion;base;box;column;
    signboard;chest of drawers;counter;sand;sink;skyscraper;fireplace;refrigerator;grandstand;
    path;stairs;runway;case;pool table;pillow;screen door;stairway;river;bridge;bookcase;blind;
    coffee table;toilet;flower;book;hill;bench;countertop;stove;palm;kitchen island;computer;
    swivel chair;boat;bar;arcade machine;hovel;bus;towel;light;truck;tower;chandelier;awning;
    streetlight;booth;television;airplane;dirt track;apparel;pole;land;bannister;escalator;
    ottoman;bottle;buffet;poster;stage;van;ship;fountain;conveyer belt;canopy;washer;plaything;
    swimming pool;stool;barrel;basket;waterfall;tent;bag;minibike;cradle;oven;ball;food;step;
    tank;trade name;microwave;pot;animal;bicycle;lake;dishwasher;screen;blanket;sculpture;hood;
    sconce;vase;traffic light;tray;ashcan;fan;pier;crt screen;plate;monitor;bulletin board;
    shower;radiator;glass;clock;flag
    """.replace("\n", "").split(";")
)
ADE20K = tuple(name.strip() for name in ADE20K)

_MEMBERS: dict[str, str] = {
    "sky": "sky",
    "vegetation": "tree;grass;plant;field;flower;palm",
    "building": "building;house;skyscraper;bridge;hovel;tower;awning;booth;grandstand;fence;"
    "railing;column;signboard;stairs;stairway;door;screen door;windowpane;canopy;tent;pier;base;"
    "trade name;sculpture;fountain;bench;flag;pole;step;bannister;stage",
    "ground": "road;sidewalk;path;runway;dirt track;earth;land;sand;floor;rug",
    "vehicle": "car;bus;truck;van;boat;ship;airplane;minibike;bicycle;tank",
    "person": "person;apparel",
    "water": "water;sea;river;lake;swimming pool;waterfall",
    "terrain": "mountain;rock;hill",
    "interior": "wall;ceiling;bed;cabinet;table;curtain;chair;painting;sofa;shelf;mirror;"
    "armchair;seat;desk;wardrobe;bathtub;cushion;box;chest of drawers;counter;sink;fireplace;"
    "refrigerator;case;pool table;pillow;bookcase;blind;coffee table;toilet;book;countertop;"
    "stove;kitchen island;computer;swivel chair;bar;arcade machine;towel;television;escalator;"
    "ottoman;bottle;buffet;poster;conveyer belt;washer;plaything;stool;barrel;basket;bag;cradle;"
    "oven;microwave;pot;dishwasher;screen;blanket;hood;vase;tray;ashcan;fan;crt screen;plate;"
    "monitor;bulletin board;shower;radiator;glass;clock",
    "animal": "animal",
    "light": "lamp;light;chandelier;streetlight;sconce;traffic light",
    "other": "ball;food",
}
_GROUP_OF = {name: group for group, names in _MEMBERS.items() for name in names.split(";")}


def group_probabilities(
    probabilities: npt.NDArray[np.float32], class_names: Sequence[str]
) -> npt.NDArray[np.float32]:
    """Sum a segmenter's class probabilities into group probabilities (groups, h, w).

    Raises WeightsError for a class name that belongs to no group.
    """
    groups = np.zeros((len(GROUPS), *probabilities.shape[1:]), dtype=np.float32)
    np.add.at(groups, group_table(class_names)[: len(probabilities)], probabilities)
    return groups


def group_table(class_names: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Lookup table (256,) uint8 from a segmenter's label to a group's label.

    A class with the same name as a group belongs to it; labels beyond `class_names` are "other".
    Raises WeightsError for a class name that belongs to no group.
    """
    unknown = [name for name in class_names if name not in _GROUP_OF and name not in GROUPS]
    if unknown or len(class_names) > 256:
        raise WeightsError(
            f"The segmenter has {len(class_names)} classes; at most 256 are expected, each known"
            f" by name (unknown: {', '.join(unknown) or 'none'})."
        )
    table = np.zeros(256, dtype=np.uint8)
    for label, name in enumerate(class_names):
        table[label] = GROUPS.index(name if name in GROUPS else _GROUP_OF[name])
    return table
