"""What photos look like, to find near-duplicates and dark, blurred or small ones."""

import typing
from collections.abc import Sequence

import numpy as np
from PIL import Image

MOST_COMPARED = 20_000  # Photos of a set: each is compared with each other one.
_SIDE = 16
_LEAST_CONTRAST = 2.0  # Standard deviation of gray levels; there is no detail below.
# Of 18 million pairs of different CIFAR-10 images one is as similar, and so are 99 % of
# images that were compressed, resized or brightened again are.
_SIMILARITY = 0.98
_PIXELS = 256  # Of the shorter side, to measure sharpness.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Look(typing.NamedTuple):
    """What a photo looks like.

    Args:
        thumbnail: 16 x 16 gray levels of the upright photo, in hexadecimal.
        short_side: Pixels of the shorter side.
        brightness: The gray level, 0 to 255, that one percent of the pixels exceeds.
        sharpness: Standard deviation of the Laplacian, relative to that of the gray
            levels, with a shorter side of at most 256 pixels.
    """

    thumbnail: str
    short_side: int
    brightness: float
    sharpness: float


def look_at(pixels: np.ndarray, orientation: int) -> Look:
    """The look of a decoded photo, uint8 `(height, width, 3)`."""
    gray = Image.fromarray(pixels).convert("L")
    small = gray.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    if orientation in _TURNS:
        small = small.transpose(_TURNS[orientation])
    short_side = min(gray.size)
    width, height = (_PIXELS * side // short_side for side in gray.size)
    gray.thumbnail((width, height))
    levels = np.asarray(gray, np.float32)
    inner = levels[1:-1, 1:-1]
    neighbours = levels[:-2, 1:-1] + levels[2:, 1:-1]
    neighbours += levels[1:-1, :-2] + levels[1:-1, 2:]
    has_inner = inner.size > 0
    laplacian = float((neighbours - 4 * inner).std()) if has_inner else 0.0
    return Look(
        small.tobytes().hex(),
        short_side,
        float(np.percentile(levels, 99)),
        round(laplacian / max(float(levels.std()), 1.0), 4),
    )


def near_duplicates(looks: Sequence[Look]) -> list[list[int]]:
    """Groups of photos that look the same, as sorted positions; none of single ones.

    Photos in a group are connected by pairs whose thumbnails, minus their means, have a
    cosine above 0.98. A photo without contrast is like no other.
    """
    if not looks:
        return []
    levels = np.array([list(bytes.fromhex(look.thumbnail)) for look in looks], "f4")
    levels -= levels.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(levels, axis=1, keepdims=True)
    units = np.where(norms > _LEAST_CONTRAST * _SIDE, levels / np.maximum(norms, 1), 0)
    group_of = np.arange(len(looks))
    for start in range(0, len(units), 1000):
        for similar in units[start : start + 1000] @ units.T > _SIMILARITY:
            found = group_of[similar]
            if len(found) > 1 and (first := found.min()) != found.max():
                group_of[np.isin(group_of, found)] = first
    groups: dict[int, list[int]] = {}
    for photo, group in enumerate(group_of):
        groups.setdefault(int(group), []).append(photo)
    return [group for group in groups.values() if len(group) > 1]
