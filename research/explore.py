"""What exploring finds of a space, against all of it.

    python research/explore.py folder

`folder` has a table of all sub-networks (`truth`, by `search.build_table`) and those of
`search.explore` with 300 evaluations and several seeds (`explore0`, `explore1` ...), of
one network and the same images. Points lost against the best of the truth within ten
budgets of FLOPs, on the mean: by the most accurate row of what was explored; and of
those drawn by chance, or found by an evolution, that are evaluated on all images, as
many as take the same number of evaluated images.
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
flags.DEFINE_integer("seeds", 5, "Of what is drawn by chance.")

RESULTS = pathlib.Path(__file__).parent / "results"


def lost(found, truth):
    """Mean points lost by the most accurate rows of what was found, within budgets."""
    losses = []
    cheapest = found.to_frame()["flops"].min()
    for budget in np.quantile(truth.to_frame()["flops"], np.linspace(0.1, 1, 10)):
        if cheapest <= budget:
            chosen, best = (table.best(max_flops=budget) for table in (found, truth))
            losses.append(best["top1"] - truth[chosen["config"]]["top1"])
    return 100 * np.mean(losses)


def explored(folder, truth):
    """Of each seed of `explore`."""
    for path in sorted(folder.glob("explore*")):
        table = search.Table.load(path / TABLE)
        yield {"what": "explore", "lost": lost(table, truth)}


def as_many(folder):
    """How many sub-networks on all images take as many images as `explore` took."""
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
    """A quarter by chance; then one of the front so far, with one stage changed.

    Where that is known, another by chance.
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
