"""Files of models that do not only classify: several outputs, maps and quantities."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_resizable.export import (
    OutputComparison,
    TFLiteFile,
    compare_tflite,
    evaluate_tflite,
    read_metadata,
    run_tflite,
    to_tflite,
)


def trunk(images):
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(images)
    return layers.Conv2D(8, 3, 2, padding="same", activation="relu")(x)


def maps_and_numbers(names=None):
    """A map of three classes, two numbers, and one."""
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 12, 3))
    x = trunk(images)
    pooled = layers.GlobalAveragePooling2D()(x)
    outputs = [
        layers.Conv2D(3, 1, activation="softmax")(layers.UpSampling2D(2)(x)),
        layers.Dense(2)(pooled),
        layers.Dense(1)(pooled),
    ]
    return keras.Model(images, dict(zip(names, outputs)) if names else outputs)


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    coarse = random.random((40, 4, 3, 3), np.float32)
    return np.kron(coarse, np.ones((1, 4, 4, 1), np.float32))


def expected_measures(found, expected):
    """Difference, unexplained variance and agreement, by NumPy on all at once.

    The variance is that of the worst channel.
    """
    apart = np.abs(found - expected)
    difference = apart.reshape(len(found), -1).max(1).mean() / np.abs(expected).max()
    axes = tuple(range(apart.ndim - 1))
    unexplained = (np.square(apart).mean(axes) / expected.var(axes)).max()
    same = (found.argmax(-1) == expected.argmax(-1)).mean()
    are_classes = len(np.unique(expected.argmax(-1))) > 1
    return difference, unexplained, same if are_classes else None


def outputs_of(path, images):
    """By LiteRT, of a float32 file."""
    interpreter = tf.lite.Interpreter(str(path))
    runner = interpreter.get_signature_runner()
    rows = [runner(args_0=image[np.newaxis]) for image in images]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter:UserWarning")
@pytest.mark.parametrize("names", [None, ("mask", "box10", "box9")])
def test_every_output_is_compared_by_its_name(images, names, tmp_path):
    model = maps_and_numbers(names)
    options = {"calibrate_with": images, "evaluate_with": images, "io": "float32"}
    file = to_tflite(model, tmp_path / "a.tflite", "int8", **options)
    outputs, expected = outputs_of(file, images), model(images)
    if names is None:
        names = [f"output_{number}" for number in range(3)]
        expected = dict(zip(names, expected))
    assert outputs.keys() == set(names) and file.accuracy is None
    for output in file.comparison:
        values = outputs[output.name], expected[output.name].numpy()
        measured = output.difference, output.unexplained, output.agreement
        for one, other in zip(measured, expected_measures(*values), strict=True):
            assert one == other or one == pytest.approx(other, rel=1e-3)
    assert {output.name for output in file.comparison} == set(names)
    mask, *others = file.comparison
    assert mask.are_probabilities and mask.loss == 1 - mask.agreement
    assert not any(output.are_probabilities for output in others)
    batches = tf.data.Dataset.from_tensor_slices((images, np.zeros(40))).batch(7)
    again = compare_tflite(file, model, batches)
    for one, other in zip(file.comparison, again):
        assert one.loss == pytest.approx(other.loss, rel=1e-3)


@pytest.mark.parametrize("quantize", ["none", "float16", "dynamic", "int8"])
def test_files_of_several_outputs(images, quantize, tmp_path):
    file = to_tflite(
        maps_and_numbers(),
        tmp_path / "a.tflite",
        quantize,
        calibrate_with=images,
        evaluate_with=images,
        max_loss=0.05,
    )
    assert len(file.comparison) == 3
    assert read_metadata(file)["comparison"][0]["name"] == "output_0"


def test_a_file_that_is_far_from_its_model_is_refused(images, tmp_path):
    model = maps_and_numbers()
    options = {"calibrate_with": images, "evaluate_with": images, "max_loss": 1e-9}
    with pytest.raises(
        ValueError, match="too far.*'output_0': the same answer in .* % of the var"
    ):
        to_tflite(model, tmp_path / "a.tflite", "int8", **options)
    assert not list(tmp_path.iterdir())


def test_files_of_others_that_are_wrong_are_seen(images, tmp_path):
    """One whose mask is upside down, by TensorFlow's converter."""
    model = maps_and_numbers()
    mask, *others = model.outputs
    turned = keras.Model(model.inputs, [keras.ops.flip(mask, axis=1), *others])
    path = tmp_path / "turned.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(turned).convert())
    mask, *others = compare_tflite(path, model, images)
    assert mask.loss > 0.05 and all(output.loss < 1e-6 for output in others)
    assert all(output.loss < 1e-6 for output in compare_tflite(path, turned, images))
    with pytest.raises(ValueError, match="has 3 outputs, and the model 1"):
        compare_tflite(path, keras.Model(model.inputs, model.outputs[0]), images)
    small = keras.Model(model.inputs, [model.outputs[n] for n in (1, 1, 2)])
    with pytest.raises(
        ValueError, match=r"'output_0' of .*turned.tflite has the shape"
    ):
        compare_tflite(path, small, images)


class TrainsByDefault(layers.Layer):
    """As layers of keras-hub, which a call without `training` runs as in training."""

    def call(self, x, training=True):
        return x + 1.0 if training else x

    def compute_output_shape(self, shape):
        return shape


