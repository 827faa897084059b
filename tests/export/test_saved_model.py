import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resizable
from keras_resizable import FixedSampler, data
from keras_resizable.export import to_saved_model
from keras_resizable.export.saved_model import signature_name

CONFIGS = [(0.75, 0.5), (1.0,)]


@pytest.fixture
def network(make_network, randomize):
    network = make_network(classifier_activation=None)
    randomize(network)
    return network


def run(loaded, name, **inputs):
    inputs = {key: tf.constant(value) for key, value in inputs.items()}
    return loaded.signatures[name](**inputs)["outputs"].numpy()


def assert_close(outputs, expected):
    expected = np.asarray(expected)
    assert np.abs(outputs - expected).max() <= 1e-5 * np.abs(expected).max()


def test_signatures_equal_the_network(network, batch, tmp_path):
    images = batch[0]
    to_saved_model(network, tmp_path / "model", CONFIGS)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    names = [signature_name(network.space, config) for config in CONFIGS]
    assert names == ["scale_0.75_0.5", "scale_1.0_1.0"]
    assert set(loaded.signatures) == {*names, "serving_default", "any"}
    for name, config in zip(names, CONFIGS):
        for some in (images, images[:3]):  # A batch of any size.
            assert_close(run(loaded, name, images=some), network(some, config=config))
    assert_close(
        run(loaded, "serving_default", images=images),
        network(images, config=CONFIGS[0]),
    )
    for config in network.space.configs():
        outputs = run(loaded, "any", images=images, config=np.float32(config))
        assert_close(outputs, network(images, config=config))
    outputs = run(loaded, "any", images=images, config=np.float32([0.5]))
    assert_close(outputs, network(images, config=(0.5,)))


def test_bad_scale_factors_are_refused(network, batch, tmp_path):
    to_saved_model(network, tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    for config in ([0.9, 1.0], [1.0, 1.0, 1.0], [np.nan]):
        with pytest.raises(
            tf.errors.InvalidArgumentError,
            match=r"at most 2 scale factors, each one of \(1.0, 0.75, 0.5\)",
        ):
            run(loaded, "any", images=batch[0], config=np.float32(config))


def test_a_finer_list_takes_what_was_trained(network, batch, tf_dataset, tmp_path):
    network.compile("sgd", "sparse_categorical_crossentropy")
    network.fit(*batch, verbose=0)
    finer = network.with_scales((1.0, 0.875, 0.75, 0.5))
    to_saved_model(finer, tmp_path / "model", ["0.875"], calibrate_with=tf_dataset)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    expected = network.sub_network("0.875", tf_dataset)(batch[0])
    assert_close(run(loaded, "scale_0.875_1.0", images=batch[0]), expected)
    outputs = run(loaded, "any", images=batch[0], config=np.float32([0.5, 0.75]))
    assert_close(outputs, network(batch[0], config=(0.5, 0.75)))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"of \(1.0, 0.75, 0.5\)"):
        run(loaded, "any", images=batch[0], config=np.float32([0.875]))


def test_what_was_trained_in_some_stages(network, batch, tmp_path):
    sampler = FixedSampler([(1.0, 0.5)])
    network.compile("sgd", "sparse_categorical_crossentropy", sampler=sampler)
    network.fit(*batch, verbose=0)
    to_saved_model(network, tmp_path / "model", ["1.0,0.5"])
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    outputs = run(loaded, "any", images=batch[0], config=np.float32([1.0, 0.5]))
    assert_close(outputs, network(batch[0], config=(1.0, 0.5)))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[\(1.0,\), \(0.5,\)\]"):
        run(loaded, "any", images=batch[0], config=np.float32([0.5, 0.5]))


