"""Compares the memory of interpreters of a bundle, of one file and of four files.

    python benchmarks/bundle_memory.py

Converts the four uniform sub-networks of a ResNet-50 at 224 px to int8, as four files
and as a bundle of them. Measures the resident memory that opening and running add, each
in a fresh process: for the file of the largest, for the four files one after the other,
and for the bundle after one, two, three and all of its signatures have run. Writes
benchmarks/results/bundle_memory.json.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
from absl import app, flags

from keras_resizable import ResNet50
from keras_resizable.export import to_bundle, to_tflite_files
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_integer("image_size", 224, "Height and width.")

SCALES = (1.0, 0.9, 0.8, 0.7)
RESULTS = pathlib.Path(__file__).parent / "results" / "bundle_memory.json"
# Runs all signatures of the given files; prints the MB added after each signature.
PROGRAM = """
import json, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
def resident():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
before, kept, added = resident(), [], []
for path in sys.argv[1:]:
    interpreter = Interpreter(path, num_threads=1)
    kept.append(interpreter)
    for name in interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(name)
        inputs = {
            key: np.zeros(of["shape"], of["dtype"])
            for key, of in runner.get_input_details().items()
        }
        runner(**inputs)
        kept.append(runner)
        added.append(resident() - before)
print(json.dumps(added))
"""


def megabytes(*paths):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, paths)],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(result.stdout)


def main(argv):
    keras.utils.set_random_seed(0)
    size = FLAGS.image_size
    network = ResNet50(SCALES, input_shape=(size, size, 3), classes=1000)
    images = np.random.default_rng(0).random((8, size, size, 3), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        configs = [(scale,) * network.space.num_stages for scale in SCALES]
        files = to_tflite_files(
            network,
            configs,
            folder,
            quantize="int8",
            calibrate_with=images,
            evaluate_with=(images, np.arange(8)),  # Not trained.
            max_loss=1.0,
        )
        paths = [file.path for file in files]
        bundle = pathlib.Path(folder) / "bundle.tflite"
        to_bundle(paths, bundle)
        results = {
            "file_mb": paths[0].stat().st_size / 1e6,
            "bundle_mb": bundle.stat().st_size / 1e6,
            "one file": megabytes(paths[0])[-1],
            "four files": megabytes(*paths)[-1],
            "bundle, by signatures run": megabytes(bundle),
        }
    with replacing(RESULTS) as path:
        path.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    app.run(main)
