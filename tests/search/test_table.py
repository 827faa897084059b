import gc
import weakref

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from conftest import narrow_resnet, small_network
from narrow_networks import NARROW

from keras_resizable import FixedSampler, ResNet20, count_flops
from keras_resizable.search import Table, build_table, evaluation
from keras_resizable.search.evaluation import evaluate_model
from keras_resizable.subnetworks.prefix_tree import PrefixTree

MAKE_NETWORK = small_network


def accuracy(model, images, labels):
    return np.mean(np.argmax(model(images), axis=1) == labels)


@pytest.fixture
def data():
    generator = np.random.default_rng(1)
    images = generator.random((50, 12, 12, 2), np.float32)
    labels = generator.integers(0, 3, 50).astype(np.int32)
    return images, labels


@pytest.fixture
def batches(data):
    return tf.data.Dataset.from_tensor_slices(data).batch(20)


@pytest.fixture
def network(make_network, randomize):
    network = make_network()
    randomize(network)
    return network


def test_table_is_that_of_the_sub_networks_alone(randomize, data, batches):
    network = narrow_resnet()
    randomize(network)
    images, labels = data
    calibration = tf.data.Dataset.from_tensor_slices(images[:30]).batch(15)
    before = network.get_weights()
    table = build_table(network, batches, calibrate_with=calibration, verbose=False)
    for old, new in zip(before, network.get_weights()):
        np.testing.assert_array_equal(old, new)
    assert network.config == network.space.largest
    assert len(table) == network.space.size
    for row in table.to_frame().itertuples():
        config = network.space.config(row.config)
        model = network.sub_network(config)
        assert row.flops == count_flops(model)
        assert row.params == model.count_params()
        assert row.top1_raw == accuracy(model, images, labels)
        model = network.sub_network(config, calibrate_with=calibration)
        assert row.top1 == accuracy(model, images, labels)
        assert 0 < row.top1_low < row.top1 < row.top1_high < 1
        assert row.top5 == 1.0  # Of three classes.
        losses = keras.losses.sparse_categorical_crossentropy(labels, model(images))
        assert row.loss == pytest.approx(np.mean(losses), rel=1e-5)
    frame = table.to_frame()
    assert (frame.top1 != frame.top1_raw).any()


def test_statistics_that_training_left_are_an_option(network, batches):
    options = {"calibrate_with": batches, "verbose": False}
    table = build_table(network, batches, **options).to_frame()
    without = build_table(network, batches, raw=False, **options).to_frame()
    assert without["top1_raw"].isna().all()
    pandas.testing.assert_frame_equal(
        without.drop(columns="top1_raw"), table.drop(columns="top1_raw")
    )


def test_graphs_are_kept_as_long_as_their_network(make_network, batches):
    network = make_network()
    build_table(network, batches, verbose=False)
    largest = [network.space.largest]
    traced = [level.infer for level in PrefixTree(network, largest)._levels]
    build_table(network, batches, ["0.5"], verbose=False)
    assert traced == [level.infer for level in PrefixTree(network, largest)._levels]
    known = weakref.ref(network)
    del network
    gc.collect()
    assert known() is None


@pytest.mark.parametrize(
    ("make", "scales", "shape"),
    [
        (NARROW["ResNet50"], (1.0, 0.9, 0.8, 0.7), (65, 49, 3)),
        (ResNet20, (1.0, 0.75, 0.5), (21, 17, 1)),
    ],
    ids=["256 of a narrow ResNet-50", "27 of ResNet-20"],
)
def test_shared_prefixes_change_no_image(make, scales, shape, randomize):
    network = make(scales=scales, input_shape=shape, classes=10, name="network")
    randomize(network)
    generator = np.random.default_rng(0)
    images = generator.random((24, *shape), np.float32)
    # Around what the largest answers, so that many are right and many are wrong.
    labels = np.argmax(network.predict(images, verbose=0), axis=-1)
    labels[::3] = generator.integers(0, 10, 8)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)
    table = build_table(network, batches, verbose=False)
    assert len(table) == network.space.size
    run = tf.function(lambda: network(images, training=False))
    for name in table:
        network.config = network.space.config(name)
        outputs = run().numpy()
        right = np.argmax(outputs, axis=-1) == labels
        np.testing.assert_array_equal(table.right(name), right)
        np.testing.assert_allclose(
            table.confidence(name), outputs.max(axis=-1), rtol=1e-3
        )
    assert len(np.unique([table.right(name) for name in table], axis=0)) > 3


