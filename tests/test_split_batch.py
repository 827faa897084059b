"""Dealt training: each sub-network of a step gets its own share of the images."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_network
from row_weights import row_weights

from keras_resizable import FixedSampler, TeacherDistillation
from keras_resizable.subnetworks.parts import norms_by_stage
from keras_resizable.training.step import TrainStep

MAKE_NETWORK = small_network
CONFIGS = [(1.0, 1.0), (0.75, 1.0), (0.5, 0.75)]
SHARES = [slice(0, 2), slice(2, 5), slice(5, 8)]  # Of 8 images, in the first step.

pytestmark = pytest.mark.filterwarnings("ignore:With `split_batch=True` each")


def compile_network(network, configs=CONFIGS, rate=1.0, **options):
    network.compile(
        keras.optimizers.SGD(rate),
        "sparse_categorical_crossentropy",
        **{"sampler": FixedSampler(configs), "split_batch": True, **options},
    )
    return network


def updates(network, images, labels, *sample_weight):
    before = [weight.numpy() for weight in network.trainable_weights]
    network.train_on_batch(images, labels, *sample_weight)
    after = [weight.numpy() for weight in network.trainable_weights]
    return [old - new for old, new in zip(before, after)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("taught", [False, True])
def test_the_gradient_is_that_of_the_shares(
    make_network, batch, randomize, weighted, taught
):
    """Written out, on features of the whole batch."""
    images, labels = batch
    network = make_network(kernel_regularizer=keras.regularizers.L2(0.01))
    randomize(network)
    weights = np.linspace(0.2, 2, 8).astype(np.float32) if weighted else np.ones(8)
    crossentropy = keras.losses.CategoricalCrossentropy(reduction="none")
    teacher = make_network().sub_network("1.0")
    answers = teacher(images, training=False)

    def outputs_of(features, config):
        indices = map(tf.constant, network.space.config(config).indices)
        return network.run_stages(features, indices, training=True)

    with tf.GradientTape() as tape:
        features = network.stem(images, training=True)
        losses = []
        for config, share in zip(CONFIGS, SHARES):
            outputs = outputs_of(features[share], config)
            loss = crossentropy(tf.one_hot(labels[share], 3), outputs)
            if taught:
                loss = 0.7 * loss + 0.3 * crossentropy(answers[share], outputs)
            losses.append(loss * weights[share])
        total = tf.reduce_mean(tf.concat(losses, 0))
        total += sum(
            w.regularizer(w) for w in network.trainable_weights if w.regularizer
        )
    variables = [weight.value for weight in network.trainable_weights]
    expected = tape.gradient(total, variables, unconnected_gradients="zero")
    distillation = TeacherDistillation(teacher, 0.3) if taught else None
    compile_network(network, distillation=distillation)
    given = [weights] if weighted else []
    for got, gradient in zip(updates(network, images, labels, *given), expected):
        np.testing.assert_allclose(got, gradient, rtol=1e-3, atol=1e-5)


def test_one_sub_network_gets_all(make_network, batch):
    def train(**options):
        keras.utils.set_random_seed(0)
        network = compile_network(make_network(), [(0.75, 1.0)], **options)
        history = network.fit(*batch, epochs=2, batch_size=3, verbose=0).history
        return network.get_weights(), history

    weights, history = train()
    expected, expected_history = train(split_batch=False)
    assert history == expected_history
    for got, want in zip(weights, expected):
        np.testing.assert_array_equal(got, want)


def test_each_image_is_seen_once_and_by_all_scales_alike(make_network):
    """In an epoch of batches that do not divide, the last of which is small."""
    count, size = 65, 7
    images = np.broadcast_to(
        np.arange(count, dtype=np.float32)[:, None, None, None], (count, 12, 12, 2)
    )
    seen = []

    class Noting(TrainStep):
        def batch_of(self, number, count, batch):
            own = super().batch_of(number, count, batch)
            ids = own.images[:, 0, 0, 0]
            tf.py_function(lambda ids: seen.append(ids.numpy()), [ids], [])
            return own

    network = compile_network(make_network(), sampler="fair")
    network.training_step = Noting(network, network.sampler, None, split_batch=True)
    network.fit(images, np.zeros(count), batch_size=size, verbose=0)
    assert sorted(np.concatenate(seen)) == list(range(count))
    # Nine batches of shares of 2, 2 and 3 by turns, and one of two images.
    assert sorted(map(len, seen)) == [1] * 2 + [2] * 18 + [3] * 9
    sizes = np.array([len(ids) for ids in seen[:27]]).reshape(9, 3)
    np.testing.assert_array_equal(sizes.sum(axis=0), [21, 21, 21])


def test_a_batch_of_few_images_trains_the_largest_of_a_plan(make_network, batch):
    images, labels = batch
    network = compile_network(make_network(), rate=0.1)
    network.train_on_batch(images, labels)
    norm = norms_by_stage(network.parts)[0][1]
    before = row_weights(norm)
    network.train_on_batch(images[:2], labels[:2])
    changed = (row_weights(norm) != before).any(axis=(1, 2))
    assert changed.tolist() == [True, True, False]
    assert all(np.isfinite(weight).all() for weight in network.get_weights())


def test_metrics_are_means_over_images(make_network, batch):
    images, labels = batch
    network = compile_network(make_network(), rate=0.0, metrics=["accuracy"])
    features = network.stem(images, training=True)
    outputs = [
        network.run_stages(
            features[share],
            map(tf.constant, network.space.config(config).indices),
            training=True,
        )
        for config, share in zip(CONFIGS, SHARES)
    ]
    outputs = np.concatenate(outputs)
    losses = keras.losses.sparse_categorical_crossentropy(labels, outputs)
    results = network.train_on_batch(images, labels, return_dict=True)
    assert results["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert results["accuracy"] == pytest.approx(np.mean(outputs.argmax(1) == labels))


@pytest.mark.parametrize("synchronized", [False, True])
def test_replicas_agree(strategy, make_network, batch, synchronized):
    with strategy.scope():
        network = make_network(synchronized=synchronized)
        compile_network(network, rate=0.1)
    counts = [8] if synchronized else [8, 5, 1]
    for count in counts:
        dataset = tf.data.Dataset.from_tensor_slices(batch).take(count).batch(count)
        network.fit(dataset, verbose=0, shuffle=False)
    for variable in network.variables:
        first, second = strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(first, second, variable.path)
        assert np.isfinite(first).all(), variable.path


def test_two_replicas_give_the_mean_of_their_gradients(strategy, make_network, batch):
    """Each splits its own half of the batch."""
    configs = CONFIGS[:2]
    images, labels = batch
    networks = []
    for scope in (strategy.scope(), tf.distribute.get_strategy().scope()):
        with scope:
            networks.append(compile_network(make_network(), configs))
    networks[1].set_weights(networks[0].get_weights())
    weights = networks[1].get_weights()
    halves = []
    for half in (slice(0, 4), slice(4, 8)):
        networks[1].set_weights(weights)
        networks[1].optimizer.iterations.assign(0)
        halves.append(updates(networks[1], images[half], labels[half]))
    dataset = tf.data.Dataset.from_tensor_slices(batch).batch(8)
    before = [weight.numpy() for weight in networks[0].trainable_weights]
    networks[0].fit(dataset, verbose=0, shuffle=False)
    for old, weight, one, other in zip(
        before, networks[0].trainable_weights, *halves, strict=True
    ):
        np.testing.assert_allclose(old - weight, (one + other) / 2, atol=2e-6)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(make_network, batch, dtype):
    keras.config.set_dtype_policy(dtype)
    try:
        network = make_network()
    finally:
        keras.config.set_dtype_policy("float32")
    compile_network(network, rate=0.01)
    history = network.fit(*batch, batch_size=3, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_outputs_and_targets_may_be_nested(make_network, batch):
    images, labels = batch
    network = make_network()
    outputs = network.head.output
    network.head = keras.Model(network.head.input, {"a": outputs, "b": 2 * outputs})
    losses = dict.fromkeys("ab", "sparse_categorical_crossentropy")
    network.compile("sgd", losses, split_batch=True)
    history = network.fit(images, {"a": labels, "b": labels}, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_it_is_saved_with_the_network(make_network, batch, tmp_path):
    network = compile_network(make_network())
    network.fit(*batch, verbose=0)
    network.save(tmp_path / "network.keras")
    copy = keras.saving.load_model(tmp_path / "network.keras")
    assert copy.training_step.split_batch is True
    for got, expected in zip(updates(copy, *batch), updates(network, *batch)):
        np.testing.assert_array_equal(got, expected)


def test_what_cannot_be_split_is_named(make_network, batch):
    network = make_network()
    with pytest.raises(ValueError, match="can teach another: use TeacherDistillation"):
        compile_network(network, sampler="sandwich", distillation="in_place")
    compile_network(network, [(1.0, 1.0)] * 9)
    with pytest.raises(ValueError, match="each of the 9 sub-networks.*has 8 on a dev"):
        network.fit(*batch, verbose=0)
    before = network.get_weights()
    known = tf.data.Dataset.from_tensor_slices(batch).batch(8, drop_remainder=True)
    with pytest.raises(ValueError, match="each of the 9 sub-networks.*has 8 on a dev"):
        compile_network(network, [(1.0, 1.0)] * 9).fit(known, shuffle=False, verbose=0)
    for after, weight in zip(network.get_weights(), before):
        np.testing.assert_array_equal(after, weight)


def test_small_shares_are_told_once(make_network):
    images, labels = np.zeros((100, 12, 12, 2), np.float32), np.zeros(100)
    network = compile_network(make_network())
    with pytest.warns(
        UserWarning, match="gets 13 images.*batches of 48 images"
    ) as told:
        network.fit(images, labels, batch_size=40, verbose=0)
        network.fit(images, labels, batch_size=40, verbose=0)
    assert len([w for w in told if "split_batch" in str(w.message)]) == 1
    compile_network(network)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.fit(images, labels, batch_size=48, verbose=0)
