"""Compares what exploring finds in a space with evaluating all of it.

    python research/explore.py folder

`folder` contains a table of all sub-networks (`truth`, from `search.build_table`) and
tables from `search.explore` with 300 evaluations and several seeds (`explore0`,
`explore1` ...), for one network and the same images. The result is the mean number of
points lost compared to the best of the truth within ten budgets of FLOPs: by the most
accurate explored row, and by the most accurate row of sub-networks that are drawn at
random or found by evolution and evaluated on all images. Their number is chosen such
that the number of evaluated images is the same.
Writes research/results/explore_<name of the folder>.csv.
"""

import pathlib

import numpy as np
import pandas as pd
import scipy.stats
from absl import app, flags

from keras_resizable import search
from keras_resizable.search.exploring import EXPLORED, NARROWED
from keras_resizable.search.table import TABLE

FLAGS = flags.FLAGS
flags.DEFINE_integer("seeds", 5, "Number of seeds for random sub-networks.")

RESULTS = pathlib.Path(__file__).parent / "results"


def lost(found, truth):
    """Mean points lost by the most accurate rows that were found, within budgets."""
    losses = []
    cheapest = found.to_frame()["flops"].min()
    for budget in np.quantile(truth.to_frame()["flops"], np.linspace(0.1, 1, 10)):
        if cheapest <= budget:
            chosen, best = (table.best(max_flops=budget) for table in (found, truth))
            losses.append(best["top1"] - truth[chosen["config"]]["top1"])
    return 100 * np.mean(losses)


def explored(folder, truth):
    """The result for each seed of `explore`."""
    for path in sorted(folder.glob("explore*")):
        table = search.Table.load(path / TABLE)
        yield {"what": "explore", "lost": lost(table, truth)}


def as_many(folder):
    """Number of sub-networks on all images that take the same total as `explore`."""
    folders = [folder / EXPLORED, folder / NARROWED, folder]
    tables = [search.Table.load(each / TABLE) for each in folders]
    shapes = [(len(table), table.num_images) for table in tables]
    print("Sub-networks and images of the rounds:", shapes)
    return sum(rows * images for rows, images in shapes) // shapes[-1][1]


def by_chance(truth, count):
    for seed in range(FLAGS.seeds):
        drawn = truth.to_frame()["config"].sample(count, random_state=seed)
        what = f"{count} by chance, all images"
        yield {"what": what, "lost": lost(truth.only(drawn), truth)}


def evolved(truth, count):
    """Draws a quarter at random, then changes one stage of one of the current front.

    If the result is already known, another one is drawn at random.
    """
    factors = sorted({factor for config in truth for factor in config.split(",")})
    for seed in range(FLAGS.seeds):
        generator = np.random.default_rng(seed)
        drawn = truth.to_frame()["config"].sample(count // 4, random_state=seed)
        known = drawn.tolist()
        while len(known) < count:
            front = truth.only(known).front()
            child = generator.choice(front["config"]).split(",")
            child[generator.integers(len(child))] = generator.choice(factors)
            new = ",".join(child)
            if new not in truth or new in known:
                others = [config for config in truth if config not in known]
                new = others[generator.integers(len(others))]
            known.append(new)
        what = f"{count} by evolution, all images"
        yield {"what": what, "lost": lost(truth.only(known), truth)}


def main(argv):
    (folder,) = map(pathlib.Path, argv[1:])
    truth = search.Table.load(folder / "truth" / TABLE)
    rows = list(explored(folder, truth))
    count = as_many(folder / "explore0")
    rows += [*by_chance(truth, count), *evolved(truth, count)]
    rights = np.stack([*map(truth.right, truth)])
    halves = np.random.default_rng(0).permutation(truth.num_images)
    one, other = (rights[:, part].mean(axis=1) for part in np.array_split(halves, 2))
    tau = scipy.stats.kendalltau(one, other)[0]
    rows.append({"what": "tau of the two halves of the images", "tau": tau})
    result = pd.DataFrame(rows)
    means = result.groupby("what", sort=False).agg(["mean", "std"])
    print(means.round(3).to_string())
    result.to_csv(RESULTS / f"explore_{folder.name}.csv", index=False)


if __name__ == "__main__":
    app.run(main)