def test_configurations_pay_for_their_own_tree_only(make_network):
    network = make_network()

    def nodes(*configs):
        return len(PrefixTree(network, configs).statistics())

    # The stem, then the first stage, the second, and the head.
    assert nodes((1.0, 1.0)) == 1 + 1 + 1 + 1
    assert nodes((1.0, 1.0), (1.0, 0.5)) == 1 + 1 + 2 + 2
    assert nodes((1.0, 1.0), (1.0, 1.0)) == 4
    assert nodes(*network.space.configs()) == 1 + 3 + 9 + 9


def test_each_batch_is_read_once(network, data):
    read = []

    def generate():
        for start in range(0, 50, 25):
            read.append(start)
            yield tuple(part[start : start + 25] for part in data)

    batches = tf.data.Dataset.from_generator(
        generate,
        output_signature=(
            tf.TensorSpec((None, 12, 12, 2)),
            tf.TensorSpec((None,), tf.int32),
        ),
    )
    build_table(network, batches, verbose=False)
    assert read == [0, 25]


def test_several_devices_give_the_same_table(make_network, batches, data, strategy):
    one = make_network()
    with strategy.scope():
        several = make_network()
    several.set_weights(one.get_weights())
    # The last batch has one image, so that the second device gets none.
    batches = tf.data.Dataset.from_tensor_slices(data).batch(49)
    tables = [
        build_table(network, batches, calibrate_with=batches.take(1), verbose=False)
        for network in (one, several)
    ]
    one, two = (table.to_frame() for table in tables)
    pandas.testing.assert_frame_equal(one, two, rtol=1e-5)
    assert tables[0].origin == tables[1].origin


def test_table_of_some_without_calibration(network, batches):
    table = build_table(network, batches, configs=[(0.5,), (1.0, 0.75)], verbose=False)
    assert table.configs == ["0.5,1.0", "1.0,0.75"]
    assert (table.to_frame().top1 == table.to_frame().top1_raw).all()


class Stop(BaseException):
    pass


