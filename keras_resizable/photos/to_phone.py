"""From a folder of photos to files for the phone, in one call."""

import dataclasses
import functools
import json
import os
import pathlib
import shutil
from typing import TYPE_CHECKING

import keras

from keras_resizable import data, devices, recipes, runs, search, training
from keras_resizable.data.pipeline import resolved_shape
from keras_resizable.photos.files import (
    measure_files,
    neighbours,
    notes_on,
    write_files,
)
from keras_resizable.photos.job import CHOICE, Job, evaluated_configs, read_json
from keras_resizable.photos.source import (
    ALL,
    choosing,
    network_of,
    of_source,
    train_source,
)
from keras_resizable.recipes.building import compile_network, make_network, train_data
from keras_resizable.runs import Run
from keras_resizable.runs.folders import (
    check_root,
    count_epochs,
    open_run,
    write_label_lines,
)
from keras_resizable.runs.saving import load_model
from keras_resizable.search.query import latency_column
from keras_resizable.search.samples import SAMPLES
from keras_resizable.search.table import without_measured, write_table
from keras_resizable.space import Configuration
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import replacing

if TYPE_CHECKING:
    import pandas

FILES = "files.csv"
LABELS = "labels.txt"
_NEW = "new"  # The folder of files until all are there.
_NEEDED = {
    "search": ("pandas", "scipy", "matplotlib", "bokeh"),
    "tflite": ("ai_edge_litert", "litert_quantizer"),
}
_RATES = "learning_rates.json"
# Of each range test: the least and the greatest rate that is believed, and the one to
# take if it finds none.
_RATES_OF = {
    "classifier": (0.01, 0.3, 0.1),
    ALL: (1e-3, 0.1, 0.01),
    "resizable": (0.01, 0.3, 0.1),
}
_HIGHEST_RATE = 0.05  # Of a resizable network that starts from a source.
_TUNED_RATE = 0.1  # Of the rate of the resizable training.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForPhone:
    """What `to_phone` made.

    Attributes:
        folder: Its folder: `report.html`, `files.csv`, the `.tflite` files, and below
            it all that was trained.
        run: The `Run` of the resizable network.
        config: The chosen configuration.
        table: The lookup table, on the validation photos.
        files: A row for each file and signature: what it is, its size, its latency, and
            its top-1 on the test photos, which nothing was chosen with, with its 95 %
            confidence interval.
        notes: What has to be said of the first file, a sentence each: that it is no
            better than always giving one answer, or beyond the limit of latency.
    """

    folder: pathlib.Path
    run: Run
    config: Configuration
    table: "pandas.DataFrame"
    files: "pandas.DataFrame"
    notes: list[str]


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
    limits is fine-tuned and becomes an int8 file. A second file, the bundle, has it and
    up to two neighbours in cost, not fine-tuned. Learning rates are found by range
    tests. It is chosen on validation photos; what the files are worth is measured
    by running them on the test photos. The same call resumes what was interrupted.

    Args:
        job: What to do.
        device: What to measure latencies on; this machine if absent.
        root: Folder of all runs; jobs are in its `photos/`.
        new: Whether to begin anew, even if there is a job to go on with: one that was
            interrupted; one that is done, which is returned as it is; or one that
            differs only in its limits, `io`, `max_loss` or the device.

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
    check_root(root)
    device = device or devices.Host()
    if isinstance(device, devices.Browser):
        job.check_for_browser()
    keras.utils.set_random_seed(job.seed)
    all_images = job.load()
    settings, choice = job.settings_and_choice()
    choice["device"] = device.name
    recipe = job.recipe(all_images)
    network_of(job, all_images)  # Now, and not after training, it may be refused.
    folder = open_run(
        job.name,
        settings,
        lambda folder: False,  # One that is done has what is asked for, or nearly.
        root=pathlib.Path(root) / "photos",
        new=new,
    )
    files = _files_of_done(folder, choice)
    if files is not None:
        print(f"All is done in {folder}")
        return _read(job, folder, files, device)
    begun = (folder / _RATES).exists()
    print(f"{'Going on in' if begun else 'Folder:'} {folder}")
    images = choosing(all_images)
    find_rate = functools.partial(_find_rate, folder / _RATES)
    source = None
    if job.is_pretrained:
        source = train_source(job, images, recipe, folder, find_rate)
        # The rate of the source, in proportion to the batches, but no more than what
        # does not make the network forget: a range test of it finds a higher one.
        rate = read_json(folder / _RATES)[ALL] * recipe.batch_size
        rate = min(rate / of_source(recipe, images).batch_size, _HIGHEST_RATE)
        recipe = job.recipe(images, os.fspath(source))
    else:
        rate = _rate_of_network(recipe, images, find_rate)
    run = _train(dataclasses.replace(recipe, learning_rate=rate), images, folder)
    network = run.finer_network()
    table = _evaluate(job, run, network, images, device)
    is_timed = job.max_latency_ms is not None
    cost = latency_column(table, device.name) if is_timed else "flops"
    row = search.best(table, device=device.name if is_timed else None, **job.limits)
    chosen = network.space.config(row["config"])
    print(f"Chosen: {chosen}")
    _tell_of_cheaper(job, run, table, chosen, device if is_timed else None)
    new_files = folder / _NEW
    made = write_files(
        job,
        run,
        network,
        neighbours(table, network.space, chosen, cost),
        (chosen, _fine_tune(job, run, network, chosen, images, source)),
        new_files,
        source,
        folder / "bundle",
    )
    files = measure_files(made, all_images, recipe, device)
    _replace_files(folder, new_files, {one.path.name for one in made})
    write_label_lines(images.class_names, folder / LABELS)
    search.write_report(
        table, folder, f"{network.name}: chosen {chosen}", run.settings, files=files
    )
    write_table(files, folder / FILES)
    _write(choice, folder / CHOICE)  # The last: it says that all is done.
    return _result(job, folder, run, chosen, table, files, device)


