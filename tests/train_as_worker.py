"""One of the processes of tests/test_multi_worker.py.

    python train_as_worker.py STRATEGY OUTPUT

Trains and evaluates with synchronized batch normalisation and without, and writes
the weights and what `fit` and `evaluate` returned. On several workers also with dealt
batches, and it says whether Keras's own models can be trained.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf
from narrow_networks import convolutions

from keras_resizable import data
from keras_resizable.training import distribution


def main(strategy_name, output):
    strategy = distribution.make_strategy(strategy_name)
    chief = distribution.is_chief(strategy)
    results = {"agreed": distribution.agree(strategy, "chief's ü" if chief else "?")}
    weights = {}
    for synchronized in (True, False):
        network, history, evaluated = train(strategy, synchronized)
        results[f"synchronized={synchronized}"] = {**history, **evaluated}
        for number, value in enumerate(network.get_weights()):
            weights[f"{synchronized}_{number}"] = value
    if distribution.is_multi_worker(strategy):
        network, history, evaluated = train(strategy, True, split_batch=True)
        results["dealt"] = {**history, **evaluated}
        for number, value in enumerate(network.get_weights()):
            weights[f"dealt_{number}"] = value
        results["stock"] = stock_error(strategy)
    np.savez(output, results=json.dumps(results), **weights)


def train(strategy, synchronized, split_batch=False):
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    train, test = (
        (
            generator.integers(0, 256, (n, 12, 12, 2), np.uint8),
            generator.integers(0, 3, n),
        )
        for n in (40, 13)  # Of the 13 a last batch of 1 is left: one worker gets none.
    )
    images = data.from_arrays(train, test)
    with strategy.scope():
        network = convolutions(
            (4, 6, 6),
            scales=(1.0, 0.75, 0.5),
            input_shape=(12, 12, 2),
            classes=3,
            name="small",
            synchronized=synchronized and distribution.is_multi_worker(strategy),
        )
        network.compile(
            keras.optimizers.SGD(0.05, momentum=0.9),
            loss="categorical_crossentropy",
            metrics=["accuracy"],
            split_batch=split_batch,
        )
    num_shards, shard = distribution.shards(strategy)
    dataset = data.train_dataset(
        images, 8, augmentation="pad_crop_flip", num_shards=num_shards, shard=shard
    )
    evaluation = data.eval_dataset(images.test, (12, 12, 2), 4, num_classes=3)
    history = network.fit(
        dataset,
        epochs=2,
        steps_per_epoch=5,
        validation_data=evaluation,
        shuffle=False,
        verbose=0,
    ).history
    evaluated = network.evaluate(evaluation, verbose=0, return_dict=True)
    return network, history, evaluated


def stock_error(strategy):
    """The name of the error that a model of Keras ends with, or None."""
    with strategy.scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile(loss="mse")
    dataset = tf.data.Dataset.from_tensors((tf.zeros((4, 4)), tf.zeros((4, 1))))
    try:
        model.fit(dataset.repeat(), steps_per_epoch=1, verbose=0)
    except Exception as error:
        return type(error).__name__
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
