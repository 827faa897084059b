"""From a Keras model to a resizable network."""

import dataclasses
import math
import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import keras

from keras_resizable.conversion.build import Builder
from keras_resizable.conversion.graph import (
    Cut,
    Graph,
    cuts_of,
    read,
    replay,
    tensors_in,
)
from keras_resizable.conversion.padding import join_padding
from keras_resizable.conversion.stages import find_head, find_resizes, segments_of
from keras_resizable.network import ResizableNetwork
from keras_resizable.space import check_scales
from keras_resizable.subnetworks.pieces import pieces_of_configs
from keras_resizable.subnetworks.shapes import output_shapes, output_spec

_FEW_FLOPS = 0.2  # Part of a model that is resizable, for less of which it warns.


class ResizePoint(NamedTuple):
    """A place at which a model's feature maps could be resized.

    Args:
        layer: Name of the layer after it.
        height: Of the map, of an image of the model's size, or of 224 pixels.
        width: Likewise.
        channels: Of the map.
        chosen: Whether `from_keras` resizes here if it is not told where.
    """

    layer: str
    height: int
    width: int
    channels: int
    chosen: bool


def from_keras(
    model: keras.Model,
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    resize_before: Sequence[str] | None = None,
    input_shape: tuple[int, int, int] | None = None,
    name: str | None = None,
) -> ResizableNetwork:
    """Makes a resizable network of a Keras model, with copies of its weights.

    With all scale factors 1.0 it computes what the model does, up to the rounding of
    the fused kernel of batch normalisation. Every scale factor's batch normalisation
    begins as that of the model; its statistics are right at full size only, so other
    configurations are refused until they are trained, or cut out with
    `network.sub_network(config, calibrate_with=dataset)`.

    Stages are found: a resize before the first block without a stride of each
    resolution (Resizable Neural Networks, A.1), where one tensor is all that goes on.
    `resize_points` lists the places. Scale factors of stages multiply: five stages at
    0.7 leave a sixth of height and width.

    Loss, metrics and optimizer are not taken over: `compile` the network. Frozen layers
    stay frozen. Batch normalisation that is not frozen is trained, also where the model
    calls it, or a model around it, with `training=False`.

    Args:
        model: A functional or sequential `keras.Model` of images `(height, width,
            channels)`. It is not changed.
        scales: Scale factors, distinct numbers in (0, 1].
        resize_before: Names of layers to resize before, one for each stage, such as
            `resize_points` lists; of a layer in a model in the model `base/conv1`, or
            `conv1` if there is one only. Found if absent.
        input_shape: `(height, width, channels)`, for a model that takes any.
        name: Name of the network; the model's if absent.

    Returns:
        A `ResizableNetwork`, not compiled.

    Raises:
        ValueError: If the model has layers that cannot be seen or copied, no place for
            a resize, or cannot run on the maps that these scale factors leave.

    Example:

    >>> import keras
    >>> import keras_resizable
    >>> model = keras.applications.MobileNetV3Small(
    ...     (96, 96, 3), weights=None, classes=10
    ... )
    >>> network = keras_resizable.from_keras(model, scales=(1.0, 0.75, 0.5))
    >>> network.space.size
    27
    """
    scales = check_scales(scales)
    plan = _plan(model, input_shape)
    resizes = plan.resizes
    if isinstance(resize_before, str):
        resize_before = [resize_before]
    if resize_before is not None:
        resizes = [plan.cut_before(layer) for layer in resize_before]
        resizes = sorted(set(resizes), key=lambda cut: cut.position)
    if not resizes:
        raise ValueError(
            f"There is no place for a resize in {model.name!r}. It needs a feature map "
            "(batch, height, width, channels) that all that follows goes through, and "
            "after it a block without a stride that looks at neighbouring pixels. Of "
            f"its {len(plan.points)} such maps none has such a block after it: see "
            "`resize_points` and `resize_before`."
        )
    builder = Builder(scales)
    stem = builder.stem(plan.graph, resizes[0])
    stages = [
        builder.stage(number, plan.graph, start, end)
        for number, (start, end) in enumerate(zip(resizes, [*resizes[1:], plan.head]))
    ]
    head = builder.head(plan.graph, plan.head, _size_of_head(plan.graph, plan.head))
    network = ResizableNetwork(stem, stages, head, scales, name=name or model.name)
    network.statistics.start_from_largest()
    if None not in plan.graph.input_shape:
        _warn_of_output_sizes(network, model, plan.graph)
        _warn_of_flops(network)
    return network


def _warn_of_output_sizes(network, model, graph):
    """Warns of maps among the outputs that are smaller at smaller scales.

    Not of the features of a backbone: its smallest maps, smaller than the image.
    """
    tensors = [tensor for call in graph.calls for tensor in tensors_in(call.outputs)]
    maps = [tensor.shape[1:3] for tensor in tensors if len(tensor.shape) == 4]
    features = min([*maps, graph.input_shape[:2]], key=math.prod)
    of_backbone = features if features != graph.input_shape[:2] else None
    full, least = network.space.largest, network.space.smallest
    sizes = zip(
        # Of a functional model; a sequential one has no names.
        getattr(model, "output_names", network.head.output_names),
        output_shapes(network, full),
        output_shapes(network, least),
    )
    changed = [
        f"{name!r} is {at_full} at {full} and {at_least} at {least}"
        for name, at_full, at_least in sizes
        if len(at_full) == 3 and at_full != at_least and at_full[:2] != of_backbone
    ]
    if changed:
        warnings.warn(
            f"Outputs follow the scale factors: {'; '.join(changed)}. Where their size "
            "has to be the same, let the model end in a keras.layers.Resizing to it.",
            stacklevel=3,
        )


