"""Padding that a convolution can do itself."""

import collections
import dataclasses

import keras
from keras import layers

from keras_resizable.conversion.graph import Call, Graph, tensors_in


def join_padding(graph: Graph) -> Graph:
    """Hands zero padding to the convolution after it, where it is that of "same".

    Networks such as MobileNet pad maps of even sizes by nothing on one side and a pixel
    on the other, which is right for even sizes only. A convolution that pads does so at
    any size, and computes the same at this one.

    Args:
        graph: A `Graph` of images of known size.

    Returns:
        Another one, in which such padding is gone.
    """
    uses: dict[int, int] = {}
    for call in graph.calls:
        for tensor in call.inputs:
            uses[id(tensor)] = uses.get(id(tensor), 0) + 1
    for tensor in tensors_in(graph.outputs):
        uses[id(tensor)] = uses.get(id(tensor), 0) + 1
    pads = {
        id(call.outputs): call
        for call in graph.calls
        if isinstance(call.operation, layers.ZeroPadding2D)
        and uses.get(id(call.outputs)) == 1
    }
    # What is called again would need another copy.
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
    """Whether padding and convolution are one whose padding is "same"."""
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
