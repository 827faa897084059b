"""Runs that end in the middle, and what is left of them."""

import functools
import io
import json

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from conftest import small_network

from keras_resizable import FairSampler, ResizableNetwork, data
from keras_resizable.subnetworks.parts import norms_by_stage
from keras_resizable.workshop.runs.checkpoint_callback import Checkpoint
from keras_resizable.workshop.runs.checkpoint_file import save_checkpoint
from keras_resizable.workshop.runs.resuming import fit_resumable

MAKE_NETWORK = small_network

STEPS = 5


@pytest.fixture
def images(batch):
    generator = np.random.default_rng(0)
    arrays = (
        generator.integers(0, 256, (8 * STEPS, 12, 12, 2), np.uint8),
        generator.integers(0, 3, 8 * STEPS),
    )
    return data.from_arrays(arrays, arrays)


@pytest.fixture
def fit(images, tmp_path):
    """A function that trains a network in a folder, from where it was left."""
    folder = tmp_path / "run"
    folder.mkdir()

    def fit(network, epochs, **options):
        return fit_resumable(
            network,
            lambda step: data.train_dataset(images, 8, start_step=step),
            steps_per_epoch=STEPS,
            epochs=epochs,
            folder=folder,
            verbose=0,
            **options,
        )

    return fit


@pytest.fixture
def compiled(make_network):
    def make(learning_rate=0.05, steps_per_execution=1, **kwargs):
        network = make_network(**{"scales": (1.0, 0.5), **kwargs})
        network.compile(
            keras.optimizers.SGD(learning_rate, momentum=0.9),
            loss="categorical_crossentropy",
            metrics=["accuracy"],
            steps_per_execution=steps_per_execution,
        )
        return network

    return make


def test_a_run_leaves_what_it_says(fit, compiled, images, tmp_path):
    validation = data.eval_dataset(images.test, (12, 12, 2), 8, num_classes=3)
    options = {"validation_data": validation, "monitor": "val_accuracy"}
    history = fit(compiled(), 2, **options)
    folder = tmp_path / "run"
    table = pandas.read_csv(folder / "history.csv")
    assert table["epoch"].tolist() == [1, 2]
    assert table["val_accuracy"].tolist() == [row["val_accuracy"] for row in history]
    assert (folder / "history.png").read_bytes().startswith(b"\x89PNG")
    best = keras.saving.load_model(folder / "best.keras")
    last = keras.saving.load_model(folder / "supernet.keras")
    assert isinstance(best, ResizableNetwork)
    results = [
        network.evaluate(validation, verbose=0, return_dict=True)["accuracy"]
        for network in (best, last)
    ]
    assert results[0] == pytest.approx(table["val_accuracy"].max())
    assert results[1] == pytest.approx(table["val_accuracy"].iloc[-1])
    # All is done, so nothing is left to do.
    network = compiled()
    assert fit(network, 2, **options) == history
    assert network.optimizer.iterations == 2 * STEPS


