"""Learning from a model's answers, with images alone."""

import json

import keras
import numpy as np
import processes
import pytest
import tensorflow as tf
from conftest import small_network
from foreign_models import plain

import keras_resizable
from keras_resizable import FixedSampler, TeacherDistillation, export, search

MAKE_NETWORK = small_network
CONFIGS = [(1.0, 1.0), (0.75, 0.5)]


@pytest.fixture(scope="module")
def source():
    return plain()


@pytest.fixture
def images(source):
    """Noise in a colour for each image."""
    random, shape = np.random.default_rng(0).random, source.input_shape[1:]
    return random((24, 1, 1, 3), np.float32) * random((24, *shape), np.float32)


def fitted(make_network, data, *, teacher, loss=None, split=False, strategy=None):
    keras.utils.set_random_seed(0)
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        network = make_network(kernel_regularizer=keras.regularizers.L2(0.01))
        network.compile(
            keras.optimizers.SGD(1.0),
            loss,
            sampler=FixedSampler(CONFIGS),
            distillation=teacher,
            split_batch=split,
        )
    history = network.fit(data, shuffle=False, verbose=0).history
    return network, history


@pytest.mark.filterwarnings("ignore:With `split_batch=True` each")
@pytest.mark.parametrize("split", [False, True])
def test_it_is_training_with_the_answers_as_labels(make_network, batch, split):
    keras.utils.set_random_seed(1)
    model = make_network(classifier_activation=None).sub_network("1.0")
    answers = tf.nn.softmax(model(batch[0], training=False))
    labelled = tf.data.Dataset.from_tensor_slices((batch[0], answers)).batch(4)
    expected, _ = fitted(
        make_network,
        labelled,
        teacher=None,
        loss="categorical_crossentropy",
        split=split,
    )
    network, history = fitted(
        make_network,
        labelled.map(lambda images, _: images),
        teacher=TeacherDistillation(model),
        split=split,
    )
    assert history.keys() == {"loss", "agreement"}
    for got, wanted in zip(network.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


def test_replicas_train_as_one(make_network, batch, strategy):
    """Also if one of them gets no image of the last batch."""
    data = tf.data.Dataset.from_tensor_slices(batch[0][:5]).batch(4)
    with strategy.scope():
        model = make_network().sub_network("1.0")
    network, history = fitted(
        make_network, data, teacher=TeacherDistillation(model), strategy=strategy
    )
    results = network.evaluate(data, verbose=0, return_dict=True)
    agreement = np.mean(
        np.argmax(network.predict(batch[0][:5], verbose=0), axis=-1)
        == np.argmax(model.predict(batch[0][:5], verbose=0), axis=-1)
    )
    assert results["agreement"] == pytest.approx(agreement)
    assert np.isfinite(history["loss"]).all()


def test_a_converted_network_learns_from_its_source(source, images):
    network = keras_resizable.from_keras(source, (1.0, 0.5))
    network.compile(keras.optimizers.SGD(0.01))
    before = network.evaluate(images, verbose=0, return_dict=True)
    assert before["agreement"] == 1.0
    test = keras_resizable.find_learning_rate(network, images, steps=10, highest=0.1)
    history = network.fit(images, validation_data=(images,), verbose=0).history
    assert history.keys() == {"loss", "agreement", "val_loss", "val_agreement"}
    assert 0 < test.suggested <= 0.1
    # Who compiles again goes on with the same teacher.
    network.compile(keras.optimizers.SGD(0.001))
    np.testing.assert_allclose(
        network.teacher.answers(images),
        keras.ops.softmax(source(images, training=False)),
        atol=1e-5,
    )


def test_one_replica_needs_no_labels_either(source, images):
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        network = keras_resizable.from_keras(source, (1.0, 0.5))
        network.compile("sgd")
    assert network.evaluate(images, verbose=0, return_dict=True)["agreement"] == 1.0


def test_what_is_learned_is_the_teachers_answer(source, images):
    model = different(source, images)
    network = keras_resizable.from_keras(source, (1.0, 0.5))
    network.compile(
        keras.optimizers.Adam(0.01), distillation=TeacherDistillation(model)
    )
    first, *_, last = network.fit(images, epochs=15, verbose=0).history["loss"]
    assert last < 0.8 * first


def test_labels_after_a_teacher(source, images):
    """Nothing of the teacher stays."""
    network = keras_resizable.from_keras(source, (1.0, 0.5))
    network.compile("sgd")
    network.fit(images, verbose=0)
    network.compile("sgd", "sparse_categorical_crossentropy")
    history = network.fit(images, np.arange(24) % 3, verbose=0).history
    assert history.keys() == {"loss"} and network.teacher is None


def test_what_cannot_be_learned_from_is_an_error(source, images):
    network = keras_resizable.from_keras(source, (1.0, 0.5))
    network.compile("sgd")
    with pytest.raises(ValueError, match="no loss for the labels"):
        network.fit(images, np.zeros(24), verbose=0)
    network.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for use in (network.fit, network.evaluate):
        with pytest.raises(ValueError, match="no labels, and .*TeacherDistil"):
            use(images, verbose=0)
    # With penalties alone nothing is learned.
    network.fit(images, np.zeros(24), verbose=0)
    trained = network.with_scales((1.0, 0.75, 0.5))
    trained.compile("sgd")
    with pytest.raises(ValueError, match="no labels, and .*TeacherDistil"):
        trained.fit(images, verbose=0)


FIT = """
import sys
import keras, numpy as np, keras_resizable
network = keras_resizable.load_network(sys.argv[1])
images = np.load(sys.argv[2])
if len(sys.argv) > 3:
    model = keras.saving.load_model(sys.argv[3])
    network.compile("sgd", distillation=keras_resizable.TeacherDistillation(model))
print(network.evaluate(images, verbose=0, return_dict=True))
"""


def test_a_saved_network_needs_its_teacher_again(source, images, tmp_path):
    network = keras_resizable.from_keras(source, (1.0, 0.5))
    network.compile(keras.optimizers.SGD(0.01))
    network.fit(images, verbose=0)
    network.save(tmp_path / "network.keras")
    source.save(tmp_path / "source.keras")
    np.save(tmp_path / "images.npy", images)
    expected = network.evaluate(images, verbose=0, return_dict=True)
    command = ("-c", FIT, "network.keras", "images.npy")
    alone = processes.run(*command, folder=tmp_path)
    assert "no labels, and there is no teacher" in alone.stderr
    done = processes.run(*command, "source.keras", folder=tmp_path)
    assert json.loads(done.stdout.replace("'", '"')) == pytest.approx(expected)


def classes_of(model, images):
    return np.argmax(model.predict(images, verbose=0), axis=-1)


def different(source, images):
    """The source with other weights, so that its answers differ by image."""
    model = keras.models.clone_model(source)
    generator = np.random.default_rng(2)
    for weight in model.trainable_weights:
        if weight.path.endswith("kernel"):
            weight.assign(generator.normal(0, 1, weight.shape))
    bias = model.trainable_weights[-1]
    bias.assign_sub(model.predict(images, verbose=0).mean(axis=0))
    return model


@pytest.fixture
def converted(source, images):
    return keras_resizable.from_keras(different(source, images), (1.0, 0.75, 0.5))


def test_a_table_has_the_agreement_with_the_source(converted, images, tmp_path):
    table = search.build_table(
        converted, images, calibrate_with=images, folder=tmp_path, verbose=False
    )
    expected = classes_of(converted.sub_network("1.0"), images)
    assert len(np.unique(expected)) > 1
    for config in ("1.0", "0.75,0.5", "0.5,0.5"):
        sub = converted.sub_network(config, calibrate_with=images)
        same = classes_of(sub, images) == expected
        assert table[config]["agreement"] == same.mean()
        np.testing.assert_array_equal(table.right(config), same)
    frame = table.to_frame()
    assert not frame.columns.str.contains("top|loss").any()
    assert (frame["agreement_low"] <= frame["agreement"]).all()
    assert table["1.0"]["agreement"] == table["1.0"]["agreement_raw"] == 1.0
    agreeing = frame[frame["agreement"] == 1]
    assert table.best(min_agreement=1.0)["flops"] == agreeing["flops"].min()
    assert table.best()["agreement"] == 1.0 == table.front()["agreement"].iloc[-1]
    with pytest.raises(ValueError, match="no 'top1'"):
        table.best(min_top1=0.5)
    assert search.Table.load(tmp_path / "table.npz").score == table.score == "agreement"
    table.report(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "It is not the accuracy" in page and "top-1" not in page
    labelled = search.build_table(converted, (images, expected), ["1.0"], verbose=False)
    assert labelled.origin["data"] == table.origin["data"]
    labelled.report(tmp_path)
    assert "It is not the accuracy" not in (tmp_path / "report.html").read_text()


def test_a_trained_network_is_compared_with_its_teacher(source, images):
    model = different(source, images)
    network = keras_resizable.from_keras(source, (1.0, 0.5))
    network.compile("sgd", distillation=TeacherDistillation(model))
    network.fit(images, verbose=0)
    table = search.explore(network, images, 4, num_images=8, verbose=False)
    same = classes_of(network.sub_network("1.0"), images) == classes_of(model, images)
    assert table["1.0"]["agreement"] == same.mean() < 1
    network.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="no model to agree with.*TeacherDistil"):
        search.build_table(network, images, verbose=False)


def test_a_table_is_of_one_teacher_or_of_labels(source, images, tmp_path):
    network = keras_resizable.from_keras(source, (1.0, 0.5))
    options = {"calibrate_with": images, "folder": tmp_path, "verbose": False}
    search.build_table(network, images, ["1.0"], **options)
    answers = classes_of(network.sub_network("1.0"), images)
    with pytest.raises(ValueError, match="another teacher|other test images"):
        search.build_table(network, (images, answers), ["0.5"], **options)
    network.compile(distillation=TeacherDistillation(different(source, images)))
    with pytest.raises(ValueError, match="agreement with another teacher"):
        search.build_table(network, images, ["0.5"], **options)
    # Also a teacher next to a loss.
    network.compile(
        loss="categorical_crossentropy", distillation=TeacherDistillation(source)
    )
    assert network.find_teacher().teacher is source


def test_several_devices_find_the_same_agreement(converted, images, strategy, tmp_path):
    options = {"calibrate_with": images, "verbose": False}
    expected = search.build_table(converted, images, ["1.0", "0.5"], **options)
    converted.save(tmp_path / "network.keras")
    with strategy.scope():
        copy = keras.saving.load_model(tmp_path / "network.keras")
        teacher = TeacherDistillation(converted.sub_network("1.0"))
        copy.compile("sgd", distillation=teacher)
    table = search.build_table(copy, images, ["1.0", "0.5"], **options)
    for config in expected:
        np.testing.assert_array_equal(table.right(config), expected.right(config))


def test_a_file_is_compared_with_its_model(source, images, tmp_path):
    model, other = different(source, images), different(source, images[:1])
    with pytest.warns(UserWarning, match="24 images cannot tell .* 86.20 to 100.00"):
        file = export.to_tflite(model, tmp_path / "model.tflite", evaluate_with=images)
    assert file.accuracy.agreement == 1.0 and file.accuracy.top1 is None
    with pytest.raises(ValueError, match="compare_with=model"):
        export.evaluate_tflite(file, images)
    measured = export.evaluate_tflite(file, images, compare_with=other)
    same = classes_of(model, images) == classes_of(other, images)
    assert measured.agreement == same.mean() < 0.9
    assert measured.difference == pytest.approx(same.mean() - 1)
    shown = f"agreement with Keras {100 * same.mean():.2f} % (95 %: "
    assert shown in str(measured) and "top-1" not in str(measured)
    with pytest.raises(ValueError, match="loses more than 2 points of agreement"):
        export.to_tflite(
            model,
            tmp_path / "other.tflite",
            evaluate_with=images,
            reference=lambda x: other(x, training=False),
        )
    assert not (tmp_path / "other.tflite").exists()


def test_files_of_sub_networks_are_checked(converted, images, tmp_path):
    options = {"calibrate_with": images, "evaluate_with": images, "max_loss": 0.5}
    for _ in range(2):  # The second time it is kept.
        (file,) = export.to_tflite_files(
            converted, ["0.75,0.5"], tmp_path, quantize="int8", **options
        )
        assert file.accuracy.agreement > 0.5 and file.accuracy.top1 is None
