"""Measures accuracy at scale factors that a network was not trained with.

    python research/off_list.py --run=runs/latest

Compares twenty seeded configurations of a trained network, with factors between its
scale factors, to the next larger and the next smaller configuration of its list. All
are calibrated and evaluated on the test images of the run. Prints them, and the mean
differences with their standard errors over images. Writes
research/results/off_list_<network>.csv.
"""

import pathlib

import numpy as np
import pandas as pd
from absl import app, flags

from keras_resizable import runs, search

FLAGS = flags.FLAGS
flags.DEFINE_string("run", "runs/latest", "Folder of a run.")
flags.DEFINE_integer("configs", 20, "Number of configurations to draw.")

RESULTS = pathlib.Path(__file__).parent / "results"
COLUMNS = ("off the list", "next larger", "next smaller")


def drawn(space):
    """Configurations between those on the list, and their neighbours on it."""
    generator = np.random.default_rng(0)
    rows: list[list[str]] = []
    while len(rows) < FLAGS.configs:
        low, high = space.scales[-1], space.scales[0]
        factors = generator.uniform(low, high, space.num_stages).round(2).tolist()
        if set(factors) & set(space.scales):
            continue
        larger = [min(s for s in space.scales if s > f) for f in factors]
        smaller = [max(s for s in space.scales if s < f) for f in factors]
        rows.append([",".join(map(str, c)) for c in (factors, larger, smaller)])
    return rows


def main(argv):
    run = runs.Run(FLAGS.run)
    network = run.network()
    rows = drawn(network.space)
    configs = [config for row in rows for config in row]
    finer = network.with_factors_of(configs)
    table = search.build_table(
        finer, run.test_data(), configs, calibrate_with=run.calibration()
    )
    result = pd.DataFrame(
        {
            f"{name} {column}": [table[row[place]][column] for row in rows]
            for column in ("top1", "flops")
            for place, name in enumerate(COLUMNS)
        },
        index=[row[0] for row in rows],
    ).rename_axis("config")
    print((100 * result.filter(like="top1")).round(1).to_string())
    right = [
        np.mean([table.right(row[place]) for row in rows], axis=0)
        for place in range(len(COLUMNS))
    ]
    for name, other in (("larger", right[1]), ("smaller", right[2])):
        difference = 100 * (right[0] - other)
        error = difference.std() / np.sqrt(len(difference))
        print(
            f"off the list - next {name}: {difference.mean():+.2f} points, "
            f"standard error {error:.2f}"
        )
    RESULTS.mkdir(exist_ok=True)
    result.to_csv(RESULTS / f"off_list_{network.name}.csv")


if __name__ == "__main__":
    app.run(main)
