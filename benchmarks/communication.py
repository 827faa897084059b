"""Measures what two workers send in a training step, for plans of any length.

    python benchmarks/communication.py

Starts two processes on this machine for each number of sub-networks. Counts the values
of gradients and of batch statistics that the graph of a step of ResNet-20 adds up over
the workers, and the bytes that the loopback device carried in a step, for both workers
together. Writes benchmarks/results/communication.json.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import tensorflow as tf
from absl import app, flags

import keras_resizable
from keras_resizable.training import distribution
from keras_resizable.utils.files import replacing

FLAGS = flags.FLAGS
flags.DEFINE_list("plans", ["1", "2", "4"], "Numbers of sub-networks in a step.")
flags.DEFINE_integer("worker", None, "For a separate process: its sub-networks.")

STEPS = 20
RESULTS = pathlib.Path(__file__).parent / "results" / "communication.json"


def run_as_worker():
    strategy = distribution.make_strategy("multi_worker")
    with strategy.scope():
        network = keras_resizable.ResNet20(scales=(1.0, 0.9, 0.8, 0.7))
        network.compile(
            keras.optimizers.SGD(0.1, momentum=0.9),
            loss="sparse_categorical_crossentropy",
            sampler=keras_resizable.UniformSampler(0, FLAGS.worker),
        )
    batch = tf.zeros((8, 32, 32, 3)), tf.zeros((8,), tf.int64)
    dataset = tf.data.Dataset.from_tensors(batch).repeat()

    def fit():
        before = loopback_bytes()
        network.fit(dataset, steps_per_epoch=STEPS, verbose=0, shuffle=False)
        return (loopback_bytes() - before) / STEPS

    fit()
    sent = fit()
    distributed = iter(strategy.experimental_distribute_dataset(dataset))
    step = tf.function(lambda data: strategy.run(network.train_step, args=(data,)))
    graph = step.get_concrete_function(next(distributed)).graph
    values = {"gradients": 0, "statistics": 0}
    in_loops = 0
    for operation in graph.get_operations():
        if operation.type.startswith("CollectiveReduce"):
            of_optimizer = operation.name.startswith(network.optimizer.name)
            kind = "gradients" if of_optimizer else "statistics"
            values[kind] += operation.inputs[0].shape.num_elements()
    for function in graph.as_graph_def().library.function:
        in_loops += sum("Collective" in node.op for node in function.node_def)
    print(
        json.dumps(
            {
                "gradient_bytes": 4 * values["gradients"],
                "statistics_bytes": 4 * values["statistics"],
                "reductions_in_loops": in_loops,
                "weight_bytes": 4
                * sum(weight.shape.num_elements() for weight in weights(network)),
                "loopback_bytes": sent,
            }
        )
    )


def weights(network):
    return [weight.value for weight in network.trainable_variables]


def loopback_bytes():
    for line in pathlib.Path("/proc/net/dev").read_text().splitlines():
        device, _, numbers = line.partition(":")
        if device.strip() == "lo":
            return int(numbers.split()[0])
    raise OSError("There is no loopback device.")


def measure(num_sub_networks):
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    processes = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        config = {"cluster": {"worker": addresses}, "task": task}
        processes.append(
            subprocess.Popen(
                [sys.executable, __file__, f"--worker={num_sub_networks}"],
                env={**os.environ, "TF_CONFIG": json.dumps(config)},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError("A worker has failed; see its output above.")
    return json.loads(outputs[0].splitlines()[-1])


def main(argv):
    if FLAGS.worker is not None:
        run_as_worker()
        return
    results = {"versions": {"keras": keras.__version__, "tensorflow": tf.__version__}}
    for number in FLAGS.plans:
        results[number] = measure(int(number))
        print(f"{number} sub-networks: {results[number]}", flush=True)
    with replacing(RESULTS) as path:
        path.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
