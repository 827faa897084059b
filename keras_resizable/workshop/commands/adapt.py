"""Chooses a sub-network of a run for each image: a cheap one if it is confident.

    keras-resizable adapt --max_flops=8e6
    keras-resizable adapt --max_flops=8e6 --quantize=int8
    keras-resizable adapt --router --config=0.5,0.5,0.5 --config=1.0,0.75,1.0

From the lookup table's results on each image, it chooses a cascade within mean FLOPs:
two sub-networks, and the confidence above which the first one suffices. With --router
it trains the paper's router between given configurations instead, on training images;
better with --unused, on those that the run's num_images left unused. The result is
compared with the best single sub-network of equal FLOPs, on test images if the run has
validation images. Writes <run>/adapt/adaptive.keras, and with --quantize also
adaptive_<quantize>.tflite.
"""

import dataclasses

import keras
from absl import flags

from keras_resizable import adapt, search
from keras_resizable.export.tflite import QUANTIZE
from keras_resizable.search.evaluation import evaluate_model
from keras_resizable.workshop import data, recipes, runs
from keras_resizable.workshop.commands.command_line import refuse_arguments, say
from keras_resizable.workshop.runs import Run
from keras_resizable.workshop.runs.folders import LATEST

FLAGS = flags.FLAGS
flags.DEFINE_string("run", str(LATEST), "Folder of the run.")
flags.DEFINE_float("max_flops", None, "Maximum FLOPs of a cascade, mean over images.")
flags.DEFINE_bool("router", False, "Train a router instead of choosing a cascade.")
flags.DEFINE_multi_string("config", None, "Scale factors of a candidate of the router.")
flags.DEFINE_integer("num_samples", 50_000, "Images for a router (paper: 50,000).", 1)
flags.DEFINE_bool("unused", False, "Use images that the run did not train on.")
flags.DEFINE_integer("epochs", 20, "Epochs of the router's training.", 1)
flags.DEFINE_enum("quantize", None, QUANTIZE, "Write a .tflite file in this precision.")
flags.DEFINE_integer("seed", 0, "Seed of the router and of the images' order.")
flags.register_multi_flags_validator(
    ["router", "max_flops", "config"],
    lambda given: (
        given["router"] == (given["max_flops"] is None)
        and (given["router"] or not given["config"])
    ),
    "Give --max_flops for a cascade, or --router and its --config.",
)


def choose_cascade(run, network):
    """The best cascade according to a run's lookup table."""
    cascade = adapt.Cascade.choose(network, run.table(), FLAGS.max_flops)
    first, second = cascade.candidates
    say(f"First {first}; below a confidence of {cascade.thresholds[0]:.3f}, {second}")
    cascade.calibrate(run.calibration())
    return cascade


def train_router(run, network, folder):
    """Trains a router between the configurations of the flags."""
    adaptive = adapt.AdaptiveNetwork(network, FLAGS.config or [])
    adaptive.calibrate(run.calibration())
    recipe, skip = run.recipe, 0
    if FLAGS.unused:
        if recipe.num_images is None:
            raise ValueError("The run has used all training images.")
        skip, recipe = recipe.num_images, dataclasses.replace(recipe, num_images=None)
    images = recipes.load_data(recipe)
    count = min(FLAGS.num_samples, images.train.num_images - skip)
    split = data.take_train(images, count, skip).train
    train = recipes.test_data(recipe, images, split=split)
    say(f"Evaluating the candidates on {count} training images")
    evaluated = folder / f"{'unused' if FLAGS.unused else 'train'}_{count}"
    table = search.build_table(
        network,
        train,
        adaptive.candidates,
        calibrate_with=run.calibration(),
        folder=evaluated,
        raw=False,
    )
    adapt.fit_router(adaptive, train, table, epochs=FLAGS.epochs, seed=FLAGS.seed)
    return adaptive


def print_comparison(run, network, adaptive):
    """Compares with the best single sub-network of at most the same FLOPs."""
    test = run.unseen_data()
    which = "held-out test images"
    if test is None:
        test, which = run.test_data(), "the images of the lookup table"
    result = adapt.evaluate(adaptive, test)
    say(f"On {which}:")
    say(f"top-1    {100 * result.top1:.2f} % at {result.mean_flops / 1e6:.2f} M FLOPs")
    for number, config in enumerate(adaptive.candidates):
        say(f"  {100 * (result.routes == number).mean():5.1f} % by {config}")
    table = run.table()
    if result.mean_flops < table.to_frame()["flops"].min():
        return
    config = table.best(max_flops=result.mean_flops)["config"]
    model = network.sub_network(config, calibrate_with=run.calibration())
    fixed = evaluate_model(model, test, config).right(config)
    difference = search.PairedTest.of(result.right, fixed)
    say(f"single   {100 * fixed.mean():.2f} %, {config}: difference {difference}")


def main(argv):
    refuse_arguments(argv)
    keras.utils.set_random_seed(FLAGS.seed)
    run = Run(FLAGS.run)
    folder = run.folder / "adapt"
    network = run.finer_network(FLAGS.config or ())
    if FLAGS.router:
        adaptive = train_router(run, network, folder)
    else:
        adaptive = choose_cascade(run, network)
    runs.save_network(adaptive, folder / "adaptive.keras")
    print_comparison(run, network, adaptive)
    say(f"Wrote {folder}/adaptive.keras")
    if FLAGS.quantize is not None:
        path = folder / f"adaptive_{FLAGS.quantize}.tflite"
        adapt.to_tflite(
            adaptive,
            path,
            calibrate_with=run.calibration(),
            quantize=FLAGS.quantize,
            **run.export_options(),
        )
        say(f"Wrote {path}")
