"""Probabilities or logits: said by the loss, seen in the values, or asked for."""

import keras
import numpy as np
import pandas
import pytest
from keras import layers, ops
from odd_networks import tiny_network

from keras_resizable import TeacherDistillation, adapt, search
from keras_resizable.search.evaluation import evaluate_model
from keras_resizable.subnetworks.parts import norms_by_stage
from keras_resizable.training import cut_outs
from keras_resizable.utils.classifier_outputs import Classifier


def head_of(end, classes=3):
    features = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(features)
    return keras.Model(features, end(layers.Dense(classes)(x)))


SOFTMAX = {
    "layer": layers.Softmax(),
    "activation": layers.Activation("softmax"),
    "operation": lambda x: ops.softmax(x),
    "cast behind": lambda x: layers.Activation("linear", dtype="float32")(
        layers.Softmax()(x)
    ),
    "identity behind": lambda x: layers.Identity()(layers.Softmax()(x)),
    "in a model": keras.Sequential([keras.Input((3,)), layers.Softmax()]),
    "by hand": lambda x: ops.exp(x) / ops.sum(ops.exp(x), axis=-1, keepdims=True),
}


@pytest.fixture
def labelled():
    generator = np.random.default_rng(0)
    images = generator.normal(0, 2, (9, 8, 8, 3)).astype("float32")
    return images, generator.integers(0, 3, 9)


@pytest.mark.parametrize("end", SOFTMAX.values(), ids=SOFTMAX)
def test_softmax_is_known_in_all_its_forms(end, labelled):
    head = head_of(end)
    assert Classifier(head).gives_probabilities
    network = tiny_network(head=head)
    table = search.build_table(network, labelled, [(1.0,)], verbose=False)
    expected = keras.losses.sparse_categorical_crossentropy(
        labelled[1], network(labelled[0])
    )
    assert table["1.0"]["loss"] == pytest.approx(np.mean(expected), rel=1e-4)
    network.compile(
        "sgd",
        "sparse_categorical_crossentropy",
        sampler="sandwich",
        distillation="in_place",
    )
    assert network.classifier.gives_probabilities


def test_logits_are_known_from_the_loss_or_the_values(labelled):
    network = tiny_network(head=head_of(lambda x: x))
    assert not network.classifier.gives_probabilities
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    table = search.build_table(network, labelled, [(1.0,)], verbose=False)
    expected = loss(labelled[1], network(labelled[0]))
    assert table["1.0"]["loss"] == pytest.approx(float(expected), rel=1e-4)


def sigmoids(x):
    return layers.Activation("sigmoid")(x)


def test_what_cannot_be_told_is_asked_for(labelled):
    network = tiny_network(head=head_of(sigmoids))
    with pytest.raises(ValueError, match="not clear whether.*from_logits"):
        search.build_table(network, labelled, [(1.0,)], verbose=False)
    for loss, probable in (
        (keras.losses.CategoricalCrossentropy(from_logits=True), False),
        ("categorical_crossentropy", True),
        (["binary_crossentropy"], True),
        (keras.losses.binary_crossentropy, True),
    ):
        network.compile("sgd", loss)
        assert network.classifier.gives_probabilities == probable
    network.compile("sgd", keras.losses.KLDivergence())
    with pytest.raises(ValueError, match="not clear whether"):
        network.compile(
            "sgd",
            keras.losses.KLDivergence(),
            sampler="sandwich",
            distillation="in_place",
        )


@pytest.mark.parametrize("end", [sigmoids, lambda x: x], ids=["sigmoid", "logit"])
@pytest.mark.parametrize("one_hot", [False, True])
def test_a_binary_head_simply_works(end, one_hot, labelled):
    images, labels = labelled[0], labelled[1] % 2
    network = tiny_network(head=head_of(end, classes=1))
    from_logits = end is not sigmoids
    network.compile(
        "sgd",
        keras.losses.BinaryCrossentropy(from_logits=from_logits),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0 if from_logits else 0.5)],
    )
    loss, accuracy = network.evaluate(images, labels[:, None], verbose=0)
    given = keras.utils.to_categorical(labels, 2) if one_hot else labels
    table = search.build_table(network, (images, given), [(1.0,)], verbose=False)
    assert table["1.0"]["top1"] == pytest.approx(accuracy)
    assert table["1.0"]["loss"] == pytest.approx(loss, rel=1e-4)
    assert table["1.0"]["top5"] == 1
    adaptive = adapt.Cascade(network, [(0.5,), (1.0,)], thresholds=[2.0])
    results = adapt.evaluate(adaptive, (images, labels))
    assert results.top1 == pytest.approx(accuracy)
    with pytest.raises(ValueError, match="two or more classes"):
        network.compile(sampler="sandwich", distillation="in_place")


@pytest.mark.parametrize(
    "loss", ["binary_crossentropy", keras.losses.BinaryFocalCrossentropy()]
)
def test_several_labels_of_an_image_are_trained_but_not_taught(loss, labelled):
    network = tiny_network(head=head_of(sigmoids))
    network.compile("sgd", loss)
    targets = np.ones((len(labelled[0]), 3), "float32")
    assert np.isfinite(network.train_on_batch(labelled[0], targets))
    teacher = tiny_network(head=head_of(SOFTMAX["layer"])).sub_network("1.0")
    for teaching in ("in_place", TeacherDistillation(teacher)):
        with pytest.raises(ValueError, match="one class"):
            network.compile("sgd", loss, sampler="sandwich", distillation=teaching)


