"""The parts of a network, and what they say of themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from narrow_networks import NARROW
from odd_networks import norm_stage, stem_of, tiny_network

from keras_resizable import FixedSampler, count_flops
from keras_resizable.layers import HasStockForm
from keras_resizable.training.step import TrainStep


@pytest.mark.parametrize("name", NARROW)
def test_parts_run_count_and_cut_themselves_out(name, randomize):
    network = NARROW[name](
        scales=(1.0, 0.7), input_shape=(43, 37, 3), classes=4, name="narrow"
    )
    randomize(network)
    stages = [part.stage for part in network.parts]
    assert stages == [None, *range(network.space.num_stages), None]
    config = network.space.config("0.7,1.0,0.7")
    features = np.random.default_rng(0).random((2, 43, 37, 3), np.float32)
    expected = network(features, config=config)
    shape, flops = features.shape, 0
    for part in network.parts:
        index = part.scale_index_in(config)
        inputs = keras.Input(features.shape[1:])
        alone = keras.Model(inputs, part.cut_out(inputs, index))
        counted, shape = part.count_flops(shape, index)
        assert counted == count_flops(alone)
        flops += counted
        cut = alone(features, training=False)
        features = part.run(features, tf.constant(index), training=False)
        assert shape[1:] == features.shape[1:]
        np.testing.assert_allclose(cut, features, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(features, expected, atol=1e-6)
    assert flops == count_flops(network.sub_network(config, check_statistics=False))


def test_a_layer_of_the_users_own_says_what_it_is_when_cut_out():
    """What makes the layers of this library known to cutting out and counting."""

    class Marked(HasStockForm, keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

        def stock_form(self, scale_index, name):
            return keras.layers.Rescaling(2.0, name=name)

    network = tiny_network(stem_of(Marked(name="mark")), [norm_stage()])
    images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    model = network.sub_network("0.5")
    assert type(model.get_layer("mark")) is keras.layers.Rescaling
    np.testing.assert_allclose(
        model(images), network(images, config="0.5"), rtol=1e-5, atol=1e-6
    )


class Dealt(TrainStep):
    """Each sub-network gets its share of the batch."""

    def batch_of(self, number, count, batch):
        def share(tensor):
            if tensor is None:
                return None
            size = tf.shape(tensor)[0] // count
            return tensor[number * size : (number + 1) * size]

        return batch._replace(
            features=share(batch.features),
            images=share(batch.images),
            targets=share(batch.targets),
            sample_weight=share(batch.sample_weight),
            num_images=batch.num_images // count,
        )


def test_a_rule_of_training_is_a_method(make_network, batch):
    """A split of the batch is the mean of sub-networks trained on their shares."""
    configs = [(1.0, 1.0), (0.5, 0.75)]

    def trained(configs, images, labels, kind=TrainStep):
        keras.utils.set_random_seed(0)
        network = make_network()
        network.stem.trainable = False  # Its batch statistics are of the whole batch.
        network.compile(
            keras.optimizers.SGD(0.1),
            "sparse_categorical_crossentropy",
            metrics=["acc"],
        )
        sampler = FixedSampler(configs).for_space(network.space)
        network.training_step = kind(network, sampler, None, "mean")
        before = [weight.numpy() for weight in network.trainable_weights]
        network.train_on_batch(images, labels)
        after = [weight.numpy() for weight in network.trainable_weights]
        return [new - old for old, new in zip(before, after)]

    images, labels = batch
    together = trained(configs, images, labels, Dealt)
    alone = [
        trained([config], images[part], labels[part])
        for config, part in zip(configs, (slice(0, 4), slice(4, 8)))
    ]
    for change, *changes in zip(together, *alone):
        np.testing.assert_allclose(change, np.mean(changes, axis=0), atol=1e-6)
