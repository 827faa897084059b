"""The steps of a job, before its files: source, network, choice, fine-tuning.

Each step ends by writing a file, so that the same call resumes after it.
"""

import dataclasses
import json
import logging
import math
import os
import pathlib
from typing import Any, NamedTuple

import keras

from keras_resizable import devices, search
from keras_resizable.network import ResizableNetwork
from keras_resizable.search.evaluation import evaluate_model
from keras_resizable.search.query import LATENCY
from keras_resizable.search.table import TABLE, Table
from keras_resizable.space import ConfigLike, Configuration
from keras_resizable.training import learning_rates
from keras_resizable.utils.files import replacing
from keras_resizable.utils.keras_graph import layers_of
from keras_resizable.workshop import data, recipes, runs
from keras_resizable.workshop.photos.material import Material
from keras_resizable.workshop.photos.progress import (
    CHOOSING,
    MODEL,
    RESIZABLE,
    TUNING,
    Progress,
)
from keras_resizable.workshop.photos.source import (
    has_classes,
    make_source,
    set_trained,
)
from keras_resizable.workshop.recipes.building import (
    compile_network,
    compile_sub_network,
    steps_of_epoch,
    train_data,
)
from keras_resizable.workshop.runs import Run, fit_resumable, save_network
from keras_resizable.workshop.runs.folders import count_epochs
from keras_resizable.workshop.runs.keras_files import load_model

_LOG = logging.getLogger(__name__)
RATES = "learning_rates.json"
_BATCH = 32  # Batch size of the source.
_PATIENCE = 5, 100  # Epochs without a better accuracy, or steps if that is more.
# The lowest and the highest rate to accept from each range test, and the default.
_RATES_OF = {
    "classifier": (0.01, 0.3, 0.1),
    "all": (1e-3, 0.1, 0.01),
    "resizable": (0.01, 0.3, 0.1),
}
_HIGHEST_RATE = 0.05  # For a resizable network that starts from a source.
_RATE_WITHOUT_LABELS = 0.02
_TUNED_RATE = 0.1  # Relative to the rate of the resizable training.
_STEP = 1.5  # The cost factor between neighbours in a bundle.


class Choice(NamedTuple):
    """The sub-network that a job chose.

    Args:
        table: The lookup table.
        network: The network of the table's configurations.
        config: The chosen configuration.
        neighbours: The chosen one, and the best that cost a little less and more.
    """

    table: Table
    network: ResizableNetwork
    config: Configuration
    neighbours: list[Configuration]


def train_source(
    material: Material, folder: pathlib.Path, progress: Progress
) -> pathlib.Path | None:
    """Trains the source: first its classifier, then the whole model.

    Returns:
        The path of the model; None if the job starts from random weights. Without
        labels the model stays as it is.
    """
    job, images, path = material.job, material.images, folder / "source.keras"
    if not job.is_pretrained:
        return None
    if path.exists():
        return path
    recipe = recipe_of_source(material)
    model = make_source(job, material.model, material.shape, material.classes)
    if not images.is_labelled:
        save_network(model, path)
        return path
    progress.begin(MODEL)
    report = progress.callback()
    per_pass = data.steps_per_epoch(images, recipe.batch_size)
    for phase, name in (("classifier", "head_epochs"), ("all", "epochs")):
        epochs, steps = job.epochs_of(name, per_pass)
        if not epochs:
            continue
        set_trained(model, phase)
        options = {"steps": epochs * steps}
        compile_sub_network(model, recipe, learning_rate=0.01, **options)
        rate = find_rate(folder, phase, model, train_data(recipe, images))
        compile_sub_network(model, recipe, learning_rate=rate, **options)
        _LOG.info(f"Training {phase} of {model.name}, at most {epochs} epochs")
        _fit_source(
            model, recipe, images, epochs, steps, folder / f"source_{phase}", report
        )
    if material.model is not None and has_classes(material.model, material.classes):
        given = make_source(job, material.model, material.shape, material.classes)
        model = better(given, model, recipe, images)
    for layer in (model, *layers_of(model)):
        layer.trainable = True
    # Keras can only load an optimizer of all layers.
    compile_sub_network(model, recipe, learning_rate=0.01, steps=1)
    model.optimizer.build(model.trainable_variables)
    save_network(model, path)
    return path


