"""ResNet-50 at one scale, written by hand with stock Keras layers."""

import keras
from keras import layers

from keras_resizable.space import resized


def plain_resnet50(image_size, scale=1.0, classes=1000):
    """A model that computes the same as `ResNet50(...).sub_network((scale,) * 4)`."""

    def conv(x, filters, size, stride=1):
        x = layers.Conv2D(
            filters,
            size,
            stride,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
        )(x)
        return layers.BatchNormalization(momentum=0.9, epsilon=1.001e-5)(x)

    def block(x, filters, stride):
        shortcut = x
        if x.shape[-1] != 4 * filters:
            shortcut = conv(x, 4 * filters, 1, stride)
        x = layers.ReLU()(conv(x, filters, 1))
        x = layers.ReLU()(conv(x, filters, 3, stride))
        x = conv(x, 4 * filters, 1)
        return layers.ReLU()(layers.Add()([shortcut, x]))

    def resize(x):
        if scale == 1.0:
            return x
        size = tuple(resized(length, scale) for length in x.shape[1:3])
        return keras.ops.image.resize(x, size)

    inputs = keras.Input((image_size, image_size, 3))
    x = layers.ReLU()(conv(inputs, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for group, (num_blocks, filters) in enumerate(
        zip((3, 4, 6, 3), (64, 128, 256, 512))
    ):
        for number in range(num_blocks):
            if number == min(group, 1):
                x = resize(x)
            x = block(x, filters, stride=2 if group > 0 and number == 0 else 1)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(classes, activation="softmax")(x)
    return keras.Model(inputs, x)
