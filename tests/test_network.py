import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_network
from odd_networks import stem_of, tiny_network

from keras_resizable import FairSampler, FixedSampler, ResizableNetwork
from keras_resizable.training.records import STALE_STEPS
from keras_resizable.workshop.runs import keras_files

MAKE_NETWORK = small_network
pytestmark = pytest.mark.filterwarnings("ignore:With `split_batch=True` each")


def compile_network(network, configs=None):
    sampler = FairSampler(seed=3)
    if configs is not None:
        sampler = FixedSampler(configs)
    network.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        sampler=sampler,
        split_batch=True,
    )
    return network


@pytest.fixture
def network(make_network, randomize):
    network = make_network()
    randomize(network)
    return network


def test_config_is_what_runs_when_none_is_given(network, batch):
    images, _ = batch
    assert network.config == (1.0, 1.0)
    np.testing.assert_array_equal(network(images), network(images, config=(1.0,)))
    network.config = (0.75,)
    assert network.config == (0.75, 1.0)
    small = network(images)
    np.testing.assert_array_equal(small, network(images, config=(0.75, 1.0)))
    assert not np.allclose(small, network(images, config=(1.0, 1.0)), atol=1e-3)


def test_any_sub_network_is_evaluated_without_retracing(network, batch, monkeypatch):
    images, labels = batch
    traces = []
    call = type(network).call
    monkeypatch.setattr(
        type(network),
        "call",
        lambda *args, **kw: (traces.append(1), call(*args, **kw))[1],
    )
    compile_network(network)
    network.evaluate(images, labels, verbose=0)
    network.predict(images, verbose=0)
    traced = len(traces)
    for config in network.space.configs():
        network.config = config
        loss, _ = network.evaluate(images, labels, verbose=0)
        outputs = network.predict(images, verbose=0)
        assert len(traces) == traced
        expected = network(images, config=config)
        traced += 1
        np.testing.assert_allclose(outputs, expected, atol=1e-5)
        losses = keras.losses.sparse_categorical_crossentropy(labels, expected)
        assert loss == pytest.approx(np.mean(losses), rel=1e-4)


def test_keras_file_round_trip(network, batch, tmp_path):
    compile_network(network).fit(*batch, verbose=0)
    network.config = (0.5, 0.5)
    network.save(tmp_path / "network.keras")
    copy = keras.saving.load_model(tmp_path / "network.keras")
    assert isinstance(copy, ResizableNetwork)
    assert copy.space == network.space
    assert copy.config == network.space.largest  # It is not saved.
    assert copy.training_step.split_batch is True and copy.sampler.seed == 3
    network.config = copy.config
    for _ in range(2):  # It goes on where it was.
        np.testing.assert_allclose(
            copy.evaluate(*batch, verbose=0), network.evaluate(*batch, verbose=0)
        )
        copy.fit(*batch, verbose=0)
        network.fit(*batch, verbose=0)


def test_weights_round_trip(network, make_network, batch, tmp_path):
    network.save_weights(tmp_path / "network.weights.h5")
    copy = make_network(weights=tmp_path / "network.weights.h5")
    for config in network.space.configs():
        np.testing.assert_array_equal(
            copy(batch[0], config=config), network(batch[0], config=config)
        )


def test_extra_rows_are_the_only_extra_parameters(make_network):
    network = make_network()
    plain = make_network(scales=[1.0])
    assert plain.extra_params == 0
    assert network.extra_params == network.count_params() - plain.count_params()


def test_untrained_scale_of_a_trained_network_is_refused(network, batch):
    network.config = (0.5, 0.5)  # Never trained at all: as Keras's models.
    network.sub_network((0.5, 0.5))
    network.config = network.space.largest
    compile_network(network, [(1.0, 1.0), (0.75, 0.5)]).fit(*batch, verbose=0)
    network.sub_network((0.75, 0.5))
    message = r"scale 0.5 of stage 1 never saw a batch.*'0.5,0.5'.*calibrate_with"
    with pytest.raises(ValueError, match=message):
        network.config = (0.5, 0.5)
    with pytest.raises(ValueError, match=message):
        network.sub_network((0.5, 0.5))
    dataset = tf.data.Dataset.from_tensors(batch)
    network.sub_network((0.5, 0.5), calibrate_with=dataset)
    network.sub_network((0.5, 0.5), check_statistics=False)
    network.check_statistics = False
    network.config = (0.5, 0.5)
    network.evaluate(*batch, verbose=0)
    network.check_statistics = True
    for method in (network.evaluate, network.predict):
        with pytest.raises(ValueError, match=message):
            method(batch[0], verbose=0)


def test_statistics_that_come_with_weights_are_trusted(make_network, batch):
    network, configs = make_network(), [(1.0, 1.0), (0.75, 0.5)]
    compile_network(network, configs).fit(*batch, verbose=0)
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    compile_network(copy, configs[:1]).fit(*batch, verbose=0)
    copy.config = configs[1]
    with pytest.raises(ValueError, match="scale 0.5 of stage 1 never saw a batch"):
        copy.config = (0.5, 0.5)
    # What it had itself is no news: callbacks restore weights in this way.
    network.set_weights(network.get_weights())
    with pytest.raises(ValueError, match="scale 0.5 of stage 1 never saw a batch"):
        network.config = (0.5, 0.5)


