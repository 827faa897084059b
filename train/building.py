"""What a recipe stands for: its images, its network, and how that is compiled."""

import keras

import keras_resizable
from keras_resizable import data

_WIDTH = {
    "MobileNetV1": "alpha",
    "MobileNetV2": "alpha",
    "ResNet20": "width",
    "ResNet56": "width",
    "ShuffleNetV2": "width",
}
# Training images, classes and image shapes, for what is told without the data.
KNOWN_SETS = {
    "cifar10": (50_000, 10, (32, 32, 3)),
    "cifar100": (50_000, 100, (32, 32, 3)),
    "fashion_mnist": (60_000, 10, (28, 28, 1)),
    "imagenet2012": (1_281_167, 1000, (None, None, 3)),
    "mnist": (60_000, 10, (28, 28, 1)),
    "sample": (8_000, 10, (28, 28, 1)),
}


def size_of_set(recipe, data_dir=None):
    """Training images, classes and image shape, without the images if possible."""
    if recipe.dataset in KNOWN_SETS:
        count, classes, shape = KNOWN_SETS[recipe.dataset]
        return min(count, recipe.num_images or count), classes, shape
    images = load_data(recipe, data_dir)
    return images.train.num_images, len(images.class_names), images.image_shape


def load_data(recipe, data_dir=None):
    """The images of a recipe, an `ImageSet`."""
    images = data.load(recipe.dataset, data_dir)
    if recipe.num_images is not None:
        images = data.take_train(images, recipe.num_images)
    return images


def has_center_crop(recipe):
    """Whether to evaluate with the middle of an image: crops train larger objects."""
    return recipe.augmentation == "inception"


def train_data(recipe, images, start_step=0, num_shards=1, shard=0):
    """The batches that a recipe trains with; see `data.train_dataset`."""
    return data.train_dataset(
        images,
        recipe.batch_size,
        recipe.image_size,
        recipe.augmentation,
        rand_augment=recipe.rand_augment,
        cutout=recipe.cutout,
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
        seed=recipe.seed,
        start_step=start_step,
        num_shards=num_shards,
        shard=shard,
    )


def test_data(recipe, images, num_classes=None):
    """The batches to evaluate with; see `data.eval_dataset`."""
    return data.eval_dataset(
        images.test,
        data.resolved_shape(images.image_shape, recipe.image_size),
        max(recipe.batch_size, 256),
        has_center_crop(recipe),
        num_classes,
    )


def make_network(recipe, mode, config, image_shape, classes):
    """The network of a recipe.

    Args:
        recipe: A `Recipe`.
        mode: One of `recipes.MODES`.
        config: Scale factors of the target: in the mode `individual` the network
            has no others. None for the largest.
        image_shape: `(height, width, channels)`.
        classes: Number of classes.
    """
    if mode == "resizable_aug" and recipe.synchronized:
        raise ValueError(
            "With synchronized batch statistics all steps train the same number of "
            "sub-networks, which the mode 'resizable_aug' does not."
        )
    scales = recipe.scales if mode != "individual" else set(config or (1.0,))
    options = {}
    if recipe.network in _WIDTH:
        options[_WIDTH[recipe.network]] = recipe.width
    elif recipe.width != 1.0:
        raise ValueError(f"{recipe.network} has no width. Received: {recipe.width}")
    network = getattr(keras_resizable, recipe.network)(
        scales,
        input_shape=image_shape,
        classes=classes,
        weights=recipe.weights,
        dropout=recipe.dropout,
        kernel_regularizer=keras.regularizers.L2(recipe.weight_decay),
        synchronized=recipe.synchronized,
        **options,
    )
    stages = network.space.num_stages
    if mode == "individual" and config is not None and len(config) != stages:
        raise ValueError(
            f"To train it alone, config needs {stages} scale factors, one for each "
            f"stage. Received: {config}"
        )
    return network


def compile_network(network, recipe, mode, config, steps_per_epoch):
    """Compiles a network as a recipe has it, for one-hot labels."""
    steps = recipe.epochs * steps_per_epoch
    target = network.space.config(network.space.indices(config or ()))
    sampler = keras_resizable.FairSampler(network.space, recipe.seed)
    if mode == "individual":
        sampler = keras_resizable.FixedSampler(network.space, [target])
    elif mode == "resizable_aug":
        switch = round(recipe.switch * steps)
        sampler = keras_resizable.SwitchingSampler(sampler, target, switch)
    network.compile(
        keras.optimizers.SGD(
            _schedule(recipe, steps, steps_per_epoch),
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
        ),
        loss=keras.losses.CategoricalCrossentropy(
            label_smoothing=recipe.label_smoothing
        ),
        metrics=["accuracy"],
        sampler=sampler,
        gradient_reduction=recipe.gradient_reduction,
    )


def _schedule(recipe, steps, steps_per_epoch):
    schedules = keras.optimizers.schedules
    if recipe.schedule == "step":
        boundaries = [round(epoch * steps_per_epoch) for epoch in recipe.decay_epochs]
        rates = [recipe.learning_rate * 0.1**n for n in range(len(boundaries) + 1)]
        return schedules.PiecewiseConstantDecay(boundaries, rates)
    if recipe.schedule == "linear":
        return schedules.PolynomialDecay(recipe.learning_rate, steps, 0.0)
    warmup = max(1, round(recipe.warmup * steps))
    return schedules.CosineDecay(
        0.0,
        decay_steps=max(1, steps - warmup),
        warmup_target=recipe.learning_rate,
        warmup_steps=warmup,
    )
