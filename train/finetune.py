"""Cuts a sub-network out of a run and trains it further.

    python train/finetune.py --config=0.75,0.5,1.0
    python train/finetune.py --max_flops=2.3e9
    python train/finetune.py --max_flops=2.3e9 --teacher --epochs=5
    python train/finetune.py --config=0.5 --weights=classifier

With limits it takes the best sub-network of the run's table.csv, which
train/search.py makes. Images and augmentation are those of the run; the learning rate
falls to zero along a cosine. Writes sub_network.keras, a stock Keras model, to a new
folder in <run>/finetuned. The same command resumes an interrupted run.
"""

import dataclasses
import shlex

import quiet  # noqa: F401

# isort: split
import keras
from absl import flags

from keras_resizable import data, recipes, runs, search
from keras_resizable.runs import Run
from keras_resizable.training import fine_tuning
from keras_resizable.utils import scripts

FLAGS = flags.FLAGS
flags.DEFINE_string("run", str(runs.LATEST), "Folder of the run.")
flags.DEFINE_string("config", None, "Scale factors of the sub-network.")
flags.DEFINE_float("max_flops", None, "Maximum multiply-adds of the sub-network.")
flags.DEFINE_float("max_latency_ms", None, "Maximum milliseconds on the device.")
flags.DEFINE_string("device", None, "Device of --max_latency_ms, if there are several.")
flags.DEFINE_integer("epochs", 15, "Passes over the images (paper: 15).", 1)
flags.DEFINE_float("learning_rate", 0.01, "Initial learning rate (ours).", 0.0)
flags.DEFINE_enum("weights", "all", fine_tuning.WEIGHTS, "What is trained.")
flags.DEFINE_bool(
    "teacher", False, "Also learn from the largest sub-network, in equal parts."
)
flags.DEFINE_integer("seed", 0, "Seed of the images' order and crops.")
flags.DEFINE_bool(
    "deterministic", False, "Compute the same bits in every run; slower on GPUs."
)
flags.DEFINE_bool("new_run", False, "Start a new run, even if one was interrupted.")
flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps its sets.")


def read_limits():
    """The limits of the flags, as `search.best` takes them; empty with --config."""
    limits = {
        name: FLAGS[name].value
        for name in ("max_flops", "max_latency_ms")
        if FLAGS[name].value is not None
    }
    if (FLAGS.config is None) == (not limits):
        raise ValueError(
            "Give either --config, or limits: --max_flops, --max_latency_ms."
        )
    search.check_limits(**limits)
    return limits


def choose_config(space, run, limits):
    """The configuration of the flags."""
    if not limits:
        return space.config(FLAGS.config)
    row = search.best(run.table(space), device=FLAGS.device, **limits)
    return space.config(row["config"])


def main(argv):
    scripts.refuse_arguments(argv)
    limits = read_limits()
    keras.utils.set_random_seed(FLAGS.seed)
    if FLAGS.deterministic:
        runs.make_deterministic()
    run = Run(FLAGS.run)
    keras.config.set_dtype_policy(run.recipe.precision)
    network = run.finer_network([FLAGS.config] if FLAGS.config else ())
    config = choose_config(network.space, run, limits)
    recipe = dataclasses.replace(run.recipe, seed=FLAGS.seed)
    images = run.images(FLAGS.data_dir)
    test = recipes.test_data(recipe, images)
    calibration = run.calibration()
    model = network.sub_network(config, calibrate_with=calibration)
    print(f"Evaluating {config}")
    before = search.evaluate_model(model, test, "before")

    steps = data.steps_per_epoch(images, recipe.batch_size)
    fine_tuning.train_only(model, FLAGS.weights)
    trained = model
    if FLAGS.teacher:
        largest = network.sub_network(network.space.largest, calibrate_with=calibration)
        trained = fine_tuning.taught_by(model, largest)
    recipes.compile_sub_network(
        trained, recipe, learning_rate=FLAGS.learning_rate, steps=FLAGS.epochs * steps
    )
    names = ("learning_rate", "weights", "teacher", "epochs", "seed")
    settings = {
        "config": config,
        "mode": "individual",
        "recipe": dataclasses.asdict(recipe),
        **{name: FLAGS[name].value for name in names},
    }
    folder = runs.open_run(
        config.key,
        settings,
        lambda folder: (folder / search.SAMPLES).exists(),
        root=run.folder / "finetuned",
        new=FLAGS.new_run,
    )
    Run(folder).keep(images)
    runs.fit_resumable(
        trained,
        lambda step: recipes.train_data(recipe, images, start_step=step),
        steps_per_epoch=steps,
        epochs=FLAGS.epochs,
        folder=folder,
    )
    after = search.evaluate_model(model, test, "after")
    search.save_samples(search.join_samples(before, after), folder / search.SAMPLES)
    test = search.paired_test(after.right[0], before.right[0])
    print(f"top-1 before {100 * before.right.mean():.2f} %")
    print(f"top-1 after  {100 * after.right.mean():.2f} %")
    print(
        f"difference   {100 * test.difference:+.2f} points, "
        f"standard error {100 * test.standard_error:.2f}, p = {test.p_value:.2g}"
    )
    path = Run(folder).model_path
    print(f"Wrote {path}")
    print(f"Convert it: python tflite/convert.py --model {shlex.quote(str(path))}")


if __name__ == "__main__":
    scripts.run_script(main)
