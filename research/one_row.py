"""Networks in which all scale factors share one row of batch normalisation.

For ablations, with `--network=one_row:ResNet20`.
"""

from keras_resizable import ScaleAwareBatchNorm
from keras_resizable.models import resnet
from keras_resizable.subnetworks.cutting import copy_own_state
from keras_resizable.utils.keras_graph import layers_of


def ResNet20(scales, *, width=1.0, **options):
    """Like `keras_resizable.ResNet20`, with one row of batch normalisation."""
    return resnet.ResNet(
        resnet.small_image_stem,
        resnet.basic_block,
        (3, 3, 3),
        [max(1, round(width * filters)) for filters in (16, 32, 64)],
        scales=scales,
        scale_aware=False,
        name="resnet20",
        **options,
    )


def copy_to_all_rows(alone, network):
    """Copies the weights of a network trained at one scale factor, to all rows."""
    for part, other in zip(alone.parts, network.parts, strict=True):
        pairs = zip(layers_of(part.model), layers_of(other.model), strict=True)
        for layer, copy in pairs:
            if isinstance(layer, ScaleAwareBatchNorm):
                copy.set_row_weights(layer.get_row_weights(0))
            else:
                copy_own_state(layer, copy)
