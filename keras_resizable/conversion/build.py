"""The parts of a resizable network, from calls of a model."""

import warnings

import keras
import tensorflow as tf
from keras import layers

from keras_resizable.conversion.block import ScaleAwareBlock, norms_inside
from keras_resizable.conversion.calls import Call, CutPoint, Graph, replay
from keras_resizable.layers import ScaleAwareBatchNorm, StageResize
from keras_resizable.layers.stage_resize import resizing
from keras_resizable.subnetworks.cutting import copy_state
from keras_resizable.utils.keras_graph import layers_of
from keras_resizable.utils.messages import first_line


class Builder:
    """Makes parts from copies of a model's layers, for `scales`, largest first."""

    def __init__(self, scales: tuple[float, ...]) -> None:
        self._scales = scales
        self._names = {"images", "features", "scale_index"}  # Names of the inputs.

    def stem(self, graph: Graph, end: CutPoint) -> keras.Model:
        """The part that runs once, on the images."""
        images = keras.Input(graph.input_shape, dtype=graph.images.dtype, name="images")
        calls = graph.calls[: end.position]
        outputs = self._run(calls, {id(graph.images): images}, end.tensor)
        return _part(images, outputs, "stem")

    def stage(
        self, number: int, graph: Graph, start: CutPoint, end: CutPoint
    ) -> keras.Model:
        """Stage `number`, from 0: a resize, and the calls up to the next one."""
        features = _features(start)
        scale_index = keras.Input(batch_shape=(), dtype="int32", name="scale_index")
        name = self._unused(f"resize{number}")
        resize = StageResize(self._scales, name=name, dtype=start.tensor.dtype)
        values = {id(start.tensor): resize(features, scale_index)}
        calls = graph.calls[start.position : end.position]
        outputs = self._run(calls, values, end.tensor, scale_index)
        return _part([features, scale_index], outputs, f"stage{number}")

    def head(
        self, graph: Graph, start: CutPoint, size: tuple[int, int] | None = None
    ) -> keras.Model:
        """The head, which first resizes maps to `size` if it takes only that size."""
        features = x = _features(start)
        if size is not None:
            x = resizing(size, self._unused("resize_to_head"))(features)
        calls = graph.calls[start.position :]
        if not calls:
            name = self._unused("feature_maps")
            x = layers.Identity(name=name, dtype=start.tensor.dtype)(x)
        outputs = self._run(calls, {id(start.tensor): x}, graph.outputs)
        return _part(features, outputs, "head")

    def _run(self, calls, values, outputs, scale_index=None):
        """Makes calls with copies of their layers, and copies the weights."""
        copies: dict[int, tuple[Call, keras.Operation]] = {}
        rows = 1 if scale_index is None else len(self._scales)

        def make(call, *args, **kwargs):
            operation = call.operation
            if id(operation) not in copies:
                copies[id(operation)] = call, self._copy(call, rows)
            copy = copies[id(operation)][1]
            is_ours = isinstance(copy, (ScaleAwareBatchNorm, ScaleAwareBlock))
            if is_ours and scale_index is not None:
                args = (*args, scale_index)
            try:
                outputs = copy(*args, **kwargs)
                if _may_need_sizes(operation):
                    _trace(copy, args, kwargs)
                return outputs
            except Exception as error:  # A third-party layer may raise anything.
                raise ValueError(
                    f"Layer {call.name!r}, a {type(operation).__name__}, cannot run on "
                    f"maps of any height and width: {first_line(error)}"
                ) from error

        replay(calls, values, make)
        for call, copy in copies.values():
            if type(call.operation) is layers.BatchNormalization:
                continue  # Its weights are copied already.
            if type(copy) is layers.GlobalAveragePooling2D:
                continue  # It has no weights, and may replace a layer of another type.
            inner = copy.layer if isinstance(copy, ScaleAwareBlock) else copy
            copy_state(call.operation, inner)
            if rows > 1:
                _warn_of_shared_rows(call.name, copy)
        return keras.tree.map_structure(lambda leaf: values[id(leaf)], outputs)

    def _copy(self, call, num_rows):
        operation = call.operation
        if isinstance(operation, layers.BatchNormalization):
            copy = ScaleAwareBatchNorm.from_stock(operation, num_rows)
        else:
            copy = _copy_of(call)
            if num_rows > 1 and norms_inside(operation) and _takes_maps_alone(call):
                copy = ScaleAwareBlock(copy, num_rows, trainable=operation.trainable)
        copy.name = self._unused(call.name.replace("/", "_"))
        return copy

    def _unused(self, name):
        candidate, number = name, 1
        while candidate in self._names:
            candidate, number = f"{name}_{number}", number + 1
        self._names.add(candidate)
        return candidate


