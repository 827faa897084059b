"""Trains a router that sends each image to a sub-network of a run.

    python train/adapt.py
    python train/adapt.py --config=0.75,1.0,0.75 --attach=1 --num_candidates=3
    python train/adapt.py --max_flops=8e6 --quantize=int8

Evaluates the sub-networks of the run's lookup table, which train/search.py makes, on
training images, takes the most accurate as the target if none is given, chooses others
of at most its FLOPs that complement it, trains the router, and evaluates it on the test
images. Only the router's weights change. The results are compared with the table.
Writes to <run>/adapt: adaptive.keras, and for a range of budgets of FLOPs trade_off.csv
and trade_off.png; with --quantize also adaptive_<quantize>.tflite.
"""

import dataclasses
import shlex

import quiet  # noqa: F401

# isort: split
import keras
from absl import flags

import keras_resizable
from keras_resizable import adapt, data, export, recipes, runs, search
from keras_resizable.runs import Run
from keras_resizable.utils import scripts

FLAGS = flags.FLAGS
flags.DEFINE_string("run", str(runs.LATEST), "Folder of the run.")
flags.DEFINE_string(
    "config",
    None,
    "Scale factors of the target, of the table; the most accurate on training images "
    "if absent.",
)
flags.DEFINE_integer(
    "attach", None, "Number of stages before the router; all if absent (paper).", 0
)
flags.DEFINE_integer("num_candidates", 3, "Sub-networks to choose from.", 2)
flags.DEFINE_integer("num_samples", 50_000, "Training images (paper: 50,000).", 1)
flags.DEFINE_bool(
    "unused", False, "Use training images that the run's num_images left unused."
)
flags.DEFINE_integer("epochs", 20, "Passes over these images.", 1)
flags.DEFINE_float("learning_rate", 3e-3, "Adam's initial learning rate.", 0.0)
flags.DEFINE_float(
    "flops_weight", 0.0, "Weight of FLOPs in the loss, as a part of the target's.", 0.0
)
flags.DEFINE_float(
    "max_flops",
    None,
    "Maximum mean FLOPs per image, over these training images; if absent, the mean of "
    "the router's targets.",
)
flags.DEFINE_enum(
    "quantize", None, export.QUANTIZE, "Write a .tflite file in this precision."
)
flags.DEFINE_string("folder", "adapt", "Folder for the results, in the run's folder.")
flags.DEFINE_integer("num_budgets", 12, "Budgets in the trade-off.", 2)
flags.DEFINE_integer("seed", 0, "Seed of the router and of the images' order.")
flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps its sets.")


