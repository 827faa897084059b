"""Algorithm 1: what a training step does to the weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import narrow_resnet, small_network
from plain_resnet import plain_resnet
from row_weights import row_weights

from keras_resizable import FixedSampler, UniformSampler
from keras_resizable.subnetworks.parts import norms_by_stage

MAKE_NETWORK = small_network
CONFIGS = [(1.0, 1.0), (0.5, 0.75), (0.75, 0.5)]


def compile_network(network, optimizer=None, configs=None, **kwargs):
    if configs is not None:
        kwargs["sampler"] = FixedSampler(configs)
    network.compile(
        optimizer or keras.optimizers.SGD(0.1, momentum=0.9),
        loss="sparse_categorical_crossentropy",
        **kwargs,
    )
    return network


def assert_same_weights(got, expected, **tolerance):
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


def test_one_scale_trains_as_the_plain_keras_model(batch):
    images, labels = batch
    weights = np.linspace(0.5, 1.5, len(labels), dtype=np.float32)
    regularizer = keras.regularizers.L2(0.01)
    network = narrow_resnet(scales=[1.0], kernel_regularizer=regularizer)
    plain = plain_resnet(network.stem.input_shape[1:], 3, regularizer)
    plain_of = match_variables(network, plain)
    for ours, stock in plain_of:
        stock.assign(tf.reshape(ours, stock.shape))
    for model in (network, plain):
        compile_network(
            model, keras.optimizers.SGD(0.05, momentum=0.9), weighted_metrics=["acc"]
        )
    for _ in range(5):
        ours = network.train_on_batch(images, labels, weights)
        stock = plain.train_on_batch(images, labels, weights)
        np.testing.assert_allclose(ours, stock, rtol=1e-4)
        for variable, expected in plain_of:
            np.testing.assert_allclose(
                np.reshape(variable, expected.shape), expected, rtol=1e-3, atol=1e-5
            )


def match_variables(network, plain):
    """Pairs of variables of the same place in both models."""

    def by_kind(variables):
        kinds = {}
        for variable in variables:
            key = variable.path.split("/")[-1], np.prod(variable.shape)
            kinds.setdefault(key, []).append(variable)
        return kinds

    ours, stock = by_kind(network.variables), by_kind(plain.variables)
    return [pair for key in ours for pair in zip(ours[key], stock[key], strict=True)]


def test_gradients_are_those_of_the_sub_networks_one_at_a_time(
    make_network, batch, randomize
):
    images, labels = batch
    network = make_network(kernel_regularizer=keras.regularizers.L2(0.01))
    randomize(network)
    weights = network.trainable_variables
    values = [weight.value for weight in weights]
    before = [weight.numpy() for weight in weights]
    losses, gradients = [], [np.zeros(weight.shape) for weight in weights]
    for config in CONFIGS:
        with tf.GradientTape() as tape:
            outputs = network(images, config=config, training=True)
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(labels, outputs)
            )
        losses.append(loss)
        for total, gradient in zip(gradients, tape.gradient(loss, values)):
            total += 0 if gradient is None else gradient.numpy()
    with tf.GradientTape() as tape:
        penalty = tf.add_n(network.losses)
    penalties = tape.gradient(penalty, values)
    gradients = [gradient / len(CONFIGS) for gradient in gradients]

    compile_network(
        network,
        keras.optimizers.SGD(1.0),
        CONFIGS,
    )
    reported = network.train_on_batch(images, labels)
    assert reported == pytest.approx(np.mean(losses) + float(penalty), rel=1e-5)
    for weight, old, gradient, decay in zip(weights, before, gradients, penalties):
        expected = gradient + (0 if decay is None else decay.numpy())
        np.testing.assert_allclose(old - weight, expected, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.optimizers.Adam(0.01, weight_decay=0.1),
    ],
    ids=["sgd", "adam"],
)
def test_rows_that_a_plan_leaves_out_stay_bit_equal(make_network, batch, optimizer):
    network = make_network()
    plan = tf.Variable([[0, 0], [1, 1], [2, 2]], shape=(None, 2))
    optimizer = type(optimizer).from_config(optimizer.get_config())
    compile_network(network, optimizer, sampler=lambda step: plan)
    network.train_on_batch(*batch)  # So that there is a momentum.
    plan.assign([[0, 1], [0, 2]])
    used = [{0}, {1, 2}]
    before = [row_weights(norm) for _, norm in norms_by_stage(network.parts)]
    network.train_on_batch(*batch)
    for (stage, norm), old in zip(norms_by_stage(network.parts), before):
        changed = (row_weights(norm) != old).any(axis=2)
        for row in range(3):
            assert (changed[row] == (row in used[stage])).all(), (norm.path, row)


def test_plans_of_any_length_take_one_trace(make_network, batch):
    network = make_network()
    plan = tf.Variable([[0, 0], [1, 1], [2, 2]], shape=(None, 2))
    traces = []

    def sampler(step):
        traces.append(step)
        return plan

    compile_network(network, sampler=sampler)
    for rows in ([[0, 0]], [[1, 2], [0, 1]], [[2, 2]] * 4):
        plan.assign(rows)
        network.fit(*batch, verbose=0)
    assert len(traces) == 1


def test_loss_and_metrics_are_means_over_the_plan(make_network, batch):
    images, labels = batch
    network = make_network()
    compile_network(network, keras.optimizers.SGD(0.0), CONFIGS, metrics=["accuracy"])
    losses, accuracies = [], []
    for config in CONFIGS:
        outputs = network(images, config=config, training=True)
        losses.append(keras.losses.sparse_categorical_crossentropy(labels, outputs))
        accuracies.append(np.argmax(outputs, axis=1) == labels)
    history = network.fit(images, labels, batch_size=len(images), verbose=0).history
    assert history["loss"] == pytest.approx([np.mean(losses)], rel=1e-4)
    assert history["accuracy"] == pytest.approx([np.mean(accuracies)], rel=1e-6)


def test_plan_runs_the_largest_first(make_network):
    network = make_network()
    rows = [[2, 2], [2, 0], [0, 2], [1, 0], [0, 0]]
    compile_network(network, sampler=lambda step: rows)
    network.optimizer.build(network.trainable_variables)
    np.testing.assert_array_equal(
        network.training_step.draw_plan(), [[0, 0], [0, 2], [1, 0], [2, 0], [2, 2]]
    )


def train_on(strategy, make_network, batch, synchronized):
    with strategy.scope():
        network = make_network(synchronized=synchronized)
        network.set_weights(initial_weights(network))
        compile_network(network, keras.optimizers.SGD(0.05, momentum=0.9))
    dataset = tf.data.Dataset.from_tensors(batch).unbatch().batch(8).repeat()
    network.fit(dataset, steps_per_epoch=3, verbose=0, shuffle=False)
    return network, dataset


def initial_weights(network):
    generator = np.random.default_rng(0)
    return [
        value + generator.normal(0, 0.1, value.shape)
        if weight.trainable and value.ndim == 4
        else value
        for weight, value in zip(network.weights, network.get_weights())
    ]


def test_synchronized_replicas_train_as_one(strategy, make_network, batch):
    keras.utils.set_random_seed(1)
    one, dataset = train_on(tf.distribute.get_strategy(), make_network, batch, False)
    keras.utils.set_random_seed(1)
    two, _ = train_on(strategy, make_network, batch, True)
    assert_same_weights(two.get_weights(), one.get_weights(), rtol=1e-3, atol=1e-4)
    logs = [network.evaluate(dataset, steps=1, verbose=0) for network in (one, two)]
    assert logs[0] == pytest.approx(logs[1], rel=1e-4)


def test_replicas_agree_on_their_statistics(strategy, make_network, batch, tmp_path):
    network, dataset = train_on(strategy, make_network, batch, False)
    for variable in network.variables:
        first, second = strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(first, second, variable.path)
    loss = network.evaluate(dataset, steps=1, verbose=0)
    network.save(tmp_path / "network.keras")
    copy = keras.saving.load_model(tmp_path / "network.keras")
    assert copy.evaluate(*batch, verbose=0) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": keras.optimizers.SGD(0.1, clipnorm=0.01)},
        {"steps_per_execution": 2},
        {"run_eagerly": True},
        {"metrics": ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_keras_takes(make_network, batch, options):
    network = make_network()
    before = network.get_weights()
    compile_network(network, **options)
    history = network.fit(
        *batch,
        batch_size=4,
        verbose=0,
        class_weight={0: 1.0, 1: 2.0, 2: 0.5},
        callbacks=[keras.callbacks.LambdaCallback()],
        validation_data=batch,
    ).history
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["val_loss"]).all()
    change = [abs(new - old).max() for new, old in zip(network.get_weights(), before)]
    assert max(change) > 0


def test_gradients_are_clipped(make_network, batch):
    def norms_of_updates(**clipping):
        keras.utils.set_random_seed(0)
        network = make_network()
        before = [variable.numpy() for variable in network.trainable_variables]
        compile_network(network, keras.optimizers.SGD(0.1, **clipping), CONFIGS)
        network.train_on_batch(*batch)
        after = network.trainable_variables
        return np.array([np.linalg.norm(new - old) for new, old in zip(after, before)])

    free = norms_of_updates()
    limit = 0.1 * 0.1
    assert (free > 2 * limit).any() and (free < limit).any()
    clipped = norms_of_updates(clipnorm=0.1)
    np.testing.assert_allclose(clipped, np.minimum(free, limit), rtol=1e-2, atol=1e-7)


def test_sample_weights_of_zero_leave_images_out(make_network, batch):
    images, labels = batch
    losses = []
    for flipped in (labels, (labels + np.array([0] * 4 + [1] * 4)) % 3):
        keras.utils.set_random_seed(0)
        network = compile_network(make_network(), configs=CONFIGS)
        mask = np.array([1.0] * 4 + [0.0] * 4, np.float32)
        losses.append(network.train_on_batch(images, flipped, mask))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(make_network, batch, dtype):
    keras.config.set_dtype_policy(dtype)
    try:
        network = make_network()
    finally:
        keras.config.set_dtype_policy("float32")
    compile_network(network)
    history = network.fit(*batch, epochs=3, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert network.stages[0].output.dtype == keras.DTypePolicy(dtype).compute_dtype
    scaled = isinstance(network.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (dtype == "mixed_float16")
    assert {weight.dtype for weight in network.weights} == {"float32"}


def test_frozen_parts_stay(make_network, batch):
    network = make_network()
    network.stem.trainable = False
    network.stages[0].trainable = False
    frozen = [*network.stem.variables, *network.stages[0].variables]
    before = [variable.numpy() for variable in frozen]
    compile_network(network)
    network.train_on_batch(*batch)
    assert_same_weights(frozen, before, rtol=0)


def test_bad_arguments_are_named(make_network, batch):
    network = make_network()
    with pytest.raises(ValueError, match="jit_compile=True"):
        compile_network(network, jit_compile=True)
    compile_network(network, sampler=lambda step: [[0, 0, 0]])
    with pytest.raises(ValueError, match=r"\(sub-networks, 2\).*\(1, 3\)"):
        network.train_on_batch(*batch)


def test_wrong_images_are_named(make_network):
    network = compile_network(make_network())
    with pytest.raises(ValueError, match=r"\(None, 12, 12, 2\).*\(None, 13, 12, 2\)"):
        network.fit(np.zeros((4, 13, 12, 2)), np.zeros(4), verbose=0)


def test_synchronized_plans_need_a_fixed_length(strategy, make_network, batch):
    with strategy.scope():
        network = make_network(synchronized=True)
        plan = tf.Variable([[0, 0]], shape=(None, 2))
        compile_network(network, sampler=lambda step: plan)
    with pytest.raises(ValueError, match="fixed number of sub-networks"):
        network.fit(*batch, verbose=0)


def test_uniform_sampler_trains(make_network, batch):
    network = make_network()
    compile_network(network, sampler=UniformSampler(num_draws=2))
    assert np.isfinite(network.fit(*batch, verbose=0).history["loss"]).all()


def test_one_hot_labels_of_a_number_that_is_not_known(make_network, batch):
    """Keras chooses the accuracy by the classes that labels have."""
    images, labels = batch
    spec = tf.TensorSpec((None, *images.shape[1:])), tf.TensorSpec((None, None))
    dataset = tf.data.Dataset.from_generator(
        lambda: iter([(images, np.eye(3)[labels])]), output_signature=spec
    ).apply(tf.data.experimental.assert_cardinality(1))
    network = make_network()
    network.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    logs = network.fit(dataset, verbose=0, shuffle=False).history
    assert 0 <= logs["accuracy"][0] <= 1
    metric = network.metrics[1].metrics[0]
    assert isinstance(metric, keras.metrics.CategoricalAccuracy)


def test_float64(make_network, batch):
    keras.config.set_floatx("float64")
    try:
        network = make_network()
        network.compile("sgd", "sparse_categorical_crossentropy")
        assert np.isfinite(network.fit(*batch, verbose=0).history["loss"]).all()
    finally:
        keras.config.set_floatx("float32")
