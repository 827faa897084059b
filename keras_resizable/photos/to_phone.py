"""From a folder of photos to files for the phone, in one call."""

import dataclasses
import functools
import json
import os
import pathlib
import random
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from keras_resizable import data, devices, export, recipes, runs, search, training
from keras_resizable.network import ResizableNetwork
from keras_resizable.photos.job import Job
from keras_resizable.photos.source import (
    ALL,
    choosing,
    make_network,
    of_source,
    train_source,
)
from keras_resizable.runs import Run
from keras_resizable.runs.folders import count_epochs
from keras_resizable.space import Configuration
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import replacing

if TYPE_CHECKING:
    import pandas

FILES = "files.csv"
_NEEDED = {
    "search": ("pandas", "scipy", "matplotlib", "bokeh"),
    "tflite": ("ai_edge_litert", "litert_quantizer"),
}
_RATES = "learning_rates.json"
_CHOICE = "choice.json"
_CHOICES = ("max_latency_ms", "max_flops", "min_top1", "io", "max_loss")
_MAX_EVALUATED = 1024  # Sub-networks.
_STEP = 1.5  # By how much the neighbours in a bundle cost less or more.
_TUNED_RATE = 0.1  # Of the rate of the resizable training.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForPhone:
    """What `to_phone` made.

    Attributes:
        folder: Its folder: `report.html`, `files.csv`, the `.tflite` files, and below
            it all that was trained.
        run: The `Run` of the resizable network.
        config: The chosen configuration.
        table: The lookup table, on the photos to choose with.
        files: A row for each file and signature: what it is, its size, its latency, and
            its top-1 on the test photos, which nothing was chosen with.
    """

    folder: pathlib.Path
    run: Run
    config: Configuration
    table: "pandas.DataFrame"
    files: "pandas.DataFrame"


def to_phone(
    job: Job,
    *,
    device: devices.Device | None = None,
    root: str | os.PathLike = "runs",
    new: bool = False,
) -> ForPhone:
    """Makes files for the phone of a folder of photos.

    A model of Keras is trained for the classes, first its classifier, then all of it;
    `from_keras` makes a resizable network of it, which trains with it as its teacher;
    all sub-networks are evaluated, and timed from their pieces; the best one within the
    limits is fine-tuned and becomes an int8 file, and with two neighbours in cost an
    int8 bundle. Learning rates are found by range tests. It is chosen on photos to
    choose with; what the files are worth is measured by running them on the test
    photos. The same call resumes what was interrupted.

    Args:
        job: What to do.
        device: What to measure latencies on; this machine if absent.
        root: Folder of all runs.
        new: Whether to begin anew, even if the job was interrupted, or differs from one
            that is done in its limits, `io` or `max_loss` only, which is gone on with.

    Returns:
        A `ForPhone`.

    Raises:
        FileNotFoundError: If there are no photos.
        ValueError: If a value is not valid, the model cannot be converted, nothing is
            within the limits, or an int8 file loses too much. What was trained is kept.
        OSError: As `runs.train`.
        ImportError: If an extra is not installed.

    Example:

    >>> from keras_resizable import photos
    >>> job = photos.Job(images="photos/", max_latency_ms=15)
    >>> result = photos.to_phone(job)  # doctest: +SKIP
    >>> result.files[["file", "top1"]]  # doctest: +SKIP
    """
    for extra, names in _NEEDED.items():
        for name in names:
            import_extra(name, extra)  # Before the work.
    keras.utils.set_random_seed(job.seed)
    all_images = job.load()
    device = device or devices.Host()
    settings = json.loads(json.dumps(dataclasses.asdict(job), default=os.fspath))
    # What is chosen and written may change without training anew.
    choice = {name: settings.pop(name) for name in _CHOICES}
    choice["device"] = device.name
    recipe = job.recipe(all_images)
    make_network(job, all_images)  # Now, and not after training, it may be refused.
    folder = runs.open_run(
        f"photos-{pathlib.Path(job.model).stem.lower()}",
        settings,
        lambda folder: _read(folder / _CHOICE) == choice,
        root=root,
        new=new,
    )
    print(f"Folder: {folder}")
    images = choosing(all_images)
    find_rate = functools.partial(_find_rate, folder / _RATES)
    source = None
    if job.starts_from_model:
        source = train_source(job, images, recipe, folder, find_rate)
        # The rate of the source, in proportion to the batches: a range test of the
        # network finds one at which it forgets what the source knows.
        rate = _read(folder / _RATES)[ALL] * recipe.batch_size
        rate /= of_source(recipe, images).batch_size
        recipe = job.recipe(images, os.fspath(source))
    else:
        rate = _rate_of_network(recipe, images, find_rate)
    run = _train(dataclasses.replace(recipe, learning_rate=rate), images, folder)
    network = run.network()
    table = _evaluate(job, run, network, images, device)
    chosen = network.space.config(
        search.best(table, device=_device_of(job, device), **job.limits)["config"]
    )
    print(f"Chosen: {chosen}")
    model = _fine_tune(job, run, chosen, images, source)
    paths = _write_files(job, run, network, table, chosen, model, folder, source)
    files = _measure(paths, all_images, recipe, device)
    search.write_report(
        table, folder, f"{network.name}: {chosen}", run.settings, files=files
    )
    search.write_table(files, folder / FILES)
    _write(choice, folder / _CHOICE)  # The last: it says that all is done.
    return ForPhone(folder=folder, run=run, config=chosen, table=table, files=files)


