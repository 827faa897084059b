"""What once came out wrong, or unclear, of models of others."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import randomize_batch_norms
from foreign_models import SIZE, block, body, classify, conv, of, plain
from keras import layers

import keras_resizable
from keras_resizable import from_keras
from keras_resizable.subnetworks.parts import norms_by_stage

SCALES = (1.0, 0.6)
register = keras.saving.register_keras_serializable(package="tests")


def inside(make):
    """A model with something in a stage."""
    return of(lambda x: classify(block(make(block(conv(x, 4), 4)), 4)))


def assert_it_is_the_model(model, **options):
    randomize_batch_norms(model)
    network = from_keras(model, SCALES, **options)
    images = np.random.default_rng(0).random((3, SIZE, SIZE, 3), np.float32)
    if model.inputs[0].dtype == "uint8":
        images = (255 * images).astype(np.uint8)
    expected = model(images, training=False)
    scale = np.abs(expected).max()
    got = network(images, training=False)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * scale)
    network.check_statistics = False
    for _, norm in norms_by_stage(network.parts):  # A row of its own for each.
        norm.set_row_weights([w + 0.3 for w in norm.get_row_weights(1)], [1])
    smallest = network.space.smallest
    cut = network.sub_network(smallest)(images, training=False)
    whole = network(images, config=smallest, training=False)
    np.testing.assert_allclose(cut, whole, rtol=0, atol=1e-5 * np.abs(whole).max())
    return network


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_padding_of_a_convolution_that_is_called_again_stays(order):
    shared = layers.Conv2D(4, 3)

    def make(x):
        for is_padded in order:
            x = shared(layers.ZeroPadding2D(1)(x) if is_padded else x)
        return x

    assert_it_is_the_model(inside(make))


@register
class Holding(layers.Wrapper):
    """Saves the layer that it holds."""

    def call(self, x):
        return self.layer(x)


@register
class Mixed(layers.Layer):
    """Layers among other things, under private names, and one of them twice."""

    def build(self, shape):
        self._first = layers.BatchNormalization()
        self._first.build(shape)
        self._steps = [("text", self._first), None, 2.0]
        self.by_name = {"norm": layers.BatchNormalization(), "gain": 2.0}
        self.by_name["norm"].build(shape)

    def call(self, x):
        for name, layer in [self._steps[0]]:
            x = layer(x) if name == "text" else x
        return self.by_name["norm"](x) * self.by_name["gain"]


@register
class Scaled(layers.Layer):
    """Has an attribute that layers of this library have too."""

    num_scales = 2

    def call(self, x, gain=None):
        return x if gain is None else x * 3.0


@pytest.mark.parametrize(
    "make", [lambda: Holding(layers.BatchNormalization()), Mixed, Scaled]
)
def test_layers_of_others_are_rebuilt(make):
    network = assert_it_is_the_model(inside(lambda x: make()(x)))
    rows = {norm.num_scales for _, norm in norms_by_stage(network.parts)}
    assert rows == {2}


def test_a_model_inside_casts_what_it_takes():
    inputs = keras.Input((SIZE, SIZE, 3))
    inner = keras.Model(inputs, body(layers.Rescaling(0.01)(inputs * 2 - 100)))
    assert_it_is_the_model(of(lambda x: classify(inner(x)), dtype="uint8"))


def test_the_policy_of_the_day_changes_nothing():
    model = plain()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = assert_it_is_the_model(model)
    finally:
        keras.config.set_dtype_policy("float32")
    found = [layer for part in network.parts for layer in part.model.layers]
    found = [layer for layer in found if not isinstance(layer, layers.InputLayer)]
    assert {layer.compute_dtype for layer in found} == {"float32"}


def test_batch_normalisation_by_keyword():
    assert_it_is_the_model(
        inside(lambda x: layers.BatchNormalization()(inputs=x, training=False))
    )


@register
class Frozen(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(4, 3, padding="same")
        self.norm = layers.BatchNormalization()

    def build(self, shape):
        self.conv.build(shape)
        self.norm.build(shape)

    def call(self, x):
        return self.norm(self.conv(x))


@pytest.mark.parametrize("whole", [False, True])
def test_frozen_blocks_stay_frozen(whole):
    frozen = Frozen()
    model = inside(frozen)
    (frozen if whole else frozen.norm).trainable = False
    network = assert_it_is_the_model(model)
    assert len(network.trainable_weights) - len(model.trainable_weights) == sum(
        len(norm.trainable_weights) // 2
        for _, norm in norms_by_stage(network.parts)  # The second row of each.
    )
    (own,) = [n for _, n in norms_by_stage(network.parts) if not n.trainable]
    before = own.get_weights()
    network.compile("sgd", "mse")
    network.fit(np.ones((4, SIZE, SIZE, 3)), np.ones((4, 3)), verbose=0)
    for weight, old in zip(own.get_weights(), before):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.parametrize("size", [2, 3])
def test_a_head_that_pools_before_it_flattens(size):
    def make(x):
        x = layers.AveragePooling2D(size)(body(x))
        return layers.Dense(3)(layers.Flatten()(x))

    assert_it_is_the_model(of(make))


def test_a_head_that_pools_adaptively_as_others_write_it():
    def make(x):
        x = layers.AdaptiveAveragePooling2D((1, 1))(body(x))
        return layers.Dense(3)(layers.Flatten()(x))

    network = assert_it_is_the_model(of(make))
    network.compile("sgd", "mse")
    network.fit(np.ones((4, SIZE, SIZE, 3)), np.ones((4, 3)), verbose=0)


class Live(Frozen):
    def __init__(self, norm, **kwargs):
        super().__init__(**kwargs)
        self.norm = norm

    def get_config(self):
        return {**super().get_config(), "norm": self.norm}


class Unknown(layers.Layer):
    def call(self, x):
        return tf.image.resize(x, tf.shape(x)[1:3] // 2)


def shares_a_weight(x):
    shared = layers.Conv2D(4, 3, padding="same")
    return Holding(shared)(layers.ReLU()(Holding(shared)(x)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: Live(layers.BatchNormalization())(x), "'live' *.*not serialized"),
        (lambda x: Unknown()(x), "Unknown, does not say the size of its output"),
        (shares_a_weight, "Layers 'holding.*' and 'holding.*' share the weight"),
        (lambda x: layers.PReLU()(x), "PReLU, cannot run on maps of any height"),
    ],
)
def test_what_cannot_be_copied_is_named(make, message):
    model = inside(make)
    before = [weight.path for weight in model.weights]
    with pytest.raises(ValueError, match=message):
        from_keras(model, SCALES)
    assert [weight.path for weight in model.weights] == before


def test_teachers_are_models_of_images(make_network):
    network = make_network()
    sequential = keras.Sequential([layers.Flatten(), layers.Dense(3)])
    for teacher in (network, sequential, "model"):
        with pytest.raises(ValueError, match="A teacher must be a keras.Model, func"):
            keras_resizable.TeacherDistillation(teacher)


def test_one_scale_factor_has_no_neighbours(make_network):
    network = make_network(scales=(1.0,))
    with pytest.raises(ValueError, match="of one scale factor, here 1.0, has one row"):
        network.with_scales((1.0, 0.5))
    small = from_keras(plain(), (0.5,))
    with pytest.raises(ValueError, match="scale 0.5 of stage 1 never saw a batch"):
        small.sub_network("0.5")


def test_frozen_statistics_stay_those_of_the_largest(batch_of_photos):
    """A classifier trains on a frozen body, at sizes that it was never trained for."""
    model = plain()
    for layer in model.layers[:-1]:
        layer.trainable = False
    network = from_keras(model, SCALES)
    network.compile("sgd", "categorical_crossentropy")
    network.fit(*batch_of_photos, verbose=0)
    network.predict(batch_of_photos[0], verbose=0)
    with pytest.raises(ValueError, match="never saw a batch"):
        network.sub_network(network.space.smallest)
    network.sub_network(network.space.smallest, calibrate_with=batch_of_photos[0])
    # What was trained before it was frozen counts.
    for _, norm in norms_by_stage(network.parts):
        norm.trainable = True
    network.compile("sgd", "categorical_crossentropy")
    network.fit(*batch_of_photos, verbose=0)
    for _, norm in norms_by_stage(network.parts):
        norm.trainable = False
    network.compile("sgd", "categorical_crossentropy")
    network.fit(*batch_of_photos, verbose=0)
    network.sub_network(network.space.smallest)


@pytest.mark.parametrize("kept", [1, 7])
def test_a_frozen_body_is_unfrozen_as_in_keras(kept):
    model = plain()
    expected = len(model.trainable_weights)
    for layer in model.layers[:-kept]:
        layer.trainable = False
    network = from_keras(model, (1.0,))
    assert len(network.trainable_weights) == len(model.trainable_weights) < expected
    if kept == 1:  # Whole parts are frozen.
        for layer in network.layers:
            layer.trainable = True
    else:
        network.trainable = False
        network.trainable = True
    assert len(network.trainable_weights) == expected


@pytest.fixture
def batch_of_photos():
    random = np.random.default_rng(0)
    labels = np.eye(3, dtype=np.float32)[random.integers(0, 3, 8)]
    return random.random((8, SIZE, SIZE, 3), np.float32), labels


@keras.saving.register_keras_serializable("traps")
class Normed(layers.Layer):
    """Keeps its weight at a length of 1, as SpectralNormalization does."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x, training=False):
        if training:
            self.scale.assign(self.scale / keras.ops.norm(self.scale))
        return x * self.scale


@pytest.mark.parametrize("place", ["stem", "stage", "head"])
def test_a_layer_that_assigns_what_is_trained_is_refused(place, batch_of_photos):
    """What it assigns would be lost, and the network another than was trained."""
    images = keras.Input(batch_of_photos[0].shape[1:])
    x = images
    for name, strides in (("stem", 2), ("stage", 1)):
        x = layers.Conv2D(4, 3, strides, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = Normed(name="normed")(x) if name == place else x
    x = layers.GlobalAveragePooling2D()(x)
    x = Normed(name="normed")(x) if place == "head" else x
    network = from_keras(keras.Model(images, layers.Dense(3, "softmax")(x)), (1.0, 0.5))
    network.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(
        ValueError, match="assigns its trainable weight 'normed.*scale'"
    ):
        network.fit(*batch_of_photos, verbose=0)
