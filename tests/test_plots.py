"""What the pictures of sub-networks and tables show."""

import matplotlib.figure
import numpy as np
import pandas
import pytest
from narrow_networks import convolutions

from keras_resizable import count_flops_of_configs, plots, search
from keras_resizable.search.table import ImageResults

CONFIGS = ["1.0", "0.5,1.0", "0.5,0.5"]


@pytest.fixture(scope="module")
def network():
    return convolutions(
        (4, 4, 4), scales=(1.0, 0.5), input_shape=(16, 16, 1), classes=3, name="narrow"
    )


@pytest.fixture(scope="module")
def table(network):
    configs = list(network.space.configs())
    flops = count_flops_of_configs(network, configs)
    top1 = [0.5 + 0.1 * sum(config) for config in configs]
    rows = {"config": map(str, configs), "flops": flops, "top1": top1}
    return search.Table(pandas.DataFrame(rows))


def texts_of(axes):
    return [text.get_text() for text in axes.texts]


def test_squares_have_the_sizes_of_the_maps(network):
    figure = plots.sub_networks(network, CONFIGS)
    (axes,) = figure.axes
    texts = texts_of(axes)
    assert [text for text in texts if text.endswith("px")] == [
        *("16 px", "8 px"),
        *("8 px", "4 px"),
        *("8 px", "2 px"),
    ]
    filled = [patch.get_width() for patch in axes.patches if patch.get_fill()]
    np.testing.assert_allclose(filled, 0.8 * np.array([1, 1, 0.5, 0.5, 0.5, 0.25]))
    assert {str(network.space.config(config)) for config in CONFIGS} <= set(texts)


def test_a_front_has_all_rows_and_letters_for_some(network, table):
    axes = plots.front(table).axes[0]
    assert len(axes.lines[0].get_xdata()) == len(table)
    axes, beside = plots.front(table, network=network, configs=CONFIGS[:2]).axes
    assert texts_of(axes) == ["A", "B"]
    assert "A   1.0,1.0" in texts_of(beside)


def test_effects_are_means(table):
    left, right = plots.main_effects(table).axes
    (means, *_) = table.main_effects()
    np.testing.assert_allclose(
        left.lines[0].get_ydata(), [100 * means[0.5], 100 * means[1.0]]
    )
    assert len(right.lines) == 2


def test_agreement_is_of_all_images():
    right = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool)
    confidence = np.zeros(4, np.float16)
    results = {c: ImageResults(row, confidence) for c, row in zip(CONFIGS, right)}
    table = search.Table(pandas.DataFrame({"config": CONFIGS}), results)
    figure = plots.agreement(table, *CONFIGS[:2])
    assert isinstance(figure, matplotlib.figure.Figure)
    assert texts_of(figure.axes[0]) == ["25.0 %", "25.0 %", "0.0 %", "50.0 %"]


def test_what_cannot_be_drawn_is_told(network, table):
    with pytest.raises(ValueError, match="pass `network` too"):
        plots.front(table, configs=["1.0"])
    with pytest.raises(ValueError, match="no row for '1.0,1.0'"):
        others = table.only(table.configs[1:])
        plots.front(others, network=network, configs=["1.0"])
    with pytest.raises(ValueError, match="has no 'latency_ms_host'"):
        plots.front(table, "latency_ms_host")
