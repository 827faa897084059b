"""Cuts a sub-network out of a run and trains it further.

    keras-resizable finetune --config=0.75,0.5,1.0
    keras-resizable finetune --max_flops=2.3e9
    keras-resizable finetune --max_flops=2.3e9 --teacher --epochs=5
    keras-resizable finetune --config=0.5 --weights=classifier

With limits it trains the best sub-network in the run's table.npz, which
`keras-resizable search` writes. Images and augmentation are the run's; the learning
rate falls to zero along a cosine. Writes sub_network.keras, a stock Keras model, to a
new folder in <run>/finetuned. The same command resumes an interrupted run.
"""

import shlex

import keras
from absl import flags

from keras_resizable.search.evaluation import (
    answered_batches,
    evaluate_model,
    teacher_of,
)
from keras_resizable.search.query import TOP1, Limits
from keras_resizable.training import cut_outs
from keras_resizable.workshop import runs
from keras_resizable.workshop.commands.command_line import refuse_arguments, say
from keras_resizable.workshop.runs import Run
from keras_resizable.workshop.runs.folders import LATEST
from keras_resizable.workshop.runs.keras_files import load_model
from keras_resizable.workshop.runs.resuming import make_deterministic

FLAGS = flags.FLAGS
flags.DEFINE_string("run", str(LATEST), "Folder of the run.")
flags.DEFINE_string("config", None, "Scale factors of the sub-network.")
flags.DEFINE_float("max_flops", None, "Maximum multiply-adds of the sub-network.")
flags.DEFINE_float("max_latency_ms", None, "Maximum milliseconds on the device.")
flags.DEFINE_string("device", None, "Device of --max_latency_ms, if there are several.")
flags.DEFINE_integer("epochs", 15, "Epochs (paper: 15).", 1)
flags.DEFINE_float("learning_rate", 0.01, "Initial learning rate (ours).", 0.0)
flags.DEFINE_enum("weights", "all", cut_outs.WEIGHTS, "What is trained.")
flags.DEFINE_bool(
    "teacher", False, "Also learn from the largest sub-network, in equal parts."
)
flags.DEFINE_integer("seed", 0, "Seed of the images' order and crops.")
flags.DEFINE_bool(
    "deterministic", False, "Compute the same bits in every run; slower on GPUs."
)
flags.DEFINE_bool("new_run", False, "Start a new run, even if one was interrupted.")
flags.register_multi_flags_validator(
    ["config", "max_flops", "max_latency_ms"],
    lambda given: (
        (given["config"] is None)
        == any(given[name] is not None for name in ("max_flops", "max_latency_ms"))
    ),
    "Give either --config, or limits: --max_flops, --max_latency_ms.",
)


def read_limits():
    """The limits of the flags, as `Table.best` takes them; empty with --config."""
    limits = {
        name: FLAGS[name].value
        for name in ("max_flops", "max_latency_ms")
        if FLAGS[name].value is not None
    }
    Limits(**limits)
    return limits


def choose_config(run, limits):
    """The configuration of the flags."""
    if not limits:
        return FLAGS.config
    return run.table().best(device=FLAGS.device, **limits)["config"]


def main(argv):
    refuse_arguments(argv)
    limits = read_limits()
    keras.utils.set_random_seed(FLAGS.seed)
    if FLAGS.deterministic:
        make_deterministic()
    run = Run(FLAGS.run)
    keras.config.set_dtype_policy(run.recipe.precision)
    config = choose_config(run, limits)
    tuned = runs.fine_tune(
        run,
        config,
        epochs=FLAGS.epochs,
        learning_rate=FLAGS.learning_rate,
        weights=FLAGS.weights,
        teacher=FLAGS.teacher,
        seed=FLAGS.seed,
        new=FLAGS.new_run,
    )
    score = tuned.table.score
    title = "top-1" if score == TOP1 else score
    for name in tuned.table:
        say(f"{title} {name:6} {100 * tuned.table[name][score]:.2f} %")
    say(f"difference   {tuned.table.compare('after', 'before')}")
    path = tuned.run.model_path
    unseen = run.unseen_data()
    if unseen is not None:
        network = run.finer_network([config])
        cut_out = network.sub_network(config, calibrate_with=run.calibration())
        if not run.is_labelled:
            unseen = answered_batches(unseen, teacher_of(network))
        say("On held-out test images:")
        for name, model in (("before", cut_out), ("after", load_model(path))):
            result = evaluate_model(model, unseen, name, score)[name][score]
            say(f"{title} {name:6} {100 * result:.2f} %")
    say(f"Wrote {path}")
    say(f"Convert it: keras-resizable convert --model {shlex.quote(str(path))}")
