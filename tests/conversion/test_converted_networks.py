"""What a converted network does beyond computing: as those of this library."""

import keras
import numpy as np
import processes
import pytest
import tensorflow as tf
from conftest import randomize_batch_norms
from foreign_models import (
    SIZE,
    blocks_that_are_layers,
    body,
    classify,
    conv,
    of,
    padded,
    plain,
    pooled_by_a_window,
)
from keras import layers

import keras_resizable
from keras_resizable import adapt
from keras_resizable.adapt import AdaptiveNetwork
from keras_resizable.export import to_bundle, to_saved_model, to_tflite_files
from keras_resizable.search import build_table
from keras_resizable.search.evaluation import evaluate_model
from keras_resizable.subnetworks.calibration import as_changed, batch_norms, tables_of

# The layers after the resizes, and the size of the maps, by the paper's rule.
STAGES = {
    "MobileNetV2": {
        "expanded_conv_depthwise": 48,
        "block_2_expand": 24,
        "block_4_expand": 12,
        "block_7_expand": 6,
        "block_14_expand": 3,
    },
    "MobileNetV3Small": {
        "expanded_conv_depthwise": 48,
        "expanded_conv_2_expand": 12,
        "expanded_conv_4_expand": 6,
        "expanded_conv_9_expand": 3,
    },
    "EfficientNetB0": {
        "block1a_dwconv": 48,
        "block2b_expand_conv": 24,
        "block3b_expand_conv": 12,
        "block4b_expand_conv": 6,
        "block6b_expand_conv": 3,
    },
    "ResNet50V2": {
        f"conv{number}_block1_preact_bn": size
        for number, size in zip((2, 3, 4, 5), (24, 12, 6, 3))
    },
    # Less than 5 % of the multiply-adds follow at the smallest maps.
    "DenseNet121": {
        f"conv{number}_block1_0_bn": size
        for number, size in zip((2, 3, 4), (24, 12, 6))
    },
    "Xception": {
        "block1_conv2": 47,
        "block3_sepconv1_act": 23,
        "block4_sepconv1_act": 12,
        "block5_sepconv1_act": 6,
        "block14_sepconv1": 3,
    },
    "ConvNeXtTiny": {
        f"convnext_tiny_stage_{number}_block_0_depthwise_conv": size
        for number, size in enumerate((24, 12, 6, 3))
    },
    # Its cells also take the output of the cell before the last.
    "NASNetMobile": {"activation": 47},
}


@pytest.mark.parametrize("name", STAGES)
def test_stages_are_where_the_paper_has_them(name):
    keras.utils.clear_session()  # Layers are named as in a new process.
    model = getattr(keras.applications, name)(
        input_shape=(96, 96, 3), weights=None, classes=3
    )
    points = keras_resizable.resize_points(model)
    chosen = {p.layer: p.height for p in points if p.chosen}
    assert chosen == STAGES[name]
    assert all(p.height == p.width for p in points)


def probabilities(make):
    """A model of `foreign_models`, which ends in logits, with a softmax."""
    model = make()
    return keras.Model(model.input, layers.Softmax()(model.output))


@pytest.mark.parametrize("make", [padded, blocks_that_are_layers])
@pytest.mark.filterwarnings("ignore:The images to calibrate with are unlike")
def test_search_export_and_routing_take_them(make, tmp_path):
    model = probabilities(make)
    randomize_batch_norms(model)
    network = keras_resizable.from_keras(model, (1.0, 0.7))
    images = np.random.default_rng(0).random((32, SIZE, SIZE, 3)).astype(np.float32)
    labels = np.arange(32) % 3
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)
    table = build_table(network, dataset, calibrate_with=dataset, verbose=False)
    assert len(table) == network.space.size and table.to_frame()["flops"].min() > 0
    smallest = network.space.smallest
    alone = network.sub_network(smallest, calibrate_with=dataset)
    result = evaluate_model(alone, dataset, "alone")["alone"]
    row = table[smallest]
    assert result["top1"] == pytest.approx(row["top1"])
    assert keras_resizable.count_flops(alone) == row["flops"]

    configs = [network.space.largest, smallest]
    for quantize in ("none", "int8"):  # Each is checked against the super-network.
        paths = [
            file.path
            for file in to_tflite_files(
                network, configs, tmp_path, quantize=quantize, calibrate_with=dataset
            )
        ]
    assert to_bundle(paths, tmp_path / "bundle.tflite").size_bytes > 0
    to_saved_model(network, tmp_path / "saved", configs, calibrate_with=dataset)

    adaptive = AdaptiveNetwork(network, configs)
    assert adaptive.predict(images, verbose=0).shape == (32, 3)


