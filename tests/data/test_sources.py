"""Image sets from everywhere, read alike."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_resizable import data
from keras_resizable.workshop.data.load import SAMPLE, load_sample

SIZE = (20, 30, 3)


def write_image(path, color, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full(size, color, np.uint8)
    encode = tf.io.encode_png if path.suffix == ".png" else tf.io.encode_jpeg
    path.write_bytes(encode(pixels).numpy())


def read(split, seed=None):
    return list(split.read(seed).as_numpy_iterator())


def labels(split, seed=None):
    return [int(label) for _, label in read(split, seed)]


@pytest.fixture
def folder(tmp_path):
    for part, count in (("train", 7), ("val", 2)):
        for number in range(count):
            for color, name in ((50, "dark"), (200, "light")):
                suffix = "png" if number % 2 else "JPG"
                write_image(tmp_path / part / name / f"{number}.{suffix}", color)
    (tmp_path / "train" / "dark" / "notes.txt").write_text("not an image")
    return tmp_path


def test_a_folder_of_images_by_class(folder):
    images = data.load(str(folder))
    assert images.class_names == ("dark", "light")
    assert images.image_shape == (None, None, 3)
    assert (images.train.num_images, images.test.num_images) == (14, 4)
    assert labels(images.train) == [0] * 7 + [1] * 7
    for image, label in read(images.test):
        pixels = tf.io.decode_image(image).numpy()
        assert pixels.shape == SIZE and abs(pixels.mean() - (50, 200)[label]) < 2


def test_a_folder_without_test_images_keeps_every_tenth(tmp_path):
    for number in range(20):
        write_image(tmp_path / "a" / f"{number:02d}.png", number)
        write_image(tmp_path / "b" / f"{number:02d}.png", number)
    images = data.load_folder(tmp_path)
    assert (images.train.num_images, images.test.num_images) == (36, 4)
    kept = [
        tf.io.decode_image(image)[0, 0, 0].numpy() for image, _ in read(images.test)
    ]
    assert kept == [9, 19, 9, 19]


def test_folders_that_hold_no_set_are_named(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=f"No images in {tmp_path}/empty"):
        data.load(str(tmp_path / "empty"))
    write_image(folder / "val" / "other" / "1.png", 0)
    with pytest.raises(ValueError, match=r"only test images of \['other'\]"):
        data.load_folder(folder)


def test_classes_too_small_to_keep_a_tenth_are_named(tmp_path):
    write_image(tmp_path / "a" / "1.png", 0)
    with pytest.raises(ValueError, match=f"put test images into {tmp_path}/validation"):
        data.load_folder(tmp_path)


def test_the_sample_is_stratified_and_small():
    sample = data.load()
    (x_train, y_train), (x_test, y_test) = load_sample()
    assert x_train.dtype == x_test.dtype == np.uint8
    assert np.bincount(y_train).tolist() == [800] * 10
    assert np.bincount(y_test).tolist() == [200] * 10
    assert SAMPLE.stat().st_size <= 5e6
    assert len(np.unique(y_train[:20])) > 5  # Not one class after the other.
    assert "MIT" in SAMPLE.with_name("fashion_mnist_LICENSE").read_text()
    assert sample.image_shape == (28, 28, 1) and "Bag" in sample.class_names
    assert (sample.train.num_images, sample.test.num_images) == (8000, 2000)


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory):
    import tiny_sets

    folder = tmp_path_factory.mktemp("tfds")
    for builder in (tiny_sets.TinyColors, tiny_sets.TinyMoods):
        builder(data_dir=folder).download_and_prepare()
    return folder


def test_a_set_of_tensorflow_datasets(tfds_dir):
    images = data.load("tiny_colors", str(tfds_dir))
    assert images.class_names == ("dark", "light")
    assert images.image_shape == (None, None, 3)
    assert (images.train.num_images, images.test.num_images) == (12, 4)
    assert sorted(labels(images.train)) == [0] * 6 + [1] * 6
    for image, label in read(images.train):
        assert isinstance(image, bytes)
        pixels = tf.io.decode_jpeg(image).numpy()
        assert abs(pixels.mean() - (50, 200)[label]) < 20


def test_sets_of_tensorflow_datasets_that_do_not_fit_are_named(tfds_dir):
    with pytest.raises(ValueError, match="'tiny_moods' .* not a set of labelled"):
        data.load("tiny_moods", str(tfds_dir))


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("cifar11", ValueError, "not a folder, and .* not found. Similar are: cifar10"),
        ("photos/cats", ValueError, "'photos/cats' is not a folder, and .* not found"),
        ("cifar10/large", ValueError, "'cifar10/large' is not a folder, .* not found"),
        ("cifar10:9.0.0", ValueError, "'cifar10:9.0.0' is not a folder, and .* only: "),
        ("./photos", FileNotFoundError, "There is no folder .*/photos"),
        ("photos/", FileNotFoundError, "There is no folder .*/photos"),
        ("my-photos", FileNotFoundError, "There is no folder .*/my-photos"),
        ("photos.2", FileNotFoundError, "There is no folder .*/photos.2"),
        ("my photos", FileNotFoundError, "There is no folder .*/my photos"),
        ("~/no_photos", FileNotFoundError, "There is no folder /.*/no_photos"),
        ("a_file", FileNotFoundError, "There is no folder .*/a_file"),
    ],
)
def test_what_is_no_set_is_one_line(name, error, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").touch()
    with pytest.raises(error, match=told) as raised:
        data.load(name)
    assert "\n" not in str(raised.value)


def test_no_folder_is_told_where_tensorflow_datasets_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match="There is no folder photo, and .*data"):
        data.load("photo")


def test_a_folder_is_found_from_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert data.load(f"~/{folder.name}").class_names == ("dark", "light")


@pytest.mark.parametrize("source", ["folder", "tfds", "arrays"])
def test_a_seed_alone_decides_the_order(source, request):
    if source == "folder":
        images = data.load_folder(request.getfixturevalue("folder"))
    elif source == "tfds":
        images = data.load("tiny_colors", str(request.getfixturevalue("tfds_dir")))
    else:
        images = data.load()
    orders = []
    for program_seed, seed in ((0, 1), (5, 1), (None, 1), (0, 2)):
        tf.random.set_seed(program_seed)
        dataset = images.train.read(tf.constant(seed, tf.int64))
        orders.append(
            [
                hash(np.asarray(image).tobytes())
                for image, _ in dataset.as_numpy_iterator()
            ]
        )
    assert orders[0] == orders[1] == orders[2]
    assert sorted(orders[0]) == sorted(orders[3]) and orders[0] != orders[3]


def test_labels_and_channels_that_do_not_fit_are_told():
    images, labels = np.zeros((4, 8, 8, 3), np.uint8), np.arange(4) % 2
    for test, message in (
        ((images[..., :1], labels), r"the same channels .*uint8 \(4, 8, 8, 1\)"),
        ((images, labels + 0.7), "Labels are integers .* float64"),
        ((images, labels.astype(str)), "Labels are integers .* <U"),
    ):
        with pytest.raises(ValueError, match=message):
            data.from_arrays((images, labels), test)


def test_arrays_that_are_no_images_are_told():
    images, labels = np.zeros((6, 8, 8, 3), np.uint8), np.arange(6) % 3
    column = data.from_arrays((images, labels[:, np.newaxis]), (images, labels))
    _, one_hot = next(iter(data.train_dataset(column, 2)))
    assert one_hot.shape == (2, 3)
    for wrong, message in (
        ((images / 255, labels), "uint8, from 0 to 255.*float64"),
        ((images[0, 0], labels), r"uint8 \(8, 3\)"),
        ((images, labels[:4]), r"6 images, and labels int64 \(4,\)"),
        ((images, labels + 1), r"classes - 1.* \[1 2 3\]"),
        ((images, labels - 1), r"classes - 1.* \[-1  0  1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            data.from_arrays(wrong, (images, labels), class_names=["a", "b", "c"])
