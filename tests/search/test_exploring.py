import numpy as np
import pandas
import pytest
import tensorflow as tf
from conftest import small_network

from keras_resizable import SpatialSpace, search
from keras_resizable.search import exploring

SPACE = SpatialSpace((1.0, 0.9, 0.8, 0.7, 0.6, 0.5), num_stages=4)
WEIGHTS = [1.0, 0.3, 0.6, 0.1]


def accuracies(weights, configs, noise=0.0, seed=0):
    """Of stages that help less and less, and two neighbours that have to agree."""
    factors = np.array([list(map(float, c.split(","))) for c in configs])
    gains = 1 - np.exp(-2 * (factors - 0.4))
    agree = 0.1 * (factors[:, 1] - factors[:, 2]) ** 2
    noise = noise * np.random.default_rng(seed).standard_normal(len(configs))
    return np.clip(0.4 + gains @ weights / 10 - agree + noise, 0, 1)


class Network:
    """Of which only the space is asked."""

    space = SPACE


@pytest.fixture
def evaluated(monkeypatch):
    """Tables of a formula, with more noise on fewer images; gives what was asked."""
    asked = []

    def build_table(network, dataset, configs, **options):
        names = [str(SPACE.config(config)) for config in configs]
        count = sum(len(images) for images, _ in dataset)
        asked.append((count, names))
        rows = costs().only(names).to_frame()
        noise = 0.1 / np.sqrt(count)
        top1 = accuracies(WEIGHTS, names, noise, seed=count)
        return search.Table(rows.assign(top1=top1))

    monkeypatch.setattr(exploring, "build_table", build_table)
    monkeypatch.setattr(exploring, "evaluation_batches", lambda data, network: data)
    return asked


def costs():
    configs = [str(config) for config in SPACE.configs()]
    factors = np.array([list(map(float, c.split(","))) for c in configs])
    flops = (factors**2) @ [4.0, 2.0, 3.0, 1.0] * 1e6
    return search.Table(pandas.DataFrame({"config": configs, "flops": flops}))


def explore(evaluations=120, **options):
    images, labels = np.zeros((5000, 1), np.float32), np.zeros(5000, int)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(250)
    return search.explore(
        Network(), dataset, evaluations, costs=costs(), verbose=False, **options
    )


def test_the_front_is_found_without_walking_the_space(evaluated):
    table = explore(300)
    assert [count for count, _ in evaluated] == [1000, 2500, 5000]
    assert [len(set(names)) for _, names in evaluated] == [300, 75, 25]
    assert table.configs == evaluated[-1][1]
    assert set(evaluated[2][1]) <= set(evaluated[1][1]) <= set(evaluated[0][1])
    truth = costs().to_frame().assign(top1=accuracies(WEIGHTS, costs().configs))
    top1_of = truth.set_index("config")["top1"]
    by_chance = np.random.default_rng(0).choice(truth["config"], 120, replace=False)
    noisy = accuracies(WEIGHTS, by_chance, 0.1 / np.sqrt(5000))
    others = truth[truth["config"].isin(by_chance)].set_index("config").loc[by_chance]
    lost, lost_by_chance = [], []
    for budget in np.quantile(truth["flops"], np.linspace(0.1, 1, 10)):
        best = truth.loc[truth["flops"] <= budget, "top1"].max()
        chosen = table.best(max_flops=budget)["config"]
        lost.append(best - top1_of[chosen])
        within = noisy[(others["flops"] <= budget).to_numpy()].argmax()
        names = others.index[others["flops"] <= budget]
        lost_by_chance.append(best - top1_of[names[within]])
    assert np.mean(lost) < 0.005
    # Than 120 by chance on all images, which are as many images.
    assert np.mean(lost) < np.mean(lost_by_chance)


def test_more_evaluations_than_sub_networks_start_with_all(evaluated):
    table = explore(5000)
    assert len(set(evaluated[0][1])) == SPACE.size and len(table) > 8


def test_a_seed_decides_what_is_evaluated(evaluated):
    for seed in (0, 0, 1):
        explore(40, seed=seed)
    runs = [evaluated[:3], evaluated[3:6], evaluated[6:]]
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[2][0]


def test_other_costs(evaluated):
    rows = costs().to_frame().rename(columns={"flops": "latency_ms_phone"}).iloc[::2]
    latency = search.Table(rows)
    images = tf.data.Dataset.from_tensor_slices((np.zeros(50), np.zeros(50))).batch(10)
    search.explore(
        Network(),
        images,
        40,
        costs=latency,
        cost="latency_ms_phone",
        num_images=10,
        verbose=False,
    )
    assert [count for count, _ in evaluated] == [10, 25, 50]
    assert set(evaluated[-1][1]) <= set(latency)


