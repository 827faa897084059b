"""The files of a job: written, and measured on photos that nothing was chosen with."""

import functools
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_resizable import data, devices, export, recipes, search
from keras_resizable.data.pipeline import resolved_shape
from keras_resizable.export.saved_model import signature_name
from keras_resizable.network import ResizableNetwork
from keras_resizable.photos.job import Job
from keras_resizable.recipes.building import has_center_crop
from keras_resizable.runs import Run
from keras_resizable.runs.saving import load_model
from keras_resizable.space import Configuration, SpatialSpace
from keras_resizable.subnetworks.flops import count_flops
from keras_resizable.utils.extras import import_extra

if TYPE_CHECKING:
    import pandas

_STEP = 1.5  # By how much the neighbours in a bundle cost less or more.


class Made(NamedTuple):
    """A file, or a signature of it.

    Args:
        path: Path of the file.
        signature: Name of the signature; None of a file with one.
        config: The configuration; None of the source.
        model: The model of Keras that it was made of.
    """

    path: pathlib.Path
    signature: str | None
    config: Configuration | None
    model: keras.Model


def write_files(
    job: Job,
    run: Run,
    network: ResizableNetwork,
    configs: Sequence[Configuration],
    chosen: tuple[Configuration, keras.Model],
    folder: pathlib.Path,
    source: str | os.PathLike | None,
    parts: pathlib.Path,
) -> list[Made]:
    """Writes the int8 files.

    Args:
        job: A `Job`.
        run: The `Run` of the resizable network.
        network: That network.
        configs: Configurations of the bundle, the chosen one among them.
        chosen: The chosen configuration, and its sub-network.
        folder: The folder to write to.
        source: Path of the source, to compare with; None if there is none.
        parts: The folder for files of a signature each, which are kept.

    Returns:
        What was made, the file of the chosen sub-network first.

    Raises:
        ValueError: If the file of the chosen sub-network loses too much accuracy.
    """
    options: dict[str, Any] = {
        "quantize": "int8",
        "io": job.io,
        "calibrate_with": run.calibration(),
        "evaluate_with": run.evaluation(),
    }
    about = run.preprocessing() | {"labels": run.labels()}
    config, model = chosen
    path = folder / f"{network.name}_{config.key}_int8.tflite"
    print("Writing int8 files")
    result = export.to_tflite(
        model,
        path,
        metadata=about | {"config": str(config)},
        max_loss=job.max_loss,
        **options,
    )
    print(f"{path.name}: {result['accuracy']}")
    made = [Made(path, None, config, model)]
    made += _write_bundle(job, run, network, configs, folder, parts, about, options)
    if source is not None:
        whole, path = load_model(source), folder / "source_int8.tflite"
        try:
            export.to_tflite(whole, path, metadata=about, max_loss=1.0, **options)
            made.append(Made(path, None, None, whole))
        except ValueError as error:
            print(f"Without a file of the whole model, to compare with: {error}")
    return made


def _write_bundle(job, run, network, configs, folder, parts_folder, about, options):
    """A bundle of the configurations that lose no more than the job allows."""
    parts: dict[Configuration, pathlib.Path] = {}
    for config in configs:
        try:
            ((_, parts[config], _),) = export.to_tflite_files(
                network,
                [config],
                parts_folder,
                metadata=about,
                max_loss=job.max_loss,
                **options,
            )
        except ValueError as error:
            print(f"Without {config} in the bundle: {error}")
    if len(parts) < 2:
        print("No bundle: no sub-network of about the cost of the chosen one joins it.")
        return []
    path = folder / f"{network.name}_bundle_int8.tflite"
    export.to_bundle(list(parts.values()), path)
    calibration = run.calibration()
    return [
        Made(
            path,
            signature_name(network.space, config),
            config,
            network.sub_network(config, calibrate_with=calibration),
        )
        for config in parts
    ]


def neighbours(
    table: "pandas.DataFrame", space: SpatialSpace, chosen: Configuration, cost: str
) -> list[Configuration]:
    """The chosen configuration and the best ones that cost less and more.

    Args:
        table: The lookup table.
        space: `SpatialSpace` of its configurations.
        chosen: The chosen configuration.
        cost: Column of the table.

    Returns:
        Up to three, the dearest first.
    """
    costs = table.set_index("config")[cost]
    middle = costs[str(chosen)]
    configs = [chosen]
    for low, high in ((0, middle / _STEP), (middle * 1.0001, middle * _STEP)):
        rows = table[(table[cost] > low) & (table[cost] <= high)]
        if len(rows):
            best = rows.sort_values(["top1", cost], ascending=[False, True]).iloc[0]
            configs.append(space.config(best["config"]))
    return sorted(configs, key=lambda config: -costs[str(config)])


def measure_files(
    made: Sequence[Made],
    images: data.ImageSet,
    recipe: recipes.Recipe,
    device: devices.Device,
) -> "pandas.DataFrame":
    """A row for each file and signature: its size, its latency and its accuracy.

    Args:
        made: What `write_files` made.
        images: The photos, with those to test.
        recipe: The recipe of the resizable network.
        device: What to measure latencies on.
    """
    pandas = import_extra("pandas", "search")
    print(f"Measuring the files on the test photos and on {device.name}")
    test = data.eval_dataset(
        images.test,
        resolved_shape(images.image_shape, recipe.image_size),
        256,
        center_crop=has_center_crop(recipe),
    )
    results = device.measure(list(dict.fromkeys(one.path for one in made)), 1, 5, 50)
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
        right = np.arange(accuracy.num_images) < round(
            accuracy.top1 * accuracy.num_images
        )
        low, high = search.confidence_interval(right)
        rows.append(
            {
                "file": path.name,
                "signature": signature or "",
                "config": "" if config is None else str(config),
                "flops": count_flops(model),
                "size_bytes": path.stat().st_size,
                f"latency_ms_{device.name}": latencies[path, signature],
                "top1": accuracy.top1,
                "top1_low": low,
                "top1_high": high,
                "num_images": accuracy.num_images,
                "commonest": images.class_names[accuracy.commonest_class],
                "commonest_share": accuracy.commonest_share,
                "difference_to_keras": accuracy.difference,
                "agreement": accuracy.agreement,
                "ties": accuracy.ties,
            }
        )
    return pandas.DataFrame(rows)


def notes_on(
    files: "pandas.DataFrame", device: str, max_latency_ms: float | None
) -> list[str]:
    """What has to be said of the file of the chosen sub-network, a sentence each.

    Args:
        files: The table of `measure_files`.
        device: Name of the device.
        max_latency_ms: The limit that it was chosen by.
    """
    chosen, notes = files.iloc[0], []
    if chosen["top1_low"] <= chosen["commonest_share"]:
        notes.append(
            f"No better than always saying {chosen['commonest']!r} "
            f"({100 * chosen['commonest_share']:.0f} %), as far as "
            f"{chosen['num_images']} test photos can tell."
        )
    column = f"latency_ms_{device}"
    if max_latency_ms is None or chosen[column] <= max_latency_ms:
        return notes
    note = (
        f"It takes {chosen[column]:.2f} ms, beyond the limit of {max_latency_ms:g} ms, "
        "which was kept by the float32 sub-network."
    )
    within = files[(files["config"] != "") & (files[column] <= max_latency_ms)]
    if len(within):
        best = within.sort_values("top1", ascending=False).iloc[0]
        name = f"{best['file']} {best['signature']}".strip()
        note += f" {name} takes {best[column]:.2f} ms."
    return [*notes, note]
