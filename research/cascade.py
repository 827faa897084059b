"""A sub-network for each image, by confidence or by a router, against fixed ones.

    python research/cascade.py runs/one runs/other

The folder of each run, trained with --validation=0, has the table of all sub-networks
that `keras-resizable search` writes, and in adapt/train another one, written by
`search.build_table` on training images that the network was not trained on.

A cascade runs a sub-network, and a dearer one as well where the first is not confident.
Its pair and its threshold are chosen on the images of the second table, at each budget
of mean FLOPs; so is the fixed sub-network. Accuracies are of the test images, beside
the simply largest sub-network within the budget, the best of the test images, and the
same cascade with confidences of chance; and the router, if adapt/trade_off.csv has it,
which `keras-resizable adapt` no longer writes. What the two sub-networks of a cascade
share counts twice. Prints the means over the runs, and writes
research/results/cascade.csv.
"""

import itertools
import pathlib

import numpy as np
import pandas as pd
from absl import app, flags

from keras_resizable import runs, search
from keras_resizable.search.image_results import SAMPLES

FLAGS = flags.FLAGS
flags.DEFINE_integer("budgets", 12, "From the cheapest sub-network to the largest.")

RESULTS = pathlib.Path(__file__).parent / "results"


def cascade(samples, costs, pair, budget):
    """The threshold of a cascade that keeps within a budget, and its accuracy."""
    first, second = pair
    part = min(1.0, (budget - costs[first]) / costs[second])
    confidence = samples.confidence[first].astype(np.float32)
    threshold = np.quantile(confidence, part)
    return threshold, apply(samples, pair, threshold)[0].mean()


def apply(samples, pair, threshold):
    """Which images a cascade gets right, and which take both sub-networks."""
    first, second = pair
    both = samples.confidence[first].astype(np.float32) < threshold
    return np.where(both, samples.right[second], samples.right[first]), both


def compared(budget, validation, test, costs):
    """A row of the table, at a budget that the cheapest sub-network keeps."""
    accuracies = [samples.right.mean(axis=1) for samples in (validation, test)]
    within = np.flatnonzero(costs <= budget)
    chosen = within[np.argmax(accuracies[0][within])]
    row = {"budget": budget, "fixed": accuracies[1][chosen]}
    row["largest within it"] = accuracies[1][within[np.argmax(costs[within])]]
    row["best in hindsight"] = accuracies[1][within].max()
    pairs = [
        (first, second)
        for first, second in itertools.product(range(len(costs)), repeat=2)
        if costs[first] < costs[second] and costs[first] <= budget
    ]
    choices = [(cascade(validation, costs, pair, budget), pair) for pair in pairs]
    (threshold, _), pair = max(choices, key=lambda choice: choice[0][1])
    right, both = apply(test, pair, threshold)
    first, second = (accuracies[1][number] for number in pair)
    row["cascade"] = right.mean()
    row["cascade by chance"] = first + both.mean() * (second - first)
    row["cascade flops"] = costs[pair[0]] + both.mean() * costs[pair[1]]
    test_of_it = search.paired_test(right, test.right[chosen])
    row["cascade - fixed"] = test_of_it.difference
    row["standard error"] = test_of_it.standard_error
    return row


def measure(run):
    """The table of a run, a row for each budget."""
    folder = run.folder / "adapt"
    test = search.load_samples(run.folder / SAMPLES)
    validation = search.load_samples(folder / "train" / SAMPLES)
    test = test.only(validation.configs)
    table = search.read_table(run.table_path).set_index("config")
    costs = table.loc[list(test.configs), "flops"].to_numpy(float)
    budgets = np.linspace(costs.min(), costs.max(), FLAGS.budgets + 1)[1:]
    result = pd.DataFrame(
        [compared(budget, validation, test, costs) for budget in budgets]
    )
    if (folder / "trade_off.csv").exists():
        routed = pd.read_csv(folder / "trade_off.csv").iloc[1:]  # One has no budget.
        routed = routed.sort_values("flops")
        result["router"] = np.interp(
            budgets, routed["flops"], routed["top1"], left=np.nan
        )
    return result


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
