"""Regenerates the comparisons in results.md: the claims and their outcomes.

    python research/experiment.py individual
    python research/experiment.py sampling fine_tuning --seed=0
    python research/experiment.py all

Trains the missing runs of a claim, evaluates them on the test images, and writes
research/results/<claim>.csv and .png; with --seed it only prints. Claims share runs,
and after an interruption the same command resumes after the last complete epoch. The
images are those that canvas.py writes, and CIFAR-10 from TensorFlow Datasets or a
folder; see --fashion_mnist and --cifar10.
"""

import dataclasses
import json
import pathlib

import arms
import claims
import comparison
import keras
import numpy as np
from absl import flags
from one_row import copy_to_all_rows

import keras_resizable
from keras_resizable import data, recipes, runs, search
from keras_resizable.search.evaluation import evaluate_model
from keras_resizable.search.table import TABLE
from keras_resizable.workshop.commands.command_line import run_script
from keras_resizable.workshop.data.image_set import hold_out
from keras_resizable.workshop.recipes.building import (
    compile_network,
    compile_sub_network,
    make_network,
    train_data,
)
from keras_resizable.workshop.runs.folders import NETWORK, SETTINGS
from keras_resizable.workshop.runs.keras_files import load_network
from keras_resizable.workshop.runs.training import precision

NUM_PLANS = 1000  # Number of plans to average the cost over.

FLAGS = flags.FLAGS
for _name, _place in arms.DATASETS.items():
    flags.DEFINE_string(_name, _place, "Location of the images.")
flags.DEFINE_multi_integer(
    "seed", None, "Train with this seed and only print; all seeds if absent.", 0
)
flags.DEFINE_string("runs_dir", "runs/experiments", "Folder of all runs.")
flags.DEFINE_string("results_dir", "research/results", "Folder of the results.")
flags.DEFINE_integer("progress", 0, "Verbosity of `fit`: 0 for none, 1 for bars.", 0, 2)


def recipe_of(arm, seed):
    """The recipe of an arm."""
    setting = arms.SETTINGS[arm.setting]
    dataset = getattr(FLAGS, setting.dataset)
    values = setting.changes | arm.changes | {"dataset": dataset, "seed": seed}
    recipe = recipes.resolve(arms.RECIPE, arm.mode, values)
    if arm.budget is not None:
        epochs = round(arm.budget / cost_of_epoch(arm, recipe))
        recipe = dataclasses.replace(recipe, epochs=epochs)
    return recipe


def cost_of_epoch(arm, recipe):
    """FLOPs of an epoch, relative to an epoch of the largest sub-network alone.

    The result is an average over plans. The stem is counted for each sub-network, which
    overestimates by about 1 %.
    """
    network = network_of(arm, recipe)
    compile_network(network, recipe, arm.mode, arm.config, steps_per_epoch=NUM_PLANS)
    steps = np.linspace(0, NUM_PLANS * recipe.epochs - 1, NUM_PLANS)
    plans = [network.sampler(int(step)) for step in steps]
    configs = [
        [network.space.from_indices(row) for row in plan.numpy()] for plan in plans
    ]
    unique = sorted({config for plan in configs for config in plan})
    flops = dict(zip(unique, keras_resizable.count_flops_of_configs(network, unique)))
    whole = network_of(arms.Arm(setting=arm.setting), recipe)
    (largest,) = keras_resizable.count_flops_of_configs(whole, [whole.space.largest])
    mean = np.mean if recipe.split_batch else np.sum
    return np.mean([mean([flops[c] for c in plan]) for plan in configs]) / largest


def network_of(arm, recipe):
    """The untrained network of an arm."""
    setting = arms.SETTINGS[arm.setting]
    return make_network(
        recipe,
        arm.mode,
        arm.config,
        image_shape=setting.image_shape,
        classes=setting.classes,
    )


def load_images(arm, recipe):
    """The images of an arm."""
    if not arm.held_out:
        return recipes.load_data(recipe)
    images = hold_out(data.load(recipe.dataset), arms.NUM_HELD_OUT)
    return data.take_train(images, recipe.num_images)


def folder_of(name, seed):
    """The folder of a run."""
    return pathlib.Path(FLAGS.runs_dir) / path_name(name) / f"seed{seed}"


def path_name(arm):
    return "_".join("".join(c for c in arm if c.isalnum() or c in ".-_ ").split())


