"""A model as a list of calls, and the tensors at which it can be cut in two."""

import collections
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from keras_resizable.subnetworks.shapes import output_spec
from keras_resizable.utils.keras_graph import is_graph, run_through

# Assumed height and width of the images of a model that takes any size.
NOMINAL_SIZE = 224


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a layer or an operation, whose name may be a path, `base/conv1`.

    `changes` are settings in which a copy of the layer is to differ.
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
        """The weights of the layer and of the layers inside it."""
        return getattr(self.operation, "weights", [])


@dataclasses.dataclass(frozen=True)
class Graph:
    """The calls of a model in order, from its images to its outputs.

    Sizes may be None in `input_shape`, and are `NOMINAL_SIZE` then in `images`.
    """

    input_shape: tuple[int | None, int | None, int]
    images: keras.KerasTensor
    calls: list[Call]
    outputs: Any


@dataclasses.dataclass(frozen=True)
class CutPoint:
    """A place after `position` calls that only one tensor passes."""

    position: int
    tensor: keras.KerasTensor


def read(
    model: keras.Model, input_shape: tuple[int | None, int | None, int] | None = None
) -> Graph:
    """Reads the calls of a model and of the models inside it, without running them."""
    shape = (None, *_input_shape(model, input_shape))
    sizes = [size or NOMINAL_SIZE for size in shape[1:3]]
    images = keras.KerasTensor((None, *sizes, shape[3]), model.inputs[0].dtype)
    calls: list[Call] = []

    def reader(path, given):
        """Records the calls of a model that was itself called with `given`."""

        def note(operation, *args, **kwargs):
            if is_graph(operation):
                inner = {name: kwargs[name] for name in ("training",) if name in kwargs}
                inputs = args[0] if len(args) == 1 else args
                inputs = cast_as(operation, inputs)
                note_inner = reader(f"{path}{operation.name}/", given | inner)
                return run_through(operation, inputs, note_inner)
            if isinstance(operation, layers.BatchNormalization):
                # A `training` argument would come from a model that was frozen inside
                # another.
                args, kwargs = args[:1] or (kwargs["inputs"],), {}
            elif given and "training" in inspect.signature(operation.call).parameters:
                kwargs = given | kwargs
            _check_layer(operation)
            outputs = _outputs_of(operation, args, kwargs)
            calls.append(Call(operation, args, kwargs, outputs, path + operation.name))
            return outputs

        return note

    def cast_as(inner, inputs):
        """The inputs of a model, cast as it does before its first layer."""

        def cast(tensor, taken):
            if tensor.dtype == taken.dtype:
                return tensor
            layer = layers.Rescaling(1.0, dtype=taken.dtype, name="cast")
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


def join_padding(graph: Graph) -> Graph:
    """A graph whose convolutions do the zero padding before them, if it is "same".

    Networks such as MobileNet pad maps by nothing on one side and a pixel on the other,
    which is right for even sizes only. A convolution that pads does so at any size, and
    computes the same at the known size of the images.
    """
    used = [tensor for call in graph.calls for tensor in call.inputs]
    uses = collections.Counter(map(id, used + tensors_in(graph.outputs)))
    pads = {
        id(call.outputs): call
        for call in graph.calls
        if isinstance(call.operation, layers.ZeroPadding2D)
        and uses[id(call.outputs)] == 1
    }
    # A layer that is called again would need another copy.
    times = collections.Counter(id(call.operation) for call in graph.calls)
    gone: set[int] = set()
    calls: list[Call] = []
    for call in graph.calls:
        pad = pads.get(id(call.args[0])) if call.args else None
        is_once = times[id(call.operation)] == 1
        if pad is not None and is_once and _is_same(pad, call.operation):
            gone.add(id(pad))
            args = (pad.args[0], *call.args[1:])
            call = dataclasses.replace(call, args=args, changes={"padding": "same"})
        calls.append(call)
    return dataclasses.replace(graph, calls=[c for c in calls if id(c) not in gone])