def test_old_statistics_get_a_warning_also_after_loading(network, batch, tmp_path):
    compile_network(network).fit(*batch, verbose=0)
    compile_network(network, [(1.0, 1.0)])
    dataset = tf.data.Dataset.from_tensors(batch).repeat(STALE_STEPS)
    network.fit(dataset, verbose=0, shuffle=False)
    network.config = (0.5, 1.0)  # Not yet.
    network.fit(*batch, verbose=0)
    network.save(tmp_path / "network.keras")
    for trained in (network, keras.saving.load_model(tmp_path / "network.keras")):
        with pytest.warns(UserWarning, match="scale 0.5 of stage 1 was last .* 101"):
            trained.sub_network((0.5, 1.0))


def test_bad_configurations_are_named(network, batch):
    for use in (
        lambda config: setattr(network, "config", config),
        lambda config: network(batch[0], config=config),
        network.sub_network,
    ):
        with pytest.raises(ValueError, match="0.6 of stage 2 is not one of"):
            use((1.0, 0.6))
        with pytest.raises(ValueError, match="of the 2 stages"):
            use((1.0, 1.0, 1.0))


def test_numpy_configurations(network, batch):
    config = tuple(np.array([0.75, 0.5]))
    expected = network(batch[0], config=(0.75, 0.5))
    np.testing.assert_array_equal(network(batch[0], config=config), expected)


def test_layers_of_other_scales_are_refused(make_network):
    two = make_network(scales=[1.0, 0.5])
    with pytest.raises(ValueError, match=r"Stage 1: .*resize0.*\(1.0, 0.75\)"):
        ResizableNetwork(two.stem, two.stages, two.head, (1.0, 0.75))


def test_sampler_of_ones_own_is_saved_by_name(network, batch, tmp_path):
    @keras.saving.register_keras_serializable(package="tests")
    def largest_only(step):
        return [[0, 0]]

    network.compile("sgd", "sparse_categorical_crossentropy", sampler=largest_only)
    network.save(tmp_path / "network.keras")
    copy = keras.saving.load_model(tmp_path / "network.keras")
    assert copy.sampler is largest_only


@pytest.mark.parametrize(
    "weights", [3, "imagenet2", "x.h5", "missing.weights.h5", keras.Sequential()]
)
def test_weights_that_are_no_file_are_named(make_network, weights):
    with pytest.raises((ValueError, FileNotFoundError), match=f"{weights}"):
        make_network(weights=weights)


def test_weights_of_another_model_are_named(make_network, tmp_path):
    other = keras.applications.MobileNet((32, 32, 3), 0.25, weights=None, classes=3)
    path = tmp_path / "mobilenet.weights.h5"
    other.save_weights(path)
    with pytest.raises(ValueError, match="mobilenet.*must be .*weights of a 'small'"):
        make_network(weights=path)
    network = make_network()
    network.save(tmp_path / "network.keras")
    copy = make_network(weights=tmp_path / "network.keras")
    for one, other in zip(copy.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_load_says_what_keras_said(make_network, tmp_path):
    network = make_network()

    class Unknown(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return y_pred[:, 0]

    network.compile("sgd", Unknown())
    path = tmp_path / "network.keras"
    keras_files.save_network(network, path)
    with pytest.raises(ValueError, match="network.keras.*Unknown"):
        keras_files.load_network(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is damaged"):
        keras_files.load_network(path)


def test_channels_first_is_refused(make_network):
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match=r"\(batch, height, width, channels\)"):
            make_network()
    finally:
        keras.config.set_image_data_format("channels_last")
    conv = keras.layers.Conv2D(3, 1, data_format="channels_first", name="first")
    with pytest.raises(ValueError, match="'first' has data_format='channels_first'"):
        tiny_network(stem_of(conv, keras.layers.Permute((2, 3, 1))))


def test_a_frozen_network_trains_as_keras_does(make_network, batch):
    network = make_network()
    network.trainable = False
    network.compile("sgd", "sparse_categorical_crossentropy")
    before = network.get_weights()
    with pytest.warns(UserWarning, match="not have any trainable weights"):
        network.fit(*batch, verbose=0)
    for one, other in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions_train(make_network, batch, dtype):
    keras.config.set_dtype_policy(dtype)
    try:
        network = make_network()
        regularized = make_network(kernel_regularizer=keras.regularizers.L2(0.01))
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ValueError, match=f"is {dtype} and has a regularizer"):
        regularized.compile("sgd", "sparse_categorical_crossentropy")
    network.compile(
        keras.optimizers.SGD(0.01),
        "sparse_categorical_crossentropy",
    )
    before = network.get_weights()
    assert np.isfinite(network.fit(*batch, verbose=0).history["loss"]).all()
    assert any(
        not np.array_equal(new, old) for new, old in zip(network.get_weights(), before)
    )
