import numpy as np
import pytest
from idx_files import write_idx

from keras_resizable.data import load_idx, load_sample
from keras_resizable.data.sample import _PATH, draw_sample


@pytest.fixture
def idx_folder(tmp_path):
    generator = np.random.default_rng(0)
    for part, count in (("train", 20), ("t10k", 10)):
        images = generator.integers(0, 256, (count, 4, 5), np.uint8)
        write_idx(tmp_path, f"{part}-images-idx3-ubyte", images)
        labels = np.arange(count, dtype=np.uint8) % 2
        write_idx(tmp_path, f"{part}-labels-idx1-ubyte", labels, compress=True)
    return tmp_path


def test_sample_is_stratified_and_small():
    (x_train, y_train), (x_test, y_test) = load_sample()
    assert x_train.shape == (8000, 28, 28) and x_test.shape == (2000, 28, 28)
    assert x_train.dtype == x_test.dtype == np.uint8
    assert np.bincount(y_train).tolist() == [800] * 10
    assert np.bincount(y_test).tolist() == [200] * 10
    assert _PATH.stat().st_size <= 5e6
    assert len(np.unique(y_train[:20])) > 5  # Not one class after the other.
    assert "MIT" in _PATH.with_name("fashion_mnist_LICENSE").read_text()


def test_a_draw_depends_on_the_seed_alone(idx_folder):
    train, test = load_idx(idx_folder)
    first = draw_sample(train, test, 3, 2, seed=1)
    again = draw_sample(train, test, 3, 2, seed=1)
    other = draw_sample(train, test, 3, 2, seed=2)
    assert first[0][0].shape == (6, 4, 5) and first[1][1].shape == (4,)
    np.testing.assert_array_equal(first[0][0], again[0][0])
    assert not np.array_equal(first[0][0], other[0][0])


def test_idx_round_trip(idx_folder):
    (x_train, y_train), (x_test, y_test) = load_idx(idx_folder)
    expected = np.random.default_rng(0).integers(0, 256, (20, 4, 5), np.uint8)
    np.testing.assert_array_equal(x_train, expected)
    assert y_train.tolist() == [0, 1] * 10 and y_test.tolist() == [0, 1] * 5
    assert x_test.shape == (10, 4, 5)


def test_bad_idx_folders_are_named(idx_folder):
    images = idx_folder / "train-images-idx3-ubyte"
    content = images.read_bytes()
    for damaged, message in (
        (content[:-1], "is damaged: it should hold"),
        (content[:10], "not an IDX file of 3 axes"),
        (b"\x89PNG" + content, "not an IDX file of 3 axes"),
    ):
        images.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=f"{images} {message}|{images} is {message}"
        ):
            load_idx(idx_folder)
    images.unlink()
    with pytest.raises(FileNotFoundError, match="No train-images-idx3-ubyte"):
        load_idx(idx_folder)
    images.write_bytes(content)
    labels = idx_folder / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:-5])
    with pytest.raises(ValueError, match=f"{labels} is damaged"):
        load_idx(idx_folder)
    labels.unlink()
    write_idx(idx_folder, "t10k-labels-idx1-ubyte", np.zeros(9, np.uint8))
    with pytest.raises(ValueError, match="10 images with 9 labels"):
        load_idx(idx_folder)
