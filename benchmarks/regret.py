"""What the choice of a sub-network loses, and whether predicting accuracies helps.

    python benchmarks/regret.py runs/one runs/other

For tables of trained networks: of the most accurate sub-network within a budget on some
of the images, chosen by its accuracy there (raw) or by what `search.predict` makes of
the table (predicted), how much less accurate it is on the other half of the images than
the best of that half; beside the simply largest within the budget. Means over ten
budgets and twenty seeded splits, in points. And how alike the parts rank all
sub-networks (Kendall's tau). Writes benchmarks/results/regret.csv.
"""

import pathlib

import numpy as np
import pandas as pd
import scipy.stats
from absl import app, flags

from keras_resizable import search

FLAGS = flags.FLAGS
flags.DEFINE_integer("splits", 20, "Seeded splits of the images.")
flags.DEFINE_multi_integer("images", [500, 2000, 5000], "Images to choose with.")

RESULTS = pathlib.Path(__file__).parent / "results" / "regret.csv"


def losses(choice, truth, flops):
    """Points lost against the best of each budget, for what is chosen by `choice`."""
    lost = []
    for budget in np.quantile(flops, np.linspace(0.1, 1, 10)):
        within = np.flatnonzero(flops <= budget)
        chosen = within[np.argmax(choice[within])]
        lost.append(truth[within].max() - truth[chosen])
    return 100 * np.mean(lost)


def measure(folder, count):
    samples = search.load_samples(folder / search.SAMPLES)
    table = search.read_table(folder / search.TABLE).set_index("config")
    table = table.loc[list(samples.configs)].reset_index()
    flops = table["flops"].to_numpy(float)
    num_images = samples.right.shape[1]
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(FLAGS.splits):
        order = generator.permutation(num_images)
        seen, others = order[:count], order[num_images // 2 :]
        raw = samples.right[:, seen].mean(axis=1)
        truth = samples.right[:, others].mean(axis=1)
        predicted = search.predict(table.assign(top1=raw))["top1"].to_numpy()
        rows.append(
            {
                "raw": losses(raw, truth, flops),
                "predicted": losses(predicted, truth, flops),
                "largest": losses(flops, truth, flops),
                "tau raw": scipy.stats.kendalltau(raw, truth)[0],
                "tau predicted": scipy.stats.kendalltau(predicted, truth)[0],
            }
        )
    result = pd.DataFrame(rows)
    difference = result["predicted"] - result["raw"]
    start = {"table": folder.name, "rows": len(table), "images": count}
    return start | result.mean().to_dict() | {"spread": difference.std()}


def main(argv):
    rows = []
    for folder in map(pathlib.Path, argv[1:]):
        for count in FLAGS.images:
            rows.append(measure(folder, count))
            print(pd.DataFrame(rows[-1:]).round(3).to_string(index=False), flush=True)
    pd.DataFrame(rows).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    app.run(main)
