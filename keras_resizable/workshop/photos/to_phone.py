"""From a folder of photos to files for the phone, in one call."""

import dataclasses
import logging
import os
import pathlib
import shutil
from typing import TYPE_CHECKING

import keras

from keras_resizable import devices
from keras_resizable.export.slices import slices_path
from keras_resizable.search import Table
from keras_resizable.space import Configuration
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import replacing
from keras_resizable.workshop.photos.job import Job
from keras_resizable.workshop.photos.material import read, settings_of
from keras_resizable.workshop.photos.phone_files import (
    measure_files,
    notes_on,
    write_files,
)
from keras_resizable.workshop.photos.steps import (
    RATES,
    choose,
    fine_tune,
    read_json,
    train_network,
    train_source,
    write_json,
)
from keras_resizable.workshop.runs import Run
from keras_resizable.workshop.runs.folders import (
    check_root,
    open_run,
    write_label_lines,
)

if TYPE_CHECKING:
    import pandas

_LOG = logging.getLogger(__name__)
CHOICE = "choice.json"  # Written last, when all is done.
FILES = "files.csv"
_NEEDED = {
    "search": ("pandas", "scipy", "matplotlib", "bokeh"),
    "tflite": ("ai_edge_litert", "litert_quantizer"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForPhone:
    """The result of `to_phone`.

    Attributes:
        folder: The job's folder, with `report.html`, `files.csv`, the `.tflite` files,
            and all trained networks.
        run: The `Run` of the resizable network.
        config: The chosen configuration.
        table: The lookup table, on the validation photos.
        files: A row for each file and signature: its configuration, size, latency, and
            top-1 on the held-out test photos with its 95 % confidence interval.
        notes: Warnings about the first file, a sentence each: it is no better than
            always giving one answer, or slower than the limit.
    """

    folder: pathlib.Path
    run: Run
    config: Configuration
    table: Table
    files: "pandas.DataFrame"
    notes: list[str]


def to_phone(
    job: Job,
    *,
    device: devices.Device | None = None,
    root: str | os.PathLike = "runs",
    new: bool = False,
) -> ForPhone:
    """Turns a folder of photos into files for the phone.

    A Keras model is trained for the classes, first its classifier, then all of it;
    `from_keras` turns it into a resizable network, which trains with the model as its
    teacher; all sub-networks (a random 1,024 if there are more) are evaluated, and
    timed from their pieces if a latency is limited; the best within the limits is
    fine-tuned and becomes an int8 file. A second file, the bundle, holds this
    sub-network and up to two neighbours in cost, not fine-tuned; a third is the whole
    model. Range tests find the learning rates. The sub-network is chosen on validation
    photos, and the files are measured on test photos. The same call resumes an
    interrupted job. Each step is logged (`logging`, level INFO).

    Args:
        job: The settings.
        device: The device to measure latencies on; this machine by default.
        root: Folder of all runs; jobs are in its `photos/`.
        new: Whether to start again. By default the call resumes an interrupted job,
            returns a finished one, and reuses the training of a job that differs only
            in limits, `io`, `max_loss` or device.

    Returns:
        A `ForPhone`.

    Raises:
        FileNotFoundError: If there are no photos.
        ValueError: If a value is not valid, the model cannot be converted, no
            sub-network is within the limits, or an int8 file loses too much accuracy.
            The job keeps its trained networks.
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
    material = read(job)
    settings, choice_settings = settings_of(job)
    choice_settings["device"] = device.name
    material.untrained()  # Raises before training if it cannot be made.
    folder = open_run(
        job.name,
        settings,
        lambda folder: False,  # A finished job can be reused, too.
        root=pathlib.Path(root) / "photos",
        new=new,
    )
    files = files_of_done(folder, choice_settings)
    if files is not None:
        _LOG.info(f"All is done in {folder}")
        run = Run(folder / "latest")
        config, table = run.network().space.config(files["config"][0]), run.table()
    else:
        _LOG.info(f"{'Resuming' if (folder / RATES).exists() else 'Folder:'} {folder}")
        source = train_source(material, folder)
        run = train_network(material, source, folder)
        choice = choose(material, run, device)
        config, table = choice.config, choice.table
        tuned = fine_tune(material, run, choice, source)
        made = write_files(material, run, choice, tuned, source, folder)
        files = measure_files(made, material, device)
        _replace_files(folder, {one.path for one in made})
        write_label_lines(material.images.class_names, folder / "labels.txt")
        title = f"{choice.network.name}: chosen {config}"
        table.report(folder, title, run.settings, files=files)
        with replacing(folder / FILES) as path:
            files.to_csv(path, index=False)
        write_json(choice_settings, folder / CHOICE)
    return ForPhone(
        folder=folder,
        run=run,
        config=config,
        table=table,
        files=files,
        notes=notes_on(files, device.name, job.max_latency_ms),
    )


def files_of_done(
    folder: pathlib.Path, choice: dict[str, object]
) -> "pandas.DataFrame | None":
    """The table of the files made with these settings, if all exist."""
    if read_json(folder / CHOICE) != choice:
        return None
    files = _read_files(folder)
    for name, size in zip(files["file"], files["size_bytes"]):
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            return None
    return files


def _replace_files(folder, paths):
    """Replaces the files of other limits, once all new ones exist."""
    (folder / CHOICE).unlink(missing_ok=True)
    for name in {*_read_files(folder)["file"]} - {path.name for path in paths}:
        (folder / name).unlink(missing_ok=True)
        slices_path(folder / name).unlink(missing_ok=True)
    for path in paths | {path for path in map(slices_path, paths) if path.exists()}:
        os.replace(path, folder / path.name)
    shutil.rmtree(folder / "new")


def _read_files(folder):
    """The table of files, without rows if there is none yet."""
    pandas = import_extra("pandas", "search")
    if not (folder / FILES).exists():
        return pandas.DataFrame({"file": [], "size_bytes": []})
    texts = {"config": str, "signature": str, "commonest": str}
    return pandas.read_csv(folder / FILES, keep_default_na=False, dtype=texts)
