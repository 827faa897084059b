"""What training beyond plain Algorithm 1 costs, on this machine.

    python benchmarks/beyond.py

Prints ratios, and writes them with all that was measured to
benchmarks/results/beyond.json. A ResNet-50 with four scale factors:

- switched: a step after scheduled switching, on the largest sub-network alone, over a
  step of the stock model that is cut out there.
- in_place, top_down, ensemble: a step on the plan of the uniform configurations with
  distillation, over one without.
- ensemble_memory: the peak above what the process holds after its imports, over that
  without distillation. In processes of their own, which take turns.

All steps through `fit`, without tracing; the sides take turns, and the medians of the
rounds count. Nothing else should run beside it.
"""

import json
import pathlib
import resource
import subprocess
import sys

import keras
import numpy as np
import psutil
import tensorflow as tf
from absl import app, flags
from training import FLAGS, SCALES, compile_model, step_seconds

import keras_resizable
from keras_resizable.training import distillation
from keras_resizable.utils.files import replacing

flags.DEFINE_enum("memory_of", None, ["plain", "ensemble"], "For an own process.")

RESULTS = pathlib.Path(__file__).parent / "results" / "beyond.json"
KINDS = {
    "plain": None,
    "in_place": distillation.InPlaceDistillation(),
    "top_down": distillation.TopDownDistillation(),
    "ensemble": distillation.EnsembleDistillation(),
}


def make_network():
    size = FLAGS.image_size
    return keras_resizable.ResNet50(SCALES, input_shape=(size, size, 3))


def make_distilled(kind):
    network = make_network()
    space = network.space
    configs = [(scale,) * space.num_stages for scale in SCALES]
    sampler = keras_resizable.FixedSampler(configs)
    compile_model(network, sampler=sampler, distillation=KINDS[kind])
    return network


def make_switched():
    """A network that has switched to its largest sub-network, and that alone."""
    network = make_network()
    space = network.space
    alone = keras_resizable.FixedSampler([space.largest])
    fair = keras_resizable.FairSampler()
    compile_model(network, sampler=keras_resizable.SwitchingSampler(fair, alone, 1))
    stock = network.sub_network(space.largest)
    compile_model(stock)
    return network, stock


def measure_steps():
    switched, stock = make_switched()
    sides = {kind: make_distilled(kind) for kind in KINDS}
    sides |= {"switched": switched, "stock": stock}
    for model in sides.values():
        step_seconds(model, 2)  # Traces, and switches.
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


def measure_memory():
    """The peak of this process; prints it."""
    after_imports = psutil.Process().memory_info().rss
    network = make_distilled(FLAGS.memory_of)
    step_seconds(network, FLAGS.steps)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(peak - after_imports))


def compare_memory():
    peaks: dict[str, list[float]] = {"plain": [], "ensemble": []}
    for _ in range(FLAGS.processes):
        for kind, measured in peaks.items():
            command = [sys.executable, *sys.argv, f"--memory_of={kind}"]
            output = subprocess.run(command, check=True, capture_output=True, text=True)
            measured.append(json.loads(output.stdout.splitlines()[-1]))
            print(f"  {kind}: {measured[-1] / 1e9:.2f} GB", flush=True)
    ratio = np.median(peaks["ensemble"]) / np.median(peaks["plain"])
    return {"ratio": float(ratio), **peaks}


def main(argv):
    if FLAGS.memory_of is not None:
        measure_memory()
        return
    results = measure_steps()
    results["ensemble_memory"] = compare_memory()
    results["versions"] = {"keras": keras.__version__, "tensorflow": tf.__version__}
    with replacing(RESULTS) as path:
        path.write_text(json.dumps(results, indent=2) + "\n")
    for name, measured in results.items():
        if "ratio" in measured:
            print(f"{name}: {measured['ratio']:.2f}")


if __name__ == "__main__":
    app.run(main)
