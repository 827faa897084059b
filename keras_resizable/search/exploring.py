"""Finding the best sub-networks of a space that is too large to evaluate."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.network import ResizableNetwork
from keras_resizable.pieces import count_flops_of_configs
from keras_resizable.search.query import pareto_front
from keras_resizable.search.table import build_table
from keras_resizable.utils.batches import Batches, image_batches, labelled_batches
from keras_resizable.utils.extras import import_extra

if TYPE_CHECKING:
    import pandas

EXPLORED, NARROWED = "explored", "narrowed"
_MOST_CONFIGS = 50_000
# Of those that are evaluated on few images, how many are on more and on all.
_ON_MORE, _ON_ALL = 1 / 4, 1 / 12
# To calibrate takes longer than to evaluate, and fewer images do.
_TO_CALIBRATE, _LEAST_TO_CALIBRATE = 1 / 4, 250


def explore(
    network: ResizableNetwork,
    dataset: Batches,
    evaluations: int = 300,
    *,
    calibrate_with: Batches | None = None,
    costs: "pandas.DataFrame | None" = None,
    cost: str = "flops",
    num_images: int = 1000,
    folder: str | os.PathLike | None = None,
    seed: int = 0,
    verbose: bool = True,
) -> "pandas.DataFrame":
    """The lookup table of the best sub-networks, without evaluating all.

    Sub-networks are drawn by chance and evaluated on few images; a quarter of them, the
    most accurate of their cost, on more; and a twelfth on all (successive halving,
    https://arxiv.org/abs/1502.07943). What is shared is computed once, as in
    `build_table`. Proposals by a model of what was evaluated, in the place of chance,
    found nothing better.

    Args:
        network: A `ResizableNetwork` that classifies.
        dataset: `tf.data.Dataset` of batches of images and labels, integers or
            one-hot, in the same order whenever it is read; or both as a tuple of
            arrays.
        evaluations: How many sub-networks to evaluate on few images.
        calibrate_with: `tf.data.Dataset` of batches to re-estimate the batch
            statistics of each configuration with.
        costs: A table of the configurations to consider with their costs, as
            `latency_table` gives it; FLOPs of all if absent, or of a seeded 50,000 of
            more.
        cost: Its column, which is to be low.
        num_images: About how many images these take, evenly from all. The next take
            the geometric mean of this and all.
        folder: Folder for `table.csv` and `samples.npz`, as `build_table` has it, with
            those on few and on more images in its folders `explored` and `narrowed`.
            The same call resumes an interrupted one, and evaluates nothing again.
        seed: Seed of what is drawn.
        verbose: Whether to show progress.

    Returns:
        The table of `build_table` of those that were evaluated on all images, and of
        what the folder had before, with `top1_raw` NaN. For others see `predict`, of
        this table or that of the folder `explored`.

    Raises:
        ValueError: If there are fewer than two evaluations, or as many as
            configurations; or as `build_table`.
        ImportError: If the extra `search` is not installed.

    Example::

        table = search.explore(network, validation, 300, calibrate_with=images)
        search.best(table, max_flops=2e8)
    """
    if evaluations < 2:
        raise ValueError(
            "Exploring evaluates the cheapest and the dearest at least, which are two. "
            f"Received: {evaluations}"
        )
    if num_images < 1:
        raise ValueError(f"`num_images` is at least 1. Received: {num_images}")
    if costs is None:
        costs = _flops(network, seed)
    costs = _checked(costs, cost, network)
    if evaluations >= len(costs):
        raise ValueError(
            f"There are {len(costs)} sub-networks: `build_table` evaluates them all. "
            f"Received: evaluations={evaluations}"
        )
    dataset = _counted(labelled_batches(dataset, network))
    to_calibrate = None
    if calibrate_with is not None:
        to_calibrate = _counted(image_batches(calibrate_with, network))
    options = {"raw": False, "verbose": verbose}
    total = _count(dataset)
    more_images = round((num_images * max(total, num_images)) ** 0.5)
    configs = _drawn(costs, evaluations, seed)
    with _folder_of_rounds(folder) as rounds:
        for name, count, kept in (
            (EXPLORED, num_images, _ON_MORE),
            (NARROWED, more_images, _ON_ALL),
        ):
            if verbose:
                print(
                    f"On about {min(count, total)} images: {len(configs)} sub-networks"
                )
            table = build_table(
                network,
                _spread(dataset, count),
                configs,
                calibrate_with=_fewer(to_calibrate, count),
                folder=rounds / name,
                **options,
            )
            table = table[table["config"].isin(configs)].merge(costs, on="config")
            configs = _best(table, max(1, round(kept * evaluations)))
    if verbose:
        print(f"On all {total} images: {len(configs)} sub-networks")
    return build_table(
        network, dataset, configs, calibrate_with=to_calibrate, folder=folder, **options
    )


@contextlib.contextmanager
def _folder_of_rounds(folder: str | os.PathLike | None) -> Iterator[pathlib.Path]:
    if folder is not None:
        yield pathlib.Path(folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield pathlib.Path(temporary)


def _flops(network, seed):
    pandas = import_extra("pandas", "search")
    space = network.space
    if space.size <= _MOST_CONFIGS:
        configs = list(space.configs())
    else:
        shape = (_MOST_CONFIGS, space.num_stages)
        rows = np.random.default_rng(seed).integers(len(space.scales), size=shape)
        ends = (space.largest, space.smallest)
        configs = space.select([*ends, *map(space.from_indices, rows)])
    flops = count_flops_of_configs(network, configs)
    return pandas.DataFrame({"config": list(map(str, configs)), "flops": flops})


def _checked(costs, cost, network):
    for name in ("config", cost):
        if name not in costs:
            raise ValueError(
                f"`costs` has no column {name!r}. It has {', '.join(costs.columns)}."
            )
    names = list(map(str, network.space.select(costs["config"])))
    values = costs[cost].to_numpy(float)
    if len(names) != len(values) or not np.isfinite(values).all():
        raise ValueError(
            "`costs` has one row for each configuration, and a number in each. "
            f"Received: {len(values)} rows of {len(names)} configurations, "
            f"{np.isfinite(values).sum()} with a number."
        )
    return costs.assign(config=names, cost=values)[["config", "cost"]]


def _count(dataset: tf.data.Dataset) -> int:
    """About how many images: all batches for as large as the first."""
    return _batch_size(dataset) * int(dataset.cardinality())


def _counted(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same, which knows its number of batches."""
    if dataset.cardinality() >= 0:
        return dataset
    batches = sum(1 for _ in dataset)
    return dataset.apply(tf.data.experimental.assert_cardinality(batches))


def _batch_size(dataset):
    (first,) = dataset.take(1)
    return len(keras.tree.flatten(first)[0])


def _spread(dataset: tf.data.Dataset, num_images: int) -> tf.data.Dataset:
    """About as many images, evenly from all, as data may be sorted by class."""
    stride = max(1, _count(dataset) // num_images)
    return dataset.unbatch().shard(stride, 0).batch(_batch_size(dataset))


def _fewer(to_calibrate, num_images):
    """What to calibrate with for an evaluation on fewer images."""
    if to_calibrate is None:
        return None
    count = max(round(_TO_CALIBRATE * num_images), _LEAST_TO_CALIBRATE)
    return _spread(to_calibrate, count)


def _drawn(costs, count, seed):
    """The cheapest, the dearest, and others by chance."""
    ends = [costs["cost"].idxmin(), costs["cost"].idxmax()]
    others = np.random.default_rng(seed).permutation(costs.index)
    numbers = list(dict.fromkeys([*ends, *others]))[:count]
    return costs["config"][numbers].tolist()


def _best(table, count):
    """Those that are the most accurate of their cost: fronts, one under another."""
    found: list[str] = []
    while len(found) < count and not table.empty:
        front = pareto_front(table, "cost")
        # Evenly from the cheapest to the dearest, if there are more than are wanted.
        places = np.linspace(0, len(front) - 1, min(len(front), count - len(found)))
        found += front["config"].iloc[places.round().astype(int)].tolist()
        table = table.drop(front.index)
    return found
