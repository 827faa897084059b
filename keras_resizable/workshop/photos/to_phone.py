"""From a folder of photos to files for the phone, in one call."""

import dataclasses
import logging
import os
import pathlib
import shutil
from typing import TYPE_CHECKING, Any

import keras

from keras_resizable import devices
from keras_resizable.export.flatbuffer import add_metadata
from keras_resizable.export.slices import slices_path
from keras_resizable.search import Table
from keras_resizable.space import Configuration
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import replacing
from keras_resizable.workshop.photos.app_files import write_app
from keras_resizable.workshop.photos.estimate import work_of
from keras_resizable.workshop.photos.findings import (
    answers_of,
    find,
    note_on_uneven,
    threshold_of,
)
from keras_resizable.workshop.photos.job import Job
from keras_resizable.workshop.photos.job_report import write_job_report
from keras_resizable.workshop.photos.material import (
    AFTER_SOURCE,
    Material,
    read,
    settings_of,
)
from keras_resizable.workshop.photos.phone_files import (
    measure_files,
    notes_on,
    write_files,
)
from keras_resizable.workshop.photos.photo_problems import SPLITS, examine
from keras_resizable.workshop.photos.progress import FILES_PART, Progress
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
    SETTINGS,
    check_root,
    open_run,
    write_label_lines,
)

if TYPE_CHECKING:
    import pandas