def test_other_heads_are_refused():
    features = keras.Input((None, None, 3))
    network = tiny_network(head=keras.Model(features, layers.Conv2D(3, 1)(features)))
    data = np.zeros((2, 8, 8, 3), "float32"), np.zeros(2, int)
    for call in (
        lambda: search.build_table(network, data, verbose=False),
        lambda: adapt.AdaptiveNetwork(network, [(1.0,), (0.5,)]),
        lambda: evaluate_model(network.sub_network((1.0,)), data, "x"),
    ):
        with pytest.raises(ValueError, match=r"one output of \(batch, classes\)"):
            call()


@pytest.mark.parametrize("structure", ["dict", "list"])
def test_one_output_may_be_in_a_structure(structure, labelled):
    """It trains, is taught, evaluated and routed as the output alone is."""
    images, labels = labelled
    alone = head_of(layers.Softmax())
    kept = {"kind": alone.output} if structure == "dict" else [alone.output]
    networks = [
        tiny_network(head=keras.Model(alone.input, outputs))
        for outputs in (alone.output, kept)
    ]
    networks[1].set_weights(networks[0].get_weights())
    for network in networks:
        network.compile(
            "sgd",
            "sparse_categorical_crossentropy",
            sampler="sandwich",
            distillation="in_place",
        )
        keras.utils.set_random_seed(0)
        network.fit(images, labels, batch_size=9, verbose=0)
    tables = [
        search.build_table(n, labelled, calibrate_with=images, verbose=False).to_frame()
        for n in networks
    ]
    pandas.testing.assert_frame_equal(*tables)
    routed = [adapt.AdaptiveNetwork(n, ["1.0", "0.5"]) for n in networks]
    routed[1].set_weights(routed[0].get_weights())
    answers = [adaptive.predict(images, verbose=0) for adaptive in routed]
    np.testing.assert_allclose(*answers, atol=1e-6)


def test_nan_is_never_right_and_told(labelled):
    images = labelled[0]
    labels = np.zeros(len(images), int)  # What argmax says of NaN.
    network = tiny_network()
    ((_, norm),) = norms_by_stage(network.parts)
    norm.gammas[1].assign([np.nan] * 3)
    with pytest.warns(UserWarning, match="return NaN.*: 0.5."):
        table = search.build_table(network, (images, labels), verbose=False)
    assert table["0.5"]["top1"] == 0 and table["0.5"]["top5"] == 0
    rows = table.to_frame().assign(flops=[2, 1])
    assert search.Table(rows).best(max_flops=2)["config"] == "1.0"
    with pytest.warns(UserWarning, match="return NaN.*: x."):
        alone = evaluate_model(network.sub_network((0.5,)), (images, labels), "x")
    assert not alone.right("x").any()
    adaptive = adapt.Cascade(network, [(0.5,), (1.0,)], thresholds=[0.0])
    assert adapt.evaluate(adaptive, (images, labels)).top1 == 0


def test_teachers_give_probabilities():
    network = tiny_network()
    student = tiny_network(head=head_of(lambda x: x)).sub_network((1.0,))
    with pytest.raises(ValueError, match="needs a softmax"):
        cut_outs.taught_by(student, network.sub_network((1.0,)))


def test_labels_of_every_shape_mean_the_same(labelled):
    images, labels = labelled
    network = tiny_network()
    tables = [
        search.build_table(network, (images, given), [(1.0,)], verbose=False).to_frame()
        for given in (
            labels,
            labels[:, None],
            labels.astype("float32"),
            labels.astype("uint8"),
            keras.utils.to_categorical(labels, 3),
        )
    ]
    for table in tables[1:]:
        assert table.equals(tables[0])


def test_logits_of_no_weights_yet_are_asked_for(labelled):
    head = head_of(lambda x: x, classes=1)
    head.layers[-1].set_weights([np.zeros((3, 1)), np.zeros(1)])
    network = tiny_network(head=head)
    with pytest.raises(ValueError, match="not clear whether"):
        search.build_table(network, (labelled[0], labelled[1] % 2), verbose=False)
    head.layers[-1].set_weights([np.ones((3, 1)), np.zeros(1)])
    assert not network.classifier.gives_probabilities


def test_results_of_a_model_and_of_a_table_are_of_the_same_images(labelled, tmp_path):
    images, labels = labelled
    network = tiny_network()
    given = (images.astype("float64"), labels)
    table = search.build_table(network, given, [(1.0,)], folder=tmp_path, verbose=False)
    alone = evaluate_model(network.sub_network((1.0,)), given, "alone")
    assert table.merge(alone).configs == ["1.0", "alone"]


def test_a_model_of_any_size_is_asked_with_maps_that_are_enough():
    images = keras.Input((None, None, 3))
    x = images
    for _ in range(3):
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(images, keras.layers.Dense(4)(x))
    assert not Classifier(model).gives_probabilities
