"""Pictures inside a job's report: photos as small JPEG files in the page."""

import base64
import io
import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from keras_resizable.workshop import data
from keras_resizable.workshop.data.preprocessing import decode
from keras_resizable.workshop.photos.material import Material
from keras_resizable.workshop.recipes.building import train_data

_SIDE = 160
_QUALITY = 80
_COLUMNS, _ROWS = 8, 4
_SHOWN_SIDE = 96


def thumbnails(
    split: data.Split, positions: Iterable[int], channels: int
) -> dict[int, str]:
    """Photos of a split at these positions, upright, as data URLs by position."""
    wanted, found = set(positions), {}
    for position, (image, _) in enumerate(split.read(None)):
        if position in wanted:
            found[position] = data_url(decode(image, channels).numpy(), _SIDE)
    return found


def training_images(material: Material) -> str:
    """A grid of the first 32 training images as the network sees them."""
    height, width, channels = material.shape
    batches = iter(train_data(material.recipe, material.images))
    count = _COLUMNS * _ROWS
    images = np.stack([*itertools.islice(_images(batches), count)])
    pixels = np.rint((images + 1) * 127.5).clip(0, 255).astype(np.uint8)
    rows = pixels.reshape(_ROWS, _COLUMNS, height, width, channels)
    grid = rows.transpose(0, 2, 1, 3, 4).reshape(_ROWS * height, -1, channels)
    return data_url(grid, _SHOWN_SIDE * _COLUMNS)


def _images(batches) -> Iterator[np.ndarray]:
    for images, _ in batches:
        yield from images.numpy()


def data_url(pixels: np.ndarray, side: int) -> str:
    """Pixels, uint8 `(height, width, 1 or 3)`, as a JPEG of at most this size."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    longest = max(image.size)
    if longest < side:  # Small images are shown large, without smoothing.
        factor = side // longest
        image = image.resize([factor * n for n in image.size], Image.Resampling.NEAREST)
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
