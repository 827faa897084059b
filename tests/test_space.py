import copy
import fractions
import math
import pickle
import re

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resizable import SpatialSpace
from keras_resizable.space import resized

scales = st.lists(
    st.integers(1, 1000).map(lambda thousandths: thousandths / 1000),
    min_size=1,
    max_size=5,
    unique=True,
)
spaces = st.builds(SpatialSpace, scales, st.integers(1, 4))


@given(spaces)
def test_configs_are_all_there_once_largest_first(space):
    configs = list(space.configs())
    assert len(configs) == len(set(configs)) == space.size
    assert configs[0] == space.largest == (max(space.scales),) * space.num_stages
    assert configs[-1] == space.smallest == (min(space.scales),) * space.num_stages


@given(spaces, st.data())
def test_round_trips(space, data):
    config = data.draw(st.tuples(*[st.sampled_from(space.scales)] * space.num_stages))
    read = space.config(config)
    assert read == config and hash(read) == hash(config) and isinstance(read, tuple)
    assert space.config(str(read)) == space.config(np.array(config)) == read
    assert space.from_indices(read.indices) == read
    assert space.config(",".join(map(str, read.key.split("_")))) == read
    for copied in (copy.deepcopy(read), pickle.loads(pickle.dumps(read))):
        assert copied == read and copied.indices == read.indices


@given(spaces, st.data())
def test_stages_left_out_are_largest(space, data):
    config = data.draw(
        st.lists(st.sampled_from(space.scales), max_size=space.num_stages)
    )
    padded = space.config(config)
    assert padded == tuple(config) + space.largest[len(config) :]


def test_several_are_read_once_each_in_order():
    space = SpatialSpace([1.0, 0.5], 2)
    assert space.select(["0.5", (1.0, 0.5), [0.5, 1.0]]) == [(0.5, 1.0), (1.0, 0.5)]
    assert space.select(None) == list(space.configs())


def test_a_configuration_in_a_model_can_be_read_again():
    space = SpatialSpace([1.0, 0.5], 2)
    layer = keras.layers.Layer()
    layer.config = space.config("0.5")
    assert space.config(layer.config).indices == (1, 0)


@given(
    st.integers(1, 2000),
    st.integers(1, 10**9).map(lambda billionths: billionths / 10**9),
)
def test_size_rule_is_exact_rounding(size, scale):
    exact = size * fractions.Fraction(str(scale))
    expected = max(1, math.floor(exact + fractions.Fraction(1, 2)))
    assert resized(size, scale) == expected


def test_size_rule_where_floating_point_errs():
    assert resized(45, 0.7) == 32  # 31.5, but 31.499999999999996 in floats.


def test_numpy_numbers_are_what_their_text_says():
    space = SpatialSpace(np.array([1.0, 0.7], np.float32), np.int64(2))
    assert space == SpatialSpace([0.7, 1], 2)
    assert space.config(np.array([0.7], np.float32)).indices == (1, 0)


@pytest.mark.parametrize(
    "bad",
    [
        [],
        [1.0, 0.0],
        [1.0, 1.5],
        [1.0, -0.5],
        [1.0, float("nan")],
        [1.0, 0.5, 0.5],
        [1.0, "half"],
        [1.0, None],
        [1.0, True],
        [1.0, 2 / 3],
        0.5,
        "1.0",
    ],
    ids=str,
)
def test_bad_scales_are_named(bad):
    with pytest.raises(ValueError, match=re.escape(f"Received: scales={bad!r}")):
        SpatialSpace(bad, 2)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, None])
def test_bad_number_of_stages_is_named(bad):
    with pytest.raises(ValueError, match=f"num_stages={bad!r}"):
        SpatialSpace([1.0], bad)


@pytest.mark.parametrize("bad", [(1.0, 0.6), "1.0,0.6"])
def test_a_factor_off_the_list_is_named(bad):
    with pytest.raises(ValueError, match=r"0.6 of stage 2 is not one of \(1.0, 0.5\)"):
        SpatialSpace([1.0, 0.5], 2).config(bad)


@pytest.mark.parametrize(
    "bad",
    [(1.0, 0.5, 0.5), ("big",), 0.5, "", "a", "0.5,", "nan", "0.5;1.0"],
    ids=str,
)
def test_bad_configurations_are_named(bad):
    with pytest.raises(ValueError, match=re.escape(f"Received: config={bad!r}")):
        SpatialSpace([1.0, 0.5], 2).config(bad)


@pytest.mark.parametrize("bad", [(0,), (0, 2), (0, -1)])
def test_bad_indices_are_named(bad):
    with pytest.raises(ValueError, match="2 scale indices, each from 0 to 1"):
        SpatialSpace([1.0, 0.5], 2).from_indices(bad)
