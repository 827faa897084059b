"""From a Keras model to a resizable network."""

import itertools
import math
import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import keras

from keras_resizable.conversion.build import Builder
from keras_resizable.conversion.calls import (
    CutPoint,
    cuts_of,
    join_padding,
    read,
    replay,
    tensors_in,
)
from keras_resizable.conversion.stages import Segment, find_head, find_resizes
from keras_resizable.network import ResizableNetwork
from keras_resizable.space import check_scales
from keras_resizable.subnetworks.flops import layer_flops
from keras_resizable.subnetworks.parts import output_shapes
from keras_resizable.subnetworks.shapes import output_spec

# Shares of the multiply-adds. Below the first, a stage is joined with the one before;
# if the stages have fewer than the second, there is a warning.
_LEAST_OF_STAGE = 0.05
_FEW_FLOPS = 0.2


class ResizePoint(NamedTuple):
    """A place at which a model's feature maps could be resized.

    Args:
        layer: Name of the layer after it.
        height: Height of the map for an image of the model's size, or of 224 pixels.
        width: Its width.
        channels: Its number of channels.
        flops: Share of the model's multiply-adds between it and the head, which a
            resize here changes; NaN if some layer's are not known.
        chosen: Whether `from_keras` resizes here by default.
    """

    layer: str
    height: int
    width: int
    channels: int
    flops: float
    chosen: bool


def from_keras(
    model: keras.Model,
    scales: Iterable[float] = (1.0, 0.9, 0.8, 0.7),
    *,
    resize_before: Sequence[str] | None = None,
    input_shape: tuple[int, int, int] | None = None,
    name: str | None = None,
) -> ResizableNetwork:
    """Makes a resizable network from a Keras model, with copies of its weights.

    With all scale factors 1.0 it computes what the model does, up to rounding in fused
    batch normalisation. Every scale factor starts with the model's batch statistics,
    which are right at full size only: train other configurations, or cut them out with
    `network.sub_network(config, calibrate_with=dataset)`.

    At each resolution, feature maps are resized before the first block without a
    stride, at a place that a single tensor passes (Resizable Neural Networks, A.1); or
    before the block with the stride, if there is no other. A stage with less than 5 %
    of the multiply-adds is joined with the one before. Scale factors of stages
    multiply: five stages at 0.7 leave a sixth of height and width.

    The network must be compiled; it does not take over the model's loss, metrics or
    optimizer. Frozen layers stay frozen. Other batch normalisation is trained, even if
    the model calls it with `training=False`.

    Args:
        model: A functional or sequential `keras.Model` of images `(height, width,
            channels)`. It is not changed.
        scales: Scale factors, distinct numbers in (0, 1].
        resize_before: Names of layers to resize before, one for each stage, as in
            `resize_points`; inside another model `base/conv1`, or `conv1` if unique.
        input_shape: `(height, width, channels)`, for a model that takes any size.
        name: Name of the network; by default the model's.

    Returns:
        A `ResizableNetwork`, not compiled.

    Raises:
        ValueError: If the model has layers that cannot be found or copied, has no place
            for a resize, or cannot run at the map sizes of these scale factors.

    Example:

    >>> import keras
    >>> from keras_resizable import from_keras
    >>> model = keras.applications.MobileNetV3Small((96, 96, 3), weights=None)
    >>> from_keras(model, scales=(1.0, 0.75, 0.5)).space.size
    81
    """
    scales = check_scales(scales)
    graph, places, resizes, end, shares = _plan(model, input_shape)
    if isinstance(resize_before, str):
        resize_before = [resize_before]
    if resize_before is not None:
        resizes = [_place_before(layer, graph, places) for layer in resize_before]
        resizes = sorted(set(resizes), key=lambda cut: cut.position)
    if not resizes:
        raise ValueError(
            f"There is no place for a resize in {model.name!r}. It needs a feature map "
            "(batch, height, width, channels) that all later layers depend on, and "
            "after it a block without a stride that looks at neighbouring pixels. Of "
            f"its {len(places)} such maps none has such a block after it: see "
            "`resize_points` and `resize_before`."
        )
    builder = Builder(scales)
    stem = builder.stem(graph, resizes[0])
    stages = [
        builder.stage(number, graph, *ends)
        for number, ends in enumerate(itertools.pairwise([*resizes, end]))
    ]
    head = builder.head(graph, end, _size_of_head(graph, end))
    network = ResizableNetwork(stem, stages, head, scales, name=name or model.name)
    network.statistics.start_from_full_size()
    if None not in graph.input_shape:
        _warn_of_output_sizes(network, model, graph)
    _warn_of_flops(model, shares, resizes, end)
    return network


