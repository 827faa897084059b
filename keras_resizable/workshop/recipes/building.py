"""From a recipe to its images and its compiled network."""

import dataclasses
import importlib
import inspect
from collections.abc import Collection
from typing import Any

import keras
import tensorflow as tf

from keras_resizable import samplers
from keras_resizable.conversion import from_keras
from keras_resizable.distillation import InPlaceDistillation, TeacherDistillation
from keras_resizable.models import NETWORKS
from keras_resizable.network import ResizableNetwork
from keras_resizable.space import ConfigLike
from keras_resizable.utils.arguments import number
from keras_resizable.workshop import data
from keras_resizable.workshop.data.answers import with_answers
from keras_resizable.workshop.data.image_set import count_validation
from keras_resizable.workshop.data.pipeline import resolved_shape
from keras_resizable.workshop.recipes.recipe import Recipe
from keras_resizable.workshop.recipes.source_models import (
    APPLICATIONS,
    application_model,
    is_source,
    load_source,
    load_stock,
    set_options,
)

# Training images, classes and image shapes, to describe a recipe without its data.
KNOWN_SETS = {
    "cifar10": (50_000, 10, (32, 32, 3)),
    "cifar100": (50_000, 100, (32, 32, 3)),
    "fashion_mnist": (60_000, 10, (28, 28, 1)),
    "imagenet2012": (1_281_167, 1000, (None, None, 3)),
    "mnist": (60_000, 10, (28, 28, 1)),
    "sample": (8_000, 10, (28, 28, 1)),
}


def size_of_set(
    recipe: Recipe,
) -> tuple[int, int, tuple[int | None, int | None, int]]:
    """Training images, classes and image shape, without reading if possible."""
    if recipe.dataset in KNOWN_SETS:
        count, classes, shape = KNOWN_SETS[recipe.dataset]
        count -= count_validation(count, recipe.validation)
        if recipe.num_images is not None:
            count = number("num_images", recipe.num_images, 1, count)
        return count, classes, shape
    images = load_data(recipe)
    return images.train.num_images, len(images.class_names), images.image_shape


def load_data(recipe: Recipe, *, unseen: bool = False) -> data.ImageSet:
    """Loads the images of a recipe, an `ImageSet`; the teacher labels what has none.

    Args:
        recipe: A `Recipe`.
        unseen: Whether `test` are the test images even if the recipe has a `validation`
            share, whose images `test` would otherwise be.
    """
    images = data.load(
        recipe.dataset, validation=recipe.validation, balance=recipe.balance
    )
    if not images.class_names:
        if recipe.teacher is None:
            raise ValueError(
                f"{recipe.dataset} has no folder for each class, so its images have no "
                "labels. To learn from the answers of a model, give it as `teacher`, "
                "with distillation_weight=1."
            )
        images = with_answers(
            images,
            load_stock(recipe.teacher),
            resolved_shape(images.image_shape, recipe.image_size),
            center_crop=has_center_crop(recipe),
        )
    if images.validation is not None and not unseen:
        images = dataclasses.replace(images, test=images.validation)
    if recipe.num_images is not None:
        images = data.take_train(images, recipe.num_images)
    return images


def steps_of_epoch(recipe: Recipe, images: data.ImageSet | int) -> int:
    """The number of steps of an epoch, for images or their number.

    Raises:
        ValueError: If the images do not fill a batch.
    """
    steps = data.steps_per_epoch(images, recipe.batch_size)
    return recipe.steps_per_epoch or steps


def has_center_crop(recipe: Recipe) -> bool:
    """Whether to evaluate on a central crop: random crops train on larger objects."""
    return recipe.augmentation == "inception"


def train_data(
    recipe: Recipe,
    images: data.ImageSet,
    *,
    start_step: int = 0,
    num_shards: int = 1,
    shard: int = 0,
) -> tf.data.Dataset:
    """The training batches of a recipe; see `data.train_dataset`."""
    return data.train_dataset(
        images,
        recipe.batch_size,
        image_size=recipe.image_size,
        augmentation=recipe.augmentation,
        rand_augment=recipe.rand_augment,
        cutout=recipe.cutout,
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
        seed=recipe.seed,
        start_step=start_step,
        num_shards=num_shards,
        shard=shard,
    )


def test_data(
    recipe: Recipe,
    images: data.ImageSet,
    *,
    num_classes: int | None = None,
    split: data.Split | None = None,
) -> tf.data.Dataset:
    """The evaluation batches, from the test images or another split.

    See `data.eval_dataset`.
    """
    return data.eval_dataset(
        split or images.test,
        resolved_shape(images.image_shape, recipe.image_size),
        max(recipe.batch_size, 256),
        center_crop=has_center_crop(recipe),
        num_classes=num_classes,
    )