def test_models_are_compared_at_inference(images, tmp_path):
    inputs = keras.Input((16, 12, 3))
    x = TrainsByDefault()(layers.GlobalAveragePooling2D()(inputs))
    model, path = keras.Model(inputs, layers.Dense(3)(x)), tmp_path / "a.tflite"
    to_tflite(model, path)
    (output,) = compare_tflite(path, model, images)
    assert output.difference < 1e-4
    accuracy = evaluate_tflite(path, images, compare_with=model)
    assert accuracy.agreement == 1


@pytest.mark.parametrize("loss", ["mse", keras.losses.Huber()])
def test_a_loss_tells_that_numbers_are_no_classes(images, loss, tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 12, 3))
    x = layers.GlobalAveragePooling2D()(trunk(inputs))
    model = keras.Model(inputs, layers.Dense(4)(x))
    options = {"calibrate_with": images, "evaluate_with": images, "max_loss": 0.2}
    path = tmp_path / "a.tflite"
    assert to_tflite(model, path, "int8", **options).comparison == []
    model.compile(loss=loss)
    (output,) = to_tflite(model, path, "int8", **options).comparison
    assert output.unexplained < 0.05


def test_a_single_number_is_no_class(images, tmp_path):
    """Unless it is a probability."""
    inputs = keras.Input((16, 12, 3))
    x = layers.GlobalAveragePooling2D()(trunk(inputs))
    for head, count in (
        (layers.Dense(1, bias_initializer="ones"), 1),
        (layers.Dense(1, "sigmoid"), 0),
    ):
        path = tmp_path / "a.tflite"
        model = keras.Model(inputs, head(x))
        file = to_tflite(model, path, evaluate_with=images, max_loss=0.2)
        assert len(file.comparison) == count and (file.accuracy is None) == count


def test_a_file_that_says_nothing_is_told(tmp_path):
    """A photo is so bright that the steps of int8 are larger than all others."""
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(3, 1, use_bias=False)(inputs)
    model = keras.Model(inputs, layers.Softmax()(layers.GlobalAveragePooling2D()(x)))
    model.set_weights([np.eye(3)[np.newaxis, np.newaxis]])
    images = np.random.default_rng(0).random((40, 1, 1, 3), np.float32)
    images = np.tile(images, (1, 4, 4, 1))
    images[-1] *= 1e4
    with pytest.warns(UserWarning, match="dim.tflite reproduces little of its model"):
        to_tflite(model, tmp_path / "dim.tflite", "int8", calibrate_with=images)


def test_numbers_of_which_one_is_always_the_largest_are_no_classes(images, tmp_path):
    """An age and a height in centimetres, where the file's are those of nobody."""
    inputs = keras.Input((16, 12, 3))
    pooled = layers.GlobalAveragePooling2D()(inputs)
    dense = layers.Dense(2, bias_initializer=keras.initializers.Constant(9.0))
    model = keras.Model(inputs, [dense(pooled), layers.Dense(1)(pooled)])
    kernel, bias = dense.get_weights()
    dense.set_weights([kernel, bias + [0.0, 170.0]])
    path = tmp_path / "a.tflite"
    to_tflite(model, path)
    (output, _) = compare_tflite(path, model, images)
    assert output.agreement is None and output.loss < 1e-6
    dense.set_weights([-kernel, bias + [0.0, 170.0]])
    (output, _) = compare_tflite(path, model, images)
    assert output.agreement is None and output.loss > 1


def test_outputs_of_files_without_signatures_keep_their_order(images, tmp_path):
    @tf.function(input_signature=[tf.TensorSpec((1, 16, 12, 3))])
    def scores_and_boxes(images):
        scores = tf.identity(tf.reduce_mean(images, (1, 2)), "scores")
        return scores, tf.identity(tf.reduce_max(images, (1, 2)), "boxes")

    function = scores_and_boxes.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    path = tmp_path / "a.tflite"
    path.write_bytes(converter.convert())
    outputs = compare_tflite(path, lambda x: [x.numpy().mean((1, 2))] * 2, images)
    assert sorted(output.loss < 1e-6 for output in outputs) == [False, True]


def test_integers_stay_what_they_are_behind_uint8(images, tmp_path):
    """A map of a model that has decided by itself."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 12, 3))
    x = layers.Conv2D(1, 1)(inputs)
    model = keras.Model(inputs, keras.ops.cast(x > 0.1, "int32"))
    path = tmp_path / "a.tflite"
    options = {"calibrate_with": images, "input_range": (0, 1), "io": "uint8"}
    to_tflite(model, path, "int8", **options)
    expected = model(images).numpy()
    assert np.mean(run_tflite(path, images) == expected) > 0.95


def test_nan_is_refused(images, tmp_path):
    inputs = keras.Input((16, 12, 3))
    x = layers.Conv2D(1, 1)(keras.ops.log(inputs - 0.5))
    with pytest.raises(ValueError, match="too far.*'output_0': nan % of the variance"):
        to_tflite(keras.Model(inputs, x), tmp_path / "a.tflite", evaluate_with=images)


def test_constant_outputs(tmp_path):
    path = tmp_path / "a.tflite"
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, layers.Conv2D(1, 1, kernel_initializer="zeros")(inputs))
    (output,) = to_tflite(
        model, path, evaluate_with=np.ones((3, 4, 4, 1), np.float32)
    ).comparison
    assert output == OutputComparison(
        name="output_0",
        difference=0.0,
        unexplained=0.0,
        agreement=None,
        are_probabilities=False,
    )
    assert TFLiteFile(path).comparison == [output]
