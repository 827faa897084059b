"""The narrow network of `conftest.py` written by hand of stock Keras layers."""

import keras
from keras import layers


def plain_resnet(input_shape, classes, regularizer=None):
    def conv(x, filters, size, stride=1):
        x = layers.Conv2D(
            filters,
            size,
            stride,
            padding="same",
            use_bias=False,
            kernel_regularizer=regularizer,
        )(x)
        return layers.BatchNormalization(momentum=0.9, epsilon=1.001e-5)(x)

    def block(x, filters, stride):
        shortcut = x
        if stride > 1:
            shortcut = conv(x, filters, 1, stride)
        x = layers.ReLU()(conv(x, filters, 3, stride))
        x = conv(x, filters, 3)
        return layers.ReLU()(layers.Add()([shortcut, x]))

    inputs = keras.Input(input_shape)
    x = layers.ReLU()(conv(inputs, 4, 3))
    x = block(x, 4, 1)
    x = block(x, 6, 2)
    x = block(x, 6, 1)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(classes, activation="softmax", kernel_regularizer=regularizer)(x)
    return keras.Model(inputs, x)