@pytest.mark.parametrize("calls", [1, 2, 4])
def test_an_interrupted_table_goes_on(
    network, batches, tmp_path, monkeypatch, calls, capsys
):
    def build(folder):
        return build_table(
            network, batches, calibrate_with=batches, folder=folder, verbose=False
        ).to_frame()

    with monkeypatch.context() as patch:
        done = []
        method = "calibrate" if calls == 1 else "outputs"
        original = getattr(PrefixTree, method)

        def stop(self, *args, **kwargs):
            done.append(None)
            if len(done) > calls:
                raise Stop
            return original(self, *args, **kwargs)

        patch.setattr(PrefixTree, method, stop)
        with pytest.raises(Stop):
            build(tmp_path / "stopped")
    assert [path.name for path in (tmp_path / "stopped").iterdir()] == [
        next((tmp_path / "stopped").glob("table.partial-*.npz")).name
    ]
    ran, calibrated = [], []
    with monkeypatch.context() as patch:
        plus, calibrate = evaluation.Scores.plus, PrefixTree.calibrate
        patch.setattr(
            evaluation.Scores, "plus", lambda *args: ran.append(None) or plus(*args)
        )
        patch.setattr(
            PrefixTree,
            "calibrate",
            lambda *args, **kwargs: (
                calibrated.append(None) or calibrate(*args, **kwargs)
            ),
        )
        resumed = build(tmp_path / "stopped")
    assert len(calibrated) == (2 if calls == 1 else 0)
    # Three batches, raw and calibrated; two scores of each that was done.
    assert len(ran) == 6 - (0 if calls == 1 else 2 * (calls // 2))
    pandas.testing.assert_frame_equal(resumed, build(tmp_path / "whole"))
    contents = [
        (tmp_path / run / "table.npz").read_bytes() for run in ("stopped", "whole")
    ]
    assert contents[0] == contents[1]
    assert [path.name for path in (tmp_path / "stopped").iterdir()] == ["table.npz"]


def test_a_kill_loses_what_was_not_saved_only(network, batches, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "_SECONDS_BETWEEN_SAVES", -1)
    saves = []

    def kill(self, path, key):
        saves.append(None)
        if len(saves) == 1:
            save(self, path, key)
        else:
            raise Stop

    save = evaluation._Evaluation.save
    with monkeypatch.context() as patch:
        patch.setattr(evaluation._Evaluation, "save", kill)
        with pytest.raises(Stop):
            build_table(network, batches, folder=tmp_path, verbose=False)
    ran = []
    plus = evaluation.Scores.plus
    monkeypatch.setattr(
        evaluation.Scores, "plus", lambda *args: ran.append(None) or plus(*args)
    )
    table = build_table(network, batches, folder=tmp_path, verbose=False)
    assert len(ran) == 2  # Of three batches one was saved.
    whole = build_table(network, batches, verbose=False)
    pandas.testing.assert_frame_equal(table.to_frame(), whole.to_frame())


def test_another_question_does_not_undo_what_is_done(
    network, batches, tmp_path, monkeypatch
):
    def stop(*args, **kwargs):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(PrefixTree, "outputs", stop)
        with pytest.raises(Stop):
            build_table(network, batches, folder=tmp_path, verbose=False)
    left = list(tmp_path.iterdir())
    build_table(network, batches, [(0.5,), (0.5, 1.0)], folder=tmp_path, verbose=False)
    assert set(left) < set(tmp_path.iterdir())
    assert len(Table.load(tmp_path / "table.npz")) == 1


def test_dropout_is_no_other_network(make_network, batches, tmp_path):
    network = make_network(dropout=0.5)
    table = build_table(network, batches, [(0.5,)], folder=tmp_path, verbose=False)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    again = build_table(loaded, batches, [(0.5,)], folder=tmp_path, verbose=False)
    pandas.testing.assert_frame_equal(again.to_frame(), table.to_frame())


def test_a_table_is_added_to(network, batches, tmp_path, monkeypatch):
    some = [(0.5,), (1.0, 0.75)]
    first = build_table(network, batches, some, folder=tmp_path, verbose=False)
    table = build_table(network, batches, folder=tmp_path, verbose=False)
    assert table.configs[:2] == ["0.5,1.0", "1.0,0.75"]
    assert len(table) == network.space.size
    frame = table.to_frame()
    pandas.testing.assert_frame_equal(frame[:2], first.to_frame())
    whole = build_table(network, batches, verbose=False).to_frame()
    pandas.testing.assert_frame_equal(
        frame.sort_values("config", ignore_index=True),
        whole.sort_values("config", ignore_index=True),
    )
    assert [table.right(config).mean() for config in table] == frame.top1.tolist()

    def fail(*args, **kwargs):
        raise AssertionError("It evaluated what was there.")

    monkeypatch.setattr(PrefixTree, "outputs", fail)
    again = build_table(network, batches, folder=tmp_path, verbose=False)
    pandas.testing.assert_frame_equal(again.to_frame(), frame)


def test_a_table_of_something_else_is_not_added_to(
    network, batches, data, tmp_path, make_network
):
    build_table(network, batches, [(0.5,)], folder=tmp_path, verbose=False)
    others = tf.data.Dataset.from_tensor_slices((data[0] / 2, data[1])).batch(20)
    with pytest.raises(ValueError, match="table.npz is for other test images"):
        build_table(network, others, folder=tmp_path, verbose=False)
    # The batches after the first count, also where nobody knows how many there are.
    spec = batches.element_spec
    unknown = tf.data.Dataset.from_generator(
        lambda: iter(batches), output_signature=spec
    )
    longer = unknown.concatenate(batches)
    corrected = batches.enumerate().map(
        lambda n, b: (b[0], b[1] * tf.cast(n == 0, b[1].dtype))
    )
    for others in (batches.take(1), longer, corrected):
        with pytest.raises(ValueError, match="table.npz is for other test images"):
            build_table(network, others, folder=tmp_path, verbose=False)
    build_table(network, unknown, [(0.5,)], folder=tmp_path, verbose=False)
    with pytest.raises(ValueError, match="table.npz is for another network"):
        build_table(make_network(), batches, folder=tmp_path, verbose=False)
    with pytest.raises(ValueError, match="with another calibration, or none"):
        build_table(
            network, batches, calibrate_with=batches, folder=tmp_path, verbose=False
        )
    (tmp_path / "table.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="table.npz is damaged"):
        build_table(network, batches, folder=tmp_path, verbose=False)


def test_untrained_statistics_are_refused_before_any_work(make_network, data):
    network = make_network()
    network.compile(
        "sgd",
        "sparse_categorical_crossentropy",
        sampler=FixedSampler([(1.0, 1.0)]),
    )
    network.fit(*data, verbose=0)
    with pytest.raises(ValueError, match="never saw a batch"):
        build_table(network, tf.data.Dataset.from_tensors(data))


def test_empty_data_are_named(network, batches):
    with pytest.raises(ValueError, match="`dataset` holds no batch"):
        build_table(network, batches.take(0), verbose=False)
    with pytest.raises(ValueError, match="`calibrate_with` holds no batch"):
        build_table(network, batches, calibrate_with=batches.take(0), verbose=False)
    for name in ("dataset", "calibrate_with"):
        given = {"dataset": batches, name: batches.repeat()}
        with pytest.raises(ValueError, match=f"`{name}` never ends"):
            build_table(network, **given, verbose=False)
    with pytest.raises(ValueError, match="`dataset` holds no batch"):
        evaluate_model(network.sub_network((1.0,)), batches.take(0), "model")


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_of_no_class_are_named(network, data, label):
    images, _ = data
    wrong = tf.data.Dataset.from_tensors((images[:4], [0, 1, label, 2]))
    message = f"from 0 to 2, or one-hot rows of 3. `dataset` has {label}"
    with pytest.raises(ValueError, match=message):
        build_table(network, wrong, ["1.0"], verbose=False)
    with pytest.raises(ValueError, match=message):
        evaluate_model(network.sub_network((1.0,)), wrong, "model")
    several = tf.data.Dataset.from_tensors((images[:2], [[0, 1, 0], [1, 0, 1]]))
    with pytest.raises(ValueError, match="one-hot rows of 3. `dataset` has .1 0 1."):
        build_table(network, several, ["1.0"], verbose=False)


def test_a_folder_that_cannot_be_written_is_told_before_the_work(
    network, batches, monkeypatch
):
    monkeypatch.setattr("keras_resizable.search.exhaustive.evaluate_configs", None)
    with pytest.raises(OSError, match="/proc/nowhere"):
        build_table(network, batches, folder="/proc/nowhere")


def test_labels_of_any_kind_and_logits(make_network, data):
    images, labels = data
    network = make_network()
    logits = make_network(classifier_activation=None)
    logits.set_weights(network.get_weights())
    kinds = {
        "uint8": labels.astype("uint8"),
        "int64": labels.astype("int64"),
        "column": labels[:, None],
        "one-hot": np.eye(3, dtype=np.float32)[labels],
    }
    expected = build_table(
        network,
        tf.data.Dataset.from_tensors((images, labels)),
        configs=[(1.0,)],
        verbose=False,
    ).to_frame()
    for labels in kinds.values():
        for each in (network, logits):
            batches = tf.data.Dataset.from_tensors((images, labels))
            table = build_table(each, batches, configs=[(1.0,)], verbose=False)
            frame = table.to_frame()
            pandas.testing.assert_frame_equal(frame, expected, rtol=1e-5)


def test_a_model_is_evaluated_as_the_table_has_it(network, batches):
    config = (0.75, 0.5)
    table = build_table(network, batches, [config], verbose=False)
    alone = evaluate_model(network.sub_network(config), batches, "alone")
    assert alone.configs == ["alone"]
    np.testing.assert_array_equal(alone.right("alone"), table.right(config))
    assert alone.origin["data"] == table.origin["data"]  # So that they can be merged.
    turned = batches.map(lambda images, labels: (images[::-1], labels[::-1]))
    others = evaluate_model(network.sub_network(config), turned, "others")
    with pytest.raises(ValueError, match="the same images in the same order"):
        table.merge(others)
    columns = ["params", "top1", "top1_low", "top1_high", "top5", "loss"]
    np.testing.assert_allclose(
        alone["alone"][columns].astype(float), table[config][columns].astype(float)
    )


def test_nothing_of_tensorflow_is_printed(batch, capfd, caplog):
    """Neither retracing warnings, of parts and sizes, nor others."""
    network = small_network()
    dataset = tf.data.Dataset.from_tensor_slices(batch).batch(3)
    for _ in range(2):
        build_table(network, dataset, calibrate_with=dataset, verbose=False)
    for config in list(network.space.configs())[:7]:
        network.sub_network(config, calibrate_with=dataset)
    assert not caplog.records
    assert "retracing" not in capfd.readouterr().err
