"""Adaptive networks on servers and phones."""

import functools
import os
import pathlib
import tempfile
from typing import Any

import keras
import tensorflow as tf

from keras_resizable import export
from keras_resizable.adapt.adaptive_network import AdaptiveNetwork
from keras_resizable.utils.batches import Batches
from keras_resizable.utils.files import replacing_folder


def to_saved_model(adaptive: AdaptiveNetwork, path: str | os.PathLike) -> None:
    """Writes an adaptive network as a self-contained TensorFlow SavedModel.

    Its signature `serving_default` takes `images` and returns `outputs` and `route`,
    the number of the candidate that each image was sent to. Weights are stored once.

    Args:
        adaptive: An `AdaptiveNetwork`.
        path: Path of the folder. An existing SavedModel is replaced.

    Raises:
        OSError: If the folder cannot be written, or holds something else.
    """
    (images,) = adaptive.network.stem.inputs
    spec = tf.TensorSpec(images.shape, images.dtype, "images")

    def run(images):
        outputs, route = adaptive.run(images)
        return {"outputs": outputs, "route": route}

    with replacing_folder(path, holding="saved_model.pb") as temporary:
        module = tf.Module()  # What it holds is stored.
        module.weights = [variable.value for variable in adaptive.variables]
        signature = tf.function(run, [spec], autograph=False)
        tf.saved_model.save(module, str(temporary), {"serving_default": signature})


def to_tflite(
    adaptive: AdaptiveNetwork,
    path: str | os.PathLike,
    *,
    calibrate_with: Batches,
    quantize: str = "int8",
) -> dict[str, Any]:
    """Writes the router and its sub-networks as one `.tflite` file.

    Its signature `router` takes an image and returns a score for each candidate, the
    budget included; its metadata has `routes`, the names of the candidates' signatures
    in this order. A candidate's signature computes the first stages again.

    Args:
        adaptive: An `AdaptiveNetwork`.
        path: Path of the `.tflite` file. An existing one is replaced.
        calibrate_with: `tf.data.Dataset` of batches of images, to estimate the ranges
            of features with and to compare outputs on.
        quantize: As `keras_resizable.export.to_tflite` has it.

    Returns:
        As `keras_resizable.export.to_bundle`.

    Raises:
        As `keras_resizable.export.to_tflite`.
    """
    network = adaptive.network
    names = [export.signature_name(network.space, c) for c in adaptive.candidates]
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / f"{name}.tflite" for name in ("router", *names)]
        export.to_tflite(
            _scoring(adaptive),
            paths[0],
            quantize,
            calibrate_with=calibrate_with,
            metadata={"signature": "router", "routes": names},
            reference=lambda images: _scores(
                adaptive, adaptive.first_features(images)[-1]
            ),
        )
        for config, file in zip(adaptive.candidates, paths[1:]):
            export.to_tflite(
                adaptive.sub_network(config),
                file,
                quantize,
                calibrate_with=calibrate_with,
                metadata={"config": str(config)},
                reference=functools.partial(adaptive.run_candidate, config),
            )
        return export.to_bundle(paths, path)


def _scoring(adaptive):
    """From images to what the softmax takes, with the budget in it."""
    first = adaptive.first_stages()
    scores = _scores(adaptive, first.output)
    return keras.Model(first.input, scores, name=f"{adaptive.network.name}_router")


def _scores(adaptive, features):
    """What the softmax takes, with the budget in it, of the router's features."""
    softmax = adaptive.learner.layers[-1]
    if not isinstance(softmax, keras.layers.Softmax):
        raise ValueError(
            "For TFLite a router ends in a Softmax layer. Received one that ends in "
            f"{type(softmax).__name__}."
        )
    logits = keras.Model(adaptive.learner.input, softmax.input)(features)
    bias = adaptive.bias.numpy().tolist()
    dtype = softmax.dtype_policy
    return keras.layers.Rescaling(1.0, bias, name="scores", dtype=dtype)(logits)
