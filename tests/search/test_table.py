import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf

from keras_resizable import FixedSampler
from keras_resizable.search import best, build_table, count_flops


def accuracy(model, images, labels):
    return np.mean(np.argmax(model(images), axis=1) == labels)


@pytest.fixture
def dataset():
    generator = np.random.default_rng(1)
    images = generator.random((50, 12, 12, 2), np.float32)
    labels = generator.integers(0, 3, 50).astype(np.int32)
    return images, labels


def test_table_is_that_of_the_sub_networks_alone(make_network, randomize, dataset):
    network = make_network()
    randomize(network)
    images, labels = dataset
    batches = tf.data.Dataset.from_tensor_slices(dataset).batch(20)
    calibration = tf.data.Dataset.from_tensor_slices(images[:30]).batch(15)
    before = network.get_weights()
    table = build_table(network, batches, calibrate_with=calibration, verbose=False)
    for old, new in zip(before, network.get_weights()):
        np.testing.assert_array_equal(old, new)
    assert network.config == network.space.largest
    assert len(table) == network.space.size
    for row in table.itertuples():
        config = network.space.parse(row.config)
        model = network.sub_network(config)
        assert row.flops == count_flops(model)
        assert row.params == model.count_params()
        assert row.top1_raw == accuracy(model, images, labels)
        model = network.sub_network(config, calibrate_with=calibration)
        assert row.top1 == accuracy(model, images, labels)
    assert (table.top1 != table.top1_raw).any()


def test_table_of_some_without_calibration(make_network, dataset):
    network = make_network()
    batches = tf.data.Dataset.from_tensor_slices(dataset).batch(20)
    table = build_table(network, batches, configs=[(0.5,), (1.0, 0.75)], verbose=False)
    assert list(table.config) == ["0.5,1.0", "1.0,0.75"]
    assert (table.top1 == table.top1_raw).all()


def test_untrained_statistics_are_refused_before_any_work(make_network, dataset):
    network = make_network()
    network.compile(
        "sgd",
        "sparse_categorical_crossentropy",
        sampler=FixedSampler(network.space, [(1.0, 1.0)]),
    )
    network.fit(*dataset, verbose=0)
    with pytest.raises(ValueError, match="never saw a batch"):
        build_table(network, tf.data.Dataset.from_tensors(dataset))


def test_best_within_a_budget():
    table = pandas.DataFrame(
        {
            "config": ["a", "b", "c", "d"],
            "flops": [100, 80, 60, 50],
            "top1": [0.9, 0.8, 0.8, 0.7],
        }
    )
    assert best(table, max_flops=100)["config"] == "a"
    assert best(table, max_flops=99)["config"] == "c"  # As good as b, and less.
    with pytest.raises(
        ValueError, match="at most 49 FLOPs. The nearest is 'd' with 50"
    ):
        best(table, max_flops=49)


def test_labels_of_any_integer_type(make_network, dataset):
    network = make_network()
    images, labels = dataset
    rows = [
        build_table(
            network,
            tf.data.Dataset.from_tensors((images, labels.astype(dtype))),
            configs=[(1.0,)],
            verbose=False,
        )
        for dtype in ("uint8", "int64")
    ]
    keras.tree.assert_same_structure(rows[0].to_dict(), rows[1].to_dict())
    assert rows[0].equals(rows[1])