def test_mixed_precision_and_any_size(batch):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = plain()
    finally:
        keras.config.set_dtype_policy("float32")
    network = keras_resizable.from_keras(model, (1.0, 0.7))
    images = tf.random.uniform((2, SIZE, SIZE, 3))
    np.testing.assert_allclose(
        network(images), model(images, training=False), rtol=1e-2, atol=1e-2
    )
    assert network.stages[0].inputs[0].dtype == "float16"

    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, classify(body(inputs)))
    anywhere = keras_resizable.from_keras(model, (1.0, 0.7))
    assert anywhere.input_shape == (None, None, None, 3)
    fixed = keras_resizable.from_keras(model, (1.0, 0.7), input_shape=(40, 32, 3))
    assert fixed.input_shape == (None, 40, 32, 3)
    images = tf.random.uniform((2, 40, 32, 3))
    for network in (anywhere, fixed):
        np.testing.assert_allclose(
            network(images), model(images, training=False), atol=1e-5
        )


def test_a_subclassed_model_that_is_made_functional():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.convolutions = [
                layers.Conv2D(4, 3, strides, padding="same") for strides in (2, 1, 2, 1)
            ]
            self.norms = [layers.BatchNormalization() for _ in range(4)]
            self.dense = layers.Dense(3)

        def call(self, x, training=None):
            for layer, norm in zip(self.convolutions, self.norms):
                x = keras.ops.relu(norm(layer(x), training=training))
            return self.dense(keras.ops.mean(x, axis=(1, 2)))

    model, images = Own(), np.random.default_rng(0).random((4, 32, 32, 3), np.float32)
    model.compile("sgd", "mse")
    model.fit(images, np.zeros((4, 3)), verbose=0)
    x = keras.Input((32, 32, 3))
    network = keras_resizable.from_keras(keras.Model(x, model.call(x)), [1.0, 0.5])
    assert network.space.num_stages == 2
    np.testing.assert_allclose(network(images), model(images), atol=1e-6)


def test_places_can_be_given():
    model = plain()
    points = keras_resizable.resize_points(model)
    names = [point.layer for point in points]
    network = keras_resizable.from_keras(model, (1.0, 0.7), resize_before=names[2:0:-1])
    assert network.space.num_stages == 2
    outer = of(lambda x: model(layers.Rescaling(2.0)(x)))
    inside = [f"{model.name}/{names[1]}"]
    assert inside[0] in [point.layer for point in keras_resizable.resize_points(outer)]
    for given in (inside, names[1:2]):
        network = keras_resizable.from_keras(outer, (1.0, 0.7), resize_before=given)
        assert network.space.num_stages == 1


def test_a_network_has_the_name_that_it_is_given():
    network = keras_resizable.from_keras(plain(), (1.0, 0.7), name="mine")
    assert network.name == "mine"


def test_frozen_layers_stay_frozen(batch):
    base = of(body)
    base.trainable = False
    model = of(lambda x: classify(base(x, training=False)))
    network = keras_resizable.from_keras(model, (1.0, 0.7))
    assert len(network.trainable_weights) == 2  # Of the classifier.


@keras.saving.register_keras_serializable(package="tests")
class HoldsAModel(layers.Layer):
    """Batch normalisation that no attribute leads to."""

    def build(self, shape):
        inputs = keras.Input((None, None, shape[-1]))
        self.model = keras.Model(inputs, layers.BatchNormalization()(inputs))

    def call(self, x):
        return self.model(x)