def _find_network(name):
    """The function that makes a network, by its name or as package.module:function."""
    if name in NETWORKS:
        return NETWORKS[name]
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (AttributeError, ImportError, ValueError) as error:
        raise ValueError(
            f"There is no network {name!r}: {error}. Modules of your own must be in "
            "a folder of PYTHONPATH."
        ) from error


def make_network(
    recipe: Recipe,
    mode: str,
    config: ConfigLike | None,
    *,
    image_shape: tuple[int | None, int | None, int],
    classes: int,
) -> ResizableNetwork:
    """The network of a recipe."""
    if recipe.synchronized and mode == "resizable_aug":
        raise ValueError(
            "`synchronized` needs the same number of sub-networks in every step, which "
            f"resizable_aug does not have. Received: synchronized=True, mode={mode!r}"
        )
    scales = recipe.scales if mode != "individual" else tuple(set(config or (1.0,)))
    make = _convert if is_source(recipe.network) else _call
    network = make(recipe, scales, image_shape, classes)
    stages = network.space.num_stages
    if mode == "individual" and config is not None and len(config) != stages:
        raise ValueError(
            "In the mode 'individual', `config` must have a scale factor for each of "
            f"{stages} stages. Received: config={config}"
        )
    return network


def _convert(recipe, scales, image_shape, classes):
    """A network converted from a third-party model."""
    if recipe.network.startswith(APPLICATIONS):
        model = application_model(
            recipe.network.removeprefix(APPLICATIONS),
            input_shape=image_shape,
            classes=classes,
            **_options(recipe, ("weights", "width", "dropout")),
        )
    else:
        _options(recipe, ())
        model = load_source(recipe.network, classes)
    regularizer = keras.regularizers.L2(recipe.weight_decay)
    set_options(model, regularizer, recipe.synchronized)
    return from_keras(model, scales, input_shape=image_shape)


def _call(recipe, scales, image_shape, classes):
    """A network from this library's functions, or from a similar function."""
    make = _find_network(recipe.network)
    taken = inspect.signature(make).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    return make(
        scales,
        input_shape=image_shape,
        classes=classes,
        kernel_regularizer=keras.regularizers.L2(recipe.weight_decay),
        synchronized=recipe.synchronized,
        **_options(recipe, (*taken, *(("weights", "dropout") if takes_any else ()))),
    )


def _options(recipe: Recipe, taken: Collection[str]) -> dict[str, Any]:
    """The recipe's values for options that only some networks have."""
    absent = {"weights": None, "width": 1.0, "dropout": 0.0}
    values = {name: getattr(recipe, name) for name in absent}
    for name, value in values.items():
        if name not in taken and value != absent[name]:
            raise ValueError(
                f"{recipe.network} has no {name} option. Received: {name}={value!r}"
            )
    return {name: value for name, value in values.items() if name in taken}


def compile_network(
    network: ResizableNetwork,
    recipe: Recipe,
    mode: str,
    config: ConfigLike | None,
    *,
    steps_per_epoch: int,
) -> None:
    """Compiles a network as a recipe describes, for one-hot labels."""
    steps = recipe.epochs * steps_per_epoch
    teaching: InPlaceDistillation | TeacherDistillation | None = None
    if recipe.distillation != "none" and mode != "individual":
        teaching = InPlaceDistillation(recipe.distillation_weight)
    if recipe.teacher is not None:
        (classes,) = network.output_shape[1:]
        teacher = load_source(recipe.teacher, classes)
        teaching = TeacherDistillation(teacher, recipe.distillation_weight)
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
        distillation=teaching,
        split_batch=recipe.split_batch,
    )


def compile_sub_network(
    model: keras.Model, recipe: Recipe, *, learning_rate: float, steps: int
) -> None:
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


def _sampler(space, recipe, mode, config, steps_per_epoch):
    alone = samplers.FixedSampler([space.config(config or ())])
    if mode == "individual":
        return alone
    kind, options = samplers.SAMPLERS[recipe.sampler], {"seed": recipe.seed}
    if "num_draws" in inspect.signature(kind).parameters:
        options["num_draws"] = recipe.draws
    sampler = kind(**options)
    if mode == "resizable_aug":
        step = round(recipe.switch * recipe.epochs * steps_per_epoch)
        sampler = samplers.PiecewiseSampler([step], [sampler, alone])
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
