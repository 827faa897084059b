"""Measures a converted network before training and after a little training.

    keras-resizable train --recipe=photos_resnet20 --image_size=32 \
        --num_images=10000 --mode=individual --epochs=17 --batch_size=32
    python research/converted.py --run=runs/latest

Converts a network that was trained alone at full size, with several scale factors, and
evaluates its calibrated uniform configurations: without training, and after one and
three epochs of dealt training, with and without the source as a teacher. These are
compared to the same amount of training from scratch, and to fine-tuning the source cut
to each size, for the FLOPs of the three epochs together. The learning rate of each
training is the best on the run's validation images, with one seed; top-1 on the test
images is then measured with this rate for each seed. Writes converted.csv in the folder
of the run after each training, resumes after an interruption, and copies the file to
research/results at the end.
"""

import dataclasses
import functools
import pathlib
import shutil
from collections.abc import Callable

import keras
import numpy as np
import pandas as pd
from absl import app, flags

import keras_resizable
from keras_resizable import data, runs, search
from keras_resizable.search.evaluation import evaluate_model
from keras_resizable.utils.files import replacing
from keras_resizable.workshop.recipes.building import train_data

FLAGS = flags.FLAGS
flags.DEFINE_string("run", "runs/latest", "Folder of a run with --mode=individual.")
flags.DEFINE_list("rates", ["0.01", "0.02", "0.05", "0.1"], "Peak learning rates.")
flags.DEFINE_integer("seeds", 3, "Number of seeds to report.")

RESULTS = pathlib.Path(__file__).parent / "results"
FILE = "converted.csv"
SCALES = (1.0, 0.75, 0.5)
BATCH_SIZE = 96


class Conversion:
    """The source, the ways to convert and train it, and the images of its run."""

    def __init__(self, run):
        self.images, self.calibration = run.images(), run.calibration()
        self.splits = {"validation": run.test_data(), "test": run.unseen_data()}
        self.recipe = dataclasses.replace(run.recipe, batch_size=BATCH_SIZE)
        self.steps = data.steps_per_epoch(self.images, BATCH_SIZE)
        alone = run.network()
        self.source = alone.sub_network(alone.space.largest)
        space = self.converted().space
        self.uniform = [(scale,) * space.num_stages for scale in SCALES]

    def converted(self, source=None):
        return keras_resizable.from_keras(source or self.source, SCALES)

    def fit(self, model, rate, seed, steps, **options):
        schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
        model.compile(
            keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True),
            "categorical_crossentropy",
            **options,
        )
        model.fit(
            train_data(dataclasses.replace(self.recipe, seed=seed), self.images),
            epochs=1,
            steps_per_epoch=steps,
            shuffle=False,
            verbose=0,
        )

    def evaluate(self, network, split):
        """Top-1 of each uniform configuration, in %."""
        table = search.build_table(
            network,
            self.splits[split],
            self.uniform,
            calibrate_with=self.calibration,
            verbose=False,
        )
        return {config: 100 * float(table[config]["top1"]) for config in table}

    def none(self, rate, seed, split):
        return self.evaluate(self.converted(), split)

    def dealt(self, rate, seed, split, *, epochs, scratch=False, taught=False):
        source = keras.models.clone_model(self.source) if scratch else self.source
        teacher = keras_resizable.TeacherDistillation(self.source)
        network = self.converted(source)
        self.fit(
            network,
            rate,
            seed,
            epochs * self.steps,
            split_batch=True,
            distillation=teacher if taught else None,
        )
        return self.evaluate(network, split)

    def each_alone(self, rate, seed, split, *, epochs):
        """Fine-tunes each size, with the FLOPs of `epochs` of dealt training in total.

        Each size gets the same number of steps.
        """
        network = self.converted()
        of_all, of_uniform = (
            keras_resizable.count_flops_of_configs(network, configs)
            for configs in (network.space.configs(), self.uniform)
        )
        steps = round(epochs * self.steps * np.mean(of_all) / np.sum(of_uniform))
        found = {}
        for config in self.uniform:
            model = network.sub_network(config, calibrate_with=self.calibration)
            self.fit(model, rate, seed, steps)
            keras_resizable.calibrate(model, self.calibration)
            name = str(network.space.config(config))
            table = evaluate_model(model, self.splits[split], name)
            found[name] = 100 * float(table[name]["top1"])
        return found


class Results:
    """The rows that were already measured, stored in a file."""

    KEYS = ["training", "rate", "seed", "split"]

    def __init__(self, path):
        self.path, self.rows = path, []
        if path.exists():
            self.rows = pd.read_csv(path).to_dict("records")

    def of(self, train, *key):
        """Accuracies, from the file or from `train(rate, seed, split)`."""
        for row in self.rows:
            if tuple(row[name] for name in self.KEYS) == key:
                return [row[name] for name in row if name not in self.KEYS]
        keras.utils.clear_session()
        keras.utils.set_random_seed(key[2])
        found = train(*key[1:])
        self.rows.append(dict(zip(self.KEYS, key)) | found)
        print(self.rows[-1], flush=True)
        with replacing(self.path) as path:
            pd.DataFrame(self.rows).to_csv(path, index=False, float_format="%.4g")
        return list(found.values())


def main(argv):
    run = runs.Run(FLAGS.run)
    conversion, results = Conversion(run), Results(run.folder / FILE)
    rates = [float(rate) for rate in FLAGS.rates]
    results.of(conversion.none, "none", 0.0, 0, "test")
    trainings: dict[str, Callable] = {}
    for epochs in (1, 3):
        dealt = functools.partial(conversion.dealt, epochs=epochs)
        trainings |= {
            f"dealt, epochs: {epochs}": dealt,
            f"dealt, the source as teacher, epochs: {epochs}": functools.partial(
                dealt, taught=True
            ),
            f"dealt from scratch, epochs: {epochs}": functools.partial(
                dealt, scratch=True
            ),
        }
    trainings["each size alone, FLOPs of 3 dealt epochs together"] = functools.partial(
        conversion.each_alone, epochs=3
    )
    for name, train in trainings.items():
        best = max(
            rates,
            key=lambda rate: np.mean(results.of(train, name, rate, 0, "validation")),
        )
        seeds = [
            results.of(train, name, best, seed, "test") for seed in range(FLAGS.seeds)
        ]
        mean, spread = np.mean(seeds, axis=0), np.std(seeds, axis=0, ddof=1)
        print(f"{name}, rate {best}: {mean.round(1)} ± {spread.round(1)}", flush=True)
    shutil.copy(results.path, RESULTS)


if __name__ == "__main__":
    app.run(main)