def _is_same(pad: Call, convolution: keras.Operation) -> bool:
    """Whether padding and a "valid" convolution equal one with "same" padding."""
    kinds = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
    if type(convolution) not in kinds or convolution.padding != "valid":
        return False
    amounts = pad.operation.padding
    strides = convolution.strides
    # Symmetric padding with a stride is right at any size.
    if all(before == after for before, after in amounts) and strides != (1, 1):
        return False
    for size, (before, after), kernel, stride, dilation in zip(
        pad.args[0].shape[1:3],
        amounts,
        convolution.kernel_size,
        strides,
        convolution.dilation_rate,
    ):
        reach = (kernel - 1) * dilation + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        if (before, after) != (total // 2, total - total // 2):
            return False
    return True


def cuts_of(graph: Graph) -> list[CutPoint]:
    """The places that only one tensor passes, from the images to the outputs.

    There is no cut between two calls of a layer with weights, as its copies in two
    parts would not stay equal.
    """
    end = len(graph.calls)
    last_use: dict[int, int] = {}
    calls_of: dict[int, list[int]] = {}
    born = {id(graph.images): (0, graph.images)}
    for number, call in enumerate(graph.calls):
        last_use.update((id(tensor), number) for tensor in call.inputs)
        born |= {id(t): (number + 1, t) for t in tensors_in(call.outputs)}
        if call.weights:
            calls_of.setdefault(id(call.operation), []).append(number)
    last_use.update((id(tensor), end) for tensor in tensors_in(graph.outputs))
    inside = {
        position
        for numbers in calls_of.values()
        for position in range(numbers[0] + 1, numbers[-1] + 1)
    }
    passing: list[list[keras.KerasTensor]] = [[] for _ in range(end + 1)]
    for key, (first, tensor) in born.items():
        for position in range(first, last_use.get(key, -1) + 1):
            passing[position].append(tensor)
    return [
        CutPoint(position, tensors[0])
        for position, tensors in enumerate(passing)
        if len(tensors) == 1 and position not in inside
    ]


def replay(
    calls: list[Call],
    values: dict[int, keras.KerasTensor],
    make: Callable[..., Any],
) -> None:
    """Makes calls again on other tensors, `values` by the `id` of the old ones.

    `make(call, *args, **kwargs)` returns the outputs, which are added to `values`.
    """
    for call in calls:
        args, kwargs = keras.tree.map_structure(
            lambda leaf: values.get(id(leaf), leaf), (call.args, call.kwargs)
        )
        made = tensors_in(make(call, *args, **kwargs))
        old = tensors_in(call.outputs)
        values.update((id(t), new) for t, new in zip(old, made, strict=True))


def tensors_in(structure: Any) -> list[keras.KerasTensor]:
    """The Keras tensors in a nested structure."""
    leaves = keras.tree.flatten(structure)
    return [leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)]


def _outputs_of(operation, args, kwargs):
    outputs = output_spec(operation, *args, **kwargs)
    for tensor in tensors_in(outputs):
        if len(tensor.shape) == 4 and None in tensor.shape[1:]:
            raise ValueError(
                f"Layer {operation.name!r}, a {type(operation).__name__}, does not say "
                f"the size of its output, {tuple(tensor.shape)}: it needs a "
                "`compute_output_shape`."
            )
    # Each call has new outputs, even where a layer returns its input.
    given = {id(tensor) for tensor in tensors_in((args, kwargs))}
    return keras.tree.map_structure(
        lambda t: keras.KerasTensor(t.shape, t.dtype) if id(t) in given else t, outputs
    )


def _input_shape(model, given):
    """The image shape of a model; `given` if the model takes any size."""
    inputs = getattr(model, "inputs", []) if is_graph(model) else []
    shapes = [tuple(tensor.shape) for tensor in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            "`model` must be a functional or sequential keras.Model, built, that takes "
            "images (batch, height, width, channels) alone. For a subclassed one: "
            "`x = keras.Input((height, width, channels))` and `keras.Model(x, "
            "model.call(x))`, which keeps its layers and weights. Received: "
            f"model={model!r}, which takes {shapes}"
        )
    own = shapes[0][1:]
    shape = own if given is None else tuple(given)
    if (
        len(shape) != 3
        or shape[2] is None
        or any(
            size is not None and known is not None and size != known
            for known, size in zip(own, shape)
        )
    ):
        raise ValueError(
            "`input_shape` must be (height, width, channels) as the model takes them, "
            f"{own}, with the number of channels. Received: input_shape={shape}"
        )
    return shape


def _check_layer(layer):
    data_format = getattr(layer, "data_format", None)
    if isinstance(layer, keras.Model) or data_format == "channels_first":
        raise ValueError(
            "A model inside must be functional or sequential, without a `call` of its "
            "own, and images (batch, height, width, channels). Received: the layer "
            f"{layer.name!r}, a {type(layer).__name__} with data_format={data_format!r}"
        )


def _check_weights(calls):
    """Raises if two layers share a weight, since copies of them would not."""
    owners: dict[int, Call] = {}
    for call in calls:
        for weight in call.weights:
            owner = owners.setdefault(id(weight), call)
            if owner.operation is not call.operation:
                raise ValueError(
                    f"Layers {owner.name!r} and {call.name!r} share the weight "
                    f"{weight.path}, which copies of them would not."
                )
