import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from keras_resizable import SpatialSpace
from keras_resizable.search import predict

SPACE = SpatialSpace((1.0, 0.9, 0.75, 0.6, 0.5), num_stages=4)
CONFIGS = [str(config) for config in SPACE.configs()]


def accuracies(weights, configs, noise=0.0, seed=0):
    """Of stages that help less and less, and two neighbours that have to agree."""
    factors = np.array([list(map(float, c.split(","))) for c in configs])
    gains = 1 - np.exp(-2 * (factors - 0.4))
    agree = 0.1 * (factors[:, 1] - factors[:, 2]) ** 2
    noise = noise * np.random.default_rng(seed).standard_normal(len(configs))
    return np.clip(0.4 + gains @ weights / 10 - agree + noise, 0, 1)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.floats(0.2, 1.0), min_size=4, max_size=4))
def test_few_rows_tell_of_all_others(weights):
    chosen = np.random.default_rng(0).choice(CONFIGS, 100, replace=False)
    top1 = accuracies(weights, chosen, noise=0.005)
    predicted = predict(pandas.DataFrame({"config": chosen, "top1": top1}), CONFIGS)
    truth = accuracies(weights, CONFIGS)
    assert predicted["config"].tolist() == CONFIGS
    assert kendalltau(predicted["top1"], truth)[0] > 0.8
    errors = np.abs(predicted["top1"] - truth)
    assert errors.mean() < 0.005
    # Errors are as large as they are said to be.
    assert (errors < 3 * predicted["standard_error"] + 1e-4).mean() > 0.9


def test_neighbours_correct_what_a_row_says():
    chosen = CONFIGS[::5]
    truth = accuracies([1, 0.5, 0.5, 0.25], chosen)
    noisy = accuracies([1, 0.5, 0.5, 0.25], chosen, noise=0.01)
    table = pandas.DataFrame({"config": chosen, "top1": noisy})
    predicted = predict(table)
    assert predicted["config"].tolist() == chosen
    assert np.std(predicted["top1"] - truth) < np.std(noisy - truth) / 2


def test_scale_factors_of_no_row_can_be_asked_for():
    top1 = accuracies([1, 1, 1, 1], CONFIGS[::4])
    table = pandas.DataFrame({"config": CONFIGS[::4], "top1": top1})
    asked = ["0.83,0.7,0.7,1.0", (0.55, 0.95, 0.8, 0.65)]
    predicted = predict(table, asked)
    assert predicted["config"].tolist() == ["0.83,0.7,0.7,1.0", "0.55,0.95,0.8,0.65"]
    truth = accuracies([1, 1, 1, 1], predicted["config"])
    np.testing.assert_allclose(predicted["top1"], truth, atol=2e-3)
    # What is far from all rows is not known.
    (far,) = predict(table, ["0.1,0.1,0.1,0.1"])["standard_error"]
    assert far > 10 * predicted["standard_error"].max()


def test_what_cannot_be_predicted_is_one_sentence():
    def table(configs, top1):
        return pandas.DataFrame({"config": configs, "top1": top1})

    with pytest.raises(ValueError, match="at least 7 rows. The table has 6"):
        predict(table(CONFIGS[:6], np.arange(6) / 10))
    with pytest.raises(ValueError, match="All rows .* top1 of 0.5: there is nothing"):
        predict(table(CONFIGS[:20], 0.5))
    with pytest.raises(ValueError, match=f"no accuracy: {CONFIGS[3]}."):
        predict(table(CONFIGS[:20], [0.1, 0.2, 0.3, np.nan] * 5))
    good = table(CONFIGS, accuracies([1, 1, 1, 1], CONFIGS))
    with pytest.raises(ValueError, match="of 4 stages. Received configurations of 3"):
        predict(good, ["1.0,1.0,0.5"])
    with pytest.raises(ValueError, match=r"all as many. Received: \[3, 4\]"):
        predict(good, ["1.0,1.0,0.5", CONFIGS[0]])
