"""Compares training a resizable ResNet-50 with plain Keras models, on this machine.

    python benchmarks/training.py

Prints three ratios, and writes them and all measurements to
benchmarks/results/training.json:

- step: a step on the fixed plan of the uniform configurations, relative to the sum of a
  step of each of the single-scale models. Both sides run in one process, through `fit`,
  and take turns; tracing is not measured.
- first step: the time from the start of building the model to the end of its first
  step, relative to the largest single-scale model. Each side runs in separate
  processes, which take turns.
- memory: the peak above the memory after imports, relative to the largest single-scale
  model, in the same processes.

Nothing else should run at the same time.
"""

import json
import pathlib
import resource
import subprocess
import sys
import time

import keras
import numpy as np
import psutil
import tensorflow as tf
from absl import app, flags
from plain_resnet50 import plain_resnet50

import keras_resizable
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_integer("image_size", 96, "Height and width of the images.")
flags.DEFINE_integer("batch_size", 16, "Images per step.")
flags.DEFINE_integer("rounds", 7, "Number of turns of each side.")
flags.DEFINE_integer("steps", 3, "Steps per turn.")
flags.DEFINE_integer("processes", 3, "Number of processes of each side.")
flags.DEFINE_enum("side", None, ["plain", "resizable"], "For a separate process.")

SCALES = (1.0, 0.9, 0.8, 0.7)
RESULTS = pathlib.Path(__file__).parent / "results" / "training.json"


class StepTimes(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds.append(time.perf_counter() - self._start)


def plain(scale=1.0):
    model = plain_resnet50(FLAGS.image_size, scale)
    compile_model(model)
    return model


def resizable():
    size = FLAGS.image_size
    network = keras_resizable.ResNet50(SCALES, input_shape=(size, size, 3))
    configs = [(scale,) * network.space.num_stages for scale in SCALES]
    compile_model(network, sampler=keras_resizable.FixedSampler(configs))
    return network


def compile_model(model, **options):
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **options,
    )


def step_seconds(model, steps):
    size = FLAGS.image_size
    generator = np.random.default_rng(0)
    images = generator.random((FLAGS.batch_size, size, size, 3), np.float32)
    labels = generator.integers(0, 1000, FLAGS.batch_size)
    dataset = tf.data.Dataset.from_tensors((images, labels)).repeat(steps)
    times = StepTimes()
    model.fit(dataset, verbose=0, callbacks=[times], shuffle=False)
    return times.seconds


def measure_steps():
    return measure_rounds([plain(scale) for scale in SCALES], resizable())


def measure_rounds(models, network):
    """A step of the network, relative to the sum of a step of each model."""
    for model in (*models, network):
        step_seconds(model, 1)
    rounds = []
    for _ in range(FLAGS.rounds):
        plain_seconds = [np.median(step_seconds(m, FLAGS.steps)) for m in models]
        seconds = np.median(step_seconds(network, FLAGS.steps))
        rounds.append({"plain": plain_seconds, "resizable": seconds})
        print(f"  {seconds:.2f} s over {sum(plain_seconds):.2f} s", flush=True)
    ratios = [r["resizable"] / sum(r["plain"]) for r in rounds]
    return {"ratio": np.median(ratios), "rounds": rounds}


def measure_alone():
    """Prints the first step's time and the peak memory; runs in a separate process."""
    after_imports = psutil.Process().memory_info().rss
    start = time.perf_counter()
    model = plain() if FLAGS.side == "plain" else resizable()
    step_seconds(model, 1)
    first = time.perf_counter() - start
    step_seconds(model, FLAGS.steps)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"first_step": first, "memory": peak - after_imports}))


def measure_processes():
    sides: dict[str, list[dict[str, float]]] = {"plain": [], "resizable": []}
    for _ in range(FLAGS.processes):
        for side, measured in sides.items():
            output = subprocess.run(
                [sys.executable, *sys.argv, f"--side={side}"],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            measured.append(json.loads(output.splitlines()[-1]))
            print(f"  {side}: {measured[-1]}", flush=True)
    return {
        what: {
            "ratio": np.median([m[what] for m in sides["resizable"]])
            / np.median([m[what] for m in sides["plain"]]),
            **{side: [m[what] for m in measured] for side, measured in sides.items()},
        }
        for what in ("first_step", "memory")
    }


def main(argv):
    if FLAGS.side is not None:
        measure_alone()
        return
    print("First step and memory")
    results = measure_processes()
    print("Steps")
    results["step"] = measure_steps()
    results["versions"] = {"keras": keras.__version__, "tensorflow": tf.__version__}
    with replacing(RESULTS) as path:
        path.write_text(json.dumps(results, indent=2) + "\n")
    for what in ("step", "first_step", "memory"):
        print(f"{what}: {results[what]['ratio']:.2f}")


if __name__ == "__main__":
    app.run(main)
