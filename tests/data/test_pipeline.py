"""From image sets to batches."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_network
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_resizable import data
from keras_resizable.workshop.data import preprocessing
from keras_resizable.workshop.data.kept_images import load_images, save_images
from keras_resizable.workshop.data.pipeline import resolved_shape

COUNT, BATCH = 22, 4
STEPS = COUNT // BATCH
# Every augmentation but RandAugment, which is slow to trace.
OPTIONS = {"augmentation": "pad_crop_flip", "cutout": 0.5, "mixup": 0.2, "cutmix": 1.0}


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    arrays = (
        generator.integers(0, 256, (COUNT, 8, 6, 3), np.uint8),
        np.arange(COUNT) % 5,
    )
    return data.from_arrays(arrays, arrays)


def take(dataset, count):
    return [(x.copy(), y.copy()) for x, y in dataset.take(count).as_numpy_iterator()]


def assert_same(batches, expected):
    assert len(batches) == len(expected)
    for batch, other in zip(batches, expected):
        for part, expected_part in zip(batch, other):
            np.testing.assert_array_equal(part, expected_part)


def identify(images, batch):
    """Which images of the set are in a batch that was not augmented."""
    pixels = np.rint((batch[0] + 1) * 127.5).astype(np.uint8)
    all_pixels = np.stack(
        [image for image, _ in images.train.read().as_numpy_iterator()]
    )
    return [
        int(np.flatnonzero((all_pixels == image).all((1, 2, 3)))[0]) for image in pixels
    ]


def test_an_epoch_has_every_image_at_most_once_in_a_new_order(images):
    batches = take(data.train_dataset(images, BATCH), 2 * STEPS)
    epochs = [
        [number for batch in epoch for number in identify(images, batch)]
        for epoch in (batches[:STEPS], batches[STEPS:])
    ]
    for epoch in epochs:
        assert len(set(epoch)) == STEPS * BATCH
    assert epochs[0] != epochs[1]
    for pixels, labels in batches:
        assert pixels.dtype == np.float32 and pixels.min() >= -1 and pixels.max() <= 1
        assert labels.shape == (BATCH, 5)
        numbers = identify(images, (pixels, labels))
        np.testing.assert_array_equal(labels.argmax(1), np.array(numbers) % 5)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 3 * STEPS), st.sampled_from([1, 2]))
def test_starting_later_is_going_on(images, step, num_shards):
    def steps(start_step, count):
        dataset = data.train_dataset(
            images,
            BATCH,
            seed=1,
            start_step=start_step,
            num_shards=num_shards,
            shard=num_shards - 1,
            **OPTIONS,
        )
        return take(dataset.rebatch(BATCH // num_shards), count)

    assert_same(steps(step, 2), steps(0, step + 2)[step:])


def test_rand_augment_goes_on_too(images):
    options = {"rand_augment": 0.5, "image_size": 12}
    whole = take(data.train_dataset(images, BATCH, **options), 2)
    later = data.train_dataset(images, BATCH, start_step=1, **options)
    assert_same(take(later, 1), whole[1:])
    assert whole[0][0].shape == (BATCH, 12, 12, 3)


def test_another_seed_gives_other_images(images):
    one, other = (
        take(data.train_dataset(images, BATCH, seed=seed, **OPTIONS), 1)[0]
        for seed in (0, 1)
    )
    assert not np.array_equal(one[0], other[0])


@pytest.mark.parametrize("num_shards", [2, 4])
def test_shards_share_the_images_of_every_step(images, num_shards):
    part = BATCH // num_shards
    expected = [identify(images, b) for b in take(data.train_dataset(images, BATCH), 4)]
    dealt = [[] for _ in expected]
    for shard in range(num_shards):
        dataset = data.train_dataset(
            images, BATCH, num_shards=num_shards, shard=shard
        ).rebatch(part)
        for step, batch in enumerate(take(dataset, 4)):
            dealt[step] += identify(images, batch)
    assert [sorted(step) for step in dealt] == [sorted(step) for step in expected]


def test_evaluation_has_every_image_once(images):
    dataset = data.eval_dataset(images.test, (8, 6, 3), 4)
    assert len(dataset) == -(-COUNT // 4)
    batches = take(dataset, -1)
    numbers = [number for batch in batches for number in identify(images, batch)]
    assert numbers == list(range(COUNT))
    np.testing.assert_array_equal(
        np.concatenate([labels for _, labels in batches]), np.arange(COUNT) % 5
    )


def jpeg(height, width):
    """A JPEG with a light spot in its middle."""
    pixels = np.full((height, width, 3), 20, np.uint8)
    pixels[height // 3 : -height // 3, width // 3 : -width // 3] = 220
    return tf.io.encode_jpeg(pixels, quality=95)


@pytest.mark.parametrize("encode", [tf.io.encode_png, tf.io.encode_jpeg])
def test_crops_of_jpegs_equal_those_of_the_decoded_image(encode):
    pixels = tf.io.decode_image(jpeg(60, 90))
    seed = tf.constant([3, 4])
    for crop in (
        lambda image: preprocessing.train_image(image, (32, 32, 3), "inception", seed),
        lambda image: preprocessing.eval_image(image, (32, 32, 3), True),
    ):
        encoded = encode(pixels)
        decoded = tf.io.decode_image(encoded)
        np.testing.assert_allclose(crop(encoded), crop(decoded), atol=6)


def test_a_center_crop_is_the_middle():
    cropped = preprocessing.eval_image(jpeg(60, 90), (48, 48, 3), True).numpy()
    whole = preprocessing.eval_image(jpeg(60, 90), (48, 48, 3), False).numpy()
    assert cropped[24, 24, 0] > 200 and cropped[0, 0, 0] < 40
    assert (cropped > 120).mean() > (whole > 120).mean()


def test_inception_crops_differ_in_place_size_and_flip():
    image = tf.reshape(tf.range(100 * 100 * 3) % 251, (100, 100, 3))
    image = tf.cast(image, tf.uint8)
    crops = {
        preprocessing.train_image(image, (8, 8, 3), "inception", tf.constant([0, n]))
        .numpy()
        .tobytes()
        for n in range(20)
    }
    assert len(crops) == 20


def test_pad_crop_flip_moves_by_an_eighth_and_flips():
    image = np.zeros((16, 16, 1), np.uint8)
    image[8, 7] = 255
    seen = {
        tuple(
            np.argwhere(
                preprocessing.train_image(
                    tf.constant(image),
                    (16, 16, 1),
                    "pad_crop_flip",
                    tf.constant([0, n]),
                ).numpy()
                == 255
            )[0][:2]
        )
        for n in range(400)
    }
    assert {row for row, _ in seen} == set(range(6, 11))
    assert {column for _, column in seen} == set(range(5, 11))


def test_pad_crop_flip_adds_no_black():
    """As a margin of zeros would: images to evaluate have none."""
    image = tf.fill((16, 16, 3), tf.constant(200, tf.uint8))
    for n in range(10):
        seed = tf.constant([0, n])
        moved = preprocessing.train_image(image, (16, 16, 3), "pad_crop_flip", seed)
        assert np.all(moved == 200)


def test_its_batches_have_no_end_and_say_so(images):
    batches = data.train_dataset(images, 8)
    assert batches.cardinality() == tf.data.INFINITE_CARDINALITY
    network = small_network(input_shape=images.image_shape)
    with pytest.raises(ValueError, match="never ends: pass `dataset.take"):
        network.sub_network("0.5", calibrate_with=batches)


def test_height_and_width_may_differ(images):
    batches = data.train_dataset(images, 2, image_size=(6, 9))
    assert next(iter(batches))[0].shape[:3] == (2, 6, 9)
    assert resolved_shape((None, None, 3), [6, 9]) == (6, 9, 3)


def test_bad_arguments_are_named(images):
    with pytest.raises(ValueError, match="exceed the 22 .*batch_size=23"):
        data.steps_per_epoch(22, 23)
    with pytest.raises(ValueError, match="4 images cannot be dealt to 3 workers"):
        data.train_dataset(images, BATCH, num_shards=3)
    for options, error in (
        ({"augmentation": "cut"}, "'inception'. Received: augmentation='cut'"),
        ({"mixup": -1.0}, "mixup=-1.0"),
        ({"mixup": float("nan")}, "mixup=nan"),
        ({"cutout": -0.5}, "cutout=-0.5"),
        ({"cutmix": 2.0}, "cutmix=2.0"),
        ({"rand_augment": 2.0}, "rand_augment=2.0"),
        ({"start_step": -5}, "start_step=-5"),
        ({"shard": 3}, "below 1. Received: shard=3"),
        ({"num_shards": 0}, "num_shards=0"),
        ({"image_size": 0}, "image_size=0"),
        ({"image_size": (8, 8, 8)}, r"\(3,\) .*requested shape \(2,\)"),
        ({"image_size": 8.5}, "image_size=8.5"),
    ):
        with pytest.raises(ValueError, match=error):
            data.train_dataset(images, BATCH, **options)
    with pytest.raises(ValueError, match="batch_size=0"):
        data.train_dataset(images, 0)
    with pytest.raises(ValueError, match="several sizes: give an `image_size`"):
        resolved_shape((None, None, 3))


def test_kept_images_come_back(images, tmp_path):
    path = tmp_path / "calibration.npz"
    save_images(images.train, path, (8, 6, 3))
    batches = take(load_images(path, batch_size=10), -1)
    assert [len(pixels) for pixels, _ in batches] == [10, 10, 2]
    numbers = [number for batch in batches for number in identify(images, batch)]
    assert sorted(numbers) == list(range(COUNT))
    expected = take(data.eval_dataset(images.train, (8, 6, 3), 22, order_seed=0), 1)
    np.testing.assert_array_equal(
        np.concatenate([labels for _, labels in batches]), expected[0][1]
    )
    save_images(images.train, path, (8, 6, 3), max_images=7)
    assert len(take(load_images(path), -1)[0][0]) == 7
    np.savez(path, images=np.zeros((3, 8, 6, 3), np.uint8), labels=np.zeros(2, int))
    with pytest.raises(ValueError, match="one for each image"):
        load_images(path)


def test_flipped_bytes_in_calibration_images_are_named(images, tmp_path):
    path = tmp_path / "calibration.npz"
    save_images(images.train, path, (8, 6, 3))
    contents = bytearray(path.read_bytes())
    for position in range(150, len(contents) - 150, len(contents) // 20):
        flipped = bytearray(contents)
        flipped[position] ^= 0xFF
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match="calibration.npz is damaged"):
            load_images(path)


def test_augmentations_stay_in_float32(images):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        ((pixels, labels),) = take(data.train_dataset(images, BATCH, **OPTIONS), 1)
    finally:
        keras.config.set_dtype_policy("float32")
    assert pixels.dtype == labels.dtype == np.float32


@pytest.mark.parametrize("content", [b"", b"not images", b"PK\x03\x04 half"])
def test_damaged_calibration_images_are_named(tmp_path, content):
    path = tmp_path / "calibration.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="calibration.npz is damaged"):
        load_images(path)
    with pytest.raises(FileNotFoundError):
        load_images(tmp_path / "none.npz")
