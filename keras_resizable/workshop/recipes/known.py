"""Recipes: settings of training, as data.

The paper's recipes for ImageNet (Resizable Neural Networks, A.1 and A.3), for each
network in three modes:

    individual     one sub-network, trained alone
    resizable      all sub-networks, by Algorithm 1
    resizable_aug  Algorithm 1, then the target alone (section 3.4)

The paper does not give the fields listed in `ours`. Recipes that start with `sample_`
or `fashion_mnist_` are ours, and finish in minutes on two cores.
"""

import dataclasses

from keras_resizable.workshop.recipes.recipe import FIELDS, MODES, Recipe

_UNGIVEN = ("scales", "synchronized", "precision", "seed")

_resnet50 = Recipe(
    network="ResNet50",
    dataset="imagenet2012",
    image_size=224,
    epochs=100,
    batch_size=512,
    learning_rate=0.2,
    schedule="step",
    decay_epochs=(30, 60, 80, 90),
    weight_decay=1e-4,
    ours=(*_UNGIVEN, "learning_rate", "momentum", "augmentation", "switch"),
)
_mobilenet_v1 = Recipe(
    network="MobileNetV1",
    dataset="imagenet2012",
    image_size=224,
    epochs=240,
    batch_size=1024,
    learning_rate=0.5,
    schedule="linear",
    weight_decay=4e-5,
    ours=(*_UNGIVEN, "momentum", "augmentation", "switch"),
)
_mobilenet_v2 = dataclasses.replace(_mobilenet_v1, network="MobileNetV2")
_shufflenet_v2 = dataclasses.replace(_mobilenet_v1, network="ShuffleNetV2", width=1.5)
_resizable_net = dataclasses.replace(
    _mobilenet_v1,
    network="ResizableNet",
    epochs=480,
    weight_decay=3e-5,
    label_smoothing=0.1,
    dropout=0.5,
    ours=(*_UNGIVEN, "label_smoothing", "switch"),
)
# He et al., 2016, section 4.2: 64,000 steps.
_resnet20 = Recipe(
    network="ResNet20",
    dataset="cifar10",
    scales=(1.0, 0.75, 0.5),
    epochs=164,
    batch_size=128,
    learning_rate=0.1,
    schedule="step",
    decay_epochs=(82, 123),
    weight_decay=1e-4,
    augmentation="pad_crop_flip",
    ours=tuple(FIELDS),
)
_sample_resnet20 = Recipe(
    network="ResNet20",
    dataset="sample",
    scales=(1.0, 0.75, 0.5),
    epochs=3,
    batch_size=64,
    learning_rate=0.1,
    schedule="cosine",
    warmup=0.125,
    nesterov=True,
    weight_decay=1e-4,
    validation=0.1,
    augmentation="none",
    ours=tuple(FIELDS),
)
# Half an hour or less on two cores, for the comparisons of research/results.md. The
# learning rate is the best of 0.05, 0.1, 0.2 and 0.4, for one sub-network and for all.
_fashion_mnist_resnet20 = dataclasses.replace(
    _sample_resnet20,
    dataset="fashion_mnist",
    width=0.5,
    epochs=6,
    batch_size=128,
    learning_rate=0.2,
    warmup=0.1,
    augmentation="pad_crop_flip",
)
# Networks with a total stride of 32 need more pixels than the sample has.
_sample_mobilenet_v1 = dataclasses.replace(
    _sample_resnet20, network="MobileNetV1", width=0.25, image_size=64, epochs=5
)
# A few thousand photos of 64 to 128 px. Each sub-network of a step gets its own share
# of the batch.
_photos_resnet20 = dataclasses.replace(
    _sample_resnet20,
    dataset="cifar10",
    width=0.5,
    image_size=64,
    epochs=30,
    batch_size=96,
    warmup=0.05,
    weight_decay=5e-4,
    augmentation="pad_crop_flip",
    split_batch=True,
)
_photos_mobilenet_v1 = dataclasses.replace(
    _photos_resnet20,
    network="MobileNetV1",
    width=0.25,
    learning_rate=0.05,
    weight_decay=1e-4,
)


def _doubled(recipe):
    """A recipe with twice the epochs."""
    return dataclasses.replace(
        recipe,
        epochs=2 * recipe.epochs,
        decay_epochs=tuple(2 * epoch for epoch in recipe.decay_epochs),
    )


def _modes(individual, resizable, resizable_aug):
    return dict(zip(MODES, (individual, resizable, resizable_aug)))


def _of_paper(recipe):
    # "The other resizable network train for 200 epochs", "480 epochs"; and "the
    # resizable augmentation network always use the same training setting as the
    # baseline" (A.1).
    return _modes(recipe, _doubled(recipe), recipe)


def _same(recipe):
    return _modes(recipe, recipe, recipe)


RECIPES = {
    "sample_resnet20": _same(_sample_resnet20),
    "sample_mobilenet_v1": _same(_sample_mobilenet_v1),
    "sample_mobilenet_v2": _same(
        dataclasses.replace(
            _sample_mobilenet_v1,
            network="MobileNetV2",
            width=0.35,
            learning_rate=0.03,  # At 0.1 it does not learn photos.
        )
    ),
    "sample_shufflenet_v2": _same(
        dataclasses.replace(_sample_mobilenet_v1, network="ShuffleNetV2", width=0.5)
    ),
    "photos_resnet20": _same(_photos_resnet20),
    "photos_mobilenet_v1": _same(_photos_mobilenet_v1),
    "photos_mobilenet_v2": _same(
        dataclasses.replace(_photos_mobilenet_v1, network="MobileNetV2", width=0.35)
    ),
    "photos_shufflenet_v2": _same(
        dataclasses.replace(_photos_mobilenet_v1, network="ShuffleNetV2", width=0.5)
    ),
    "fashion_mnist_resnet20": _same(_fashion_mnist_resnet20),
    "resnet20": _of_paper(_resnet20),
    "resnet56": _of_paper(dataclasses.replace(_resnet20, network="ResNet56")),
    "resnet50": _of_paper(_resnet50),
    "resnet101": _of_paper(
        dataclasses.replace(_resnet50, network="ResNet101", ours=tuple(FIELDS))
    ),
    "resnet152": _of_paper(
        dataclasses.replace(_resnet50, network="ResNet152", ours=tuple(FIELDS))
    ),
    "mobilenet_v1": _of_paper(_mobilenet_v1),
    "mobilenet_v2": _of_paper(_mobilenet_v2),
    "shufflenet_v2": _of_paper(_shufflenet_v2),
    # The paper trains it for 480 epochs, and only as `resizable_aug`.
    "resizable_net": _same(_resizable_net),
}
