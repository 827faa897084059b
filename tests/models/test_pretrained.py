"""Weights of `keras.applications`, at random: nothing is downloaded."""

import functools

import keras
import numpy as np
import pytest

from keras_resizable import MobileNetV1, MobileNetV2
from keras_resizable.models import load_stock_weights
from keras_resizable.subnetworks.parts import norms_by_stage
from keras_resizable.workshop.recipes.source_models import application_model

PAIRS = {
    "MobileNetV1": (MobileNetV1, keras.applications.MobileNet),
    "MobileNetV2": (MobileNetV2, keras.applications.MobileNetV2),
}


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)


@pytest.mark.parametrize("name", PAIRS)
def test_cut_out_at_full_size_equals_the_stock_model(name, randomize, images):
    ours, stock = PAIRS[name]
    model = stock(
        (64, 64, 3), alpha=0.5, weights=None, classes=7, classifier_activation=None
    )
    randomize(model)
    network = ours(
        (1.0, 0.7),
        alpha=0.5,
        input_shape=(64, 64, 3),
        classes=7,
        classifier_activation=None,
    )
    load_stock_weights(network, model)
    expected = model(images)
    scale = np.abs(expected).max()
    for cut in (network, network.sub_network((1.0,) * 5)):
        np.testing.assert_allclose(cut(images), expected, atol=1e-4 * scale)
    # The statistics of other scale factors are not right until they are trained.
    with pytest.raises(ValueError, match="scale 0.7 of stage 1 never saw a batch"):
        network.sub_network((0.7,))
    for _, layer in norms_by_stage(network.parts):
        for one, other in zip(layer.get_row_weights(0), layer.get_row_weights(1)):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("classes", [1000, 7])
def test_imagenet_starts_a_network(monkeypatch, images, classes):
    stock = []

    def without_download(input_shape, include_top, weights, alpha):
        assert weights == "imagenet" and include_top == (classes == 1000)
        stock.append(
            keras.applications.mobilenet.MobileNet(
                input_shape, alpha, include_top=include_top, weights=None
            )
        )
        return stock[0]

    monkeypatch.setattr(keras.applications, "MobileNet", without_download)
    network = MobileNetV1((1.0, 0.7), alpha=0.25, weights="imagenet", classes=classes)
    taken = {layer.name: layer for layer in stock[0].layers}["conv_pw_13"].kernel
    (ours,) = (x for x in network.stages[-1].layers if x.name == "conv_pw_13")
    np.testing.assert_array_equal(ours.kernel, taken)
    assert network.head.output_shape == (None, classes)


def test_other_architectures_are_refused(images):
    make = functools.partial(MobileNetV1, (1.0,), input_shape=(32, 32, 3), classes=7)
    network = make(alpha=0.25)
    before = network.get_weights()
    stock = functools.partial(keras.applications.MobileNet, (32, 32, 3), weights=None)
    for model, named in (
        (stock(alpha=0.5, classes=7), "same architecture, width.*'conv1' has weights"),
        (stock(alpha=0.25, classes=8), "'predictions' has weights"),
        (
            keras.applications.MobileNetV2((32, 32, 3), weights=None),
            "'conv1' .*no such layer",
        ),
    ):
        with pytest.raises(ValueError, match=named):
            load_stock_weights(network, model)
    for old, new in zip(before, network.get_weights()):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MobileNetV1((1.0, 0.7), alpha=0.25, weights="imagenet"),
        lambda: application_model(
            "MobileNetV3Small", input_shape=(224, 224, 3), classes=3, weights="imagenet"
        ),
    ],
)
def test_weights_that_cannot_be_fetched(monkeypatch, make):
    def get_file(*args, **kwargs):  # As Keras does it, seen without a network.
        raise Exception("URL fetch failure on https://x.y/z.h5: None -- [Errno -2]")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    with pytest.raises(OSError, match="cannot be fetched: URL fetch .*Set `weights`"):
        make()
