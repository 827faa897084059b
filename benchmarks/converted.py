"""What a converted network is worth before training, and after little of it.

    python train/supernet.py --recipe=resnet20 --width=0.5 --epochs=17 --mode=individual
    python benchmarks/converted.py --run=runs/latest

A network that was trained alone at full size is converted with other scale factors. Its
uniform configurations, calibrated: without training; after one and three epochs of
dealt training, with and without the source as a teacher; beside as much training from
scratch, and beside fine-tuning the source cut to each size, for the FLOPs of the three
epochs together. Top-1 on the test images of the run. Writes
benchmarks/results/converted.csv after each.
"""

import dataclasses
import pathlib

import keras
import numpy as np
import pandas as pd
from absl import app, flags

import keras_resizable
from keras_resizable import data, recipes, runs, search
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_string("run", "runs/latest", "Folder of a run of one sub-network alone.")
flags.DEFINE_list("scales", ["1.0", "0.75", "0.5"], "Scale factors.")
flags.DEFINE_integer("batch_size", 96, "Images per step.")
flags.DEFINE_float("learning_rate", 0.05, "Peak learning rate.")
flags.DEFINE_float("teacher", 0.5, "The teacher's part of the loss.")

RESULTS = pathlib.Path(__file__).parent / "results" / "converted.csv"
rows: list[dict] = []


def note(name, accuracies):
    """Adds a row: top-1 of each uniform configuration."""
    rows.append({"training": name} | {k: 100 * float(v) for k, v in accuracies.items()})
    print(rows[-1], flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    with replacing(RESULTS) as path:
        pd.DataFrame(rows).to_csv(path, index=False, float_format="%.1f")


def main(argv):
    run = runs.Run(FLAGS.run)
    images, calibration = run.images(), run.calibration()
    recipe = dataclasses.replace(run.recipe, batch_size=FLAGS.batch_size)
    test = recipes.test_data(recipe, images)
    alone = run.network()
    source = alone.sub_network(alone.space.largest)
    scales = tuple(map(float, FLAGS.scales))
    steps = data.steps_per_epoch(images, FLAGS.batch_size)

    def converted():
        return keras_resizable.from_keras(source, scales)

    uniform = [(s,) * converted().space.num_stages for s in scales]

    def accuracies(network):
        table = search.build_table(
            network, test, uniform, calibrate_with=calibration, verbose=False
        )
        return dict(zip(table["config"], table["top1"]))

    def fit(model, count, **options):
        schedule = keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, count)
        model.compile(
            keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True),
            "categorical_crossentropy",
            **options,
        )
        model.fit(
            recipes.train_data(recipe, images),
            epochs=1,
            steps_per_epoch=count,
            shuffle=False,
            verbose=0,
        )
        return model

    note("none", accuracies(converted()))
    teacher = keras_resizable.TeacherDistillation(source, FLAGS.teacher)
    for epochs in (1, 3):
        for name, teaching in (("", None), (", the source as teacher", teacher)):
            network = fit(
                converted(), epochs * steps, split_batch=True, distillation=teaching
            )
            note(f"dealt, epochs: {epochs}{name}", accuracies(network))
        scratch = keras_resizable.from_keras(
            keras.models.clone_model(source), scales, name="scratch"
        )
        fit(scratch, epochs * steps, split_batch=True)
        note(f"from scratch, dealt, epochs: {epochs}", accuracies(scratch))

    network = converted()
    flops = keras_resizable.count_flops_of_configs(network, network.space.configs())
    own = keras_resizable.count_flops_of_configs(network, uniform)
    share = round(3 * steps * np.mean(flops) / np.sum(own))
    found = {}
    for config in uniform:
        model = fit(network.sub_network(config, calibrate_with=calibration), share)
        keras_resizable.calibrate(model, calibration)
        result = search.evaluate_model(model, test, str(config))
        found[",".join(map(str, config))] = result.right.mean()
    note("each size fine-tuned alone, FLOPs of 3 dealt epochs together", found)


if __name__ == "__main__":
    app.run(main)
