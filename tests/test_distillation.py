"""What sub-networks learn from each other in a training step."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_network

import keras_resizable
from keras_resizable import FairSampler, FixedSampler, PiecewiseSampler, SandwichSampler
from keras_resizable.distillation import InPlaceDistillation

MAKE_NETWORK = small_network

CONFIGS = [(1.0, 1.0), (0.75, 1.0), (0.5, 0.5)]


def compile_network(network, distillation, **options):
    options.setdefault("sampler", FixedSampler(CONFIGS))
    options.setdefault("optimizer", keras.optimizers.SGD(1.0))
    network.compile(
        loss="sparse_categorical_crossentropy", distillation=distillation, **options
    )
    return network


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.filterwarnings("ignore:With `split_batch=True` each")
def test_a_model_teaches_every_sub_network(make_network, batch, tmp_path, split):
    """As a mixture of labels and its answers: cross-entropies are linear in them."""
    images, labels = batch
    keras.utils.set_random_seed(1)
    teacher = make_network(classifier_activation=None).sub_network("1.0")
    answers = tf.nn.softmax(teacher(images, training=False))
    mixed = 0.7 * tf.one_hot(labels, 3) + 0.3 * answers

    def train(targets, distillation=None):
        keras.utils.set_random_seed(0)
        network = make_network(kernel_regularizer=keras.regularizers.L2(0.01))
        network.compile(
            keras.optimizers.SGD(1.0),
            "categorical_crossentropy",
            sampler=FixedSampler(CONFIGS),
            distillation=distillation,
            split_batch=split,
        )
        network.train_on_batch(images, targets)
        return network

    distillation = keras_resizable.TeacherDistillation(teacher, weight=0.3)
    before = teacher.get_weights()
    network = train(tf.one_hot(labels, 3), distillation)
    for got, expected in zip(network.get_weights(), train(mixed).get_weights()):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
    for got, expected in zip(teacher.get_weights(), before):
        np.testing.assert_array_equal(got, expected)
    network.save(tmp_path / "network.keras")  # Without its teacher.
    copy = keras.saving.load_model(tmp_path / "network.keras")
    assert copy.training_step.distillation is None


def test_a_teacher_of_other_images_or_classes_is_refused(make_network):
    def teach(**options):
        teacher = make_network(**options).sub_network("1.0")
        distillation = keras_resizable.TeacherDistillation(teacher)
        compile_network(make_network(), distillation)

    with pytest.raises(ValueError, match=r"answers with \(None, 4\), the .*, 3\)"):
        teach(classes=4)
    with pytest.raises(ValueError, match=r"takes \(None, 12, 12, 1\).*12, 12, 2\)"):
        teach(input_shape=(12, 12, 1))
    with pytest.raises(ValueError, match="A classifier must have one output"):
        teach(include_top=False)


@pytest.mark.parametrize("activation", ["softmax", None])
def test_gradients_are_those_of_the_written_loss(
    make_network, batch, randomize, activation
):
    images, labels = batch
    network = make_network(
        classifier_activation=activation,
        kernel_regularizer=keras.regularizers.L2(0.01),
    )
    randomize(network)
    from_logits = activation is None
    weights = network.trainable_variables
    before = [weight.numpy() for weight in weights]
    sample_weight = np.linspace(0.5, 1.5, len(labels), dtype=np.float32)

    def outputs_of(config):
        return network(images, config=config, training=True)

    answer = outputs_of(CONFIGS[0])
    largest = tf.nn.softmax(answer) if from_logits else answer
    gradients = [np.zeros(weight.shape) for weight in weights]
    losses = []
    for config, teacher in zip(CONFIGS, [None, largest, largest]):
        with tf.GradientTape() as tape:
            answer = outputs_of(config)
            loss = keras.losses.sparse_categorical_crossentropy(
                labels, answer, from_logits
            )
            if teacher is not None:
                taught = keras.losses.categorical_crossentropy(
                    teacher, answer, from_logits
                )
                loss = 0.7 * loss + 0.3 * taught
            loss = tf.reduce_mean(loss * sample_weight) + tf.add_n(network.losses)
        losses.append(loss)
        new = tape.gradient(loss, [weight.value for weight in weights])
        for total, gradient in zip(gradients, new):
            total += 0 if gradient is None else gradient.numpy() / len(CONFIGS)

    network.compile(
        keras.optimizers.SGD(1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits),
        sampler=FixedSampler(CONFIGS),
        distillation=InPlaceDistillation(0.3),
    )
    reported = network.train_on_batch(images, labels, sample_weight)
    assert reported == pytest.approx(np.mean(losses), rel=1e-5)
    for weight, old, gradient in zip(weights, before, gradients):
        np.testing.assert_allclose(old - weight, gradient, rtol=2e-3, atol=2e-5)


def test_weight_of_zero_is_plain_training(make_network, batch):
    results = []
    for distillation in (None, InPlaceDistillation(0.0)):
        keras.utils.set_random_seed(0)
        network = compile_network(make_network(dropout=0.5), distillation)
        network.fit(*batch, batch_size=4, verbose=0, shuffle=False)
        results.append(network.get_weights())
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_mirrored_and_mixed_precision(strategy, make_network, batch):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with strategy.scope():
            network = make_network()
            compile_network(
                network,
                InPlaceDistillation(),
                sampler=SandwichSampler(),
                optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
            )
    finally:
        keras.config.set_dtype_policy("float32")
    history = network.fit(*batch, batch_size=4, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_replicas_train_as_one(strategy, make_network, batch):
    weights = []
    for scope in (tf.distribute.get_strategy(), strategy):
        keras.utils.set_random_seed(1)
        with scope.scope():
            network = make_network(synchronized=scope is strategy)
            optimizer = keras.optimizers.SGD(0.05)
            compile_network(network, InPlaceDistillation(), optimizer=optimizer)
        network.fit(*batch, batch_size=8, epochs=2, verbose=0, shuffle=False)
        weights.append(network.get_weights())
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-4)


def test_compiled_distillation_is_saved(make_network, batch, tmp_path):
    network = compile_network(make_network(), InPlaceDistillation(0.25))
    network.train_on_batch(*batch)
    network.save(tmp_path / "network.keras")
    copy = keras.saving.load_model(tmp_path / "network.keras")
    assert isinstance(copy.training_step.distillation, InPlaceDistillation)
    assert copy.training_step.distillation.weight == 0.25
    losses = [model.train_on_batch(*batch) for model in (network, copy)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_plans_without_the_largest_are_refused(make_network, batch):
    network = make_network()
    fair, without = FairSampler(), FixedSampler([(0.5, 1.0)])
    late = PiecewiseSampler([1000], [SandwichSampler(), without])
    for sampler in (fair, without, late):
        with pytest.raises(
            ValueError, match="InPlaceDistillation needs plans.*Sampler"
        ):
            compile_network(network, InPlaceDistillation(), sampler=sampler)

    def later_without(step):
        return tf.where(step < 10, [[0, 0], [1, 2]], [[0, 1], [1, 2]])

    compile_network(network, InPlaceDistillation(), sampler=later_without)
    network.optimizer.build(network.trainable_variables)
    network.optimizer.iterations.assign(9)
    network.train_on_batch(*batch)
    with pytest.raises(tf.errors.InvalidArgumentError, match="largest sub-network"):
        network.train_on_batch(*batch)


def test_bad_arguments_are_named(make_network):
    with pytest.raises(ValueError, match="weight=1.5"):
        InPlaceDistillation(1.5)
    network = make_network(include_top=False)
    with pytest.raises(ValueError, match=r"one output of \(batch, classes\)"):
        compile_network(network, InPlaceDistillation())
