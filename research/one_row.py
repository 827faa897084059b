"""Networks in which all scale factors share one row of batch normalisation.

For ablations, as `--network=one_row:ResNet20`.
"""

from keras_resizable.models import residual


def ResNet20(scales, *, width=1.0, **options):
    """As `keras_resizable.ResNet20`."""
    return residual.ResNet(
        residual.small_image_stem,
        residual.basic_block,
        (3, 3, 3),
        [max(1, round(width * filters)) for filters in (16, 32, 64)],
        scales=scales,
        scale_aware=False,
        name="resnet20",
        **options,
    )
