"""Where a model's feature maps can be resized: before the blocks of a resolution.

The rule of the paper (Resizable Neural Networks, A.1): a resize before the first block
of each resolution that has no stride.
"""

import dataclasses
import functools
import math

import keras
from keras import layers

from keras_resizable.conversion.graph import Call, Cut, Graph

# A map whose height or width shrinks by more has another resolution.
_STRIDE = 1.4
_POOLING = (
    layers.AveragePooling2D,
    layers.MaxPooling2D,
    layers.Cropping2D,
    layers.UpSampling2D,
)
# Operations of `keras.ops` that look at neighbouring pixels.
_LOCAL_OPERATIONS = {
    *("Conv", "ConvTranspose", "DepthwiseConv", "SeparableConv"),
    *("AveragePool", "MaxPool", "Resize"),
}
_NORMALIZATIONS = (
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
)


@dataclasses.dataclass(frozen=True)
class Segment:
    """The calls from one cut to the next.

    Args:
        start: The `Cut` before it.
        end: The `Cut` after it.
        calls: `Call`s.
    """

    start: Cut
    end: Cut
    calls: list[Call]

    @functools.cached_property
    def kind(self) -> str:
        """What it does to a feature map.

        - `"global"`: it ends it, by pooling all of it, a kernel of its size, or another
          rank.
        - `"stride"`: it shrinks it.
        - `"padding"`: it adds zeros, and nothing else.
        - `"local"`: it looks at neighbouring pixels.
        - `"pointwise"`: it looks at single pixels, or at their mean.
        """
        before, after = self.start.tensor.shape, self.end.tensor.shape
        if len(before) != 4 or len(after) != 4:
            return "global"
        kernels = any(has_kernel(call.operation) for call in self.calls)
        covered = any(_kernel_is(call.operation, before[1:3]) for call in self.calls)
        if after[1:3] == (1, 1) != before[1:3] and (covered or not kernels):
            return "global"
        if all(isinstance(call.operation, layers.ZeroPadding2D) for call in self.calls):
            return "padding"
        if any(old > _STRIDE * new for old, new in zip(before[1:3], after[1:3])):
            return "stride"
        local = kernels or any(_is_local(call.operation) for call in self.calls)
        return "local" if local or before[1:3] != after[1:3] else "pointwise"


def segments_of(graph: Graph, cuts: list[Cut]) -> list[Segment]:
    """What lies between neighbouring cuts."""
    return [
        Segment(start, end, graph.calls[start.position : end.position])
        for start, end in zip(cuts, cuts[1:])
    ]


def find_resizes(segments: list[Segment]) -> list[Cut]:
    """The cuts to resize at, by the rule above.

    After a stride, the first cut before a block that looks at neighbouring pixels and
    has no stride itself. A block may begin with normalisation (pre-activation); the
    normalisation and activation that follow a convolution belong to it.
    """
    found: list[Cut] = []
    is_new, seen_kernel = True, False
    for number, segment in enumerate(segments):
        kind = segment.kind
        if kind == "global":
            break
        if is_new and seen_kernel and _begins_block(segments, number):
            found.append(segment.start)
            is_new = False
        is_new |= kind == "stride"
        seen_kernel |= kind in ("stride", "local")
    return found


def find_head(segments: list[Segment]) -> Cut:
    """The cut before what needs no feature maps any more.

    Pooling of a fixed size that comes before goes with it.
    """
    end = segments[-1].end
    for segment in reversed(segments):
        is_pooling = segment.kind == "stride" and not any(
            call.weights for call in segment.calls
        )
        if segment.kind == "global" or (is_pooling and segment.end is end):
            end = segment.start
        elif segment.kind != "pointwise":
            break
    return end


def has_kernel(operation: keras.Operation, larger_than: int = 1) -> bool:
    """Whether a layer, or one in it, convolves with a kernel of more than a pixel.

    Args:
        operation: A layer or an operation.
        larger_than: Side of the kernels that do not count.
    """
    return any(
        len(weight.shape) >= 4 and math.prod(weight.shape[:2]) > larger_than**2
        for weight in getattr(operation, "weights", [])
    )


def _kernel_is(operation, size):
    """Whether a layer has a kernel of some height and width."""
    weights = getattr(operation, "weights", [])
    return any(len(w.shape) >= 4 and tuple(w.shape[:2]) == size for w in weights)


def _is_local(operation):
    return (
        isinstance(operation, _POOLING) or type(operation).__name__ in _LOCAL_OPERATIONS
    )


def _begins_block(segments, number):
    """Whether a block without a stride begins with a segment."""
    first = segments[number]
    ahead = segments[number:]
    if first.kind == "pointwise":
        before = segments[number - 1].calls[-1].operation
        is_norm = isinstance(first.calls[0].operation, _NORMALIZATIONS)
        if not is_norm or has_kernel(before, larger_than=0):
            return False
        ahead = [segment for segment in ahead if segment.kind != "pointwise"]
    kinds = [segment.kind for segment in ahead[:2] if segment.kind != "padding"]
    return kinds[:1] == ["local"]
