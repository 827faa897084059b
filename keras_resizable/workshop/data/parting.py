"""Dividing images among training, validation and tests."""

import collections
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from keras_resizable.workshop.data.photo_looks import Look, near_duplicates


class File(NamedTuple):
    """A readable image.

    Args:
        path: The path to read.
        tag: The tag of its orientation, see `orientation_tag`.
        name: Its path for people, relative to the folder of the set.
        look: Its look; None in large sets.
    """

    path: bytes
    tag: bytes
    name: str
    look: Look | None


Classes = dict[str, list[File]]  # By name of the class.


def parted(
    images: Mapping[str, Sequence[File]], fraction: float, parts: int
) -> list[Classes]:
    """Training images by class, and `parts` disjoint fractions of each class.

    Images that look the same are a unit, which belongs to the class of its first and
    counts once. The largest units are for training.
    """
    everything = [(name, file) for name, found in images.items() for file in found]
    looks = [file.look for _, file in everything]
    units = {photo: [photo] for photo in range(len(everything))}
    for first, *others in near_duplicates([look for look in looks if look is not None]):
        units[first] += others  # All have a look, or none.
        for other in others:
            del units[other]
    of_class: dict[str, list[list[int]]] = collections.defaultdict(list)
    for first, unit in units.items():
        of_class[everything[first][0]].append(unit)
    taken: list[Classes] = [{name: [] for name in images} for _ in range(1 + parts)]
    for found in of_class.values():
        count = min(max(1, round(fraction * len(found))), (len(found) - 1) // parts)
        order = np.random.default_rng(0).permutation(len(found)).tolist()
        order.sort(key=lambda unit: len(found[unit]))
        for number, unit in enumerate(order):
            place = number // count if count else parts
            part = 1 + place if place < parts else 0
            for photo in found[unit]:
                name, file = everything[photo]
                taken[part][name].append(file)
    return [
        {name: sorted(files, key=lambda file: file.path) for name, files in one.items()}
        for one in taken
    ]
