"""Models as people have them: each with one thing that a conversion must get right."""

import keras
import numpy as np
from keras import layers, ops

SIZE = 24


def conv(x, filters, strides=1, **options):
    x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False, **options)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def block(x, filters):
    """A residual block without a stride."""
    y = conv(x, filters)
    y = layers.BatchNormalization()(
        layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    )
    return layers.ReLU()(layers.add([x, y]))


def body(x, filters=(4, 6)):
    """Two resolutions of a block each."""
    for number, count in enumerate(filters):
        x = block(conv(x, count, 1 if number == 0 else 2), count)
    return x


def classify(x, classes=3):
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(classes)(x)


def of(make, dtype=None):
    """A model of what is made of images."""
    images = keras.Input((SIZE, SIZE, 3), dtype=dtype)
    return keras.Model(images, make(images))


def plain():
    return of(lambda x: classify(body(x)))


def pre_activation():
    def make(x):
        x = layers.Conv2D(4, 3, padding="same")(x)
        for strides in (1, 2):
            y = layers.ReLU()(layers.BatchNormalization()(x))
            y = layers.Conv2D(4, 3, strides, padding="same")(y)
            short = layers.MaxPooling2D(1, strides)(x) if strides > 1 else x
            x = layers.add([short, y])
            y = layers.ReLU()(layers.BatchNormalization()(x))
            x = layers.add([x, layers.Conv2D(4, 3, padding="same")(y)])
        return classify(layers.ReLU()(layers.BatchNormalization()(x)))

    return of(make)


def squeeze_and_excite():
    def make(x):
        x = conv(x, 4)
        y = layers.DepthwiseConv2D(3, padding="same")(x)
        gate = layers.GlobalAveragePooling2D()(y)
        gate = layers.Dense(2, "relu")(gate)
        gate = layers.Reshape((1, 1, 4))(layers.Dense(4, "sigmoid")(gate))
        return classify(layers.add([x, layers.multiply([y, gate])]))

    return of(make)


def frozen_base():
    """As the guide on transfer learning has it."""
    base = of(body)
    base.trainable = False

    def make(x):
        x = base(layers.Rescaling(2.0, -1.0)(x), training=False)
        x = layers.Dropout(0.5)(layers.BatchNormalization()(x))
        return classify(conv(x, 5))

    return of(make)


def models_in_a_model():
    """Two, whose layers have equal names."""

    def part(channels):
        images = keras.Input((SIZE, SIZE, channels))
        x = layers.Conv2D(4, 3, padding="same", name="conv")(images)
        return keras.Model(images, layers.ReLU(name="relu")(x), name=f"of{channels}")

    return of(lambda x: classify(block(part(4)(part(3)(x)), 4)))


def sequential():
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(6, 3, padding="same"),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(3),
        ]
    )
    return model


def pooled_by_a_window():
    """As the ResNets for CIFAR-10 in many tutorials end."""
    return of(
        lambda x: layers.Dense(3)(
            layers.Flatten()(layers.AveragePooling2D(12)(body(x)))
        )
    )


