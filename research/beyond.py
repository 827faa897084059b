"""Measures the cost of training options beyond plain Algorithm 1, on this machine.

    PYTHONPATH=benchmarks python research/beyond.py

Prints ratios, and writes them and all measurements to research/results/beyond.json. The
network is a ResNet-50 with four scale factors:

- switched: a step after scheduled switching, on the largest sub-network alone, relative
  to a step of the stock model that is cut out at this size.
- in_place, teacher: a step on the plan of the uniform configurations with distillation
  from the largest, or from another ResNet-50, relative to a step without it.

All steps run through `fit`, and tracing is not measured. The sides take turns, and the
medians of the rounds are reported. Nothing else should run at the same time.
"""

import json
import pathlib

import keras
import numpy as np
import tensorflow as tf
from absl import app
from training import FLAGS, SCALES, compile_model, step_seconds

import keras_resizable
from keras_resizable.utils.files import replacing

RESULTS = pathlib.Path(__file__).parent / "results" / "beyond.json"
KINDS = ("plain", "in_place", "teacher")


def make_network():
    size = FLAGS.image_size
    return keras_resizable.ResNet50(SCALES, input_shape=(size, size, 3))


def make_distilled(kind):
    network = make_network()
    space = network.space
    configs = [(scale,) * space.num_stages for scale in SCALES]
    sampler = keras_resizable.FixedSampler(configs)
    teaching = None if kind == "plain" else kind
    if kind == "teacher":
        largest = network.sub_network(space.largest)
        teaching = keras_resizable.TeacherDistillation(largest)
    compile_model(network, sampler=sampler, distillation=teaching)
    return network


def make_switched():
    """A network that switches to its largest sub-network, and that one cut out."""
    network = make_network()
    space = network.space
    alone = keras_resizable.FixedSampler([space.largest])
    fair = keras_resizable.FairSampler()
    compile_model(network, sampler=keras_resizable.PiecewiseSampler([1], [fair, alone]))
    stock = network.sub_network(space.largest)
    compile_model(stock)
    return network, stock


def measure_steps():
    switched, stock = make_switched()
    sides = {kind: make_distilled(kind) for kind in KINDS}
    sides |= {"switched": switched, "stock": stock}
    for model in sides.values():
        step_seconds(model, 2)  # Tracing and switching.
    rounds = []
    for _ in range(FLAGS.rounds):
        rounds.append(
            {
                name: float(np.median(step_seconds(model, FLAGS.steps)))
                for name, model in sides.items()
            }
        )
        print("  ", {name: round(s, 3) for name, s in rounds[-1].items()}, flush=True)
    over = {kind: "plain" for kind in KINDS if kind != "plain"} | {"switched": "stock"}
    ratios = {
        name: [measured[name] / measured[base] for measured in rounds]
        for name, base in over.items()
    }
    return {
        name: {"ratio": float(np.median(values)), "rounds": values}
        for name, values in ratios.items()
    } | {"seconds": rounds}


def main(argv):
    results = measure_steps()
    results["versions"] = {"keras": keras.__version__, "tensorflow": tf.__version__}
    with replacing(RESULTS) as path:
        path.write_text(json.dumps(results, indent=2) + "\n")
    for name, measured in results.items():
        if "ratio" in measured:
            print(f"{name}: {measured['ratio']:.2f}")


if __name__ == "__main__":
    app.run(main)
