"""A model as a list of calls, and the tensors at which it can be cut in two."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import keras

from keras_resizable.subnetworks.shapes import output_spec
from keras_resizable.utils.graph import is_graph, run_through

# Height and width of models that take any, where some are needed to think with.
NOMINAL_SIZE = 224


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a layer or an operation.

    Args:
        operation: The layer or the operation, of the model that was read.
        args: Its arguments.
        kwargs: Its keyword arguments.
        outputs: `keras.KerasTensor`s, in the structure that it returns.
        name: Its name in the model, as `base/conv1` of a layer in a model in it.
        changes: Settings in which a copy of the layer is to differ.
    """

    operation: keras.Operation
    args: tuple
    kwargs: dict
    outputs: Any
    name: str
    changes: dict = dataclasses.field(default_factory=dict)

    @property
    def inputs(self) -> list[keras.KerasTensor]:
        """The tensors among its arguments."""
        return tensors_in((self.args, self.kwargs))

    @property
    def weights(self) -> list[keras.Variable]:
        """The weights of the layer, those of layers in it included."""
        return getattr(self.operation, "weights", [])


@dataclasses.dataclass(frozen=True)
class Graph:
    """The calls of a model.

    Args:
        input_shape: `(height, width, channels)` of its images; sizes may be None.
        images: What it takes; of `NOMINAL_SIZE` if it takes any size.
        calls: `Call`s, each after those whose outputs it takes.
        outputs: What it returns, `keras.KerasTensor`s in their structure.
    """

    input_shape: tuple[int | None, int | None, int]
    images: keras.KerasTensor
    calls: list[Call]
    outputs: Any


@dataclasses.dataclass(frozen=True)
class Cut:
    """A place between two calls that only one tensor passes.

    Args:
        position: Number of the calls before it.
        tensor: The tensor that passes.
    """

    position: int
    tensor: keras.KerasTensor


def read(
    model: keras.Model, input_shape: tuple[int | None, int | None, int] | None = None
) -> Graph:
    """The calls of a model, models in it included, none of which is made.

    Args:
        model: A functional or sequential `keras.Model`.
        input_shape: `(height, width, channels)` of images; the model's if absent.

    Raises:
        ValueError: If the model is neither, is not built, or takes anything but images.
    """
    _check_model(model)
    taken = tuple(model.inputs[0].shape)
    shape = (None, *(taken[1:] if input_shape is None else input_shape))
    _check_images(taken, shape)
    sizes = [size or NOMINAL_SIZE for size in shape[1:3]]
    images = keras.KerasTensor((None, *sizes, shape[3]), model.inputs[0].dtype)
    calls: list[Call] = []

    def reader(path, given):
        """Notes the calls of a model that was itself called with `given`."""

        def note(operation, *args, **kwargs):
            if is_graph(operation):
                inner = {name: kwargs[name] for name in ("training",) if name in kwargs}
                inputs = args[0] if len(args) == 1 else args
                inputs = cast_as(operation, inputs)
                note_inner = reader(f"{path}{operation.name}/", given | inner)
                return run_through(operation, inputs, note_inner)
            if isinstance(operation, keras.layers.BatchNormalization):
                # `training` would be that of a model that was frozen while another was
                # trained around it.
                args, kwargs = args[:1] or (kwargs["inputs"],), {}
            elif given and "training" in inspect.signature(operation.call).parameters:
                kwargs = given | kwargs
            _check_layer(operation)
            outputs = _outputs_of(operation, args, kwargs)
            calls.append(Call(operation, args, kwargs, outputs, path + operation.name))
            return outputs

        return note

    def cast_as(inner, inputs):
        """What a model takes, cast as it does before its first layer."""

        def cast(tensor, taken):
            if tensor.dtype == taken.dtype:
                return tensor
            layer = keras.layers.Rescaling(1.0, dtype=taken.dtype, name="cast")
            outputs = _outputs_of(layer, (tensor,), {})
            calls.append(Call(layer, (tensor,), {}, outputs, f"{inner.name}/cast"))
            return outputs

        tensors = map(cast, tensors_in(inputs), inner.inputs)
        return keras.tree.pack_sequence_as(inputs, list(tensors))

    inputs = images
    if not isinstance(model, keras.Sequential):
        inputs = keras.tree.pack_sequence_as(model.input, [images])
    outputs = run_through(model, inputs, reader("", {}))
    _check_weights(calls)
    return Graph(shape[1:], images, calls, outputs)