def _shape(images, recipe):
    return data.resolved_shape(images.image_shape, recipe.image_size)


def _find_rate(path, name, model, batches):
    """A learning rate by a range test, which is remembered."""
    known = _read(path)
    if name not in known:
        print(f"Looking for a learning rate ({name})")
        known[name] = training.find_learning_rate(model, batches).suggested / 2
        _write(known, path)
    return known[name]


def _read(path):
    return json.loads(path.read_text()) if path.exists() else {}


def _write(contents, path):
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(contents, indent=2) + "\n")


def _rate_of_network(recipe, images, find_rate):
    """A learning rate of a network that starts from nothing."""
    network = recipes.make_network(
        recipe,
        "resizable",
        None,
        image_shape=_shape(images, recipe),
        classes=len(images.class_names),
    )
    steps = data.steps_per_epoch(images, recipe.batch_size)
    recipes.compile_network(network, recipe, "resizable", None, steps_per_epoch=steps)
    return find_rate("resizable", network, recipes.train_data(recipe, images))


def _train(recipe, images, folder):
    """The run of the resizable network."""
    finished = Run(folder / "latest")
    if count_epochs(finished.folder) >= recipe.epochs:
        return finished
    print(f"Training the resizable network, {recipe.epochs} epochs")
    return runs.train(recipe, root=folder, images=images)


def _evaluate(job, run, network, images, device):
    """The lookup table, with latencies if there is a limit of them."""
    space = network.space
    configs = list(space.configs())
    if len(configs) > _MAX_EVALUATED:
        configs = random.Random(job.seed).sample(configs, _MAX_EVALUATED)
    print(f"Evaluating {len(configs)} sub-networks")
    table = search.build_table(
        network,
        recipes.test_data(run.recipe, images),
        configs,
        calibrate_with=run.calibration(),
        folder=run.folder,
    )
    if job.max_latency_ms is not None:
        print(f"Measuring latencies on {device.name}")
        new = search.latency_table(network, device, table["config"])
        table = search.merge_tables(search.without_measured(table, new), new)
        search.write_table(table, run.table_path)
    return table


def _device_of(job, device):
    return None if job.max_latency_ms is None else device.name


def _fine_tune(job, run, config, images, source):
    """The chosen sub-network after more training, if that made it better."""
    tuned = Run(run.folder / "finetuned" / "latest")
    samples = tuned.folder / search.SAMPLES
    is_done = samples.exists() and tuned.settings.get("config") == list(config)
    if not is_done:
        steps = data.steps_per_epoch(images, run.recipe.batch_size)
        epochs = job.passes("tuning_epochs", steps)
        print(f"Fine-tuning {config}, {epochs} epochs")
        runs.fine_tune(
            run,
            config,
            epochs=epochs,
            learning_rate=_TUNED_RATE * run.recipe.learning_rate,
            teacher=False if source is None else runs.load_model(source),
            seed=job.seed,
            images=images,
        )
    before, after = search.load_samples(samples).right.mean(axis=1)
    print(f"Fine-tuning: {100 * before:.2f} -> {100 * after:.2f} % of the validation")
    if after > before:
        return runs.load_model(tuned.model_path)
    return run.network().sub_network(config, calibrate_with=run.calibration())


