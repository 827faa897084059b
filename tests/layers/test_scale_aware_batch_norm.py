import keras
import numpy as np
import pytest
import tensorflow as tf
from row_weights import row_weights

from keras_resizable import ScaleAwareBatchNorm

SHAPES = [(4, 5, 6, 3), (1, 1, 1, 3), (4, 1, 1, 3), (1, 3, 2, 3), (8, 3), (4, 6, 3)]


def run(layer, inputs, *args):
    """Outputs and gradients of two training calls, then of inference."""
    direction = tf.random.stateless_normal(inputs.shape, (0, 1), dtype=inputs.dtype)
    results = []
    for training in (True, True, False):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, *args, training=training)
            loss = tf.reduce_sum(outputs * direction)
        weights = [variable.value for variable in layer.trainable_variables]
        gradients = tape.gradient(loss, [inputs, *weights])
        results += [outputs, *gradients]
    return [np.squeeze(np.asarray(result, np.float64)) for result in results]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("epsilon", [1e-3, 1e-7])
def test_one_scale_is_stock_batch_norm(shape, epsilon):
    inputs = 3 + 2 * tf.random.normal(shape)
    ours = ScaleAwareBatchNorm(1, momentum=0.8, epsilon=epsilon)
    stock = keras.layers.BatchNormalization(momentum=0.8, epsilon=epsilon)
    for got, expected in zip(run(ours, inputs), run(stock, inputs)):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5)
    for got, expected in zip(ours.get_row_weights(0), stock.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_that_of_stock_batch_norm(dtype):
    inputs = 3 + 2 * tf.random.normal((4, 5, 6, 3))
    ours = ScaleAwareBatchNorm(1, dtype=dtype)
    stock = keras.layers.BatchNormalization(dtype=dtype)
    for training in (True, False):
        got = ours(inputs, training=training)
        expected = stock(inputs, training=training)
        assert got.dtype == expected.dtype == keras.DTypePolicy(dtype).compute_dtype
        np.testing.assert_allclose(
            tf.cast(got, tf.float32), tf.cast(expected, tf.float32), atol=0.03
        )
    assert {variable.dtype for variable in ours.variables} == {"float32"}
    for got, expected in zip(ours.get_row_weights(0), stock.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


def test_float64_is_not_rounded():
    inputs = tf.random.normal((4, 5, 6, 3), dtype=tf.float64)
    ours = ScaleAwareBatchNorm(1, dtype="float64")
    stock = keras.layers.BatchNormalization(dtype="float64")
    for got, expected in zip(run(ours, inputs), run(stock, inputs)):
        np.testing.assert_allclose(got, expected, atol=1e-12)


@pytest.mark.parametrize(
    "options", [{"center": False}, {"scale": False}, {"synchronized": True}]
)
def test_options_are_those_of_stock_batch_norm(options):
    inputs = 3 + 2 * tf.random.normal((4, 5, 6, 3))
    ours = ScaleAwareBatchNorm(1, **options)
    stock = keras.layers.BatchNormalization(**options)
    for got, expected in zip(run(ours, inputs), run(stock, inputs)):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5)


def test_a_row_works_alone_in_one_graph_for_all(randomize):
    layer = ScaleAwareBatchNorm(3)
    inputs = tf.random.normal((4, 5, 6, 2))
    layer(inputs)
    randomize(layer)
    traces = []

    @tf.function
    def train(scale_index):
        traces.append(scale_index)
        return layer(inputs, scale_index, training=True)

    for index in (2, 0, 1):
        before = row_weights(layer)
        alone = keras.layers.BatchNormalization()
        alone.build(inputs.shape)
        alone.set_weights(layer.get_row_weights(index))
        expected = alone(inputs, training=True)
        got = train(tf.constant(index))
        np.testing.assert_allclose(got, expected, atol=1e-5)
        np.testing.assert_allclose(
            layer.get_row_weights(index), alone.get_weights(), rtol=1e-5
        )
        others = [other for other in range(3) if other != index]
        np.testing.assert_array_equal(row_weights(layer)[others], before[others])
    assert len(traces) == 1


def test_frozen_layer_runs_in_inference():
    layer = ScaleAwareBatchNorm(2)
    layer.trainable = False
    inputs = 5 + tf.random.normal((4, 5, 6, 2))
    outputs = layer(inputs, training=True)
    np.testing.assert_array_equal(outputs, layer(inputs, training=False))
    np.testing.assert_array_equal(layer.moving_mean, np.zeros((2, 2)))


def test_config_round_trip():
    layer = ScaleAwareBatchNorm(
        4,
        momentum=0.5,
        epsilon=0.1,
        center=False,
        gamma_initializer="zeros",
        gamma_regularizer=keras.regularizers.L2(0.1),
        synchronized=True,
        name="bn",
    )
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert copy.get_config() == layer.get_config()
    assert copy.num_scales == 4 and copy.synchronized and not copy.center


@pytest.mark.parametrize("bad", [0, -1, 1.5, None])
def test_bad_number_of_scales_is_named(bad):
    with pytest.raises(ValueError, match=f"num_scales={bad!r}"):
        ScaleAwareBatchNorm(bad)


def test_other_scales_are_refused():
    layer = ScaleAwareBatchNorm(2, name="norm")
    layer.check_scales((1.0, 0.5))
    ScaleAwareBatchNorm(1).check_scales((1.0, 0.5))
    with pytest.raises(ValueError, match=r"norm.*scales=\(1.0, 0.5, 0.25\)"):
        layer.check_scales((1.0, 0.5, 0.25))


def run_replicas(strategy, synchronized, inputs):
    """Outputs and layer after a training call on halves of a batch."""
    with strategy.scope():
        layer = ScaleAwareBatchNorm(2, synchronized=synchronized)
        layer.build(inputs.shape)
    row = tf.constant(1)
    halves = iter(tf.split(inputs, 2))
    values = strategy.experimental_distribute_values_from_function(
        lambda context: next(halves)
    )

    @tf.function
    def step(values):
        return strategy.run(lambda half: layer(half, row, training=True), (values,))

    outputs = strategy.experimental_local_results(step(values))
    return tf.concat(outputs, 0), layer


def replica_values(strategy, variable):
    return strategy.experimental_local_results(variable.value)


def test_synchronized_replicas_equal_one(strategy):
    inputs = 3 + 2 * tf.random.normal((8, 5, 6, 3))
    outputs, layer = run_replicas(strategy, True, inputs)
    alone = ScaleAwareBatchNorm(2)
    np.testing.assert_allclose(
        outputs, alone(inputs, tf.constant(1), training=True), atol=1e-5
    )
    for variable, expected in zip(layer.variables, alone.get_weights()):
        for value in replica_values(strategy, variable):
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_replicas_share_the_mean_of_their_statistics(strategy):
    inputs = 3 + 2 * tf.random.normal((8, 5, 6, 3))
    _, layer = run_replicas(strategy, False, inputs)
    halves = []
    for half in tf.split(inputs, 2):
        alone = ScaleAwareBatchNorm(2)
        alone(half, tf.constant(1), training=True)
        halves.append(alone.get_weights())
    for variable, *values in zip(layer.variables, *halves):
        expected = np.mean(values, axis=0)
        for value in replica_values(strategy, variable):
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [-1, "last"])
def test_every_row_of_a_stock_layer_is_that_layer_and_back(shape, axis):
    stock = keras.layers.BatchNormalization(
        axis=len(shape) - 1 if axis == "last" else axis,
        momentum=0.8,
        epsilon=1e-4,
        center=len(shape) != 2,
        gamma_regularizer=keras.regularizers.L2(0.1),
        name="norm",
    )
    inputs = tf.random.normal(shape)
    stock.build(shape)
    generator = np.random.default_rng(0)
    stock.set_weights([generator.uniform(0.5, 2, w.shape) for w in stock.weights])
    ours = ScaleAwareBatchNorm.from_stock(stock, 3)
    assert (ours.name, ours.momentum) == ("norm", 0.8)
    again = ours.stock_form(1, "again")
    stock_config = {**stock.get_config(), "name": "again", "axis": -1}
    assert again.get_config() == stock_config
    for scale_index in range(3):
        expected = stock(inputs, training=False)
        np.testing.assert_allclose(
            ours(inputs, tf.constant(scale_index)), expected, rtol=1e-5, atol=1e-6
        )
    np.testing.assert_array_equal(again(inputs, training=False), expected)


def test_a_stock_layer_that_is_not_built_keeps_its_settings():
    stock = keras.layers.BatchNormalization(axis=3, epsilon=1e-5, trainable=False)
    ours = ScaleAwareBatchNorm.from_stock(stock, 2)
    assert (ours.epsilon, ours.num_scales, ours.built) == (1e-5, 2, False)
    assert not ours.trainable


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"axis": 1}, "'odd', a .*'axis': 1"),
        ({"gamma_constraint": "non_neg"}, "'odd', a .*'gamma_constraint'"),
        ({"renorm": True}, "'odd', a .*'renorm': True"),
    ],
)
def test_a_stock_layer_that_cannot_be_ours_is_named(settings, named):
    stock = keras.layers.BatchNormalization(name="odd", **settings)
    with pytest.raises(ValueError, match=named):
        ScaleAwareBatchNorm.from_stock(stock, 2)