_LOG = logging.getLogger(__name__)
# In the job's folder, which has at its top what a person needs.
TRAINING = "training"  # What is trained.
MORE = "more"  # Other files, and results as tables.
CHOICE = "training/choice.json"  # Written last, when all is done.
FILES = "more/files.csv"
PHOTOS = "photos.json"  # The split of each photo.
_NEEDED = {
    "photos": ("sklearn",),
    "search": ("pandas", "scipy", "matplotlib", "bokeh"),
    "tflite": ("ai_edge_litert", "litert_quantizer"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForPhone:
    """The result of `to_phone`.

    Attributes:
        folder: The job's folder: the chosen `.tflite` file, `labels.txt`,
            `report.html`, `card.md`, and programs in `app/`; other files and tables are
            in `more/`, and all trained networks in `training/`.
        run: The `Run` of the resizable network.
        config: The chosen configuration.
        table: The lookup table, on the validation photos.
        files: A row for each file and signature: its configuration, size, latency, and
            top-1 on the held-out test photos with its 95 % confidence interval.
        notes: Warnings, a sentence each: the first file is no better than always giving
            one answer, or slower than the limit; classes are uneven.
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
            returns a finished one, reuses all training of a job that differs only in
            limits, `tuning_epochs`, `io`, `max_loss` or device, and the trained model
            of one that also differs in `scales` or `resizable_epochs`.

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
    untrained = material.untrained()  # Raises before training if it cannot be made.
    folder = open_run(
        job.name,
        settings,
        lambda folder: False,  # A finished job can be reused, too.
        root=pathlib.Path(root) / "photos",
        new=new,
    )
    if files_of_done(folder, choice_settings) is not None:
        _LOG.info(f"All is done in {folder}")
    else:
        is_begun = (folder / TRAINING / RATES).exists()
        _LOG.info(f"{'Resuming' if is_begun else 'Folder:'} {folder}")
        _tell_changes(folder, settings, material)
        if not new:
            _reuse_source(folder, settings)
        progress = Progress(work_of(material, material.count_flops(untrained)))
        _make(folder, material, device, progress)
        write_json(choice_settings, folder / CHOICE)
    run, files = Run(folder / TRAINING / "latest"), _read_files(folder)
    return ForPhone(
        folder=folder,
        run=run,
        config=run.network().space.config(files["config"][0]),
        table=run.table(),
        files=files,
        notes=notes_of(files, material, device),
    )


def notes_of(
    files: "pandas.DataFrame", material: Material, device: devices.Device
) -> list[str]:
    """Warnings about the chosen file and its photos, a sentence each."""
    notes = notes_on(files, device.name, material.job.max_latency_ms)
    return [*notes, *filter(None, [note_on_uneven(material)])]


def _make(folder, material, device, progress):
    """Trains what is missing, and makes the files and reports."""
    training = folder / TRAINING
    source = train_source(material, training, progress)
    run = train_network(material, source, training, progress)
    choice = choose(material, run, device, progress)
    tuned = fine_tune(material, run, choice, source, progress)
    progress.begin(FILES_PART)
    new = training / "new"
    shutil.rmtree(new, ignore_errors=True)
    made = write_files(
        material, run, choice, tuned, source, new, parts_folder=training / "bundle"
    )
    files = measure_files(made, material, device, new)
    _write_results(new, made[0], material, files, device)
    choice.table.report(new / MORE, material.job.title, run.settings, files=files)
    with replacing(new / FILES) as path:
        files.to_csv(path, index=False)
    _replace_files(folder, new)


def _write_results(folder, made, material, files, device):
    """Writes what a person needs next to the chosen file."""
    _LOG.info("Examining the photos, and the answers of the file")
    findings = test = None
    if material.images.is_labelled:
        photos = material.photos
        validation, test = (
            answers_of(made, split, material)
            for split in (photos.validation, photos.test)
        )
        unknown = None
        if photos.unknown is not None:
            unknown = answers_of(made, photos.unknown, material).confidences
        findings = find(material, validation, test, unknown)
        thresholds = [*map(dataclasses.asdict, findings.thresholds)]
        about: dict[str, Any] = {"thresholds": thresholds}
        if unknown is not None and (least := threshold_of(findings)) is not None:
            about["score_threshold"] = least
        add_metadata(made.path, about)
        files.loc[0, "size_bytes"] = made.path.stat().st_size
    write_label_lines(material.images.class_names, folder / "labels.txt")
    write_app(made.path, folder / "app", material.job.title)
    write_job_report(
        folder,
        material,
        files,
        device.name,
        notes_of(files, material, device),
        findings,
        test,
        examine(material),
    )


def _tell_changes(folder, settings, material):
    """Tells how the photos differ from those of the last job on this folder."""
    path = folder / TRAINING / PHOTOS
    if path.exists():
        return
    now = {
        photo.path: split
        for split in SPLITS
        for photo in getattr(material.photos, split).photos
    }
    write_json(now, path)
    for other in sorted(folder.parent.glob(f"*/{TRAINING}/{PHOTOS}"), reverse=True):
        known = read_json(other.parents[1] / SETTINGS)
        is_same_folder = known.get("images") == settings["images"]
        if is_same_folder and known.get("photos") != settings["photos"]:
            before = read_json(other)
            new, gone = len(now.keys() - before.keys()), len(before.keys() - now.keys())
            _LOG.info(
                f"Photos since {other.parents[1]}: {new:,} new, {gone:,} gone; all is "
                "trained again"
            )
            return


def _reuse_source(folder, settings):
    """Copies the trained source of a job that differs only in later settings."""
    if (folder / TRAINING / "source.keras").exists():
        return

    def without_later(values):
        return {k: v for k, v in values.items() if k not in (*AFTER_SOURCE, "versions")}

    for other in sorted(folder.parent.glob(f"*/{TRAINING}/source.keras"), reverse=True):
        known = read_json(other.parents[1] / SETTINGS)
        if without_later(known) == without_later(settings):
            _LOG.info(f"Using the trained model of {other.parents[1]}")
            rates = read_json(other.with_name(RATES))
            rates.pop("resizable", None)
            write_json(rates, folder / TRAINING / RATES)
            with replacing(folder / TRAINING / other.name) as path:
                shutil.copyfile(other, path)
            return


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


def _replace_files(folder, new):
    """Replaces the files of other limits, once all new ones exist."""
    (folder / CHOICE).unlink(missing_ok=True)
    for name in set(_read_files(folder)["file"]):
        (folder / name).unlink(missing_ok=True)
        slices_path(folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "app", ignore_errors=True)
    for path in sorted(path for path in new.rglob("*") if path.is_file()):
        target = folder / path.relative_to(new)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
    shutil.rmtree(new)


def _read_files(folder):
    """The table of files, without rows if there is none yet."""
    pandas = import_extra("pandas", "search")
    if not (folder / FILES).exists():
        return pandas.DataFrame({"file": [], "size_bytes": []})
    texts = {"config": str, "signature": str, "commonest": str}
    return pandas.read_csv(folder / FILES, keep_default_na=False, dtype=texts)