@pytest.mark.parametrize("kind", ["mixed_float16", "one_device"])
def test_runs_of_other_kinds_go_on(fit, compiled, kind, tmp_path):
    one_device = tf.distribute.OneDeviceStrategy("CPU:0")
    strategy = one_device if kind == "one_device" else tf.distribute.get_strategy()

    def train(epochs):
        keras.utils.set_random_seed(0)
        if kind == "mixed_float16":
            keras.config.set_dtype_policy(kind)
        try:
            with strategy.scope():
                network = compiled()
        finally:
            keras.config.set_dtype_policy("float32")
        fit(network, epochs, every_steps=2)
        return [v.numpy() for v in (*network.variables, *network.optimizer.variables)]

    expected = train(2)
    for path in (tmp_path / "run").iterdir():
        path.unlink()
    train(1)
    for one, other in zip(train(2), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_mirrored_runs_go_on_inside_an_epoch(fit, compiled, strategy, tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == STEPS + 3:
                raise KeyboardInterrupt

    def train(*callbacks):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            network = compiled()
        history = fit(network, 2, every_steps=2, callbacks=callbacks)
        return network.get_weights(), history

    expected, expected_history = train()
    for path in (tmp_path / "run").iterdir():
        path.unlink()
    with pytest.raises(KeyboardInterrupt):
        train(Interrupt())
    got, history = train()
    for one, other in zip(got, expected):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    for one, other in zip(history, expected_history, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


def test_a_loss_that_is_no_number_stops_and_keeps_what_was_saved(
    fit, compiled, images, tmp_path
):
    network = compiled()
    fit(network, 1)
    kept = {
        path.name: path.read_bytes()
        for path in (tmp_path / "run").iterdir()
        if path.suffix != ".png"
    }

    class Spoil(keras.callbacks.Callback):
        """Makes batch normalisation at one scale factor overflow."""

        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                layer = norms_by_stage(self.model.parts)[-1][1]
                layer.gammas[1].assign(np.inf * layer.gammas[1])

    network = compiled()
    message = rf"at step {STEPS + 3}, in the sub-network '[\d.]+,0.5'"
    with pytest.raises(FloatingPointError, match=message):
        fit(network, 2, callbacks=[Spoil()])
    assert kept == {name: (tmp_path / "run" / name).read_bytes() for name in kept}
    with pytest.raises(FloatingPointError, match="no longer finite"):
        save_checkpoint(network, tmp_path / "run", {})
    fit(compiled(), 2)


def test_weights_that_are_no_numbers_are_not_saved(fit, compiled, tmp_path):
    class Spoil(keras.callbacks.Callback):
        """After the last step of an epoch, whose loss was a number."""

        def on_epoch_end(self, epoch, logs=None):
            self.model.stem.weights[0].assign(self.model.stem.weights[0] * np.nan)

    with pytest.raises(FloatingPointError, match="weights are no longer finite"):
        fit(compiled(), 1, callbacks=[Spoil()], monitor="loss")
    assert not list((tmp_path / "run").iterdir())


def test_what_is_monitored_but_not_there_is_named(fit, compiled, tmp_path):
    with pytest.raises(ValueError, match=r"no 'val_loss' to monitor.*'accuracy'"):
        fit(compiled(), 1, monitor="val_loss")
    assert (tmp_path / "run" / "checkpoint.npz").exists()


def test_where_mirrored_replicas_diverged(fit, compiled, strategy):
    with strategy.scope():
        network = compiled(learning_rate=1e30)
    with pytest.raises(FloatingPointError, match="at step [23], in the sub-network"):
        fit(network, 2)


class Kill(keras.callbacks.Callback):
    """Ends a run as a kill would: nothing of it runs any more."""

    def __init__(self, step=None, epoch=None):
        super().__init__()
        self.at = step, epoch

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.at[0]:
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at[1]:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("together", "kept"), [(1, 8), (2, 8), (3, 9)])
def test_checkpoints_come_as_soon_as_their_step_is_passed(
    compiled, images, tmp_path, together, kept
):
    def train(*callbacks, steps=12):
        network = compiled(steps_per_execution=together)
        fit_resumable(
            network,
            lambda step: data.train_dataset(images, 8, start_step=step),
            steps_per_epoch=steps,
            epochs=1,
            folder=tmp_path,
            every_steps=4,
            callbacks=callbacks,
            verbose=0,
        )
        return network

    # It is killed after the step that is named, before the callback of checkpoints.
    with pytest.raises(KeyboardInterrupt):
        train(Kill(step=12))
    with np.load(tmp_path / "checkpoint.npz") as contents:
        assert json.loads(str(contents["state"]))["step"] == kept
    assert train().optimizer.iterations == 12
    if together == 3:
        (tmp_path / "checkpoint.npz").unlink()
        (tmp_path / "checkpoint.previous.npz").unlink()
        with pytest.raises(ValueError, match="divide the 5 steps.*execution=3"):
            train(steps=5)


class GetWorse(keras.callbacks.Callback):
    """An accuracy that falls after the second epoch."""

    def on_epoch_end(self, epoch, logs=None):
        logs["quality"] = [1.0, 2.0, 1.5, 1.2, 1.1, 1.0, 0.9][epoch]


def early_stopping(patience=2):
    stop = keras.callbacks.EarlyStopping(
        "quality", patience=patience, mode="max", restore_best_weights=True
    )
    return [GetWorse(), stop]


def weights_of(path):
    return keras.saving.load_model(path).get_weights()


def test_a_run_that_a_callback_ended_is_done(compiled, fit, tmp_path):
    network = compiled()
    history = fit(network, 7, callbacks=early_stopping())
    assert len(history) == 4
    ended_with = network.get_weights()
    again = compiled()
    saved = weights_of(tmp_path / "run" / "supernet.keras")
    for one, other in zip(saved, ended_with, strict=True):
        np.testing.assert_array_equal(one, other)
    # The same call trains no more, and gives the same.
    assert fit(again, 7, callbacks=early_stopping()) == history
    for one, other in zip(again.get_weights(), ended_with, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_interrupted_run_ends_with_the_same_callbacks(compiled, fit, tmp_path):
    def train(*more):
        keras.utils.set_random_seed(0)
        network = compiled()
        history = fit(network, 7, callbacks=[*early_stopping(), *more])
        return network.get_weights(), history

    expected, expected_history = train()
    for path in (tmp_path / "run").iterdir():
        path.unlink()
    with pytest.raises(KeyboardInterrupt):
        train(Kill(epoch=3))
    got, history = train()
    assert len(history) == len(expected_history) == 4
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_what_a_callback_restores_in_the_middle_is_not_trained_on(
    compiled, fit, tmp_path
):
    """A run that goes on inside an epoch has two ends; only the last one counts."""

    class Inside(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 3 * STEPS + 3:
                raise KeyboardInterrupt

    keras.utils.set_random_seed(0)
    network = compiled()
    fit(network, 4, every_steps=2, callbacks=early_stopping(patience=5))
    expected = network.get_weights()
    for path in (tmp_path / "run").iterdir():
        path.unlink()
    keras.utils.set_random_seed(0)
    with pytest.raises(KeyboardInterrupt):
        fit(
            compiled(),
            4,
            every_steps=2,
            callbacks=[*early_stopping(patience=5), Inside()],
        )
    network = compiled()
    fit(network, 4, every_steps=2, callbacks=early_stopping(patience=5))
    for one, other in zip(network.get_weights(), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_run_killed_before_its_end_was_kept_ends_alike(
    compiled, fit, tmp_path, monkeypatch
):
    network = compiled()
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "finish", lambda *args: None)
        history = fit(network, 7, callbacks=early_stopping())
    again = compiled()
    assert fit(again, 7, callbacks=early_stopping()) == history
    saved = weights_of(tmp_path / "run" / "supernet.keras")
    for got, kept, expected in zip(
        again.get_weights(), saved, network.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(kept, expected)


def test_callbacks_may_come_and_go(compiled, fit):
    with pytest.raises(KeyboardInterrupt):
        fit(compiled(), 3, callbacks=[*early_stopping(), Kill(epoch=1)])
    assert len(fit(compiled(), 3)) == 3
    with pytest.raises(ValueError, match="epochs=0"):
        fit(compiled(), 0)


def test_more_epochs_go_on_from_the_last_one(compiled, fit, tmp_path):
    """Not from what `fit` ended with: averages, or restored weights."""
    keras.utils.set_random_seed(0)
    network = compiled()
    fit(network, 3)
    expected = network.get_weights()
    for path in (tmp_path / "run").iterdir():
        path.unlink()
    keras.utils.set_random_seed(0)
    fit(compiled(), 2, callbacks=early_stopping(patience=9))
    network = compiled()

    class LastEpoch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            weights[:] = self.model.get_weights()

    weights: list = []
    callbacks = [*early_stopping(patience=9), LastEpoch()]
    fit(network, 3, callbacks=callbacks)
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


class NotSerializable:
    def __init__(self, space):
        self.sampler = FairSampler().for_space(space)

    def __call__(self, step):
        return self.sampler(step)


@pytest.mark.parametrize("kind", ["partial", "object", "layer"])
def test_what_cannot_be_saved_is_refused_before_training(make_network, fit, kind):
    network = make_network()
    sampler = {
        "partial": functools.partial(lambda seed, step: [[0, 0]], 1),
        "object": NotSerializable(network.space),
        "layer": FairSampler(),
    }[kind]
    loss = keras.losses.CategoricalCrossentropy()
    if kind == "layer":
        network.get_config = lambda: {}["no such key"]
    network.compile("sgd", loss, sampler=sampler)
    with pytest.raises(ValueError, match="could not be saved after training"):
        fit(network, 1)
    assert network.optimizer.iterations == 0


class Counter(keras.callbacks.Callback):
    """A callback of somebody with a state, of which an open file cannot be saved."""

    def __init__(self, path):
        super().__init__()
        self.path, self.file = path, None
        self.seen, self.losses, self.last = 0, [], {"sum": np.zeros(2)}

    def on_train_begin(self, logs=None):
        self.file = open(self.path, "a")

    def on_train_end(self, logs=None):
        self.file.close()

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(logs["loss"])
        self.last["sum"] = self.last["sum"] + logs["loss"]


def test_callbacks_resume_with_what_they_know(compiled, fit, tmp_path):
    """As in a run that was not interrupted: files of Keras's, and attributes."""

    def callbacks(name):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        best = keras.callbacks.ModelCheckpoint(
            folder / "best.keras", monitor="loss", mode="max", save_best_only=True
        )
        return [
            best,
            keras.callbacks.CSVLogger(folder / "log.csv"),
            Counter(folder / "own.txt"),
        ]

    def train(name, *more):
        keras.utils.set_random_seed(0)
        network, added = compiled(), callbacks(name)
        try:
            fit(network, 4, every_steps=2, callbacks=[*added, *more])
        except KeyboardInterrupt:
            for callback in added[1:]:
                callback.on_train_end()  # Closes its file, as the end of a process.
            raise
        return added

    expected = train("whole")
    for path in (tmp_path / "run").iterdir():
        path.unlink()

    class InTheSecondEpoch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == STEPS + 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("parts", InTheSecondEpoch())
    with pytest.warns(UserWarning, match="with a fresh Counter: its file cannot be"):
        got = train("parts")
    logs = [(tmp_path / n / "log.csv").read_text() for n in ("whole", "parts")]
    rows = [np.genfromtxt(io.StringIO(log), delimiter=",")[1:, :3] for log in logs]
    assert len(rows[0]) == 4
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-4)
    assert got[0].best == pytest.approx(expected[0].best, rel=1e-4)
    kept = [
        keras.models.load_model(tmp_path / n / "best.keras") for n in ("whole", "parts")
    ]
    for one, other in zip(kept[0].get_weights(), kept[1].get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    # Of steps after the last checkpoint, a state is that of the checkpoint.
    assert got[2].seen == expected[2].seen == 4 * STEPS
    np.testing.assert_allclose(got[2].losses, expected[2].losses, rtol=1e-4)
    np.testing.assert_allclose(got[2].last["sum"], expected[2].last["sum"], rtol=1e-4)


def test_two_ways_to_restore_exclude_each_other(compiled, fit, tmp_path):
    with pytest.raises(ValueError, match="leave out keras.callbacks.BackupAndRestore"):
        fit(compiled(), 1, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
