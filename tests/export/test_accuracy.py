"""What `.tflite` files lose, by running them."""

import dataclasses

import flatbuffers
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from keras_resizable.export import (
    FileAccuracy,
    evaluate_tflite,
    read_metadata,
    run_tflite,
    to_bundle,
    to_tflite,
    to_tflite_files,
)
from keras_resizable.export.accuracy import _answers, _threshold, _ties
from keras_resizable.export.flatbuffer import with_metadata
from keras_resizable.export.saved_model import signature_name

NUM_IMAGES = 60


@pytest.fixture(scope="module")
def model():
    """A classifier that tells bright images from dark ones."""
    images = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu")(images)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(3, activation="softmax")(x)
    model = keras.Model(images, outputs, name="bright")
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*photos(512, seed=1), epochs=40, verbose=0)
    return model


def photos(count=NUM_IMAGES, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    brightness = random.normal(labels - 1, 0.35)
    images = random.normal(brightness, 0.3, (1, 6, 6, count)).transpose(3, 1, 2, 0)
    return images.astype(np.float32), labels


@pytest.mark.parametrize("io", ["int8", "float32"])
def test_int8_keeps_what_a_moving_average_cuts_off(model, tmp_path, io):
    """Few images, at the beginning, reach far."""
    images, labels = photos(400)
    calibration = np.concatenate([3 * images[:5], images[5:100]])
    path = tmp_path / "model.tflite"
    result = to_tflite(
        model,
        path,
        "int8",
        io=io,
        calibrate_with=calibration,
        evaluate_with=(3 * images, labels),
    )
    accuracy = result.accuracy
    assert accuracy.agreement >= 0.98 and abs(accuracy.difference) <= 0.01
    metadata = read_metadata(path)
    assert metadata["io"] == io
    assert metadata["accuracy"]["top1"] == accuracy.top1
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    (given_back,) = interpreter.get_output_details()
    assert taken["dtype"] == given_back["dtype"] == np.dtype(io)
    if io == "int8":
        (scale, zero) = taken["quantization"]
        low, high = (np.array([-128, 127]) - zero) * scale
        assert low <= calibration.min() + scale
        assert high >= calibration.max() - scale
    else:  # The softmax is computed in float32.
        np.testing.assert_allclose(run_tflite(path, images).sum(axis=1), 1, atol=1e-5)


def test_measured_as_keras_measures(model, tmp_path):
    images, labels = photos()
    path = tmp_path / "model.tflite"
    to_tflite(model, path)
    accuracy = evaluate_tflite(path, (images, labels), compare_with=model)
    right = model.predict(images, verbose=0).argmax(axis=1) == labels
    assert accuracy.top1 == right.mean() and 0.5 < right.mean() < 1
    assert accuracy.agreement == 1 and accuracy.difference == 0 == accuracy.ties
    assert accuracy.top5 == 1 and accuracy.num_images == NUM_IMAGES
    assert "+0.00 ± 0.00 points against Keras, the same answer for 100.0 %" in str(
        accuracy
    )
    alone = evaluate_tflite(path, (images, np.eye(3)[labels]))
    assert alone.top1 == accuracy.top1 and alone.agreement is None
    assert "Keras" not in str(alone)
    with pytest.raises(ValueError, match="holds no batch"):
        evaluate_tflite(path, (images[:0], labels[:0]))
    with pytest.raises(ValueError, match="images without labels"):
        evaluate_tflite(path, images)


def test_a_file_that_loses_too_much_is_not_written(model, tmp_path):
    images, labels = photos()
    path = tmp_path / "model.tflite"
    options = {"calibrate_with": images[:5] / 50, "evaluate_with": (images, labels)}
    with pytest.raises(ValueError, match="loses more than 2 points of accuracy: top-1"):
        to_tflite(model, path, "int8", **options)
    assert not list(tmp_path.iterdir())
    result = to_tflite(model, path, "int8", max_loss=1.0, **options)
    assert result.accuracy.difference < -0.1


def test_signatures_of_a_bundle(make_network, tmp_path, batch):
    network = make_network()
    files = to_tflite_files(
        network,
        ["1.0", "0.5"],
        tmp_path,
        quantize="int8",
        calibrate_with=batch[0],
        evaluate_with=batch,
        max_loss=1.0,
    )
    paths = [file.path for file in files]
    to_bundle(paths, tmp_path / "bundle.tflite")
    for config, path in zip(("1.0", "0.5"), paths):
        name = signature_name(network.space, config)
        of_bundle = evaluate_tflite(tmp_path / "bundle.tflite", batch, signature=name)
        assert of_bundle == evaluate_tflite(path, batch)
        assert read_metadata(path)["accuracy"]["top1"] == of_bundle.top1


def test_two_classes_of_one_output(tmp_path):
    images = keras.Input((4, 4, 1))
    x = keras.layers.GlobalAveragePooling2D()(images)
    for activation, middle in ((None, 0), ("sigmoid", 0.5)):
        outputs = keras.layers.Dense(1, activation=activation)(x)
        model = keras.Model(images, outputs)
        to_tflite(model, tmp_path / "model.tflite")
        photos = np.random.default_rng(0).normal(size=(20, 4, 4, 1)).astype("float32")
        labels = (model.predict(photos, verbose=0)[:, 0] > middle).astype(int)
        labels[0] = 1 - labels[0]
        accuracy = evaluate_tflite(
            tmp_path / "model.tflite", (photos, labels), compare_with=model
        )
        assert accuracy.top1 == 0.95 and accuracy.agreement == 1


def write_without_signatures(model, path):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    content = schema.ModelT.InitFromPackedBuf(converter.convert(), 0)
    content.signatureDefs = []
    builder = flatbuffers.Builder(1024)
    builder.Finish(content.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())


def test_a_file_of_others_without_signatures(model, tmp_path):
    write_without_signatures(model, tmp_path / "other.tflite")
    images, labels = photos()
    accuracy = evaluate_tflite(
        tmp_path / "other.tflite", (images, labels), compare_with=model
    )
    assert accuracy.agreement == 1


@pytest.mark.parametrize("write", [to_tflite, write_without_signatures])
def test_images_of_another_size_are_refused(model, tmp_path, write):
    """LiteRT would resize the input of the file, and answer anything."""
    path = tmp_path / "model.tflite"
    write(model, path)
    for shape in ((4, 12, 12, 1), (6, 6, 1), (0, 6, 6, 1)):
        with pytest.raises(ValueError, match=r"takes images of \(6, 6, 1\).*Received"):
            run_tflite(path, np.zeros(shape, np.float32))


def test_labels_of_no_class_are_named(model, tmp_path):
    path = tmp_path / "model.tflite"
    to_tflite(model, path)
    images, labels = photos()
    for wrong in (labels + 1, labels - 1):
        with pytest.raises(ValueError, match="Labels must be .*from 0 to 2"):
            evaluate_tflite(path, (images, wrong))


def test_a_stricter_limit_holds_for_files_that_are_there(make_network, tmp_path, batch):
    network = make_network()

    def convert(**options):
        (file,) = to_tflite_files(
            network, ["0.5"], tmp_path, evaluate_with=batch, **options
        )
        return file

    assert convert().difference is not None and convert().difference is None
    (path,) = tmp_path.glob("*.tflite")
    metadata = read_metadata(path)
    metadata["accuracy"] |= {"difference": -0.5, "standard_error": 0.0}
    path.write_bytes(with_metadata(path.read_bytes(), metadata))
    assert convert(max_loss=0.6).difference is None
    assert convert(max_loss=0.4).accuracy.difference == 0  # It was made anew.


def test_an_argument_that_is_none(model, tmp_path):
    with pytest.raises(ValueError, match="io='int16'"):
        to_tflite(model, tmp_path / "a.tflite", "int8", io="int16")


@given(
    st.integers(2, 7).flatmap(
        lambda classes: arrays.arrays(
            np.float32, (5, classes), elements=st.sampled_from([0.0, 0.25, 0.5])
        )
    )
)
def test_answers_and_ties(outputs):
    for row, answers, tie in zip(outputs, _answers(outputs), _ties(outputs)):
        order = sorted(range(len(row)), key=lambda i: (-row[i], i))
        assert answers.tolist() == order[:5]
        first, second = sorted(row)[-1:-3:-1]
        assert tie == (first == second)


def test_a_loss_counts_beyond_its_error():
    measured = FileAccuracy(
        num_images=100,
        top1=0.5,
        top5=0.9,
        ties=0.0,
        commonest_class=1,
        commonest_share=0.2,
        agreement=0.9,
        difference=-0.05,
        standard_error=0.02,
    )
    assert measured.loses(0.01) and not measured.loses(0.0109)
    assert measured.may_lose(0.0891) and not measured.may_lose(0.0893)
    alone = dataclasses.replace(measured, difference=None, standard_error=None)
    assert not alone.loses(0.0) and not alone.may_lose(0.0)
    assert str(alone).startswith("top-1 50.00 ± 9.80 %")


def one_output(activation=None, **options):
    """A classifier of two classes by the brightness of one pixel."""
    images = keras.Input((1, 1, 1))
    x = keras.layers.Flatten()(images)
    dense = keras.layers.Dense(1, activation, False, "ones", name="answer")
    model = keras.Model(images, dense(x), name="one")
    model.compile(loss=keras.losses.BinaryCrossentropy(**options))
    return model


@pytest.mark.parametrize(
    ("activation", "from_logits"), [(None, True), ("sigmoid", False)]
)
def test_one_output_is_what_the_loss_says(tmp_path, activation, from_logits):
    """Also where all logits are from 0 to 1, as probabilities are."""
    model = one_output(activation, from_logits=from_logits)
    images = np.linspace(0.05, 1, 100, dtype=np.float32).reshape(-1, 1, 1, 1)
    labels = np.ones(100, int)
    for quantize in ("none", "int8"):
        path = tmp_path / f"{quantize}.tflite"
        result = to_tflite(
            model,
            path,
            quantize,
            calibrate_with=images,
            evaluate_with=(images, labels),
        )
        assert result.accuracy.top1 == result.accuracy.agreement == 1
        assert evaluate_tflite(path, (images, labels)).top1 == 1
        kind = "logits" if from_logits else "probabilities"
        assert read_metadata(path)["outputs"] == kind
    said = {"outputs": "probabilities"}  # Whoever converts may know better.
    to_tflite(model, path, metadata=said)
    expected = np.mean(model.predict(images, verbose=0) > 0.5)
    assert evaluate_tflite(path, (images, labels)).top1 == expected


@pytest.mark.parametrize("units", [1, 3])
def test_nan_is_wrong(tmp_path, units):
    images = keras.Input((1, 1, 1))
    x = keras.layers.Flatten()(keras.ops.log(images))
    outputs = keras.layers.Dense(units, kernel_initializer="ones")(x)
    path = tmp_path / "log.tflite"
    to_tflite(keras.Model(images, outputs), path)
    some = np.array([1.0, -1.0, 1.0, -1.0], np.float32).reshape(-1, 1, 1, 1)
    accuracy = evaluate_tflite(path, (some, np.zeros(4, int)))
    assert accuracy.top1 == accuracy.top5 == 0.5


def test_a_nan_makes_no_logits_of_probabilities(tmp_path):
    """Of a file that says nothing, as those of others."""
    path = tmp_path / "other.tflite"
    path.touch()
    for outputs, threshold in (([0.2, np.nan], 0.5), ([0.2, 1.2], 0), ([np.nan], 0.5)):
        assert _threshold(path, None, np.array(outputs)[:, None]) == threshold


def test_probabilities_of_many_classes_are_not_to_be_int8(tmp_path):
    """Their steps of 1/256 make most of them 0, and equal."""
    keras.utils.set_random_seed(0)
    images = keras.Input((4, 4, 3))
    x = keras.layers.GlobalAveragePooling2D()(images)
    model = keras.Model(images, keras.layers.Dense(2000, "softmax")(x))
    some = np.random.default_rng(0).normal(0, 1, (50, 4, 4, 3)).astype(np.float32)
    labels = model.predict(some, verbose=0).argmax(axis=1)
    options = {"calibrate_with": some, "evaluate_with": (some, labels)}
    with pytest.raises(ValueError, match="Convert with io='float32', which"):
        to_tflite(model, tmp_path / "model.tflite", "int8", **options)
    result = to_tflite(
        model, tmp_path / "model.tflite", "int8", io="float32", max_loss=0.5, **options
    )
    assert result.accuracy.top5 > 0.8
    assert f"top-5 {100 * result.accuracy.top5:.2f} %" in str(result.accuracy)


def test_files_are_of_the_images_that_are_given(make_network, tmp_path):
    """Of all of them: others after the first batch are others."""
    network = make_network()
    images = np.random.default_rng(0).random((64, 12, 12, 2), np.float32)
    answers = network.sub_network("0.5", calibrate_with=images)
    labels = answers.predict(images, verbose=0).argmax(axis=1)
    others = labels.copy()
    others[32:] = (labels[32:] + 1) % 3
    for given_labels, is_new in ((others, True), (labels, True), (labels, False)):
        data = images, given_labels
        (file,) = to_tflite_files(
            network, ["0.5"], tmp_path, calibrate_with=images, evaluate_with=data
        )
        assert (file.difference is not None) == is_new
        assert file.accuracy.top1 == np.mean(given_labels == labels)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_loss": 2}, "max_loss=2"),
        ({"metadata": {"by": np.float32(1)}}, "float32 is not JSON serializable"),
        ({"evaluate_with": (np.zeros((2, 6, 6, 1)), np.array([0, 3]))}, "from 0 to 2"),
        (
            {"evaluate_with": (np.zeros((2, 6, 6, 1)), np.eye(4)[:2])},
            "Labels must be .* 3",
        ),
    ],
)
def test_what_cannot_be_is_told_before_converting(
    model, tmp_path, monkeypatch, options, error
):
    monkeypatch.setattr(tf.lite, "TFLiteConverter", None)
    with pytest.raises((ValueError, TypeError), match=error):
        to_tflite(model, tmp_path / "model.tflite", **options)


