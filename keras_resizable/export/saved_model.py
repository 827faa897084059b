"""A network as a SavedModel with a signature for each configuration."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.network import ResizableNetwork
from keras_resizable.space import ConfigLike, SpatialSpace
from keras_resizable.subnetworks.calibration import scope_of
from keras_resizable.subnetworks.parts import cut_out
from keras_resizable.utils.batches import Batches
from keras_resizable.utils.files import replacing_folder
from keras_resizable.utils.keras_graph import require_fixed_size, require_graph

_TOLERANCE = 1e-6  # For scale factors, which come in float32.


def to_saved_model(
    network: keras.Model,
    path: str | os.PathLike,
    configs: Iterable[ConfigLike] | None = None,
    *,
    calibrate_with: Batches | None = None,
    preprocess: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> None:
    """Writes a network as a self-contained TensorFlow SavedModel.

    It loads with `tf.saved_model.load` where neither this library nor Keras is
    installed. The weights are stored once. Its signatures, for batches of any size:

    | signature | runs |
    |---|---|
    | `serving_default` | the first configuration |
    | `scale_0.75_0.5_1.0` … | one of the configurations |
    | `any` | the one in its second input `config`, float32 `(stages,)` or fewer |

    All take `images` and return `outputs`. `any` uses the batch statistics that
    training left, and fails with `InvalidArgumentError` if a scale factor is not one
    of the network's, or was not trained.

    Args:
        network: A `ResizableNetwork`; or a sub-network, such as a fine-tuned one, for
            `serving_default` alone.
        path: Path of the folder. An existing SavedModel is replaced.
        configs: Configurations that get a signature; by default the largest.
        calibrate_with: `tf.data.Dataset` of batches to re-estimate the batch
            statistics of each configuration with. They are stored next to the weights.
        preprocess: Function from uint8 images `(batch, height, width, channels)` of any
            size to the network's images, such as a partial
            `keras_resizable.data.preprocess`. Signatures then take uint8 images.

    Raises:
        ValueError: If a configuration is not valid, its statistics were never
            estimated and it is not calibrated, or the network's height and width
            are not fixed.
        OSError: If the folder cannot be written, or holds anything but a SavedModel.
    """
    is_ours = isinstance(network, ResizableNetwork)
    if not is_ours:
        require_graph(network)
    require_fixed_size(network.input_shape)
    if not is_ours:
        if configs is not None or calibrate_with is not None:
            raise ValueError(
                f"{network.name!r} is one sub-network, which has no `configs` and is "
                "not calibrated."
            )
        _write(path, network, {"serving_default": _of_model(network, preprocess)})
        return
    space = network.space
    selected = space.select([space.largest] if configs is None else configs)
    if calibrate_with is None:
        for config in selected:
            network.require_statistics(config)
    signatures, statistics = {}, {}
    for config in selected:
        name, rows = signature_name(space, config), []
        if calibrate_with is not None:
            rows = _calibrated_rows(network, config, calibrate_with)
            statistics[name] = [row for _, row in rows]
        signatures[name] = _of_config(network, config, rows, preprocess)
    signatures["serving_default"] = signatures[signature_name(space, selected[0])]
    signatures["any"] = _of_any(network, preprocess)
    _write(path, network, signatures, statistics)


def _write(path, network, signatures, statistics=None):
    with replacing_folder(path, holding="saved_model.pb") as temporary:
        module = tf.Module()  # Its attributes are stored.
        module.weights = [variable.value for variable in network.variables]
        module.statistics = statistics or {}
        tf.saved_model.save(module, str(temporary), signatures)


def signature_name(space: SpatialSpace, config: ConfigLike) -> str:
    """The name of a configuration's signature, such as `scale_0.75_0.5_1.0`."""
    return "scale_" + space.config(config).key


def _calibrated_rows(network, config, dataset):
    """Batch statistics of a sub-network: pairs of a table and one row's variable."""
    model, cut = cut_out(network.parts, config, network.name)
    network.calibrate_sub_network(model, config, dataset)
    return [
        (table, tf.Variable(row, trainable=False))
        for table, row in zip(*cut.statistics())
    ]


def _of_model(model, preprocess):
    """A signature that runs a stock Keras model."""
    return _signature(model, preprocess, functools.partial(model, training=False))


def _of_config(network, config, rows, preprocess):
    """A signature that runs one sub-network, with given statistics."""

    def run(images):
        with scope_of(*zip(*rows)) if rows else contextlib.nullcontext():
            features = network.stem(images, training=False)
            indices = map(tf.constant, config.indices)
            return network.run_stages(features, indices, training=False)

    return _signature(network, preprocess, run)


def _of_any(network, preprocess):
    """A signature that takes scale factors."""
    record = network.statistics
    usable = ~(record.untrained() & record.is_trained)

    def run(images, config):
        indices = tf.unstack(_indices(network.space, usable, config))
        features = network.stem(images, training=False)
        return network.run_stages(features, indices, training=False)

    config = tf.TensorSpec((None,), tf.float32, "config")
    return _signature(network, preprocess, run, config)


def _signature(network, preprocess, run, *specs):
    """A graph of `run` on preprocessed images, with named outputs."""
    (inputs,) = getattr(network, "stem", network).inputs
    images = tf.TensorSpec(inputs.shape, inputs.dtype, "images")
    if preprocess is not None:
        shape = (None, None, None, inputs.shape[-1])
        images = tf.TensorSpec(shape, tf.uint8, "images")

    def run_named(images, *others):
        if preprocess is not None:
            images = tf.ensure_shape(preprocess(images), network.input_shape)
        outputs = run(images, *others)
        if tf.is_tensor(outputs):
            return {"outputs": outputs}
        if isinstance(outputs, dict):
            return outputs
        # Named as Keras exports a list.
        return {f"output_{n}": x for n, x in enumerate(keras.tree.flatten(outputs))}

    return tf.function(run_named, [images, *specs], autograph=False)


def _indices(space, usable, config):
    """Scale indices `(stages,)` of scale factors, as in `SpatialSpace.config`.

    `usable` is boolean `(stages, scales)`, and `config` float32 `(stages,)` or fewer.
    """
    of_stages = [tuple(np.array(space.scales)[row].tolist()) for row in usable]
    named = of_stages[0] if len(set(of_stages)) == 1 else of_stages
    scales = tf.constant(np.where(usable, space.scales, np.inf), tf.float32)
    stages = tf.minimum(tf.range(tf.size(config)), space.num_stages - 1)
    distances = tf.abs(config[:, tf.newaxis] - tf.gather(scales, stages))
    valid = tf.reduce_all(tf.reduce_any(distances <= _TOLERANCE, axis=1))
    valid &= tf.size(config) <= space.num_stages
    check = tf.debugging.Assert(
        valid,
        [
            f"A configuration has at most {space.num_stages} scale factors, each one "
            f"of {named}. Received:",
            config,
        ],
        summarize=100,
    )
    with tf.control_dependencies([check]):
        known = tf.argmin(distances, axis=1, output_type=tf.int32)
    missing = tf.maximum(space.num_stages - tf.size(known), 0)
    return tf.ensure_shape(tf.pad(known, [[0, missing]]), (space.num_stages,))
