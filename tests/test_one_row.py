"""The ablation without scale-aware batch normalisation: one row for all scales."""

import numpy as np
import pytest
from conftest import small_network

from keras_resizable import FixedSampler, search
from keras_resizable.subnetworks.parts import norms_by_stage

MAKE_NETWORK = small_network


@pytest.fixture
def network(make_network, randomize):
    network = make_network(scale_aware=False)
    randomize(network)
    return network


def test_all_scales_share_and_train_it(network, batch):
    assert network.extra_params == 0
    assert all(norm.num_scales == 1 for _, norm in norms_by_stage(network.parts))
    network.compile(
        "sgd",
        "sparse_categorical_crossentropy",
        sampler=FixedSampler([(0.5, 0.75)]),
    )
    tables = [v for _, norm in norms_by_stage(network.parts) for v in norm.variables]
    before = [table.numpy() for table in tables]
    network.train_on_batch(*batch)
    for table, old in zip(tables, before):
        assert not np.array_equal(table, old), table.path
    network.config = (1.0, 0.5)  # There are no statistics that were not estimated.


def test_sub_networks_and_table_are_those_of_the_network(
    network, batch, tf_dataset, tmp_path
):
    configs = [(0.5, 0.75), (1.0, 0.5)]
    table = search.build_table(
        network, tf_dataset, configs, calibrate_with=tf_dataset, verbose=False
    )
    images, labels = batch
    for config in configs:
        raw, calibrated = table[config][["top1_raw", "top1"]]
        sub_network = network.sub_network(config)
        outputs = network(images, config=config)
        np.testing.assert_allclose(sub_network(images), outputs, atol=1e-5)
        assert raw == np.mean(np.argmax(outputs, axis=1) == labels)
        answers = network.sub_network(config, calibrate_with=tf_dataset)(images)
        assert calibrated == np.mean(np.argmax(answers, axis=1) == labels)


def test_it_has_the_weights_of_a_network_of_one_scale(network, make_network, batch):
    alone = make_network(scales=(1.0,))
    alone.set_weights(network.get_weights())
    np.testing.assert_allclose(
        alone(batch[0]), network(batch[0], config=(1.0, 1.0)), atol=1e-6
    )