def _features(cut):
    channels = cut.tensor.shape[3]
    return keras.Input((None, None, channels), dtype=cut.tensor.dtype, name="features")


def _part(inputs, outputs, name):
    """A model, frozen as a whole if all its layers are, so that it can be unfrozen."""
    part = keras.Model(inputs, outputs, name=name)
    with_weights = [layer for layer in layers_of(part) if layer.weights]
    if with_weights and not any(layer.trainable for layer in with_weights):
        part.trainable = False
    return part


def _may_need_sizes(operation):
    """Whether a layer may fail in a graph with unknown sizes."""
    if isinstance(operation, layers.UpSampling2D):
        return operation.interpolation != "nearest"
    adaptive = (layers.AdaptiveAveragePooling2D, layers.AdaptiveMaxPooling2D)
    is_of_keras = type(operation).__module__.startswith("keras.")
    return isinstance(operation, adaptive) or not is_of_keras


def _trace(copy, args, kwargs):
    """Makes a call in a graph, as `fit` will."""

    def spec(leaf):
        is_tensor = keras.backend.is_keras_tensor(leaf)
        return tf.TensorSpec(leaf.shape, leaf.dtype) if is_tensor else leaf

    def call(*args, **kwargs):
        return copy(*args, **kwargs)

    args, kwargs = keras.tree.map_structure(spec, (args, kwargs))
    tf.function(call, autograph=False).get_concrete_function(*args, **kwargs)


def _takes_maps_alone(call):
    """Whether a call takes only feature maps, apart from `training`."""
    is_one = len(call.args) == 1 and isinstance(call.args[0], keras.KerasTensor)
    return is_one and set(call.kwargs) <= {"training"}


def _warn_of_shared_rows(name, block):
    if shared := [norm.name for norm in norms_inside(block)]:
        warnings.warn(
            f"Layer {name!r} has batch normalisation that cannot have a row for each "
            f"scale factor: {', '.join(shared)}. All scale factors share it.",
            stacklevel=2,
        )


def _copy_of(call):
    """A layer or an operation with the same configuration."""
    operation = call.operation
    if (
        isinstance(operation, layers.AdaptiveAveragePooling2D)
        and tuple(operation.output_size) == (1, 1)
        and operation.data_format == "channels_last"
    ):  # These need to know sizes.
        return layers.GlobalAveragePooling2D(
            keepdims=True, name=operation.name, dtype=operation.dtype_policy
        )
    cause, reason = None, "its layers there are not serialized, and would be shared"
    try:
        config = operation.get_config()
        copy = type(operation).from_config({**config, **call.changes})
        both = [x for x in (operation, copy) if isinstance(x, keras.layers.Layer)]
        inner = [id(layer) for one in both for layer in layers_of(one)]
        if len(inner) == len(set(inner)):
            return copy
    except Exception as error:  # A third-party layer may raise anything.
        cause, reason = error, first_line(error)
    raise ValueError(
        f"Layer {call.name!r}, a {type(operation).__name__}, cannot be copied by its "
        f"`get_config` and `from_config`: {reason}"
    ) from cause