def _warn_of_flops(network):
    """Warns if scale factors change little of the model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Layers whose FLOPs are not known.
        (pieces,) = pieces_of_configs(network, [network.space.largest])
    total = sum(piece.flops for piece in pieces)
    shares = [piece.flops / total for piece in pieces[1:-1]] if total else []
    if shares and sum(shares) < _FEW_FLOPS:
        warnings.warn(
            f"Scale factors change only {100 * sum(shares):.0f} % of the multiply-adds "
            f"of {network.name!r}: the stages have "
            f"{', '.join(f'{100 * share:.0f} %' for share in shares)}. "
            "`resize_points` lists other places for `resize_before`.",
            stacklevel=3,
        )


def resize_points(
    model: keras.Model, input_shape: tuple[int, int, int] | None = None
) -> list[ResizePoint]:
    """The places at which a model's feature maps could be resized.

    Args:
        model: As in `from_keras`.
        input_shape: `(height, width, channels)`, for a model that takes any.

    Returns:
        A list of `ResizePoint`; `pandas.DataFrame` shows it as a table.

    Raises:
        ValueError: As `from_keras`.

    Example:

    >>> import keras
    >>> import keras_resizable
    >>> model = keras.applications.MobileNet((96, 96, 3), alpha=0.25, weights=None)
    >>> for point in keras_resizable.resize_points(model):
    ...     if point.chosen:
    ...         print(point.layer, point.height)
    conv_dw_1 48
    conv_dw_3 24
    conv_dw_5 12
    conv_dw_7 6
    conv_dw_13 3
    """
    return _plan(model, input_shape).points


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What was found in a model.

    Args:
        graph: Its `Graph`.
        cuts: Its `Cut`s.
        resizes: Those to resize at.
        head: The one before its head.
    """

    graph: Graph
    cuts: list[Cut]
    resizes: list[Cut]
    head: Cut

    @property
    def points(self) -> list[ResizePoint]:
        chosen = {cut.position for cut in self.resizes}
        places = [
            (cut, cut.tensor.shape)
            for cut in self.cuts
            if 0 < cut.position < self.head.position and len(cut.tensor.shape) == 4
        ]
        return [
            ResizePoint(
                layer=self.graph.calls[cut.position].name,
                height=height,
                width=width,
                channels=channels,
                chosen=cut.position in chosen,
            )
            for cut, (_, height, width, channels) in places
        ]

    def cut_before(self, layer: str) -> Cut:
        """The cut before the layer of a name.

        Raises:
            ValueError: If there is none.
        """
        calls = self.graph.calls
        places = {cut.position: cut for cut in self.cuts[1:]}
        places = {p: cut for p, cut in places.items() if p < self.head.position}
        named = [n for n, call in enumerate(calls) if call.name == layer]
        named = named or [
            n for n, call in enumerate(calls) if call.name.endswith(f"/{layer}")
        ]
        if len({calls[number].name for number in named}) > 1:
            names = ", ".join(calls[number].name for number in named)
            raise ValueError(f"Several layers have the name {layer!r}: {names}.")
        for number in named:
            if number in places and len(places[number].tensor.shape) == 4:
                return places[number]
        why = "there is no such"
        if named:
            why = "no single map of features passes there, or it is the first or last"
        raise ValueError(
            f"There is no place for a resize before the layer {layer!r}: {why}. "
            "Those of keras_resizable.resize_points(model) are possible."
        )


def _plan(model, input_shape):
    graph = read(model, input_shape)
    if None not in graph.input_shape:
        graph = join_padding(graph)
    cuts = cuts_of(graph)
    segments = segments_of(graph, cuts)
    head = find_head(segments) if segments else cuts[-1]
    resizes = [cut for cut in find_resizes(segments) if cut.position < head.position]
    return _Plan(graph, cuts, resizes, head)


def _size_of_head(graph, start):
    """Height and width of feature maps, if the head takes no others; or None."""
    if None in graph.input_shape or start.position == len(graph.calls):
        return None
    shape = start.tensor.shape
    own = _run_head(graph, start, shape[1:3])
    for smaller in (
        tuple(max(size - 1, 1) for size in shape[1:3]),
        tuple((size + 1) // 2 for size in shape[1:3]),
    ):
        try:
            others = _run_head(graph, start, smaller)
        except ValueError:
            return shape[1:3]
        for one, other in zip(own, others):
            if len(one.shape) != 4 and one.shape != other.shape:
                return shape[1:3]
    return None


def _run_head(graph, start, size):
    """The outputs of the head for feature maps of some size."""

    def make(call, *args, **kwargs):
        return output_spec(call.operation, *args, **kwargs)

    # Two images: at another size they must not be mixed.
    shape = (2, *size, start.tensor.shape[3])
    features = keras.KerasTensor(shape, start.tensor.dtype)
    values = {id(start.tensor): features}
    replay(graph.calls[start.position :], values, make)
    return [values[id(tensor)] for tensor in tensors_in(graph.outputs)]
