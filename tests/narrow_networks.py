"""Every model family, so narrow and short that it is quick."""

import functools

import keras

from keras_resizable import MobileNetV1, MobileNetV2
from keras_resizable.models import assemble, resnet
from keras_resizable.models.convolutions import conv
from keras_resizable.models.shufflenet_v2 import ShuffleNet

_shufflenet = functools.partial(
    ShuffleNet,
    stackwise_num_units=(2, 2, 3),
    stackwise_num_filters=(16, 24, 32),
    last_filters=20,
    stem_filters=4,
)


def convolutions(filters, **options):
    """A stem, and stages of a convolution each; the first has a stride of 2."""

    def block(number, stride):
        name = f"conv{number + 1}"

        def build(x, norm, regularizer):
            x = conv(x, filters[number], 3, stride, regularizer, f"{name}_conv")
            return keras.layers.ReLU()(norm(x, f"{name}_bn"))

        return build

    stages = [[block(number, 1 + (number == 1))] for number in range(1, len(filters))]
    return assemble([block(0, 1)], stages, epsilon=1e-3, **options)


def narrow(scales, **options):
    """Three stages, for scripts: `--network=narrow_networks:narrow`."""
    return convolutions((4, 6, 8, 8), scales=scales, name="narrow", **options)


NARROW = {
    "ResNet20": functools.partial(
        resnet.ResNet,
        resnet.small_image_stem,
        resnet.basic_block,
        stackwise_num_blocks=(1, 2, 2),
        stackwise_num_filters=(2, 3, 4),
    ),
    "ResNet50": functools.partial(
        resnet.ResNet,
        resnet.imagenet_stem,
        resnet.bottleneck_block,
        stackwise_num_blocks=(1, 2, 2, 2),
        stackwise_num_filters=(2, 3, 4, 5),
    ),
    "MobileNetV1": functools.partial(MobileNetV1, alpha=0.06),
    "MobileNetV2": functools.partial(MobileNetV2, alpha=0.05),
    "ShuffleNetV2": _shufflenet,
    "ResizableNet": functools.partial(_shufflenet, squeeze=2, dropout=0.5),
}
