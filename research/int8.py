"""Measures the accuracy that quantizing costs.

    make demo
    python research/int8.py
    python research/int8.py runs/one runs/another

Converts the uniform sub-networks of trained runs in all precisions, alone and as
bundles, and runs the files on all images that the run was evaluated on. Writes
research/results/int8.csv; the table is in results.md.
"""

import functools
import pathlib
import tempfile
from typing import Any

import pandas
import tensorflow as tf
from absl import app, flags

from keras_resizable import export
from keras_resizable.export.saved_model import signature_name
from keras_resizable.workshop.runs import Run
from keras_resizable.workshop.runs.folders import LATEST

FLAGS = flags.FLAGS
flags.DEFINE_integer("num_images", 10_000, "Images to evaluate on, at most.", 1)

RESULTS = pathlib.Path(__file__).parent / "results" / "int8.csv"
# Precision of the files, and of the inputs and outputs of int8 files.
PRECISIONS = [("none", "int8"), ("float16", "int8"), ("dynamic", "int8")]
PRECISIONS += [("int8", "int8"), ("int8", "float32")]


def measure(run):
    """A row for each file and signature."""
    network, calibration = run.network(), run.calibration()
    test = run.test_data().unbatch().take(FLAGS.num_images).batch(250).cache()
    space = network.space
    configs = [(scale,) * space.num_stages for scale in space.scales]
    models = [
        network.sub_network(config, calibrate_with=calibration) for config in configs
    ]
    with tempfile.TemporaryDirectory() as folder:
        for quantize, io in PRECISIONS:
            files = export.to_tflite_files(
                network,
                configs,
                folder,
                quantize=quantize,
                io=io,
                calibrate_with=calibration,
            )
            paths = [file.path for file in files]
            bundle = pathlib.Path(folder) / "bundle.tflite"
            made = export.to_bundle(paths, bundle)
            largest = max(path.stat().st_size for path in paths)
            for config, path, model in zip(configs, paths, models):
                run_model = tf.function(functools.partial(model, training=False))
                accuracy = export.evaluate_tflite(path, test, compare_with=run_model)
                name = signature_name(space, config)
                of_bundle = export.evaluate_tflite(bundle, test, signature=name)
                row: dict[str, Any] = {
                    "network": network.name,
                    "params": model.count_params(),
                    "config": str(space.config(config)),
                    "quantize": quantize,
                    "io": io if quantize == "int8" else "float32",
                    **accuracy.as_metadata(),
                    "top1_in_bundle": of_bundle.top1,
                    "size_bytes": path.stat().st_size,
                    "bundle_over_largest_file": made.size_bytes / largest,
                }
                print(f"{network.name} {row['config']} {quantize:8} {accuracy}")
                yield row


def main(argv):
    runs = [Run(path) for path in argv[1:] or [LATEST]]
    table = pandas.DataFrame([row for run in runs for row in measure(run)])
    table.to_csv(RESULTS, index=False)
    print(table.drop(columns=["num_images", "top5"]).round(4).to_string(index=False))


if __name__ == "__main__":
    app.run(main)
