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
from keras_resizable.search.image_results import SAMPLES
from keras_resizable.search.table import TABLE

FLAGS = flags.FLAGS
flags.DEFINE_integer("seeds", 5, "Of what is drawn by chance.")

RESULTS = pathlib.Path(__file__).parent / "results"


def lost(names, accuracies, truth):
    """Mean points lost of the most accurate rows, by `accuracies`, within budgets."""
    flops = truth.loc[names, "flops"].to_numpy()
    losses = []
    for budget in np.quantile(truth["flops"], np.linspace(0.1, 1, 10)):
        within = np.flatnonzero(flops <= budget)
        best = truth.loc[truth["flops"] <= budget, "top1"].max()
        if len(within):
            chosen = names[within[np.argmax(accuracies[within])]]
            losses.append(best - truth.loc[chosen, "top1"])
    return 100 * np.mean(losses)


def explored(folder, truth):
    """Of each seed of `explore`."""
    for path in sorted(folder.glob("explore*")):
        table = search.read_table(path / TABLE)
        names = table["config"].to_numpy()
        yield {"what": "explore", "lost": lost(names, table["top1"].to_numpy(), truth)}


def as_many(folder):
    """How many sub-networks on all images take as many images as `explore` took."""
    folders = [folder / EXPLORED, folder / NARROWED, folder]
    shapes = [search.load_samples(each / SAMPLES).right.shape for each in folders]
    print("Sub-networks and images of the rounds:", shapes)
    return sum(rows * images for rows, images in shapes) // shapes[-1][1]


def by_chance(truth, count):
    for seed in range(FLAGS.seeds):
        names = truth.sample(count, random_state=seed).index.to_numpy()
        accuracies = truth.loc[names, "top1"].to_numpy()
        what = f"{count} by chance, all images"
        yield {"what": what, "lost": lost(names, accuracies, truth)}


def evolved(truth, count):
    """A quarter by chance; then one of the front so far, with one stage changed.

    Where that is known, another by chance.
    """
    factors = sorted({factor for name in truth.index for factor in name.split(",")})
    for seed in range(FLAGS.seeds):
        generator = np.random.default_rng(seed)
        known = truth.sample(count // 4, random_state=seed)
        while len(known) < count:
            front = search.pareto_front(known.reset_index(), "flops")
            child = generator.choice(front["config"]).split(",")
            child[generator.integers(len(child))] = generator.choice(factors)
            new = truth[truth.index == ",".join(child)]
            if new.empty or new.index[0] in known.index:
                others = truth.drop(known.index)
                new = others.iloc[[generator.integers(len(others))]]
            known = pd.concat([known, new])
        names, accuracies = known.index.to_numpy(), known["top1"].to_numpy()
        what = f"{count} by evolution, all images"
        yield {"what": what, "lost": lost(names, accuracies, truth)}


def main(argv):
    (folder,) = map(pathlib.Path, argv[1:])
    truth = search.read_table(folder / "truth" / TABLE).set_index("config")
    samples = search.load_samples(folder / "truth" / SAMPLES)
    rows = list(explored(folder, truth))
    count = as_many(folder / "explore0")
    rows += [*by_chance(truth, count), *evolved(truth, count)]
    halves = np.random.default_rng(0).permutation(samples.right.shape[1])
    one, other = (
        samples.right[:, part].mean(axis=1) for part in np.array_split(halves, 2)
    )
    tau = scipy.stats.kendalltau(one, other)[0]
    rows.append({"what": "tau of the two halves of the images", "tau": tau})
    result = pd.DataFrame(rows)
    means = result.groupby("what", sort=False).agg(["mean", "std"])
    print(means.round(3).to_string())
    result.to_csv(RESULTS / f"explore_{folder.name}.csv", index=False)


if __name__ == "__main__":
    app.run(main)