def train(name, seed):
    """Trains and evaluates an arm, unless this was already done."""
    arm = arms.ARMS[name]
    folder = folder_of(name, seed)
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    recipe = recipe_of(arm, seed)
    settings = json.loads(json.dumps(dataclasses.asdict(arm) | vars(recipe)))
    for begun in (folder, unfinished):
        require_settings(begun, settings)
    if folder.exists():
        return
    if arm.fine_tuned_from is not None:
        train(arm.fine_tuned_from, seed)
    print(f"{name}, seed {seed}, {recipe.epochs} epochs", flush=True)
    unfinished.mkdir(parents=True, exist_ok=True)
    (unfinished / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n")
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    images = load_images(arm, recipe)
    shape = arms.SETTINGS[arm.setting].image_shape
    test = data.eval_dataset(images.test, shape, 250).cache()
    # The same number of images that a run stores; see `save_images`.
    calibration = data.eval_dataset(images.train, shape, 250, order_seed=0)
    calibration = calibration.take(8).cache()
    with precision(recipe.precision):
        if arm.fine_tuned_from is not None:
            network = load_network(folder_of(arm.fine_tuned_from, seed) / NETWORK)
            model = network.sub_network(arm.config, calibration)
            fit(model, arm, recipe, images, unfinished)
            text = str(network.space.config(arm.config))
            evaluate_model(model, test, text).save(unfinished / TABLE)
        else:
            network = network_of(arm, recipe)
            fit(network, arm, recipe, images, unfinished)
            evaluate(network, arm, recipe, test, calibration, unfinished)
    unfinished.rename(folder)


def require_settings(folder, settings):
    """Raises if the folder exists and has other settings."""
    path = folder / SETTINGS
    if path.exists():
        known = json.loads(path.read_text())
        if known | {"ours": settings["ours"]} != settings:  # `ours` has no effect.
            raise ValueError(f"{folder} has other settings: delete it.")


def fit(model, arm, recipe, images, folder):
    """Trains, starting after the last epoch stored in the folder."""
    steps = data.steps_per_epoch(images, recipe.batch_size)
    if arm.fine_tuned_from is not None:
        compile_sub_network(
            model,
            recipe,
            learning_rate=recipe.learning_rate,
            steps=recipe.epochs * steps,
        )
    else:
        compile_network(model, recipe, arm.mode, arm.config, steps_per_epoch=steps)
    runs.fit_resumable(
        model,
        lambda step: train_data(recipe, images, start_step=step),
        steps_per_epoch=steps,
        epochs=recipe.epochs,
        folder=folder,
        verbose=FLAGS.progress,
    )


def evaluate(network, arm, recipe, test, calibration, folder):
    """Evaluates the configurations that a network was trained for.

    A network that was trained alone at full size is evaluated at all sizes, using its
    single row of batch normalisation for all scale factors.
    """
    configs = None
    calibration = calibration if arm.calibrated else None
    setting = arms.SETTINGS[arm.setting]
    if arm.mode == "individual":
        alone = network
        network = network_of(arms.Arm(setting=arm.setting), recipe)
        copy_to_all_rows(alone, network)
        configs = [setting.uniform(scale) for scale in arms.SCALES]
        if arm.config != configs[0] or not arm.calibrated:
            configs = [arm.config]
    elif arm.mode == "resizable_aug":
        configs = [arm.config]
    search.build_table(
        network, test, configs, calibrate_with=calibration, folder=folder, verbose=False
    )


def read(arm, seeds):
    """The lookup tables of an arm, one for each seed."""
    tables = [search.Table.load(folder_of(arm, seed) / TABLE) for seed in seeds]
    for other in tables[1:]:
        tables[0].require_images(other.origin.get("data"), other.num_images)
    return tables


def rights_of(tables, config):
    """Whether a sub-network is right, or the share of all, `(seeds, images)`."""
    if config is None:
        return [np.mean([*map(table.right, table)], axis=0) for table in tables]
    return [table.right(config) for table in tables]


def raw_of(tables, config):
    """Top-1 with the batch statistics from training, for each seed, if known."""
    rows = [table.to_frame().set_index("config") for table in tables]
    if not all("top1_raw" in each for each in rows):  # Fine-tuned ones.
        return None
    if config is None:
        return [each["top1_raw"].mean() for each in rows]
    return [each["top1_raw"][str(config)] for each in rows]


def compare(claim, seeds):
    """The table of a claim, from its trained runs."""
    tables = {arm: read(arm, seeds) for arm in {row.arm for row in claim.rows}}
    return comparison.comparison_table(
        comparison.Comparison(
            row.arm,
            "mean of all" if row.config is None else str(row.config),
            rights_of(tables[row.arm], row.config),
            raw_of(tables[row.arm], row.config),
            row.against,
            row.against and rights_of(tables[row.against], row.config),
        )
        for row in claim.rows
    )


def write(table, name, plot, title):
    """Writes the table and the plot of a claim, if they are for all seeds."""
    if FLAGS.seed:
        return
    path = pathlib.Path(FLAGS.results_dir) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path.with_suffix(".csv"), index=False)
    plot(table, path.with_suffix(".png"), title)
    print(f"Wrote {path}.csv and .png")


def main(argv):
    known = list(claims.CLAIMS)
    names = known if argv[1:] == ["all"] else argv[1:]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(
            f"Specify claims, or 'all': {', '.join(known)}. Received: {argv[1:]}"
        )
    for name in names:
        claim = claims.CLAIMS[name]
        seeds = FLAGS.seed or range(claim.seeds)
        for arm in dict.fromkeys(row.arm for row in claim.rows):
            for seed in seeds:
                train(arm, seed)
        table = compare(claim, seeds)
        print(f"\n{claim.title}. Paper: {claim.paper}.")
        print(table.round(4).to_string(index=False))
        write(table, name, comparison.plot_comparison, claim.title)


if __name__ == "__main__":
    run_script(main)