def test_a_sub_network_alone(network, batch, tmp_path):
    model = network.sub_network("0.5")
    to_saved_model(model, tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    assert list(loaded.signatures) == ["serving_default"]
    outputs = run(loaded, "serving_default", images=batch[0])
    assert_close(outputs, model(batch[0]))
    with pytest.raises(ValueError, match="is one sub-network, which has no `configs`"):
        to_saved_model(model, tmp_path / "other", ["0.5"])


def test_calibrated_statistics_are_stored(network, tf_dataset, batch, tmp_path):
    to_saved_model(network, tmp_path / "model", CONFIGS, calibrate_with=tf_dataset)
    before = network(batch[0], config=CONFIGS[0])
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    for config in CONFIGS:
        expected = network.sub_network(config, tf_dataset)(batch[0])
        name = signature_name(network.space, config)
        assert_close(run(loaded, name, images=batch[0]), expected)
    # Those of the network are as they were, and what `any` uses.
    outputs = run(loaded, "any", images=batch[0], config=np.float32(CONFIGS[0]))
    assert_close(outputs, before)


def test_preprocessing_is_built_in(make_network, tmp_path):
    network = make_network()

    def preprocess(images):
        return data.preprocess(images, (12, 12, 2))

    to_saved_model(network, tmp_path / "model", preprocess=preprocess)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    generator = np.random.default_rng(0)
    for size in ((12, 12), (30, 17)):
        images = generator.integers(0, 256, (3, *size, 2), np.uint8)
        image_set = data.from_arrays(
            (images, np.zeros(3, int)), (images, np.zeros(3, int))
        )
        ((prepared, _),) = data.eval_dataset(image_set.test, (12, 12, 2), 3)
        outputs = run(loaded, "serving_default", images=images)
        assert_close(outputs, network(prepared, config=(1.0,)))


def test_it_loads_with_tensorflow_alone(network, batch, tmp_path):
    to_saved_model(network, tmp_path / "model", CONFIGS)
    np.save(tmp_path / "images.npy", batch[0])
    code = f"""
import sys
sys.modules["keras"] = sys.modules["keras_resizable"] = None
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load({str(tmp_path / "model")!r})
images = tf.constant(np.load({str(tmp_path / "images.npy")!r}))
outputs = loaded.signatures["scale_0.75_0.5"](images=images)["outputs"]
np.save({str(tmp_path / "outputs.npy")!r}, outputs.numpy())
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    outputs = np.load(tmp_path / "outputs.npy")
    assert_close(outputs, network(batch[0], config=CONFIGS[0]))


def test_variables_are_stored_once(network, tmp_path):
    to_saved_model(network, tmp_path / "model", network.space.configs())
    stored = tf.train.list_variables(
        str(tmp_path / "model" / "variables" / "variables")
    )
    sizes = [np.prod(shape) for name, shape in stored if "OBJECT_GRAPH" not in name]
    assert sum(sizes) == sum(np.prod(weight.shape) for weight in network.weights)


def test_it_is_written_whole_or_not_at_all(network, make_network, batch, tmp_path):
    path = tmp_path / "model"
    to_saved_model(network, path, CONFIGS[:1])
    with pytest.raises(ValueError, match=r"0.3 of stage 1 is not one of"):
        to_saved_model(network, path, [(0.3,)])
    with pytest.raises(ValueError, match="at least one"):
        to_saved_model(network, path, [])
    with pytest.raises(ValueError, match="fixed input shape"):
        to_saved_model(make_network(input_shape=(None, None, 2)), path)

    def broken(images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_saved_model(network, path, preprocess=broken)
    assert list(tmp_path.iterdir()) == [path]
    assert set(tf.saved_model.load(str(path)).signatures) >= {"scale_0.75_0.5"}
    to_saved_model(network, path, CONFIGS[1:])
    assert "scale_0.75_0.5" not in tf.saved_model.load(str(path)).signatures
    (tmp_path / "photos").mkdir()
    with pytest.raises(OSError, match="photos: it exists with other contents"):
        to_saved_model(network, tmp_path / "photos")


@pytest.mark.parametrize("kind", ["dict", "list"])
def test_several_outputs_keep_their_names(tmp_path, kind):
    x = images = keras.Input((12, 12, 2))
    for filters, strides in ((4, 2), (4, 1), (4, 1)):
        x = keras.layers.Conv2D(filters, 3, strides, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = [keras.layers.Dense(3)(x), keras.layers.Dense(4)(x)]
    named = dict(zip(("kind", "box"), outputs))
    source = keras.Model(images, named if kind == "dict" else outputs)
    network = keras_resizable.from_keras(source, (1.0, 0.5))
    some = np.random.default_rng(0).random((3, 12, 12, 2), np.float32)
    names = ["box", "kind"] if kind == "dict" else ["output_0", "output_1"]
    for model, signatures in (
        (network, ["serving_default", "any"]),
        (network.sub_network("1.0"), ["serving_default"]),
    ):
        to_saved_model(model, tmp_path / "model")
        loaded = tf.saved_model.load(str(tmp_path / "model"))
        for signature in signatures:
            inputs = {"images": tf.constant(some)}
            if signature == "any":
                inputs["config"] = tf.constant([1.0])
            given = loaded.signatures[signature](**inputs)
            for name, expected in zip(names, keras.tree.flatten(network(some))):
                assert_close(given[name], expected)