def test_a_dense_network_has_no_accuracy(tmp_path):
    images = keras.Input((6, 6, 1))
    model = keras.Model(images, keras.layers.Conv2D(3, 1)(images))
    photos = np.zeros((2, 6, 6, 1), np.float32), np.zeros(2, int)
    with pytest.raises(ValueError, match="one output of .batch, classes."):
        to_tflite(model, tmp_path / "model.tflite", evaluate_with=photos)


def test_outputs_of_nothing_but_zeros(tmp_path):
    images = keras.Input((6, 6, 1))
    dense = keras.layers.Dense(3, kernel_initializer="zeros")
    model = keras.Model(images, dense(keras.layers.Flatten()(images)))
    assert to_tflite(model, tmp_path / "model.tflite").difference == 0


def test_a_dictionary_of_one_output(tmp_path):
    images = keras.Input((6, 6, 1))
    x = keras.layers.Dense(3, "softmax", name="d")(keras.layers.Flatten()(images))
    model = keras.Model(images, {"kind": x})
    some, labels = photos()
    path = tmp_path / "model.tflite"
    result = to_tflite(model, path, evaluate_with=(some, labels))
    expected = model.predict(some, verbose=0)["kind"].argmax(axis=1) == labels
    assert result.accuracy.top1 == expected.mean()


def test_images_that_are_too_few_to_tell_a_loss_are_told(model, tmp_path):
    images, labels = photos(40)
    path = tmp_path / "model.tflite"

    def flipped(batch):
        """Of which the file is right on one image less."""
        answers = model(batch).numpy()
        if len(answers) == 1:  # One of noise, to compare the file with.
            return answers
        wrong = (answers.argmax(axis=1) != labels).argmax()
        answers[wrong] = np.eye(3)[labels[wrong]]
        return answers

    with pytest.warns(UserWarning, match="40 images cannot tell whether model.tflite"):
        to_tflite(
            model,
            path,
            evaluate_with=tf.data.Dataset.from_tensors((images, labels)),
            reference=flipped,
        )
