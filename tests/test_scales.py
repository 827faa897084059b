"""Any scale factor after training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_network
from foreign_models import blocks_that_are_layers, plain
from hypothesis import given
from hypothesis import strategies as st

import keras_resizable
from keras_resizable.search import build_table
from keras_resizable.space import mixture
from keras_resizable.subnetworks.parts import norms_by_stage

MAKE_NETWORK = small_network
FINER = (1.0, 0.9, 0.75, 0.625, 0.5)


@pytest.fixture
def trained(make_network, batch, randomize):
    network = make_network()
    randomize(network)
    network.compile("sgd", "sparse_categorical_crossentropy")
    network.fit(*batch, verbose=0)
    return network


@given(
    st.sets(st.integers(1, 100), min_size=1, max_size=6),
    st.integers(1, 100),
)
def test_a_mixture_is_of_the_neighbours(percents, percent):
    scales = tuple(p / 100 for p in sorted(percents, reverse=True))
    scale = percent / 100
    parts = mixture(scales, scale)
    assert sum(parts.values()) == pytest.approx(1)
    assert all(part > 0 for part in parts.values())
    if scale in scales:
        assert parts == {scales.index(scale): 1.0}
    if scales[-1] <= scale <= scales[0]:
        between = sum(part * scales[row] for row, part in parts.items())
        assert between == pytest.approx(scale)
        assert max(parts) - min(parts) <= 1
    else:
        assert parts == {0 if scale > scales[0] else len(scales) - 1: 1.0}


def test_what_was_there_is_bit_equal(trained, batch, tmp_path):
    images, _ = batch
    finer = trained.with_scales(reversed(FINER))
    assert finer.space.scales == FINER
    for config in trained.space.configs():
        np.testing.assert_array_equal(
            finer(images, config=config), trained(images, config=config)
        )
    for (_, old), (_, new) in zip(
        norms_by_stage(trained.parts), norms_by_stage(finer.parts)
    ):
        weights = zip(*(old.get_row_weights(row) for row in (1, 2)))
        for got, (one, other) in zip(new.get_row_weights(3), weights):
            np.testing.assert_allclose(got, (one + other) / 2, rtol=1e-6)
    # Nothing is shared, and it is saved.
    weights = trained.get_weights()
    for weight in finer.trainable_weights:
        weight.assign(weight + 0.01)
    for got, weight in zip(trained.get_weights(), weights):
        np.testing.assert_array_equal(got, weight)
    finer.save(tmp_path / "finer.keras")
    copy = keras.saving.load_model(tmp_path / "finer.keras")
    config = (0.625, 0.9)
    finer.check_statistics = copy.check_statistics = False
    np.testing.assert_array_equal(
        copy(images, config=config), finer(images, config=config)
    )


def test_new_factors_are_refused_until_estimated(trained, batch, tf_dataset):
    finer = trained.with_scales(FINER)
    finer.sub_network((0.75, 0.5))
    with pytest.raises(ValueError, match="scale 0.9 of stage 1 never saw a batch"):
        finer.sub_network("0.9")
    finer.compile("sgd", "sparse_categorical_crossentropy")
    finer.fit(*batch, verbose=0)
    finer.sub_network("0.9")
    images = batch[0]
    table = build_table(
        trained.with_scales(FINER), tf_dataset, calibrate_with=images, verbose=False
    )
    assert len(table) == 25 and table.to_frame()["top1"].notna().all()


def test_a_cut_out_takes_factors_between(trained, batch):
    images, _ = batch
    model = trained.sub_network("0.8,0.6", calibrate_with=images)
    finer = trained.with_scales((1.0, 0.8, 0.75, 0.6, 0.5))
    expected = finer.sub_network("0.8,0.6", calibrate_with=images)
    np.testing.assert_array_equal(model(images), expected(images))
    assert trained.space.scales == (1.0, 0.75, 0.5)
    with pytest.raises(ValueError, match="0.8 of stage 1 is not one.*`calibrate_with"):
        trained.sub_network("0.8")
    with pytest.raises(ValueError, match=r"\[0.4\] are not all between .* 1.0 and 0.5"):
        trained.sub_network("0.4", calibrate_with=images)
    assert trained.with_factors_of(["0.5", (0.75, 1.0)]) is trained
    assert trained.with_factors_of(["0.5", "0.8"]).space.scales == (1, 0.8, 0.75, 0.5)


def test_a_table_grows_with_the_list(trained, batch, tf_dataset, tmp_path):
    def build(network, configs):
        return build_table(
            network,
            tf_dataset,
            configs,
            calibrate_with=batch[0],
            folder=tmp_path,
            verbose=False,
        )

    table = build(trained, ["1.0", "0.5"])
    finer = trained.with_scales(FINER)
    grown = build(finer, ["0.9,0.625", "0.5"])
    assert grown.configs == ["1.0,1.0", "0.5,1.0", "0.9,0.625"]
    assert grown.to_frame().iloc[:2].equals(table.to_frame())
    # Of the network that was trained on, it is another.
    finer.compile("sgd", "sparse_categorical_crossentropy")
    finer.fit(*batch, verbose=0)
    with pytest.raises(ValueError, match="table.npz is for another network"):
        build(finer, ["0.9"])


@pytest.mark.parametrize("make", [plain, blocks_that_are_layers])
@pytest.mark.filterwarnings("ignore:The images to calibrate with are unlike")
def test_converted_models_too(make, randomize):
    model = make()
    randomize(model)
    network = keras_resizable.from_keras(model, (1.0, 0.5))
    images = tf.random.uniform((4, 24, 24, 3))
    finer = network.with_scales((1.0, 0.75, 0.5))
    np.testing.assert_array_equal(
        finer(images, training=False), network(images, training=False)
    )
    assert finer.sub_network("0.75", calibrate_with=images)(images).shape == (4, 3)


def test_equal_sizes_are_told(make_network):
    with pytest.warns(UserWarning, match="factors 0.76 and 0.75 give maps of the same"):
        make_network().with_scales((1.0, 0.76, 0.75))
    unknown = make_network(input_shape=(None, None, 2))
    assert unknown.with_scales((1.0, 0.76, 0.75)).space.size == 9
