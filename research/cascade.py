"""Compares a sub-network for each image, chosen by confidence, with fixed ones.

    python research/cascade.py runs/one runs/other

Each run must have been trained with --validation=0. Its folder must contain the table
of all sub-networks that `keras-resizable search` writes, and in adapt/train another
table, written by `search.build_table` on training images that the network was not
trained on.

A cascade runs a sub-network, and then a more expensive one if the first is not
confident. Its pair and its threshold are chosen on the images of the second table, at
each budget of mean FLOPs, and so is the fixed sub-network. Accuracies are measured on
the test images. For comparison, the result also has simply the largest sub-network
within the budget, the best one on the test images, and the same cascade with random
confidences. Computation that the two sub-networks of a cascade share counts twice.
Prints the means over the runs, and writes research/results/cascade.csv.
"""

import itertools
import pathlib

import numpy as np
import pandas as pd
from absl import app, flags

from keras_resizable import runs, search
from keras_resizable.search.table import TABLE

FLAGS = flags.FLAGS
flags.DEFINE_integer(
    "budgets", 12, "Number of budgets, from the cheapest sub-network to the largest."
)

RESULTS = pathlib.Path(__file__).parent / "results"


def cascade(table, costs, pair, budget):
    """The threshold of a cascade that keeps within a budget, and its accuracy."""
    first, second = pair
    part = min(1.0, (budget - costs[first]) / costs[second])
    threshold = np.quantile(table.confidence(first).astype(np.float32), part)
    return threshold, apply(table, pair, threshold)[0].mean()


def apply(table, pair, threshold):
    """The images that a cascade gets right, and those that need both sub-networks."""
    first, second = pair
    both = table.confidence(first).astype(np.float32) < threshold
    return np.where(both, table.right(second), table.right(first)), both


def compared(budget, validation, test, costs):
    """A row of the result, at a budget that fits the cheapest sub-network."""
    chosen = validation.best(max_flops=budget)["config"]
    row = {"budget": budget, "fixed": test[chosen]["top1"]}
    largest = costs[costs <= budget].idxmax()
    row["largest within it"] = test[largest]["top1"]
    row["best in hindsight"] = test.best(max_flops=budget)["top1"]
    pairs = [
        (first, second)
        for first, second in itertools.product(costs.index, repeat=2)
        if costs[first] < costs[second] and costs[first] <= budget
    ]
    choices = [(cascade(validation, costs, pair, budget), pair) for pair in pairs]
    (threshold, _), pair = max(choices, key=lambda choice: choice[0][1])
    right, both = apply(test, pair, threshold)
    first, second = (test[config]["top1"] for config in pair)
    row["cascade"] = right.mean()
    row["cascade by chance"] = first + both.mean() * (second - first)
    row["cascade flops"] = costs[pair[0]] + both.mean() * costs[pair[1]]
    difference = search.PairedTest.of(right, test.right(chosen))
    row["cascade - fixed"] = difference.difference
    row["standard error"] = difference.standard_error
    return row


def measure(run):
    """The result of a run, with a row for each budget."""
    validation = search.Table.load(run.folder / "adapt" / "train" / TABLE)
    test = run.table().only(validation)
    costs = test.to_frame().set_index("config")["flops"]
    budgets = np.linspace(costs.min(), costs.max(), FLAGS.budgets + 1)[1:]
    return pd.DataFrame(
        [compared(budget, validation, test, costs) for budget in budgets]
    )


def main(argv):
    results = [measure(runs.Run(folder)) for folder in argv[1:]]
    result = pd.concat(results).groupby("budget").mean()
    shown = 100 * result.drop(columns="cascade flops")
    shown.index = (shown.index / 1e6).to_series().round(1)
    print(shown.round(2).to_string())
    print("mean of the budgets, each run:")
    for one in results:
        print((100 * one["cascade - fixed"]).mean().round(2))
    print(shown.mean().round(2).to_string())
    RESULTS.mkdir(exist_ok=True)
    result.to_csv(RESULTS / "cascade.csv")


if __name__ == "__main__":
    app.run(main)