def test_images_are_taken_evenly():
    """As those of a folder are sorted by class."""
    labels = np.repeat(np.arange(10), 30)
    images = np.arange(300.0)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(32)
    some = exploring._spread(dataset, 6)
    taken = np.concatenate([labels for _, labels in some])
    assert np.bincount(taken).tolist() == [5] * 10
    assert max(len(labels) for _, labels in some) == 32
    assert sum(len(images) for images, _ in exploring._spread(dataset, 1)) == 300


@pytest.mark.parametrize(
    ("total", "num_images", "strides"),
    [(10_000, 1000, [10, 3]), (3999, 1000, [4, 2]), (2500, 1000, [2]), (60, 1000, [1])],
)
def test_rounds_take_more_and_more_images(total, num_images, strides):
    rounds = exploring._rounds(total, num_images)
    assert [stride for _, stride, _ in rounds] == strides
    assert rounds[0][0] == "explored" and rounds[-1][2] == 1 / 12


def test_the_most_accurate_is_among_few(evaluated):
    """Not the cheapest alone."""
    table = explore(14)
    assert len(table) == 8
    drawn = costs().only(evaluated[0][1]).to_frame()
    dearest = drawn["config"][drawn["flops"].idxmax()]
    assert dearest in table


def test_data_of_unknown_size(make_network, tmp_path):
    """Its table is extended as any."""
    network = make_network(scales=(1.0, 0.75, 0.5))
    random = np.random.default_rng(0)
    images = random.random((12, 12, 12, 2), np.float32)
    labels = random.integers(0, 3, 12)

    def batches():
        yield images, labels

    data = tf.data.Dataset.from_generator(
        batches,
        output_signature=(
            tf.TensorSpec((None, 12, 12, 2)),
            tf.TensorSpec((None,), tf.int64),
        ),
    )
    options = {"folder": tmp_path, "verbose": False}
    table = search.explore(network, data, 4, calibrate_with=images, **options)
    assert len(table) == 4
    table = search.build_table(
        network, data, calibrate_with=images, raw=False, **options
    )
    assert len(table) == 9
    empty = data.take(0)
    with pytest.raises(ValueError, match="`dataset` holds no batch"):
        search.explore(network, empty, 4, verbose=False)


def test_a_space_without_end_is_drawn_from(monkeypatch):
    monkeypatch.setattr(exploring, "_MOST_CONFIGS", 100)
    network = small_network(
        scales=tuple(np.arange(30, 51) / 50), input_shape=(32, 32, 2)
    )
    table = exploring._flops(network, seed=0)
    assert 90 < len(table) <= 102
    assert network.space.smallest in table
    again = exploring._flops(network, seed=0)
    pandas.testing.assert_frame_equal(table.to_frame(), again.to_frame())


class Stop(Exception):
    pass


@pytest.mark.parametrize("number", range(3), ids=["start", "second", "last"])
def test_an_interrupted_search_goes_on(number, tmp_path, monkeypatch, randomize):
    network = small_network(scales=(1.0, 0.8, 0.7, 0.6, 0.5), input_shape=(24, 24, 2))
    randomize(network)
    generator = np.random.default_rng(0)
    images = generator.random((60, 24, 24, 2), np.float32)
    labels = np.argmax(network.predict(images, verbose=0), axis=-1)
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(20)

    def run(folder):
        return search.explore(
            network,
            data,
            24,
            calibrate_with=images[:20],
            num_images=20,
            folder=tmp_path / folder,
            verbose=False,
        )

    whole = run("whole")
    assert len(whole) == 8
    assert whole.to_frame()["top1_raw"].isna().all()
    build_table, calls = search.build_table, []

    def stop(*args, **kwargs):
        calls.append(None)
        if len(calls) > number:
            raise Stop
        return build_table(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(exploring, "build_table", stop)
        with pytest.raises(Stop):
            run("stopped")
    pandas.testing.assert_frame_equal(run("stopped").to_frame(), whole.to_frame())
    names = ("table.npz", "explored/table.npz", "narrowed/table.npz")
    for name in names:
        one, other = (tmp_path / folder / name for folder in ("whole", "stopped"))
        assert one.read_bytes() == other.read_bytes()


def test_what_cannot_be_explored_is_one_sentence(evaluated):
    with pytest.raises(ValueError, match="evaluations=1"):
        explore(1)
    with pytest.raises(ValueError, match="num_images=0"):
        explore(num_images=0)
    with pytest.raises(ValueError, match="row of 'latency'. It has config, flops"):
        explore(cost="latency")


@pytest.mark.parametrize("evaluations", [8, 22, 40])
def test_few_evaluations_cover_the_budgets(evaluated, evaluations):
    table = explore(evaluations)
    assert len(table) == 8
    front = table.front()
    assert len(front) >= 3
    assert front["flops"].max() > 2 * front["flops"].min()