def recipe_of_source(material: Material) -> recipes.Recipe:
    """The recipe of the source."""
    count = min(_BATCH, material.images.train.num_images)
    return dataclasses.replace(material.recipe, batch_size=count, split_batch=False)


def _fit_source(model, recipe, images, epochs, steps, folder, report):
    epochs_of_patience, steps_of_patience = _PATIENCE
    stop = keras.callbacks.EarlyStopping(
        "val_accuracy",
        patience=max(epochs_of_patience, -(-steps_of_patience // steps)),
        mode="max",
        restore_best_weights=True,
    )
    fit_resumable(
        model,
        lambda step: train_data(recipe, images, start_step=step),
        steps_per_epoch=steps,
        epochs=epochs,
        folder=folder,
        callbacks=[stop, report],
        verbose=0,
        validation_data=recipes.test_data(
            recipe, images, num_classes=len(images.class_names)
        ),
    )


def better(
    before: keras.Model,
    after: keras.Model,
    recipe: recipes.Recipe,
    images: data.ImageSet,
) -> keras.Model:
    """The trained model, or the original one if training did not improve it."""
    batches = recipes.test_data(recipe, images)
    old, new = (
        evaluate_model(model, batches, "source")["source"]["top1"]
        for model in (before, after)
    )
    _LOG.info(
        "Training: %.2f -> %.2f %% of the validation photos", 100 * old, 100 * new
    )
    if old < new:
        return after
    _LOG.info("That is no better, so the original model is used")
    return before


def train_network(
    material: Material,
    source: pathlib.Path | None,
    folder: pathlib.Path,
    progress: Progress,
) -> Run:
    """Trains the resizable network, with the source as its teacher."""
    recipe, images = material.recipe, material.images
    if source is not None:
        # In proportion to the batches, up to a limit: at the rate of a range test, this
        # network would forget what the source learned.
        rate = _RATE_WITHOUT_LABELS
        if images.is_labelled:
            rate = read_json(folder / RATES)["all"] * recipe.batch_size
            rate = min(rate / recipe_of_source(material).batch_size, _HIGHEST_RATE)
        path = os.fspath(source)
        recipe = dataclasses.replace(recipe, network=path, teacher=path)
    else:
        network = material.untrained()
        steps = steps_of_epoch(recipe, images)
        compile_network(network, recipe, "resizable", None, steps_per_epoch=steps)
        rate = find_rate(folder, "resizable", network, train_data(recipe, images))
    recipe = dataclasses.replace(recipe, learning_rate=rate)
    finished = Run(folder / "latest")
    if count_epochs(finished.folder) >= recipe.epochs:
        return finished
    progress.begin(RESIZABLE)
    return runs.train(
        recipe,
        root=folder,
        images=images,
        callbacks=[progress.callback()],
        verbose=0,
    )


def find_rate(
    folder: pathlib.Path, name: str, model: keras.Model, batches: Any
) -> float:
    """The learning rate from a range test, kept in the folder."""
    known = read_json(folder / RATES)
    if name not in known:
        _LOG.info(f"Looking for a learning rate ({name})")
        low, high, default = _RATES_OF[name]
        try:
            found = learning_rates.find_learning_rate(model, batches).suggested / 2
        except ValueError as error:
            _LOG.info(f"The range test found none, so {default} is used: {error}")
            if name != "resizable":
                _LOG.info("If the model is a .keras file, check `input_range`")
            found = default
        known[name] = min(max(found, low), high)
        write_json(known, folder / RATES)
    return known[name]


def choose(
    material: Material, run: Run, device: devices.Device, progress: Progress
) -> Choice:
    """Evaluates the sub-networks, and chooses the best one within the limits.

    Raises:
        ValueError: If none is within the limits.
    """
    job, network = material.job, run.finer_network()
    configs = material.evaluated(run.network().space)
    progress.begin(CHOOSING)
    _LOG.info(f"Evaluating {len(configs)} sub-networks")
    table = search.build_table(
        network,
        run.test_data(),
        configs,
        calibrate_with=run.calibration(),
        folder=run.folder,
        verbose=progress.is_line,
    )
    name, cost = None, "flops"
    if job.max_latency_ms is not None:
        name = device.name
        _LOG.info(f"Measuring latencies on {name}")
        table.add_latency(network, device, verbose=progress.is_line)
        table.save(run.table_path)
        cost = LATENCY + name
    row = table.best(device=name, **material.limits)
    config = network.space.config(row["config"])
    _LOG.info(f"Chosen: {config}")
    row = table.best(device=name, within_noise=True, **material.limits)
    if row["config"] != str(config):
        _LOG.info(
            f"The {table.num_images} validation photos cannot tell it from "
            f"{row['config']}, which takes {row['flops'] / 1e6:.1f} M FLOPs."
        )
    names = neighbours(table, config, cost)
    return Choice(table, network, config, network.space.select(names))


def neighbours(table: Table, chosen: ConfigLike, cost: str) -> list[str]:
    """The chosen configuration, and the best that cost a little less and more."""
    rows, middle = table.to_frame(), table[chosen][cost]
    found = [table[chosen]]
    for low, high in ((0, middle / _STEP), (middle * 1.0001, middle * _STEP)):
        near = rows[(rows[cost] > low) & (rows[cost] <= high)]
        if len(near):
            order = near.sort_values([table.score, cost], ascending=[False, True])
            found.append(order.iloc[0])
    found.sort(key=lambda row: -row[cost])
    return [row["config"] for row in found]


def fine_tune(
    material: Material,
    run: Run,
    choice: Choice,
    source: pathlib.Path | None,
    progress: Progress,
) -> keras.Model:
    """The chosen sub-network, after more training if that improved it.

    Without labels, it is that of the untrained network if no training improved it.
    """
    per_pass = data.steps_per_epoch(material.images, run.recipe.batch_size)
    steps = math.prod(material.job.epochs_of("tuning_epochs", per_pass))
    how: dict[str, Any] = {
        "epochs": -(-steps // steps_of_epoch(run.recipe, material.images)),
        "learning_rate": _TUNED_RATE * run.recipe.learning_rate,
        "weights": "all",
        "seed": material.job.seed,
    }
    known = {"config": list(choice.config)} | how
    done = [
        Run(path.parent)
        for path in run.folder.glob(f"finetuned/*/{TABLE}")
        if known.items() <= Run(path.parent).settings.items()
    ]
    if done:
        tuned = done[0]
    else:
        progress.begin(TUNING)
        _LOG.info(f"Fine-tuning {choice.config}")
        teacher = False if source is None else load_model(source)
        tuned = runs.fine_tune(
            run,
            choice.config,
            teacher=teacher,
            images=material.images,
            callbacks=[progress.callback()],
            verbose=0,
            **how,
        ).run
    table = tuned.table()
    before, after = (table[name][table.score] for name in ("before", "after"))
    _LOG.info(
        f"Fine-tuning: {100 * before:.2f} -> {100 * after:.2f} % of the validation "
        "photos"
    )
    if not material.images.is_labelled:
        untrained = material.untrained()
        model = untrained.sub_network(choice.config, calibrate_with=run.calibration())
        batches = recipes.test_data(material.recipe, material.images)
        given = evaluate_model(model, batches, "untrained")["untrained"]["top1"]
        _LOG.info(f"Without any training: {100 * given:.2f} %")
        if given >= max(before, after):
            return model
    if after > before:
        return load_model(tuned.model_path)
    return choice.network.sub_network(choice.config, calibrate_with=run.calibration())


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """The contents of a job's JSON file; empty if it does not exist yet."""
    return json.loads(path.read_text()) if path.exists() else {}


def write_json(contents: dict[str, Any], path: pathlib.Path) -> None:
    """Writes a JSON file of a job, complete or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(contents, indent=2) + "\n")