def main(argv):
    scripts.refuse_arguments(argv)
    keras.utils.set_random_seed(FLAGS.seed)
    run = Run(FLAGS.run)
    folder = run.folder / FLAGS.folder
    network = run.finer_network([FLAGS.config] if FLAGS.config else ())
    space = network.space
    target = FLAGS.config and str(space.config(FLAGS.config))
    table = run.table(space)
    configs = space.select(table["config"])
    if target and target not in map(str, configs):
        raise ValueError(
            f"{run.table_path} has no row of the target: "
            f"python train/search.py --run={shlex.quote(FLAGS.run)} --config={target}"
        )
    if FLAGS.attach is not None and FLAGS.attach > space.num_stages:
        raise ValueError(
            f"--attach is at most {space.num_stages}, the number of stages. "
            f"Received: {FLAGS.attach}"
        )
    recipe = run.recipe
    skip = 0
    if FLAGS.unused:
        if recipe.num_images is None:
            raise ValueError("The run has used all its training images.")
        skip, recipe = recipe.num_images, dataclasses.replace(recipe, num_images=None)
    images = recipes.load_data(recipe, FLAGS.data_dir)
    calibration = run.calibration()
    count = min(FLAGS.num_samples, images.train.num_images - skip)
    split = data.take_train(images, count, skip).train

    print(f"Evaluating sub-networks on {count} training images")
    counted = keras_resizable.count_flops_of_configs(network, configs)
    flops = dict(zip(map(str, configs), counted))
    if target:
        configs = [c for c in configs if flops[str(c)] <= flops[target]]
    train = recipes.test_data(recipe, images, split=split)
    evaluated = folder / f"{'unused' if FLAGS.unused else 'train'}_{count}"
    trained = search.build_table(
        network, train, configs, calibrate_with=calibration, folder=evaluated
    )
    samples = search.load_samples(evaluated / search.SAMPLES)
    target = target or search.best(trained)["config"]
    chosen = adapt.choose_candidates(samples, flops, target, count=FLAGS.num_candidates)
    adaptive = adapt.AdaptiveNetwork(network, chosen, FLAGS.attach)
    if FLAGS.max_flops is not None and FLAGS.max_flops < min(adaptive.route_flops):
        raise ValueError(
            f"The cheapest route takes {min(adaptive.route_flops):.4g} FLOPs. "
            f"Received: --max_flops={FLAGS.max_flops:.4g}"
        )
    adaptive.calibrate(calibration)
    names = list(map(str, adaptive.candidates))
    print(
        f"Target: {target}. Candidates, of {len(samples.configs)}: {'; '.join(names)}"
    )

    router = adapt.fit_router(
        adaptive,
        train,
        samples,
        flops_weight=FLAGS.flops_weight,
        epochs=FLAGS.epochs,
        learning_rate=FLAGS.learning_rate,
        seed=FLAGS.seed,
    )
    probabilities = router.predict(train, verbose=0)
    budget = FLAGS.max_flops
    if budget is None:
        targets = adapt.routing_targets(samples.only(names).right)
        budget = adaptive.mean_flops(targets)
    adaptive.set_budget(probabilities, budget)
    runs.save_network(adaptive, folder / "adaptive.keras")

    test, shown = run.unseen_data(FLAGS.data_dir), table
    if test is None:
        print("Evaluating on the images that sub-networks were chosen with")
        test = recipes.test_data(recipe, images)
        tested = search.load_samples(run.folder / search.SAMPLES)
    else:
        print("Evaluating on test images, which nothing was chosen with")
        shown = search.build_table(
            network,
            test,
            table["config"],
            calibrate_with=calibration,
            folder=folder / "test",
            raw=False,
        )
        tested = search.load_samples(folder / "test" / search.SAMPLES)
    results = adapt.evaluate(adaptive, test)
    candidates = tested.only(names)
    swept = adapt.trade_off(
        router.predict(test, verbose=0),
        probabilities,
        candidates.right,
        adaptive.route_flops,
        num_budgets=FLAGS.num_budgets,
    )
    trade_off = adapt.trade_off_table([results, *swept], table, tested)
    search.write_table(trade_off, folder / "trade_off.csv")
    adapt.plot_trade_off(shown, trade_off.iloc[1:], folder / "trade_off.png")
    row = trade_off.iloc[0]
    print(
        f"top-1         {100 * row['top1']:.2f} % at {row['flops'] / 1e6:.2f} M FLOPs"
    )
    print(f"taken         {row['shares']}")
    print(
        f"fixed         {100 * row['fixed_top1']:.2f} %, {row['fixed']}: difference "
        f"{100 * row['difference']:+.2f} ± {100 * row['standard_error']:.2f} points, "
        f"p = {row['p_value']:.2g}"
    )
    print(f"oracle bound  {100 * candidates.oracle_top1:.2f} % of these candidates")
    print(f"Wrote {folder}/adaptive.keras, trade_off.csv and trade_off.png")
    if FLAGS.quantize is not None:
        path = folder / f"adaptive_{FLAGS.quantize}.tflite"
        adapt.to_tflite(
            adaptive, path, calibrate_with=calibration, quantize=FLAGS.quantize
        )
        print(f"Wrote {path}")


if __name__ == "__main__":
    scripts.run_script(main)
