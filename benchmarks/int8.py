"""What quantizing costs in accuracy.

    make demo
    python benchmarks/int8.py

Converts the uniform sub-networks of a ResNet-20 that the demo has trained on the
embedded sample, in float32, with dynamic ranges and in int8, alone and as a bundle, and
evaluates each on all test images. Writes benchmarks/results/int8.json.
"""

import json
import pathlib
import tempfile
from typing import Any

import numpy as np
from absl import app, flags

from keras_resizable import data
from keras_resizable.export import (
    run_tflite,
    signature_name,
    to_bundle,
    to_tflite_files,
)
from keras_resizable.runs import LATEST, Run
from keras_resizable.search import paired_test
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_string("run", str(LATEST), "Folder of a run on the sample.")

RESULTS = pathlib.Path(__file__).parent / "results" / "int8.json"


def main(argv):
    run = Run(FLAGS.run)
    network, calibration = run.network(), run.calibration()
    shape = network.stem.input_shape[1:]
    (images, labels), *_ = data.eval_dataset(data.load("sample").test, shape, 2000)
    configs = [(scale,) * network.space.num_stages for scale in network.space.scales]
    right, sizes = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for quantize in ("none", "dynamic", "int8"):
            paths = []
            for config, path, _ in to_tflite_files(
                network, configs, folder, quantize=quantize, calibrate_with=calibration
            ):
                paths.append(path)
                outputs = run_tflite(path, images)
                right[config, quantize] = outputs.argmax(axis=1) == labels
            bundle = pathlib.Path(folder) / f"bundle_{quantize}.tflite"
            result = to_bundle(paths, bundle)
            largest = max(path.stat().st_size for path in paths)
            sizes[quantize] = result["size_bytes"] / largest
            for config in configs:
                name = signature_name(network.space, config)
                outputs = run_tflite(bundle, images, name)
                right[config, f"{quantize}, bundle"] = outputs.argmax(axis=1) == labels
    rows: list[dict[str, Any]] = []
    for (config, quantize), of in right.items():
        test = paired_test(of, right[config, "none"])
        rows.append(
            {
                "config": str(network.space.config(config)),
                "quantize": quantize,
                "top1": float(np.mean(of)),
                "minus_float32": test.difference,
                "standard_error": test.standard_error,
            }
        )
        print(
            f"{rows[-1]['config']}  {quantize:16} {100 * rows[-1]['top1']:.2f} %  "
            f"{100 * test.difference:+.2f} points"
        )
    print({name: round(size, 3) for name, size in sizes.items()})
    with replacing(RESULTS) as path:
        contents = {"bundle_over_largest_file": sizes, "rows": rows}
        path.write_text(json.dumps(contents, indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