def convolutional_head():
    """A dense layer as a convolution of the whole map, as keras-hub's VGG has it."""

    def make(x):
        x = layers.Conv2D(8, SIZE // 2, activation="relu")(body(x))
        return layers.Dense(3)(layers.GlobalAveragePooling2D()(x))

    return of(make)


def normalized():
    norm = layers.Normalization()
    norm.adapt(np.random.default_rng(0).normal(3, 2, (50, SIZE, SIZE, 3)))
    return of(lambda x: classify(body(norm(x))))


def operations():
    def make(x):
        x = block(conv(x / 2.0 - 0.5, 4), 4)
        x = ops.concatenate([x[..., :2], ops.relu(x[..., 2:])], axis=-1)
        x = conv(x, 4)
        x = ops.mean(x, axis=(1, 2))
        return layers.Dense(3)(ops.reshape(x, (-1, 4)))

    return of(make)


def reshaped_head():
    """Takes maps of one size only, without a dense layer that says so."""

    def make(x):
        x = ops.reshape(body(x), (-1, 144, 6))
        return layers.Dense(3)(ops.mean(x, axis=1))

    return of(make)


def shared_convolution():
    """One convolution at two resolutions: no resize in between."""
    shared = layers.Conv2D(4, 3, padding="same")

    def make(x):
        x = block(conv(x, 4), 4)
        x = layers.MaxPooling2D()(shared(x))
        return classify(block(shared(block(x, 4)), 4))

    return of(make)


def shared_relu():
    relu = layers.ReLU()

    def make(x):
        for strides in (1, 1, 2, 1):
            x = layers.Conv2D(4, 3, strides, padding="same", use_bias=False)(x)
            x = relu(layers.BatchNormalization()(x))
        return classify(x)

    return of(make)


def shared_norm():
    norm = layers.BatchNormalization()

    def make(x):
        x = norm(layers.Conv2D(4, 3, padding="same")(x))
        return classify(norm(layers.Conv2D(4, 3, padding="same")(block(x, 4))))

    return of(make)


def whole_numbers():
    return of(lambda x: classify(body(layers.Rescaling(1 / 255)(x))), dtype="uint8")


def two_outputs():
    def make(x):
        x = layers.GlobalAveragePooling2D()(body(x))
        return {"kind": layers.Dense(3)(x), "size": layers.Dense(1)(x)}

    return of(make)


def auxiliary_output():
    """Half way: stages before it only."""

    def make(x):
        x = block(conv(x, 4), 4)
        return [classify(x), classify(conv(x, 4, 2))]

    return of(make)


def other_norms():
    def make(x):
        x = conv(x, 4)
        y = layers.LayerNormalization()(layers.DepthwiseConv2D(7, padding="same")(x))
        x = layers.add([x, layers.Dense(4)(y)])
        y = layers.GroupNormalization(2)(layers.Conv2D(4, 3, padding="same")(x))
        return classify(layers.add([x, y]))

    return of(make)


def augmented():
    def make(x):
        x = layers.RandomFlip()(layers.RandomContrast(0.1)(x))
        return classify(layers.SpatialDropout2D(0.1)(body(x)))

    return of(make)


def one_input_in_a_dict():
    images = keras.Input((SIZE, SIZE, 3), name="photo")
    return keras.Model({"photo": images}, classify(body(images)))


def our_names():
    """Layers called as parts and inputs of a network are."""

    def make(x):
        names = iter(("images", "features", "scale_index", "resize0", "stage0", "head"))
        for _ in range(6):
            x = layers.Conv2D(4, 3, padding="same", name=next(names))(x)
        return classify(x)

    return of(make)


def transposed():
    """Maps that grow are no new resolution."""

    def make(x):
        x = conv(x, 4, 2)
        x = block(x, 4)
        x = layers.Conv2DTranspose(4, 3, 2, padding="same")(x)
        return classify(block(x, 4))

    return of(make)


def padded():
    """As MobileNets and EfficientNets do it: by a layer, for even sizes only."""

    def make(x):
        x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        x = layers.Conv2D(4, 3, 2, padding="valid", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = block(x, 4)
        x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        x = layers.DepthwiseConv2D(3, 2, padding="valid")(x)
        x = layers.ZeroPadding2D()(block(x, 4))
        return classify(layers.Conv2D(4, 3, 2)(x))

    return of(make)


@keras.saving.register_keras_serializable(package="tests")
class MadeAtOnce(layers.Layer):
    """A block with batch normalisation in an attribute, a list and a dictionary."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.norm = layers.BatchNormalization()
        self.convs = [layers.Conv2D(filters, 3, padding="same") for _ in range(2)]
        self.rest = [layers.BatchNormalization(), {"last": layers.ReLU()}]

    def call(self, x, training=None):
        y = self.norm(self.convs[0](x), training=training)
        y = self.rest[0](self.convs[1](y), training=training)
        return self.rest[1]["last"](x + y)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(package="tests")
class MadeWhenBuilt(layers.Layer):
    """A block that makes its layers in `build`, one of them such a block."""

    def build(self, shape):
        self.conv = layers.DepthwiseConv2D(3, padding="same")
        self.conv.build(shape)
        self.norm = layers.BatchNormalization()
        self.norm.build(shape)
        self.block = MadeAtOnce(shape[-1])

    def call(self, x):
        return self.block(self.norm(self.conv(x)))


def blocks_that_are_layers():
    def make(x):
        for block in (MadeAtOnce(4), MadeWhenBuilt()):
            x = block(conv(x, 4, 2))
        return classify(x)

    return of(make)


def without_head():
    return of(body)


# The number of stages that each has.
FOREIGN = {
    plain: 2,
    pre_activation: 2,
    squeeze_and_excite: 1,
    frozen_base: 2,
    models_in_a_model: 1,
    sequential: 2,
    pooled_by_a_window: 2,
    convolutional_head: 2,
    normalized: 2,
    operations: 1,
    reshaped_head: 2,
    shared_convolution: 2,
    shared_relu: 2,
    shared_norm: 1,
    whole_numbers: 2,
    two_outputs: 2,
    auxiliary_output: 1,
    other_norms: 1,
    augmented: 2,
    one_input_in_a_dict: 2,
    our_names: 1,
    transposed: 1,
    padded: 2,
    blocks_that_are_layers: 2,
    without_head: 2,
}
