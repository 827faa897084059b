"""Where a model's feature maps can be resized: before the blocks of a resolution.

The rule of the paper (Resizable Neural Networks, A.1): a resize before the first block
of each resolution that has no stride. Where each block has one, as in Xception, the
resize is before the block with the stride.
"""

import dataclasses
import functools

from keras import layers

from keras_resizable.conversion.calls import Call, CutPoint

# A map whose height or width shrinks by more has another resolution.
_STRIDE = 1.4
# Layers and operations of `keras.ops` that look at neighbouring pixels.
_LOCAL_LAYERS = (
    *(layers.AveragePooling2D, layers.MaxPooling2D),
    *(layers.Cropping2D, layers.UpSampling2D),
)
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
    """The calls from one cut to the next."""

    start: CutPoint
    end: CutPoint
    calls: list[Call]

    @functools.cached_property
    def kind(self) -> str:
        """Its effect on a feature map.

        `"global"` ends it, by global pooling, a kernel of its size or another rank;
        `"stride"` shrinks it; `"padding"` only adds zeros; `"local"` looks at
        neighbouring pixels, `"pointwise"` at single ones or at their mean.
        """
        before, after = self.start.tensor.shape, self.end.tensor.shape
        if len(before) != 4 or len(after) != 4:
            return "global"
        is_covered = before[1:3] in self._kernel_sizes
        if after[1:3] == (1, 1) != before[1:3] and (is_covered or not self.has_kernel):
            return "global"
        if all(isinstance(call.operation, layers.ZeroPadding2D) for call in self.calls):
            return "padding"
        if any(old > _STRIDE * new for old, new in zip(before[1:3], after[1:3])):
            return "stride"
        is_local = self.has_kernel or any(
            isinstance(call.operation, _LOCAL_LAYERS)
            or type(call.operation).__name__ in _LOCAL_OPERATIONS
            for call in self.calls
        )
        return "local" if is_local or before[1:3] != after[1:3] else "pointwise"

    @property
    def has_kernel(self) -> bool:
        """Whether it has a kernel of several pixels."""
        return any(size != (1, 1) for size in self._kernel_sizes)

    @functools.cached_property
    def _kernel_sizes(self):
        return [size for call in self.calls for size in _kernel_sizes(call.operation)]


def find_resizes(segments: list[Segment]) -> list[CutPoint]:
    """The cuts to resize at: the first before a block of each resolution.

    A block may begin with normalisation (pre-activation); the normalisation and
    activation that follow a convolution belong to it.
    """
    found: list[CutPoint] = []
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


def find_head(segments: list[Segment]) -> CutPoint:
    """The cut before the head, which only pools feature maps."""
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


def _kernel_sizes(operation):
    """Height and width of the kernels of a layer and of the layers inside it."""
    weights = getattr(operation, "weights", [])
    return [tuple(w.shape[:2]) for w in weights if len(w.shape) >= 4]


def _begins_block(segments, number):
    """Whether a block, with a kernel if it has a stride, begins with a segment."""
    first = segments[number]
    ahead = segments[number:]
    if first.kind == "pointwise":
        before = segments[number - 1].calls[-1].operation
        is_norm = isinstance(first.calls[0].operation, _NORMALIZATIONS)
        if not is_norm or _kernel_sizes(before):
            return False
        ahead = [segment for segment in ahead if segment.kind != "pointwise"]
    for segment in ahead[:2]:
        if segment.kind != "padding":
            is_strided_block = segment.kind == "stride" and segment.has_kernel
            return segment.kind == "local" or is_strided_block
    return False
