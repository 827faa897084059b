"""Compares converting a sub-network to TFLite with Keras's export, on this machine.

    python benchmarks/conversion.py

Measures the CPU time of a conversion to float32 at 224 px, relative to
`keras.Model.export` of the same model. The sides take turns, and the minimum of each is
used. Writes benchmarks/results/conversion.json.
"""

import json
import pathlib
import tempfile
import time

import keras
import tensorflow as tf
from absl import app, flags

import keras_resizable
from keras_resizable.export import tflite
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", "ResNet50,MobileNetV2", "Networks to measure.")
flags.DEFINE_integer("image_size", 224, "Height and width of the images.")
flags.DEFINE_integer("rounds", 3, "Number of turns of each side.")

RESULTS = pathlib.Path(__file__).parent / "results" / "conversion.json"


def export(model, path):
    model.export(
        str(path),
        format="litert",
        input_signature=[tf.TensorSpec((1, *model.input_shape[1:]))],
        verbose=False,
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
    )


def measure(name):
    size = FLAGS.image_size
    network = getattr(keras_resizable, name)(input_shape=(size, size, 3))
    model = network.sub_network("0.7")
    seconds: dict[str, list[float]] = {"ours": [], "keras": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(FLAGS.rounds):
            for side, convert in (("ours", tflite.convert), ("keras", export)):
                start = time.process_time()
                convert(model, pathlib.Path(folder) / f"{side}.tflite")
                seconds[side].append(time.process_time() - start)
    return {"ratio": min(seconds["ours"]) / min(seconds["keras"]), **seconds}


def main(argv):
    results = {"versions": {"keras": keras.__version__, "tensorflow": tf.__version__}}
    for name in FLAGS.networks:
        results[name] = measure(name)
        with replacing(RESULTS) as path:
            path.write_text(json.dumps(results, indent=2) + "\n")
        print(f"{name}: {results[name]['ratio']:.2f}", flush=True)


if __name__ == "__main__":
    app.run(main)