@keras.saving.register_keras_serializable(package="tests")
class TakesTwo(layers.Layer):
    """A block of two maps, with batch normalisation of one."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.BatchNormalization()

    def build(self, shapes):
        self.norm.build(shapes[0])

    def call(self, inputs):
        return self.norm(inputs[0]) + inputs[1]


def takes_two(x):
    x = body(x)
    return TakesTwo()([x, layers.Conv2D(6, 3, padding="same")(x)])


@pytest.mark.parametrize("block", [lambda x: HoldsAModel()(body(x)), takes_two])
def test_shared_rows_are_told(block):
    model = of(lambda x: classify(block(x)))
    randomize_batch_norms(model)
    with pytest.warns(UserWarning, match="All scale factors share it"):
        network = keras_resizable.from_keras(model, (1.0, 0.7))
    images = tf.random.uniform((2, SIZE, SIZE, 3))
    np.testing.assert_allclose(
        network(images), model(images, training=False), atol=1e-5
    )


IN_A_FRESH_PROCESS = """
import sys
import numpy as np
import keras_resizable

path, num_before = sys.argv[1], int(sys.argv[2])
other = keras_resizable.ResNet20(scales=(1.0, 0.5), input_shape=(16, 16, 3))
for _ in range(num_before):
    other.sub_network("0.5,0.5,0.5")
network = keras_resizable.load_network(path)
images = np.load(path + ".npy")
for config in network.space.configs():
    model = network.sub_network(config, check_statistics=False)
    answers = network(images, config=config)
    np.testing.assert_allclose(model(images), answers, rtol=1e-4, atol=1e-5)
