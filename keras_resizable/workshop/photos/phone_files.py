"""The last step of a job: writing its files and measuring them on test photos."""

import functools
import logging
import pathlib
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import tensorflow as tf

from keras_resizable import devices, export
from keras_resizable.export.saved_model import signature_name
from keras_resizable.export.slices import add_results
from keras_resizable.space import Configuration
from keras_resizable.subnetworks.flops import count_flops
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.intervals import wilson_interval
from keras_resizable.workshop import data
from keras_resizable.workshop.photos.material import Material
from keras_resizable.workshop.photos.steps import Choice
from keras_resizable.workshop.recipes.building import has_center_crop
from keras_resizable.workshop.runs import Run
from keras_resizable.workshop.runs.keras_files import load_model

if TYPE_CHECKING:
    import pandas

_LOG = logging.getLogger(__name__)


class Made(NamedTuple):
    """A signature of a file.

    Args:
        path: Path of the file.
        signature: Name of the signature; None for a file with one.
        config: The configuration; None for the source.
        model: The converted Keras model.
    """

    path: pathlib.Path
    signature: str | None
    config: Configuration | None
    model: keras.Model


def write_files(
    material: Material,
    run: Run,
    choice: Choice,
    tuned: keras.Model,
    source: pathlib.Path | None,
    folder: pathlib.Path,
    parts_folder: pathlib.Path,
) -> list[Made]:
    """Writes the int8 files, the chosen sub-network's first, and others into `more/`.

    Args:
        material: The photos and the model.
        run: The run of the resizable network.
        choice: The chosen sub-network and its neighbours.
        tuned: The chosen sub-network, fine-tuned.
        source: The path of the whole model, if there is one.
        folder: The folder of the new files.
        parts_folder: The folder that keeps the parts of the bundle.

    Raises:
        ValueError: If the file of the chosen sub-network loses too much accuracy.
    """
    network, config = choice.network, choice.config
    options: dict[str, Any] = material.file_options | run.export_options()
    options["calibrate_with"] = run.calibration()
    options["evaluate_with"] = run.evaluation()
    name, more = material.job.name, folder / "more"
    path = folder / f"{name}_{config.key}_int8.tflite"
    _LOG.info("Writing int8 files")
    of_tuned = options["metadata"] | {"config": str(config)}
    file = export.to_tflite(tuned, path, **options | {"metadata": of_tuned})
    _LOG.info(f"{path.name}: {file.accuracy}")
    made = [Made(path, None, config, tuned)]
    parts: dict[Configuration, pathlib.Path] = {}
    for neighbour in choice.neighbours:
        try:
            (file,) = export.to_tflite_files(
                network, [neighbour], parts_folder, **options
            )
            parts[neighbour] = file.path
        except ValueError as error:
            _LOG.info(f"Leaving {neighbour} out of the bundle: {error}")
    if len(parts) < 2:
        _LOG.info(
            "No bundle: no neighbour of the chosen sub-network in cost could join it."
        )
    else:
        path = more / f"{name}_bundle_int8.tflite"
        export.to_bundle(list(parts.values()), path)
        for part in parts:
            model = network.sub_network(part, calibrate_with=run.calibration())
            made.append(Made(path, signature_name(network.space, part), part, model))
    if source is not None:
        whole, path = load_model(source), more / "source_int8.tflite"
        try:
            export.to_tflite(whole, path, **options | {"max_loss": 1.0})
            made.append(Made(path, None, None, whole))
        except ValueError as error:
            _LOG.info(f"No file of the whole model, to compare with: {error}")
    return made


def measure_files(
    made: list[Made],
    material: Material,
    device: devices.Device,
    folder: pathlib.Path,
) -> "pandas.DataFrame":
    """A table with size, latency and accuracy of each signature.

    Files are named by their path in `folder`.
    """
    pandas = import_extra("pandas", "search")
    _LOG.info(f"Measuring the files on the test photos and on {device.name}")
    photos = material.photos
    has_crop = has_center_crop(material.recipe)
    test = data.eval_dataset(photos.test, material.shape, 256, center_crop=has_crop)
    results = device.measure(list(dict.fromkeys(one.path for one in made)), 1, 5, 50)
    add_results(results, device.name)
    latencies = {
        (pathlib.Path(result["path"]), result.get("signature")): result["median_ms"]
        for result in results
    }
    rows, score = [], "top1" if photos.is_labelled else "source_agreement"
    for path, signature, config, model in made:
        accuracy = export.evaluate_tflite(
            path,
            test,
            signature=signature,
            compare_with=tf.function(functools.partial(model, training=False)),
        )
        low, high = wilson_interval(accuracy.top1 or 0.0, accuracy.num_images)
        rows.append(
            {
                "file": path.relative_to(folder).as_posix(),
                "signature": signature or "",
                "config": "" if config is None else str(config),
                "flops": count_flops(model),
                "size_bytes": path.stat().st_size,
                f"latency_ms_{device.name}": latencies[path, signature],
                score: accuracy.top1,
                f"{score}_low": low,
                f"{score}_high": high,
                "num_images": accuracy.num_images,
                "commonest": photos.class_names[accuracy.commonest_class],
                "commonest_share": accuracy.commonest_share,
                "difference_to_keras": accuracy.difference,
                "agreement": accuracy.agreement,
                "ties": accuracy.ties,
            }
        )
    return pandas.DataFrame(rows)


def score_of_files(files: "pandas.DataFrame") -> str:
    """The column to compare files by: accuracy, or agreement with the source."""
    return "top1" if "top1" in files else "source_agreement"


def notes_on(
    files: "pandas.DataFrame", device: str, max_latency_ms: float | None
) -> list[str]:
    """Warnings about the first file, a sentence each."""
    chosen, notes = files.iloc[0], []
    score = score_of_files(files)
    if chosen[f"{score}_low"] <= chosen["commonest_share"]:
        notes.append(
            f"No better than always answering {chosen['commonest']!r} "
            f"({100 * chosen['commonest_share']:.0f} %), as far as "
            f"{chosen['num_images']} test photos can tell."
        )
    column = f"latency_ms_{device}"
    if max_latency_ms is None or chosen[column] <= max_latency_ms:
        return notes
    note = (
        f"It takes {chosen[column]:.2f} ms, beyond the limit of {max_latency_ms:g} ms, "
        "which the float32 sub-network kept."
    )
    within = files[(files["config"] != "") & (files[column] <= max_latency_ms)]
    if len(within):
        best = within.sort_values(score, ascending=False).iloc[0]
        name = f"{best['file']} {best['signature']}".strip()
        note += f" {name} takes {best[column]:.2f} ms."
    return [*notes, note]