def cuts_of(graph: Graph) -> list[Cut]:
    """The places that only one tensor passes, from the images to the outputs.

    A layer with weights that is called several times has none between its calls, as its
    copies in two parts would not stay equal.
    """
    end = len(graph.calls)
    last_use: dict[int, int] = {}
    calls_of: dict[int, list[int]] = {}
    for number, call in enumerate(graph.calls):
        last_use.update((id(tensor), number) for tensor in call.inputs)
        if call.weights:
            calls_of.setdefault(id(call.operation), []).append(number)
    last_use.update((id(tensor), end) for tensor in tensors_in(graph.outputs))
    inside = {
        position
        for numbers in calls_of.values()
        for position in range(numbers[0] + 1, numbers[-1] + 1)
    }
    found, live = [], {id(graph.images): graph.images}
    for position in range(end + 1):
        if len(live) == 1 and position not in inside:
            found.append(Cut(position, *live.values()))
        if position < end:
            outputs = tensors_in(graph.calls[position].outputs)
            live.update((id(tensor), tensor) for tensor in outputs)
            live = {
                key: tensor
                for key, tensor in live.items()
                if last_use.get(key, -1) > position
            }
    return found


def replay(
    calls: list[Call],
    values: dict[int, keras.KerasTensor],
    make: Callable[..., Any],
) -> None:
    """Makes calls again, on other tensors.

    Args:
        calls: `Call`s.
        values: What takes the place of tensors, by their `id`. It gets that of the
            outputs of the calls.
        make: Callable `(call, *args, **kwargs)` that returns the outputs.
    """
    for call in calls:
        args, kwargs = keras.tree.map_structure(
            lambda leaf: values.get(id(leaf), leaf), (call.args, call.kwargs)
        )
        made = tensors_in(make(call, *args, **kwargs))
        old = tensors_in(call.outputs)
        values.update((id(t), new) for t, new in zip(old, made, strict=True))


def tensors_in(structure: Any) -> list[keras.KerasTensor]:
    """The tensors of a structure."""
    return [
        leaf
        for leaf in keras.tree.flatten(structure)
        if isinstance(leaf, keras.KerasTensor)
    ]


def _outputs_of(operation, args, kwargs):
    outputs = output_spec(operation, *args, **kwargs)
    for tensor in tensors_in(outputs):
        if len(tensor.shape) == 4 and None in tensor.shape[1:]:
            raise ValueError(
                f"Layer {operation.name!r}, a {type(operation).__name__}, does not say "
                f"the size of its output, {tuple(tensor.shape)}: it needs a "
                "`compute_output_shape`."
            )
    # Each call has outputs of its own, also where a layer returns what it is given.
    given = {id(tensor) for tensor in tensors_in((args, kwargs))}
    return keras.tree.map_structure(
        lambda t: keras.KerasTensor(t.shape, t.dtype) if id(t) in given else t, outputs
    )


def _check_model(model):
    if not isinstance(model, keras.Model):
        raise ValueError(f"A keras.Model is needed. Received: {model!r}")
    if not is_graph(model):
        raise ValueError(
            f"{model.name!r} is a {type(model).__name__} with a `call` of its own: its "
            "layers cannot be seen, as those of functional and sequential models can."
        )
    if not model.built:
        raise ValueError(
            f"{model.name!r} has no input shape yet: "
            "`model.build((None, height, width, channels))`."
        )
    if len(model.inputs) != 1:
        raise ValueError(
            f"{model.name!r} takes {len(model.inputs)} inputs; a resizable network "
            "takes images alone."
        )


def _check_layer(layer):
    if isinstance(layer, keras.Model):
        raise ValueError(
            f"{layer.name!r} in the model is a {type(layer).__name__} with a `call` of "
            "its own: its layers cannot be seen, and a resize cannot go there."
        )
    if getattr(layer, "data_format", None) == "channels_first":
        raise ValueError(
            f"Layer {layer.name!r} has data_format='channels_first'. A resizable "
            "network takes images (batch, height, width, channels)."
        )


def _check_weights(calls):
    """Refuses layers that share a weight with another, as copies would not."""
    owners: dict[int, Call] = {}
    for call in calls:
        for weight in call.weights:
            owner = owners.setdefault(id(weight), call)
            if owner.operation is not call.operation:
                raise ValueError(
                    f"Layers {owner.name!r} and {call.name!r} share the weight "
                    f"{weight.path}, which copies of them would not."
                )


def _check_images(taken, shape):
    if len(taken) != 4:
        raise ValueError(
            "A resizable network takes images (batch, height, width, channels). The "
            f"model takes {taken}."
        )
    if len(shape) != 4 or any(
        size is not None and own is not None and size != own
        for own, size in zip(taken[1:], shape[1:])
    ):
        raise ValueError(
            f"`input_shape` does not fit: the model takes {taken[1:]}. Received: "
            f"input_shape={shape[1:]}"
        )
    if shape[3] is None:
        raise ValueError(f"The number of channels must be known. Received: {shape[1:]}")
