"""What a recipe stands for: its images, its network, and how that is compiled."""

import quiet  # noqa: F401

# isort: split
import keras

import keras_resizable
from keras_resizable import callbacks, data, distillation, sampling

_WIDTH = {
    "MobileNetV1": "alpha",
    "MobileNetV2": "alpha",
    "ResNet20": "width",
    "ResNet56": "width",
    "ShuffleNetV2": "width",
}
_DISTILLATIONS = {
    "in_place": distillation.InPlaceDistillation,
    "top_down": distillation.TopDownDistillation,
    "ensemble": distillation.EnsembleDistillation,
}
_WITH_DROP_PATH = {
    "MobileNetV2",
    "ResNet20",
    "ResNet50",
    "ResNet56",
    "ResNet101",
    "ResNet152",
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
    """Training images, classes and image shape, without the images if possible.

    Raises:
        ValueError: As `load_data` does, if there are not as many images.
    """
    if recipe.dataset in KNOWN_SETS:
        count, classes, shape = KNOWN_SETS[recipe.dataset]
        if recipe.num_images is not None and recipe.num_images > count:
            raise ValueError(
                f"There are {count} images to train with. Received: {recipe.num_images}"
            )
        if recipe.canvas is not None:
            shape = (recipe.canvas, recipe.canvas, shape[-1])
        return min(count, recipe.num_images or count), classes, shape
    images = load_data(recipe, data_dir)
    return images.train.num_images, len(images.class_names), images.image_shape


def load_data(recipe, data_dir=None):
    """The images of a recipe, an `ImageSet`."""
    images = data.load(recipe.dataset, data_dir)
    if recipe.num_images is not None:
        images = data.take_train(images, recipe.num_images)
    if recipe.canvas is not None:
        images = data.on_canvas(images, recipe.canvas)
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


def test_data(recipe, images, num_classes=None, split=None):
    """The batches to evaluate with, of the test images or of another split.

    See `data.eval_dataset`.
    """
    return data.eval_dataset(
        split or images.test,
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
    if recipe.synchronized and (mode == "resizable_aug" or recipe.shrink):
        raise ValueError(
            "With synchronized batch statistics all steps train the same number of "
            "sub-networks, which the mode 'resizable_aug' and `shrink` do not."
        )
    if mode == "resizable_aug" and recipe.shrink and recipe.shrink >= recipe.switch:
        raise ValueError(
            "The target would be trained alone before all sub-networks are: shrink is "
            f"less than switch. Received: {recipe.shrink} and {recipe.switch}"
        )
    if mode == "individual" and recipe.distillation != "none":
        raise ValueError(
            f"One sub-network alone has none to learn from. Received: distillation="
            f"{recipe.distillation!r} with the mode 'individual'."
        )
    scales = recipe.scales if mode != "individual" else set(config or (1.0,))
    options = {}
    if recipe.network in _WIDTH:
        options[_WIDTH[recipe.network]] = recipe.width
    elif recipe.width != 1.0:
        raise ValueError(f"{recipe.network} has no width. Received: {recipe.width}")
    if recipe.network in _WITH_DROP_PATH:
        options["drop_path"] = recipe.drop_path
    elif recipe.drop_path:
        raise ValueError(f"{recipe.network} has no residual branches to drop.")
    network = getattr(keras_resizable, recipe.network)(
        scales,
        input_shape=image_shape,
        classes=classes,
        weights=recipe.weights,
        dropout=recipe.dropout,
        kernel_regularizer=keras.regularizers.L2(recipe.weight_decay),
        synchronized=recipe.synchronized,
        scale_aware=recipe.scale_aware,
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
    teaching = None
    if recipe.distillation != "none":
        teaching = _DISTILLATIONS[recipe.distillation](recipe.distillation_weight)
    network.compile(
        keras.optimizers.SGD(
            _schedule(recipe, steps, steps_per_epoch),
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            use_ema=recipe.ema > 0,
            ema_momentum=recipe.ema,
        ),
        loss=keras.losses.CategoricalCrossentropy(
            label_smoothing=recipe.label_smoothing
        ),
        metrics=["accuracy"],
        sampler=_sampler(network.space, recipe, mode, config, steps_per_epoch),
        gradient_reduction=recipe.gradient_reduction,
        distillation=teaching,
    )


def compile_sub_network(model, recipe, learning_rate, steps):
    """Compiles for one-hot labels, with a learning rate that falls to zero."""
    model.compile(
        keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(learning_rate, steps),
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
        ),
        loss=keras.losses.CategoricalCrossentropy(
            label_smoothing=recipe.label_smoothing
        ),
        metrics=["accuracy"],
    )


def training_callbacks(recipe, mode):
    """The callbacks that a recipe needs to be trained as it says."""
    if mode == "individual" or not recipe.shrink:
        return []
    return [callbacks.StartFromLargest(_first_shrunk_epoch(recipe))]


def _first_shrunk_epoch(recipe):
    return round(recipe.shrink * recipe.epochs)


def _sampler(space, recipe, mode, config, steps_per_epoch):
    target = space.config(config or ())
    alone = keras_resizable.FixedSampler(space, [target])
    if mode == "individual":
        return alone
    sampler: sampling.Sampler = keras_resizable.FairSampler(space, recipe.seed)
    if recipe.sampler == "uniform":
        sampler = keras_resizable.UniformSampler(space, recipe.seed, recipe.draws)
    elif recipe.sampler == "sandwich":
        sampler = keras_resizable.SandwichSampler(space, recipe.seed, recipe.draws)
    if recipe.shrink:
        largest = keras_resizable.FixedSampler(space, [space.largest])
        step = _first_shrunk_epoch(recipe) * steps_per_epoch
        sampler = keras_resizable.SwitchingSampler(largest, sampler, step)
    if mode == "resizable_aug":
        step = round(recipe.switch * recipe.epochs * steps_per_epoch)
        sampler = keras_resizable.SwitchingSampler(sampler, alone, step)
    return sampler


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
