import contextlib

import keras
import numpy as np
import pytest
from conftest import small_network

from keras_resizable import data
from keras_resizable.callbacks import StopOnDivergence
from keras_resizable.training import cut_outs
from keras_resizable.workshop.runs import resuming

MAKE_NETWORK = small_network


@pytest.fixture
def model(make_network, randomize):
    network = make_network()
    randomize(network)
    return network.sub_network((0.75, 0.5))


def compile_model(model):
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9), loss="categorical_crossentropy"
    )
    return model


def changed(model, before):
    """Names of the layers with trainable weights that have changed."""
    return {
        variable.path.split("/")[-2]
        for variable, old in zip(model.variables, before)
        if not np.array_equal(variable.numpy(), old)
    }


def test_only_classifier_and_last_statistics_are_trained(model, batch):
    images, labels = batch
    cut_outs.train_only(model, "classifier")
    compile_model(model)
    before = model.get_weights()
    model.fit(images, np.eye(3)[labels], verbose=0)
    assert changed(model, before) == {"predictions", "conv3_bn"}
    cut_outs.train_only(model, "all")
    compile_model(model)
    model.fit(images, np.eye(3)[labels], verbose=0)
    assert len(changed(model, before)) == len(
        {variable.path.split("/")[-2] for variable in model.variables}
    )


def test_bad_choices_are_named(model):
    with pytest.raises(ValueError, match="weights='head'"):
        cut_outs.train_only(model, "head")
    # Squeezed and excited by dense layers, none of which is the classifier.
    images = keras.Input((4, 4, 3))
    x = keras.layers.BatchNormalization()(images)
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = keras.layers.Multiply()([x, keras.layers.Dense(3, name="gate")(gate)])
    x = keras.layers.Conv2D(5, 1, name="last")(x)
    gated = keras.Model(images, keras.layers.GlobalAveragePooling2D()(x), name="gated")
    with pytest.raises(ValueError, match="gated does not end .*'last'"):
        cut_outs.train_only(gated, "classifier")


def test_a_teacher_teaches_and_stays_as_it_is(make_network, batch):
    images, labels = batch
    network = make_network()
    teacher = make_network().sub_network((1.0, 1.0))
    teacher_before = teacher.get_weights()
    distances = []
    for has_teacher in (False, True):
        model = trained = network.sub_network((0.75, 0.5))
        if has_teacher:
            trained = cut_outs.taught_by(model, teacher)
        compile_model(trained).fit(images, np.eye(3)[labels], epochs=40, verbose=0)
        probabilities = [m.predict(images, verbose=0) for m in (teacher, model)]
        distances.append(np.mean(keras.losses.kl_divergence(*probabilities)))
    assert distances[1] < distances[0] / 2
    for old, new in zip(teacher_before, teacher.get_weights()):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "object"])
def test_a_teacher_under_a_strategy_teaches_as_on_one_device(model, loss, strategy):
    generator = np.random.default_rng(0)
    images = generator.random((32, 12, 12, 2), np.float32)
    labels = generator.integers(0, 3, 32)
    if loss == "object":
        loss = keras.losses.SparseCategoricalCrossentropy()
    cut_outs.train_only(model, "classifier")
    moved = []
    for scope in (contextlib.nullcontext(), strategy.scope()):
        with scope:
            student, teacher = (keras.models.clone_model(model) for _ in range(2))
            student.set_weights(model.get_weights())
            teacher.set_weights([0.9 * weight for weight in model.get_weights()])
            taught = cut_outs.taught_by(student, teacher)
            taught.compile(keras.optimizers.SGD(1.0), loss)
        taught.fit(images, labels, batch_size=32, shuffle=False, verbose=0)
        old, new = (m.get_layer("predictions").get_weights() for m in (model, student))
        moved.append(np.concatenate([(a - b).ravel() for a, b in zip(old, new)]))
    assert abs(moved[0]).max() > 1e-3
    np.testing.assert_allclose(moved[0], moved[1], rtol=0.1, atol=1e-4)


def test_answers_that_a_teacher_cannot_teach(batch):
    images = keras.Input((12, 12, 2))
    features = keras.layers.Flatten()(images)
    yes_or_no = keras.Model(images, keras.layers.Dense(1, "sigmoid")(features))
    several = keras.Model(images, keras.layers.Dense(3, "sigmoid")(features))
    several.compile("sgd", "binary_crossentropy")
    for model in (yes_or_no, several):
        with pytest.raises(ValueError, match="two or more classes|one class"):
            cut_outs.taught_by(model, model)
    one = keras.Model(images, keras.layers.Dense(3, "softmax")(features))
    taught = cut_outs.taught_by(one, keras.models.clone_model(one))
    with pytest.raises(ValueError, match="one class per image.*binary_crossentropy"):
        taught.compile("sgd", "binary_crossentropy")
    with pytest.raises(ValueError, match="cannot be `None`"):
        taught.compile("sgd")


def test_penalties_count_with_a_teacher_too(make_network, batch):
    images, labels = batch
    network = make_network(kernel_regularizer=keras.regularizers.L2(0.1))
    model = network.sub_network((0.75, 0.5))
    taught = cut_outs.taught_by(model, network.sub_network((1.0, 1.0)))
    compile_model(taught)
    penalty = float(sum(model.losses))
    (loss,) = taught.fit(images, np.eye(3)[labels], verbose=0).history["loss"]
    assert 1 < penalty < loss < penalty + 2


class Stop(BaseException):
    pass


@pytest.mark.parametrize("with_teacher", [False, True])
def test_fine_tuning_goes_on_as_if_it_had_not_stopped(
    make_network, tmp_path, with_teacher
):
    generator = np.random.default_rng(0)
    arrays = generator.integers(0, 256, (40, 12, 12, 2), np.uint8), np.arange(40) % 3
    images = data.from_arrays(arrays, arrays)
    initial = make_network().get_weights()

    def run(folder, callbacks=()):
        network = make_network()
        network.set_weights(initial)
        model = network.sub_network((0.75, 0.5))
        trained = model
        if with_teacher:
            trained = cut_outs.taught_by(model, network.sub_network((1.0, 1.0)))
        compile_model(trained)
        history = resuming.fit_resumable(
            trained,
            lambda step: data.train_dataset(images, 10, start_step=step),
            steps_per_epoch=data.steps_per_epoch(images, 10),
            epochs=3,
            folder=folder,
            callbacks=callbacks,
            verbose=0,
        )
        assert len(history) == 3
        return model.get_weights()

    class StopInSecondEpoch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.epoch == 1 and batch == 2:
                raise Stop

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

    with pytest.raises(Stop):
        run(tmp_path / "stopped", [StopInSecondEpoch()])
    resumed = run(tmp_path / "stopped")
    for old, new in zip(run(tmp_path / "whole"), resumed):
        np.testing.assert_allclose(old, new, atol=1e-6)
    saved = keras.saving.load_model(tmp_path / "stopped" / "sub_network.keras")
    assert not any("keras_resizable" in type(x).__module__ for x in saved.layers)
    for old, new in zip(resumed, saved.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_a_diverging_loss_names_the_step(model, batch):
    images, labels = batch
    compile_model(model)
    with pytest.raises(FloatingPointError, match="NaN at step 1. Files saved before"):
        model.fit(
            images * np.nan,
            np.eye(3)[labels],
            verbose=0,
            callbacks=[StopOnDivergence()],
        )
