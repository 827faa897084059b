"""Finding the best sub-networks of a space that is too large to evaluate."""

import logging
import os
import pathlib

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.network import ResizableNetwork
from keras_resizable.search.evaluation import teacher_of
from keras_resizable.search.exhaustive import build_table
from keras_resizable.search.query import pareto_front
from keras_resizable.search.table import Table
from keras_resizable.utils.arguments import integer
from keras_resizable.utils.batches import (
    Batches,
    are_images_alone,
    check_not_empty,
    evaluation_batches,
    images_in_random_order,
    watched,
)

_LOG = logging.getLogger(__name__)
EXPLORED, NARROWED = "explored", "narrowed"
_MOST_CONFIGS = 50_000
# The parts of the first round's sub-networks that reach the next two rounds.
_ON_MORE, _ON_ALL = 1 / 4, 1 / 12
_FEWEST = 8  # Fewer would leave gaps along the cost.
# Calibrating takes longer than evaluating, and needs fewer images.
_TO_CALIBRATE, _LEAST_TO_CALIBRATE = 1 / 4, 250


def explore(
    network: ResizableNetwork,
    dataset: Batches,
    evaluations: int = 300,
    *,
    calibrate_with: Batches | None = None,
    costs: Table | None = None,
    cost: str = "flops",
    num_images: int = 1000,
    folder: str | os.PathLike | None = None,
    seed: int = 0,
    verbose: bool = True,
) -> Table:
    """Builds a lookup table of the best sub-networks without evaluating all.

    Three rounds (successive halving, https://arxiv.org/abs/1502.07943): sub-networks
    are drawn at random and evaluated on few images; the best quarter for their cost, at
    least eight, on more images; and the best twelfth, at least eight, on all. Shared
    computations are done once, as in `build_table`. Proposals by a model of the results
    found nothing better than random ones.

    Args:
        network: A `ResizableNetwork` that classifies.
        dataset: As in `build_table`, in the same order every time.
        evaluations: Number of sub-networks of the first round.
        calibrate_with: As in `build_table`.
        costs: A `Table` of the configurations to consider and their costs, as from
            `Table.of`; by default FLOPs of all, or of a random 50,000 of a larger
            space.
        cost: Its column to keep low.
        num_images: Approximate number of images of the first round, spread evenly over
            all; the second round takes the geometric mean of this and all. Both
            calibrate with a quarter of their images, at least 250.
        folder: As in `build_table`; its folders `explored` and `narrowed` hold the
            tables of the first two rounds.
        seed: Seed of the random draws.
        verbose: Whether to show progress.

    Returns:
        The table of `build_table` for the sub-networks of the last round and earlier
        rows of the folder; the raw accuracy is NaN.

    Raises:
        ValueError: If there are fewer than two evaluations; or as `build_table`.

    Example::

        table = search.explore(network, validation, 300, calibrate_with=images)
        table.best(max_flops=2e8)
    """
    integer("evaluations", evaluations, 2)  # For the cheapest and the most expensive.
    integer("num_images", num_images, 1)
    costs = _checked(_flops(network, seed) if costs is None else costs, cost, network)
    dataset = evaluation_batches(dataset, network)
    if are_images_alone(dataset):
        teacher_of(network)  # Raises before the work.
    if calibrate_with is not None:
        calibrate_with = images_in_random_order(calibrate_with, network)
    folder = None if folder is None else pathlib.Path(folder)
    configs = _drawn(costs, evaluations, seed)
    total = _count(dataset, "dataset")

    def evaluated(stride, to_calibrate, subfolder=""):
        which = f"one in {stride} images" if stride > 1 else "all images"
        _LOG.info(f"On {which}: {len(configs)} sub-networks")
        return build_table(
            network,
            _spread(dataset, stride) if subfolder else dataset,
            configs,
            calibrate_with=to_calibrate,
            folder=folder and folder / subfolder,
            raw=False,
            verbose=verbose,
        )

    for name, stride, kept in _rounds(total, num_images):
        table = evaluated(stride, _fewer(calibrate_with, total / stride), name)
        rows = table.only(configs).to_frame().merge(costs, on="config")
        configs = _best(rows, max(_FEWEST, round(kept * evaluations)))
    return evaluated(1, calibrate_with)


def _rounds(total, num_images):
    """The name, the stride, and the kept part of each round before the last."""
    few = max(1, round(total / num_images))
    more = max(1, round((total / num_images) ** 0.5))
    if more in (1, few):  # The second round would equal another.
        return [(EXPLORED, few, _ON_ALL)]
    return [(EXPLORED, few, _ON_MORE), (NARROWED, more, _ON_ALL)]


def _flops(network, seed):
    """A table of all configurations, or of a random part, with their FLOPs."""
    space = network.space
    if space.size <= _MOST_CONFIGS:
        return Table.of(network)
    shape = (_MOST_CONFIGS, space.num_stages)
    rows = np.random.default_rng(seed).integers(len(space.scales), size=shape)
    ends = (space.largest, space.smallest)
    return Table.of(network, [*ends, *map(space.from_indices, rows)])


def _checked(costs, cost, network):
    """The columns `config`, in this library's notation, and `cost` of a table."""
    frame = costs.to_frame()
    names = list(map(str, network.space.select(frame["config"])))
    values = np.asarray(frame.get(cost, np.nan), float)
    if not np.isfinite(values).all():
        raise ValueError(
            f"`costs` needs a number in each row of {cost!r}. It has "
            f"{', '.join(frame.columns)}."
        )
    return frame.assign(config=names, cost=values)[["config", "cost"]]


def _count(dataset: tf.data.Dataset, name: str) -> int:
    """The number of images if all batches are as large as the first."""
    batches = int(dataset.cardinality())
    if batches < 0:  # Unknown.
        batches = sum(1 for _ in watched(dataset, name))
    check_not_empty(batches, name)
    return _batch_size(dataset) * batches


def _batch_size(dataset):
    (first,) = dataset.take(1)
    return len(keras.tree.flatten(first)[0])


def _spread(dataset: tf.data.Dataset, stride: int) -> tf.data.Dataset:
    """Every `stride`-th image, since data may be sorted by class."""
    return dataset.unbatch().shard(stride, 0).batch(_batch_size(dataset))


def _fewer(to_calibrate, num_images):
    """The part of the calibration data for an evaluation on `num_images` images."""
    if to_calibrate is None:
        return None
    count = max(round(_TO_CALIBRATE * num_images), _LEAST_TO_CALIBRATE)
    stride = round(_count(to_calibrate, "calibrate_with") / count)
    return _spread(to_calibrate, max(1, stride))


def _drawn(costs, count, seed):
    """The cheapest, the most expensive, and random other configurations."""
    ends = [costs["cost"].idxmin(), costs["cost"].idxmax()]
    others = np.random.default_rng(seed).permutation(costs.index)
    numbers = list(dict.fromkeys([*ends, *others]))[:count]
    return costs["config"][numbers].tolist()


def _best(table, count):
    """The most accurate for their cost: Pareto fronts, one under another."""
    found: list[str] = []
    while len(found) < count and not table.empty:
        front = pareto_front(table, "cost")
        # Too many are thinned out evenly over all costs.
        places = np.linspace(len(front) - 1, 0, min(len(front), count - len(found)))
        found += front["config"].iloc[places.round().astype(int)].tolist()
        table = table.drop(front.index)
    return found
