"""Parts of image sets, and images on a larger canvas."""

import numpy as np
import pytest
import tensorflow as tf

from keras_resizable import data


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
    held_out = data.hold_out(image_set, 6)
    assert as_set(held_out.test) == as_set(first.train)
    assert as_set(held_out.train) == as_set(rest.train)
    assert (held_out.train.num_images, held_out.test.num_images) == (14, 6)


@pytest.mark.parametrize(
    ("count", "skip"), [(0, 0), (21, 0), (10, 11), (1, -1), (2.5, 0)]
)
def test_too_many_images_are_named(image_set, count, skip):
    with pytest.raises(ValueError, match=f"Received: {count}"):
        data.take_train(image_set, count, skip)


@pytest.mark.parametrize("count", [-1, 0, 20, 21, 2.5])
def test_images_are_left_to_train_with(image_set, count):
    expected = f"Of 20 training images, 1 to 19 can be held out. Received: {count}"
    with pytest.raises(ValueError, match=expected):
        data.hold_out(image_set, count)


def test_images_lie_on_a_canvas_at_sizes_of_their_own(image_set):
    placed = data.on_canvas(image_set, 16, smallest=0.25)
    assert placed.image_shape == (16, 16, 1)
    images = images_of(placed.train)
    assert images[0].dtype == np.uint8 and images[0].shape == (16, 16, 1)
    for image in images:
        rows, columns = np.nonzero(image[..., 0])
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert height == width and 4 <= height <= 16
    assert len({np.count_nonzero(image) for image in images}) > 5
    # The same in another order, in another split and in another process's graph.
    assert as_set(placed.train, seed=1) == as_set(placed.train)
    largest = data.on_canvas(image_set, 8, smallest=1.0)
    np.testing.assert_array_equal(images_of(largest.test), images_of(image_set.test))


def test_encoded_images_lie_on_a_canvas_too(image_set):
    def encoded(split):
        def read(seed=None):
            return split.read(seed).map(lambda i, label: (tf.io.encode_png(i), label))

        return data.Split(split.num_images, read)

    pngs = data.ImageSet(
        encoded(image_set.train),
        encoded(image_set.test),
        image_set.class_names,
        image_set.image_shape,
    )
    np.testing.assert_array_equal(
        images_of(data.on_canvas(pngs, 12).test),
        images_of(data.on_canvas(image_set, 12).test),
    )


def test_bad_canvases_are_named(image_set):
    with pytest.raises(ValueError, match="Received: 0"):
        data.on_canvas(image_set, 0)
    with pytest.raises(ValueError, match="smallest=1.5"):
        data.on_canvas(image_set, 16, smallest=1.5)