def _write_files(job, run, network, table, chosen, model, folder, source):
    """Writes the files; returns what each is: path, signature, configuration, model."""
    options: dict[str, Any] = {
        "quantize": "int8",
        "io": job.io,
        "calibrate_with": run.calibration(),
        "evaluate_with": run.evaluation(),
        "max_loss": job.max_loss,
    }
    about = {"input_range": [-1.0, 1.0], "labels": run.labels()}
    name = network.name
    path = folder / f"{name}_{chosen.key}_int8.tflite"
    print("Writing int8 files")
    result = export.to_tflite(
        model, path, metadata=about | {"config": str(chosen)}, **options
    )
    print(f"{path.name}: {result['accuracy']}")
    made: list[tuple] = [(path, None, chosen, model)]
    configs = _bundle(table, network, chosen)
    parts = folder / "bundle"
    parts.mkdir(exist_ok=True)
    files = export.to_tflite_files(network, configs, parts, metadata=about, **options)
    bundle = folder / f"{name}_bundle_int8.tflite"
    export.to_bundle([part for _, part, _ in files], bundle)
    for config in configs:
        signature = export.signature_name(network.space, config)
        cut = network.sub_network(config, calibrate_with=run.calibration())
        made.append((bundle, signature, config, cut))
    if source is not None:
        whole = runs.load_model(source)
        path = folder / "source_int8.tflite"
        try:  # For comparison only.
            export.to_tflite(whole, path, metadata=about, **options | {"max_loss": 1.0})
            made.append((path, None, None, whole))
        except ValueError as error:
            print(f"The whole model is left out: {error}")
    return made


def _bundle(table, network: ResizableNetwork, chosen: Configuration):
    """The chosen one and its best neighbours that cost less and more."""
    latencies = [name for name in table if name.startswith("latency_ms_")]
    cost = latencies[0] if latencies else "flops"
    costs = table.set_index("config")[cost]
    middle = costs[str(chosen)]
    configs = [chosen]
    for low, high in ((0, middle / _STEP), (middle * 1.0001, middle * _STEP)):
        rows = table[(table[cost] > low) & (table[cost] <= high)]
        if len(rows):
            best = rows.sort_values(["top1", cost], ascending=[False, True]).iloc[0]
            configs.append(network.space.config(best["config"]))
    return sorted(configs, key=lambda config: -costs[str(config)])


def _measure(made, images, recipe, device):
    """A row for each file and signature: its size, its latency and its accuracy."""
    pandas = import_extra("pandas", "search")
    print(f"Measuring the files on the test photos and on {device.name}")
    test = data.eval_dataset(
        images.test,
        _shape(images, recipe),
        256,
        center_crop=recipes.has_center_crop(recipe),
    )
    paths = list(dict.fromkeys(path for path, *_ in made))
    results = device.measure(paths, 1, 5, 50)
    latencies = {
        (pathlib.Path(result["path"]), result.get("signature")): result["median_ms"]
        for result in results
    }
    rows = []
    for path, signature, config, model in made:
        accuracy = export.evaluate_tflite(
            path,
            test,
            signature=signature,
            compare_with=tf.function(functools.partial(model, training=False)),
        )
        rows.append(
            {
                "file": path.name,
                "signature": signature or "",
                "config": "" if config is None else str(config),
                "size_bytes": path.stat().st_size,
                f"latency_ms_{device.name}": latencies[path, signature],
                "top1": accuracy.top1,
                "difference_to_keras": accuracy.difference,
                "agreement": accuracy.agreement,
                "ties": accuracy.ties,
            }
        )
    return pandas.DataFrame(rows)
