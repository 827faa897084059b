"""Network families, and building blocks for your own architectures."""

from collections.abc import Callable

from keras_resizable.models.assemble import assemble
from keras_resizable.models.mobilenet import MobileNetV1, MobileNetV2
from keras_resizable.models.pretrained import load_stock_weights
from keras_resizable.models.resnet import (
    ResNet20,
    ResNet50,
    ResNet56,
    ResNet101,
    ResNet152,
)
from keras_resizable.models.shufflenet_v2 import ResizableNet, ShuffleNetV2
from keras_resizable.network import ResizableNetwork

# Networks by their names in recipes.
NETWORKS: dict[str, Callable[..., ResizableNetwork]] = {
    make.__name__: make
    for make in (
        MobileNetV1,
        MobileNetV2,
        ResNet20,
        ResNet50,
        ResNet56,
        ResNet101,
        ResNet152,
        ResizableNet,
        ShuffleNetV2,
    )
}

__all__ = [*NETWORKS, "assemble", "load_stock_weights"]