print(network.space.size)
"""


@pytest.mark.parametrize("num_before", [0, 1, 5])
def test_networks_are_cut_in_a_fresh_process_whatever_it_did_before(
    num_before, tmp_path
):
    """A head that takes one size begins with a resize, which has a name of its own."""
    network = keras_resizable.from_keras(pooled_by_a_window(), (1.0, 0.5))
    network.check_statistics = False
    for _ in range(2):
        network.sub_network(network.space.smallest)
    path = tmp_path / "network.keras"
    network.save(path)
    np.save(f"{path}.npy", np.random.default_rng(0).random((2, SIZE, SIZE, 3)))
    result = processes.run("-c", IN_A_FRESH_PROCESS, path, num_before, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[-1]) == network.space.size


@pytest.mark.filterwarnings("ignore:The images to calibrate with are unlike")
def test_a_network_that_was_converted_keeps_its_statistics_at_full_size():
    """Whatever it is calibrated with: they are those of all of its training."""
    model = probabilities(plain)
    randomize_batch_norms(model)
    network = keras_resizable.from_keras(model, (1.0, 0.5))
    generator = np.random.default_rng(0)
    images = generator.normal(5, 9, (64, SIZE, SIZE, 3)).astype(np.float32)
    labels = model.predict(images, verbose=0).argmax(axis=1)
    whole = network.sub_network("1.0", calibrate_with=images)
    np.testing.assert_allclose(whole(images), model(images), atol=1e-6)
    tables = [
        build_table(
            network, (images, labels), calibrate_with=images, raw=raw, verbose=False
        )
        for raw in (True, False)
    ]
    for table in tables:
        assert table["1.0"]["top1"] == 1.0
    one, two = (table.to_frame()["top1"] for table in tables)
    np.testing.assert_allclose(one, two)
    halves = network.sub_network("0.5,0.5", calibrate_with=images)
    raw = network.sub_network("0.5,0.5", check_statistics=False)
    assert np.abs(halves(images) - raw(images)).max() > 1e-3  # Others are calibrated.
    # Trained, or saved and trained, it is as any other.
    again = keras.models.clone_model(network)
    again.set_weights(network.get_weights())
    network.compile("sgd", "sparse_categorical_crossentropy")
    network.fit(images, labels, epochs=1, verbose=0)
    trained = network.sub_network("1.0", calibrate_with=images)
    kept = network.sub_network("1.0")
    assert np.abs(trained(images) - kept(images)).max() > 1e-3


def statistics_of(model):
    return [v.numpy() for v in tables_of(batch_norms(model))]


def changed(own, estimated, full):
    """The rule in NumPy: means by difference, variances by ratio."""
    pairs = zip(own, estimated, full)
    results = []
    for number, (old, new, at_full_size) in enumerate(pairs):
        is_mean = number % 2 == 0
        of_mean = old + (new - at_full_size)
        results.append(of_mean if is_mean else old * new / at_full_size)
    return results


@pytest.mark.parametrize("config", ["0.5,0.5", "1.0,0.5", "0.75,1.0"])
@pytest.mark.filterwarnings("ignore:The images to calibrate with are unlike")
def test_statistics_change_as_from_full_size(config):
    model = probabilities(plain)
    generator = np.random.default_rng(0)
    for norm in batch_norms(model):
        norm.moving_mean.assign(generator.normal(size=norm.moving_mean.shape))
        norm.moving_variance.assign(generator.random(norm.moving_variance.shape) + 0.5)
    network = keras_resizable.from_keras(model, (1.0, 0.5))
    images = generator.normal(1, 2, (48, SIZE, SIZE, 3)).astype(np.float32)
    batches = tf.data.Dataset.from_tensor_slices(images).batch(20)  # A ragged end.
    finer = network.with_factors_of([config])
    own, full = (finer.sub_network(c, check_statistics=False) for c in (config, "1.0"))
    before = statistics_of(own)
    for estimated in (own, full):
        keras_resizable.calibrate(estimated, batches)
    expected = changed(before, statistics_of(own), statistics_of(full))
    found = network.sub_network(config, calibrate_with=batches)
    for value, other in zip(statistics_of(found), expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-3, atol=1e-4)
    # A table evaluates the same.
    outputs = found.predict(images, verbose=0)
    table = build_table(
        finer,
        (images, outputs.argmax(axis=1)),
        [config],
        calibrate_with=batches,
        verbose=False,
    )
    assert table.right(config).all() and outputs.max(axis=1).std() > 1e-3
    confidence = table.confidence(config)
    np.testing.assert_allclose(confidence, outputs.max(axis=1), atol=2e-3)


def test_images_in_another_range_are_told():
    model, generator = probabilities(plain), np.random.default_rng(0)
    images = generator.normal(0, 1, (64, SIZE, SIZE, 3)).astype(np.float32)
    keras_resizable.calibrate(model, images)  # As if it was trained on them.
    network = keras_resizable.from_keras(model, (1.0, 0.5))

    def calibrate_with(images):
        network.sub_network("0.5", calibrate_with=images)
        build_table(network, images, ["0.5"], calibrate_with=images, verbose=False)

    for fitting in (images[:16], images[..., ::-1], generator.permutation(images)):
        calibrate_with(fitting)
    for other in (127.5 * (images + 1), images / 2, np.zeros_like(images)):
        with pytest.warns(UserWarning, match="unlike those of the training") as told:
            calibrate_with(other)
        assert len(told) == 2


def test_candidates_are_calibrated_as_sub_networks():
    """Also a second time, and where they share a part."""
    network = keras_resizable.from_keras(probabilities(plain), (1.0, 0.5))
    images = np.random.default_rng(0).normal(5, 9, (32, SIZE, SIZE, 3))
    images = images.astype(np.float32)
    cascade = adapt.Cascade(network, ["0.5,0.5", "0.5,1.0", "1.0"], [0.5, 0.5])
    for _ in range(2):
        cascade.calibrate(images)
    for config in cascade.candidates:
        expected = network.sub_network(config, calibrate_with=images)(images)
        np.testing.assert_allclose(
            cascade.sub_network(config)(images), expected, atol=1e-5
        )


def test_candidates_are_copies_of_the_network_as_it_was():
    network = keras_resizable.from_keras(probabilities(plain), (1.0, 0.5))
    images = np.random.default_rng(0).normal(5, 9, (32, SIZE, SIZE, 3))
    images = images.astype(np.float32)
    cascade = adapt.Cascade(network, ["0.5,0.5", "1.0"], [0.5])
    expected = network.sub_network("0.5,0.5", check_statistics=False)
    keras_resizable.calibrate(expected, images)
    network.compile("sgd", "sparse_categorical_crossentropy")
    network.fit(images, np.zeros(32), verbose=0)
    cascade.calibrate(images)
    found = cascade.sub_network("0.5,0.5")(images)
    np.testing.assert_allclose(found, expected(images), atol=1e-5)


def test_a_saved_model_at_full_size_is_the_source(tmp_path):
    model = probabilities(plain)
    network = keras_resizable.from_keras(model, (1.0, 0.5))
    images = np.random.default_rng(0).normal(5, 9, (32, SIZE, SIZE, 3))
    images = images.astype(np.float32)
    to_saved_model(network, tmp_path / "saved", ["1.0"], calibrate_with=images)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    (outputs,) = loaded.signatures["scale_1.0_1.0"](tf.constant(images)).values()
    np.testing.assert_allclose(outputs, model(images), atol=1e-6)


def test_variances_change_within_limits():
    ones = tf.ones(4)
    full = tf.constant([0.0, 1.0, 1.0, 1e-9])
    new = tf.constant([5.0, 0.0, 3.0, 1.0])
    _, variances = as_changed([ones, 2 * ones], [ones, new], [ones, full])
    np.testing.assert_allclose(variances, [2.0, 0.02, 6.0, 200.0])


def test_images_that_are_not_the_models_do_little_harm():
    """One colour, from which nothing can be estimated."""
    model = probabilities(plain)
    network = keras_resizable.from_keras(model, (1.0, 0.5))
    images = np.random.default_rng(0).normal(0, 1, (32, SIZE, SIZE, 3))
    raw = network.sub_network("0.5,0.5", check_statistics=False)
    black = np.zeros((16, SIZE, SIZE, 3), np.float32)
    kept = network.sub_network("0.5,0.5", calibrate_with=black)
    estimated = keras.models.clone_model(raw)
    estimated.set_weights(raw.get_weights())
    keras_resizable.calibrate(estimated, black)
    harm, without = (np.abs(m(images) - raw(images)).mean() for m in (estimated, kept))
    assert without < harm / 2


def test_a_network_that_is_read_still_knows_that_it_was_converted(tmp_path):
    network = keras_resizable.from_keras(probabilities(plain), (1.0, 0.5))
    network.save(tmp_path / "network.keras")
    read = keras_resizable.load_network(tmp_path / "network.keras")
    assert read.has_full_size_statistics
    assert not keras_resizable.ResNet20(scales=(1.0, 0.5)).has_full_size_statistics
    smaller = keras_resizable.from_keras(probabilities(plain), (0.75, 0.5))
    assert not smaller.has_full_size_statistics


def test_a_table_warns_where_calibrating_does_harm(batch, make_network):
    images, labels = batch
    network = make_network()
    network.compile("adam", "sparse_categorical_crossentropy", sampler="sandwich")
    network.fit(images, labels, epochs=30, verbose=0)
    for norm in batch_norms(network):
        norm.momentum = 0.0
    network.fit(images, labels, epochs=1, verbose=0)
    others = np.random.default_rng(1).normal(50, 90, (64, 12, 12, 2))
    with pytest.warns(UserWarning, match="Calibration changed the largest .* from"):
        build_table(
            network,
            (images, network(images).numpy().argmax(axis=1)),
            ["1.0"],
            calibrate_with=others.astype(np.float32),
            verbose=False,
        )


def test_outputs_that_follow_the_scale_factors_are_named():
    def dense(x):
        x = conv(conv(x, 4, 2), 6)
        return layers.Conv2D(2, 1, name="mask")(conv(layers.UpSampling2D(2)(x), 6))

    with pytest.warns(UserWarning) as told:
        keras_resizable.from_keras(of(dense), (1.0, 0.5))
    (message,) = (str(one.message) for one in told if "follow" in str(one.message))
    assert "'mask' is (24, 24, 2) at 1.0" in message and "(12, 12, 2) at 0.5" in message


def test_a_model_that_is_hardly_resizable_is_told():
    def make(x):
        for _ in range(3):
            x = layers.Conv2D(16, 3, padding="same")(x)
        return classify(conv(layers.Conv2D(2, 1)(x), 2))

    model = of(make)
    last = keras_resizable.resize_points(model)[-1].layer
    with pytest.warns(UserWarning, match="change only .* % of the multiply-adds"):
        keras_resizable.from_keras(model, (1.0, 0.5), resize_before=[last])