def _tell_of_cheaper(job, run, table, chosen, device):
    """Says which sub-network the photos cannot tell from the chosen one."""
    samples = search.load_samples(run.folder / SAMPLES)
    name = None if device is None else device.name
    row = search.best(table, device=name, as_good_in=samples, **job.limits)
    if row["config"] != str(chosen):
        print(
            f"The {samples.right.shape[1]} validation photos cannot tell it from "
            f"{row['config']}, which takes {row['flops'] / 1e6:.1f} M FLOPs."
        )


def _replace_files(folder, new_files, names):
    """Puts files that are all there in the place of those of other limits."""
    (folder / CHOICE).unlink(missing_ok=True)
    for name in {*_read_files(folder)["file"]} - names:
        (folder / name).unlink(missing_ok=True)
    for name in names:
        os.replace(new_files / name, folder / name)
    shutil.rmtree(new_files)


def _result(job, folder, run, chosen, table, files, device):
    return ForPhone(
        folder=folder,
        run=run,
        config=chosen,
        table=table,
        files=files,
        notes=notes_on(files, device.name, job.max_latency_ms),
    )


def _files_of_done(folder, choice):
    """The table of files, if all were made by a choice, and are still there."""
    if read_json(folder / CHOICE) != choice:
        return None
    files = _read_files(folder)
    for name, size in zip(files["file"], files["size_bytes"]):
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            return None
    return files


def _read_files(folder):
    """The table of files, with no row if there is none yet."""
    pandas = import_extra("pandas", "search")
    if not (folder / FILES).exists():
        return pandas.DataFrame({"file": [], "size_bytes": []})
    texts = {"config": str, "signature": str, "commonest": str}
    return pandas.read_csv(folder / FILES, keep_default_na=False, dtype=texts)


def _read(job, folder, files, device):
    """What is in the folder of a job that is done."""
    run = Run(folder / "latest")
    config = run.network().space.config(files["config"][0])
    return _result(job, folder, run, config, run.table(), files, device)


def _shape(images, recipe):
    return resolved_shape(images.image_shape, recipe.image_size)


def _find_rate(path, name, model, batches):
    """A learning rate by a range test, which is remembered."""
    known = read_json(path)
    if name not in known:
        print(f"Looking for a learning rate ({name})")
        low, high, default = _RATES_OF[name]
        try:
            found = training.find_learning_rate(model, batches).suggested / 2
        except ValueError as error:
            print(f"The range test found none, so it is {default}: {error}")
            if name != "resizable":
                print("For a .keras file: is `input_range` what it was trained with?")
            found = default
        known[name] = min(max(found, low), high)
        _write(known, path)
    return known[name]


def _write(contents, path):
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(contents, indent=2) + "\n")


def _rate_of_network(recipe, images, find_rate):
    """A learning rate of a network that starts from nothing."""
    network = make_network(
        recipe,
        "resizable",
        None,
        image_shape=_shape(images, recipe),
        classes=len(images.class_names),
    )
    steps = data.steps_per_epoch(images, recipe.batch_size)
    compile_network(network, recipe, "resizable", None, steps_per_epoch=steps)
    return find_rate("resizable", network, train_data(recipe, images))


def _train(recipe, images, folder):
    """The run of the resizable network."""
    finished = Run(folder / "latest")
    if count_epochs(finished.folder) >= recipe.epochs:
        return finished
    print(f"Training the resizable network, {recipe.epochs} epochs")
    return runs.train(recipe, root=folder, images=images)


def _evaluate(job, run, network, images, device):
    """The lookup table, with latencies if there is a limit of them."""
    configs = evaluated_configs(job, run.network().space)
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
        table = search.merge_tables(without_measured(table, new), new)
        write_table(table, run.table_path)
    return table


def _fine_tune(job, run, network, config, images, source):
    """The chosen sub-network after more training, if that made it better."""
    steps = data.steps_per_epoch(images, run.recipe.batch_size)
    how = {
        "epochs": job.passes("tuning_epochs", steps),
        "learning_rate": _TUNED_RATE * run.recipe.learning_rate,
        "weights": "all",
        "seed": job.seed,
    }
    known = {"config": list(config)} | how
    done = [
        Run(path.parent)
        for path in run.folder.glob(f"finetuned/*/{SAMPLES}")
        if known.items() <= Run(path.parent).settings.items()
    ]
    if done:
        tuned = done[0]
    else:
        print(f"Fine-tuning {config}, {how['epochs']} epochs")
        teacher = False if source is None else load_model(source)
        tuned = runs.fine_tune(run, config, teacher=teacher, images=images, **how).run
    samples = search.load_samples(tuned.folder / SAMPLES)
    before, after = samples.right.mean(axis=1)
    print(
        f"Fine-tuning: {100 * before:.2f} -> {100 * after:.2f} % of the validation "
        "photos"
    )
    if after > before:
        return load_model(tuned.model_path)
    return network.sub_network(config, calibrate_with=run.calibration())
