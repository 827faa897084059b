"""Parts of image sets."""

import numpy as np
import pytest

from keras_resizable import data
from keras_resizable.workshop.data.image_set import hold_out


@pytest.fixture
def image_set():
    generator = np.random.default_rng(0)
    images = generator.integers(1, 256, (20, 8, 8), np.uint8)
    labels = np.arange(20) % 4
    return data.from_arrays((images, labels), (images[:5] // 2, labels[:5]))


def images_of(split, seed=None):
    return [image.numpy() for image, _ in split.read(seed)]


def as_set(split, seed=None):
    return {image.tobytes() for image in images_of(split, seed)}


def test_parts_are_distinct_and_always_the_same(image_set):
    first = data.take_train(image_set, 6)
    rest = data.take_train(image_set, 14, skip=6)
    assert as_set(first.train) | as_set(rest.train) == as_set(image_set.train)
    assert not as_set(first.train) & as_set(rest.train)
    assert as_set(rest.train, seed=3) == as_set(rest.train)
    held_out = hold_out(image_set, 6)
    assert as_set(held_out.test) == as_set(first.train)
    assert as_set(held_out.train) == as_set(rest.train)
    assert (held_out.train.num_images, held_out.test.num_images) == (14, 6)


@pytest.mark.parametrize(
    ("count", "skip"), [(0, 0), (21, 0), (10, 11), (1, -1), (2.5, 0)]
)
def test_too_many_images_are_named(image_set, count, skip):
    named = f"count={count}" if skip >= 0 else f"skip={skip}"
    with pytest.raises(ValueError, match=named):
        data.take_train(image_set, count, skip)


@pytest.mark.parametrize("count", [-1, 0, 20, 21, 2.5])
def test_images_are_left_to_train_with(image_set, count):
    with pytest.raises(ValueError, match=f"below 20. Received: count={count}"):
        hold_out(image_set, count)