def _warn_of_output_sizes(network, model, graph):
    """Warns if output maps, other than a backbone's, change size with the scales."""
    tensors = [tensor for call in graph.calls for tensor in tensors_in(call.outputs)]
    maps = [tensor.shape[1:3] for tensor in tensors if len(tensor.shape) == 4]
    features = min([*maps, graph.input_shape[:2]], key=math.prod)
    # The smallest maps, if smaller than the image, are features of a backbone.
    of_backbone = features if features != graph.input_shape[:2] else None
    full, least = network.space.largest, network.space.smallest
    sizes = zip(
        # Only a functional model names its outputs.
        getattr(model, "output_names", network.head.output_names),
        output_shapes(network.parts, full),
        output_shapes(network.parts, least),
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


def _warn_of_flops(model, shares, resizes, end):
    """Warns if scale factors change few of the multiply-adds."""
    if (total := _share(shares, resizes[0], end)) < _FEW_FLOPS:
        of_stages = [
            f"{100 * _share(shares, *ends):.0f} %"
            for ends in itertools.pairwise([*resizes, end])
        ]
        warnings.warn(
            f"Scale factors change only {100 * total:.0f} % of the multiply-adds of "
            f"{model.name!r}: the stages have {', '.join(of_stages)}. `resize_points` "
            "lists other places for `resize_before`.",
            stacklevel=3,
        )


def resize_points(
    model: keras.Model, input_shape: tuple[int, int, int] | None = None
) -> list[ResizePoint]:
    """The places at which a model's feature maps could be resized.

    Args:
        model: As in `from_keras`.
        input_shape: As in `from_keras`.

    Returns:
        A list of `ResizePoint`; `pandas.DataFrame` shows it as a table.

    Raises:
        ValueError: As `from_keras`.

    Example:

    >>> import keras
    >>> model = keras.applications.MobileNet((96, 96, 3), alpha=0.25, weights=None)
    >>> chosen = [point for point in resize_points(model) if point.chosen]
    >>> [(point.layer, point.height) for point in chosen[:3]]
    [('conv_dw_1', 48), ('conv_dw_3', 24), ('conv_dw_5', 12)]
    """
    graph, places, resizes, end, shares = _plan(model, input_shape)
    return [
        ResizePoint(
            *(graph.calls[cut.position].name, height, width, channels),
            *(_share(shares, cut, end), cut in resizes),
        )
        for cut in places
        for _, height, width, channels in [cut.tensor.shape]
    ]


def _place_before(layer, graph, places):
    """The place before the layer with a name."""
    names = [call.name for call in graph.calls]
    named = {layer} & {*names} or {n for n in names if n.endswith(f"/{layer}")}
    found = [cut for cut in places if names[cut.position] in named]
    if len(named) != 1 or not found:
        raise ValueError(
            "`resize_before` must be names of layers before which a single map of "
            "features passes, as keras_resizable.resize_points(model) lists them. "
            f"Received: {layer!r}, of which there are: {sorted(named)}"
        )
    return found[0]


def _plan(model, input_shape):
    """The graph, the possible and the chosen places for a resize, the head's cut.

    The last result are the calls' shares of the multiply-adds.
    """
    graph = read(model, input_shape)
    if None not in graph.input_shape:
        graph = join_padding(graph)
    cuts = cuts_of(graph)
    segments = [
        Segment(start, end, graph.calls[start.position : end.position])
        for start, end in itertools.pairwise(cuts)
    ]
    head = find_head(segments) if segments else cuts[-1]
    places = [
        cut
        for cut in cuts
        if 0 < cut.position < head.position and len(cut.tensor.shape) == 4
    ]
    shares = _shares_of_flops(graph)
    resizes: list[CutPoint] = []
    end = head
    for cut in reversed(find_resizes(segments)):
        is_little = _share(shares, cut, end) < _LEAST_OF_STAGE
        if cut.position < head.position and not is_little:
            resizes.insert(0, cut)
            end = cut
    return graph, places, resizes, head, shares


def _share(shares, start, end):
    return sum(shares[start.position : end.position])


def _shares_of_flops(graph):
    """Each call's share of the multiply-adds of the model, or NaN if not known."""
    with warnings.catch_warnings(record=True) as unknown:
        warnings.simplefilter("always")
        counts = [
            layer_flops(call.operation, call.args, call.kwargs, call.outputs)
            for call in graph.calls
        ]
    total = math.nan if unknown else sum(counts) or math.nan
    return [flops / total for flops in counts]


def _size_of_head(graph, start):
    """Height and width of the head's feature maps if only they fit, or None."""
    if None in graph.input_shape or start.position == len(graph.calls):
        return None
    size = start.tensor.shape[1:3]
    own = _shapes_of_head(graph, start, size)
    for smaller in (
        tuple(max(side - 1, 1) for side in size),
        tuple((side + 1) // 2 for side in size),
    ):
        try:
            if _shapes_of_head(graph, start, smaller) != own:
                return size
        except ValueError:
            return size
    return None


def _shapes_of_head(graph, start, size):
    """Shapes of the head's outputs that are not maps, for feature maps of a size."""

    def make(call, *args, **kwargs):
        return output_spec(call.operation, *args, **kwargs)

    # Two images, to notice a size at which the head would mix them.
    shape = (2, *size, start.tensor.shape[3])
    values = {id(start.tensor): keras.KerasTensor(shape, start.tensor.dtype)}
    replay(graph.calls[start.position :], values, make)
    shapes = [values[id(tensor)].shape for tensor in tensors_in(graph.outputs)]
    return [shape for shape in shapes if len(shape) != 4]
