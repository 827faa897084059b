"""Models of others, as resizable networks."""

import warnings

import keras
import numpy as np
import pytest
from conftest import randomize_batch_norms
from foreign_models import (
    FOREIGN,
    SIZE,
    augmented,
    auxiliary_output,
    blocks_that_are_layers,
    frozen_base,
    shared_convolution,
    shared_norm,
    two_outputs,
    whole_numbers,
)

import keras_resizable
from keras_resizable.layers import scale_aware_batch_norm
from keras_resizable.subnetworks.parts import norms_by_stage

SCALES = (1.0, 0.7)
# Of whose layers, inputs or outputs a training step has to know.
TRAINED = {
    augmented,
    auxiliary_output,
    blocks_that_are_layers,
    frozen_base,
    shared_convolution,
    shared_norm,
    two_outputs,
    whole_numbers,
}


@pytest.fixture
def unfused(monkeypatch):
    """Without the fused kernel, whose rounding is its own."""
    monkeypatch.setattr(scale_aware_batch_norm, "_MIN_FUSED_EPSILON", 1e9)


def images_for(model, count=4):
    generator = np.random.default_rng(0)
    if keras.tree.flatten(model.inputs)[0].dtype == "uint8":
        return generator.integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.uint8)
    return generator.random((count, SIZE, SIZE, 3), np.float32)


def given_to(model, images):
    is_dict = not isinstance(model, keras.Sequential) and isinstance(model.input, dict)
    return {"photo": images} if is_dict else images


def assert_equal(got, expected, atol=0.0):
    keras.tree.assert_same_structure(got, expected)
    for one, other in zip(keras.tree.flatten(got), keras.tree.flatten(expected)):
        atol_here = atol * np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=0, atol=atol_here)


@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: make.__name__)
def test_it_computes_what_the_model_does(make, unfused, tmp_path):
    model = make()
    randomize_batch_norms(model)
    before = model.get_weights()
    config = model.get_config()
    network = keras_resizable.from_keras(model, SCALES)
    assert network.space.num_stages == FOREIGN[make]
    images = images_for(model)
    expected = model(given_to(model, images), training=False)
    assert_equal(network(images, training=False), expected)

    smallest = network.space.smallest
    with pytest.raises(ValueError, match="never saw a batch"):
        if norms_by_stage(network.parts):
            network.sub_network(smallest)
        else:
            raise ValueError("never saw a batch")
    network.check_statistics = False

    def outputs_of(network, config):
        return network(images, config=config, training=False)

    for each in (smallest, network.space.largest):
        cut = network.sub_network(each)
        assert_equal(cut(images, training=False), outputs_of(network, each), 1e-6)

    network.save(tmp_path / "network.keras")
    copy = keras.saving.load_model(tmp_path / "network.keras")
    assert_equal(outputs_of(copy, smallest), outputs_of(network, smallest))

    if make not in TRAINED:
        return
    targets = keras.tree.map_structure(np.zeros_like, expected)
    loss = keras.tree.map_structure(lambda _: "mse", targets)
    network.compile(keras.optimizers.SGD(0.01), loss)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.fit(images, targets, batch_size=4, verbose=0)
    assert model.get_config() == config, "the user's model changed"
    for got, weight in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, weight)
    assert_equal(model(given_to(model, images), training=False), expected)
