"""Trains a resizable network.

    keras-resizable train
    keras-resizable train --scales=1.0,0.9,0.8 --epochs=10
    keras-resizable train --recipe=resnet50 --dry_run
    keras-resizable train --recipe=resnet50 --strategy=mirrored
    keras-resizable train --mode=individual --config=0.75,0.75,0.75
    keras-resizable train --dataset=photos/ --image_size=96
    keras-resizable train --from=EfficientNetB0 --image_size=96
    keras-resizable train --find_learning_rate

Writes to a new folder runs/<time>-<network>. The same command resumes an interrupted
run from its last epoch. The environment variable TFDS_DATA_DIR names the folder of
TensorFlow Datasets.
"""

import pathlib

import keras
from absl import flags

import keras_resizable
from keras_resizable.training import distribution, learning_rates
from keras_resizable.workshop import recipes, runs
from keras_resizable.workshop.commands.command_line import refuse_arguments, say
from keras_resizable.workshop.data.pipeline import resolved_shape
from keras_resizable.workshop.recipes.building import (
    compile_network,
    make_network,
    size_of_set,
    steps_of_epoch,
    train_data,
)
from keras_resizable.workshop.recipes.recipe import FIELDS
from keras_resizable.workshop.recipes.resolving import resolve_run
from keras_resizable.workshop.recipes.source_models import APPLICATIONS

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "recipe",
    "sample_resnet20",
    f"One of {', '.join(recipes.RECIPES)}; or the recipe.json of a run.",
)
flags.DEFINE_enum(
    "mode", None, recipes.MODES, "What to train; default: resizable, or the run's mode."
)
flags.DEFINE_string(
    "config",
    None,
    "Scale factors of the target, which --mode=individual trains alone and "
    "--mode=resizable_aug trains last. It is evaluated after each epoch.",
)
flags.DEFINE_enum(
    "strategy", "none", distribution.STRATEGIES, "Which devices to train on."
)
flags.DEFINE_bool("dry_run", False, "Only print what would be trained.")
flags.DEFINE_bool(
    "find_learning_rate",
    False,
    "Only suggest a learning rate after a minute of training, with a picture.",
)
flags.DEFINE_bool("new_run", False, "Start a new run, even if one was interrupted.")
flags.DEFINE_integer(
    "checkpoint_steps", None, "Steps between checkpoints inside an epoch.", 1
)
flags.DEFINE_bool(
    "deterministic", False, "Compute the same bits in every run; slower on GPUs."
)
flags.DEFINE_string("runs_dir", "runs", "Folder of all runs.")
flags.DEFINE_string(
    "from",
    None,
    "A model to convert: a name of keras.applications, or a .keras file. Instead of "
    "--network.",
)
for _name, _about in FIELDS.items():
    if _name != "ours":
        flags.DEFINE_string(_name, None, f"{_about} (Default: the recipe's.)")
flags.mark_flags_as_mutual_exclusive(["from", "network"])
flags.DEFINE_alias("alpha", "width")  # The name in Keras's MobileNets.


def settings():
    """The recipe, mode and target of the flags."""
    overrides = {
        name: FLAGS[name].value
        for name in FIELDS
        if name in FLAGS and FLAGS[name].value is not None
    }
    if (source := FLAGS["from"].value) is not None:
        is_file = source.endswith(".keras")
        overrides["network"] = source if is_file else APPLICATIONS + source
    return resolve_run(FLAGS.recipe, FLAGS.mode, FLAGS.config, overrides)


def print_plan():
    """Prints what would be trained, without reading the images."""
    recipe, mode, config = settings()
    num_images, classes, shape = size_of_set(recipe)
    shape = resolved_shape(shape, recipe.image_size)
    steps = steps_of_epoch(recipe, num_images)
    keras.config.set_dtype_policy(recipe.precision)
    network = make_network(recipe, mode, config, image_shape=shape, classes=classes)
    compile_network(
        network, recipe, mode, config, steps_per_epoch=steps
    )  # As in training.
    for name in FIELDS:
        if name != "ours":
            mark = "  (ours)" if name in recipe.ours else ""
            say(f"{name:20} {getattr(recipe, name)}{mark}")
    space = network.space
    configs = {"largest": space.largest, "smallest": space.smallest}
    for name, config in configs.items():
        (flops,) = keras_resizable.count_flops_of_configs(network, [config])
        say(f"FLOPs, {name:13} {flops / 1e6:,.1f} M  ({config})")
    say(f"{'sub-networks':20} {space.size}")
    say(f"{'parameters':20} {network.count_params() / 1e6:,.2f} M")
    say(f"{'steps':20} {steps:,} an epoch, {recipe.epochs * steps:,} in all")


def find_learning_rate():
    """Prints and plots a learning rate for the batches and plans of the recipe."""
    recipe, mode, config = settings()
    keras.utils.set_random_seed(recipe.seed)
    keras.config.set_dtype_policy(recipe.precision)
    images = recipes.load_data(recipe)
    network = make_network(
        recipe,
        mode,
        config,
        image_shape=resolved_shape(images.image_shape, recipe.image_size),
        classes=len(images.class_names),
    )
    steps = steps_of_epoch(recipe, images)
    compile_network(network, recipe, mode, config, steps_per_epoch=steps)
    result = learning_rates.find_learning_rate(network, train_data(recipe, images))
    path = pathlib.Path(FLAGS.runs_dir) / "learning_rate.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    result.plot(path)
    say(f"Suggested: --learning_rate={result.suggested:g}. Wrote {path}")


def train():
    """Trains with the settings of the flags; returns the run."""
    recipe, mode, config = settings()
    return runs.train(
        recipe,
        mode,
        config,
        root=FLAGS.runs_dir,
        new=FLAGS.new_run,
        strategy=FLAGS.strategy,
        checkpoint_steps=FLAGS.checkpoint_steps,
        deterministic=FLAGS.deterministic,
    )


def main(argv):
    refuse_arguments(argv)
    if FLAGS.dry_run:
        print_plan()
        return
    if FLAGS.find_learning_rate:
        find_learning_rate()
        return
    run = train()
    say(f"Wrote {run.network_path}")
