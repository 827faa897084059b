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

EXPLORED = "explored"
_MOST_CONFIGS = 50_000
# Of those that are evaluated on few images, how many are on all.
_FINALISTS = 1 / 8


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

    Sub-networks are drawn by chance and evaluated on some of the images; an eighth of
    them, the most accurate of their cost, on all. What is shared is computed once, as
    in `build_table`. Proposals by a model of what was evaluated, in the place of
    chance, found nothing better.

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
        num_images: About how many images these take, evenly from all; they are kept in
            memory.
        folder: Folder for `table.csv` and `samples.npz`, as `build_table` has it, with
            those on few images in its folder `explored`. The same call resumes an
            interrupted one, and evaluates nothing again.
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
    dataset = labelled_batches(dataset, network)
    some = _spread(dataset, num_images)
    to_calibrate = few = None
    if calibrate_with is not None:
        to_calibrate = image_batches(calibrate_with, network)
        few = _spread(to_calibrate, num_images)
    options = {"raw": False, "verbose": verbose}
    drawn = _drawn(costs, evaluations, seed)
    if verbose:
        print(f"On few images: {len(drawn)} sub-networks")
    with _folder_of_few(folder) as of_few:
        explored = build_table(
            network, some, drawn, calibrate_with=few, folder=of_few, **options
        )
    explored = explored[explored["config"].isin(drawn)]
    best = _best(
        explored.merge(costs, on="config"), max(1, round(_FINALISTS * evaluations))
    )
    if verbose:
        print(f"On all images: {len(best)} sub-networks")
    return build_table(
        network, dataset, best, calibrate_with=to_calibrate, folder=folder, **options
    )


@contextlib.contextmanager
def _folder_of_few(folder: str | os.PathLike | None) -> Iterator[pathlib.Path]:
    if folder is not None:
        yield pathlib.Path(folder) / EXPLORED
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


def _spread(dataset: tf.data.Dataset, num_images: int) -> tf.data.Dataset:
    """About as many images, evenly from all, as data may be sorted by class; kept."""
    (first,) = dataset.take(1)
    size = len(keras.tree.flatten(first)[0])
    batches = int(dataset.cardinality())
    if batches < 0:  # It is not known.
        batches = sum(1 for _ in dataset)
    stride = max(1, size * batches // num_images)
    return dataset.unbatch().shard(stride, 0).batch(size).cache()


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
