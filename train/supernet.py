"""Trains a super-network.

    python train/supernet.py
    python train/supernet.py --scales=1.0,0.9,0.8 --epochs=10
    python train/supernet.py --recipe=resnet50 --dry_run
    python train/supernet.py --recipe=resnet50 --data_dir=/data/tfds --strategy=mirrored
    python train/supernet.py --mode=individual --config=0.75,0.75,0.75
    python train/supernet.py --dataset=/usr/share/datasets/fashion-mnist

Writes to a new folder runs/<time>-<network>, and after each epoch what a run needs
to go on: the same command again continues a run that was interrupted.
"""

import dataclasses
import pathlib

import building
import keras
import recipes
from absl import flags

from keras_resizable import (
    callbacks,
    data,
    distribution,
    memory,
    resuming,
    runs,
    scripts,
    search,
)

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "recipe",
    "sample_resnet20",
    f"One of {', '.join(recipes.RECIPES)}; or the recipe.json of a run.",
)
flags.DEFINE_enum(
    "mode", None, recipes.MODES, "What is trained; resizable, or as the run's recipe."
)
flags.DEFINE_string(
    "config",
    None,
    "Scale factors of the target: what --mode=individual trains alone and "
    "--mode=resizable_aug in the end, and what is evaluated after each epoch.",
)
flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps its sets.")
flags.DEFINE_enum(
    "strategy", "none", distribution.STRATEGIES, "Over which devices to train."
)
flags.DEFINE_bool("dry_run", False, "Only print what would be trained.")
flags.DEFINE_bool("new_run", False, "Start anew, even if a run was interrupted.")
flags.DEFINE_integer(
    "checkpoint_steps", None, "Steps between checkpoints inside an epoch.", 1
)
flags.DEFINE_bool(
    "deterministic", False, "Compute the same bits in every run; slower on GPUs."
)
flags.DEFINE_string("runs_dir", "runs", "Folder of all runs.")
for _field in recipes.FIELDS.values():
    if _field.name != "ours":
        flags.DEFINE_string(
            _field.name, None, f"{_field.metadata['help']} (The recipe's if absent.)"
        )
flags.DEFINE_alias("alpha", "width")  # As the MobileNets have it.

CALIBRATION = "calibration.npz"
CALIBRATION_BATCHES = 2  # For what is shown after an epoch.


def settings():
    """The recipe, mode and target of the flags."""
    run = recipes.read_run(FLAGS.recipe) if recipes.is_run(FLAGS.recipe) else {}
    mode = FLAGS.mode or run.get("mode", "resizable")
    config = run.get("config")
    if FLAGS.config is not None:
        config = recipes.numbers("config", FLAGS.config)
    overrides = {
        name: FLAGS[name].value
        for name in recipes.FIELDS
        if name in FLAGS and FLAGS[name].value is not None
    }
    recipe = recipes.resolve(FLAGS.recipe, mode, overrides)
    return recipe, mode, None if config is None else tuple(config)


def print_plan():
    """What would be trained, without the images."""
    recipe, mode, config = settings()
    num_images, classes, shape = building.size_of_set(recipe, FLAGS.data_dir)
    shape = data.resolved_shape(shape, recipe.image_size)
    steps = data.steps_per_epoch(num_images, recipe.batch_size)
    keras.config.set_dtype_policy(recipe.precision)
    network = building.make_network(recipe, mode, config, shape, classes)
    building.compile_network(network, recipe, mode, config, steps)  # As it is trained.
    for name in recipes.FIELDS:
        if name != "ours":
            mark = "  (ours)" if name in recipe.ours else ""
            print(f"{name:20} {getattr(recipe, name)}{mark}")
    space = network.space
    configs = {"largest": space.largest, "smallest": space.smallest}
    for name, config in configs.items():
        (flops,) = search.count_flops_of_configs(network, [config])
        print(f"FLOPs, {name:13} {flops / 1e6:,.1f} M  ({config})")
    print(f"{'sub-networks':20} {space.size}")
    print(f"{'parameters':20} {network.count_params() / 1e6:,.2f} M")
    needed = memory.estimate_training_memory(network, recipe.batch_size)
    print(f"{'memory':20} about {needed / 1e9:,.1f} GB on one device")
    print(f"{'steps':20} {steps:,} an epoch, {recipe.epochs * steps:,} in all")


def train():
    """Trains by the flags; returns the network and the folder of the run."""
    recipe, mode, config = settings()
    strategy = distribution.make_strategy(FLAGS.strategy)
    keras.utils.set_random_seed(recipe.seed)
    if FLAGS.deterministic:
        resuming.make_deterministic()
    keras.config.set_dtype_policy(recipe.precision)
    images = building.load_data(recipe, FLAGS.data_dir)
    shape = data.resolved_shape(images.image_shape, recipe.image_size)
    steps_per_epoch = data.steps_per_epoch(images, recipe.batch_size)
    classes = len(images.class_names)
    with strategy.scope():
        network = building.make_network(recipe, mode, config, shape, classes)
        building.compile_network(network, recipe, mode, config, steps_per_epoch)

    name = ""
    if distribution.is_chief(strategy):
        values = dataclasses.asdict(recipe)
        del values["ours"]  # It says something of the values, and changes nothing.
        run_settings = {"recipe": values, "mode": mode, "config": config}
        folder = runs.open_run(
            network.name,
            run_settings,
            lambda folder: runs.count_epochs(folder) >= recipe.epochs,
            FLAGS.runs_dir,
            FLAGS.new_run,
        )
        if not (folder / CALIBRATION).exists():
            center_crop = building.has_center_crop(recipe)
            calibration = folder / CALIBRATION
            data.save_calibration(images.train, calibration, shape, center_crop)
        runs.write_labels(images.class_names, folder)
        name = str(folder)
    run = pathlib.Path(distribution.agree(strategy, name))
    print(f"Run: {run}")
    evaluated = {} if config is None else {"target": config}
    if mode != "individual" or config is None:
        evaluated["largest"] = network.space.largest
    if mode != "individual":
        evaluated["smallest"] = network.space.smallest
    num_shards, shard = distribution.shards(strategy)
    accuracy = callbacks.SubNetworkAccuracy(
        building.test_data(recipe, images, classes),
        evaluated,
        data.load_calibration(run / CALIBRATION).take(CALIBRATION_BATCHES),
    )
    learning = callbacks.WarnOfNoLearning(classes, images.train.num_images)
    added = [*building.training_callbacks(recipe, mode), learning, accuracy]
    if distribution.is_chief(strategy):
        added.append(
            keras.callbacks.TensorBoard(run / "tensorboard", write_graph=False)
        )
    penalties = float(sum(network.losses))
    print(f"The loss contains penalties of weights, {penalties:.3g} at the beginning.")
    resuming.fit_resumable(
        network,
        lambda step: building.train_data(recipe, images, step, num_shards, shard),
        steps_per_epoch,
        recipe.epochs,
        run,
        FLAGS.checkpoint_steps,
        monitor=f"val_accuracy_{next(iter(evaluated))}",
        callbacks=added,
    )
    return network, run


def main(argv):
    if argv[1:]:
        raise ValueError(f"Not a flag: {' '.join(argv[1:])}. See --help.")
    if FLAGS.dry_run:
        print_plan()
        return
    _, run = train()
    print(f"Wrote {run}/supernet.keras")


if __name__ == "__main__":
    scripts.run_script(main)
