"""What a job will take, before it is done."""

import dataclasses
import os
import pathlib
import tempfile
import time

import keras

from keras_resizable import data, memory, recipes, runs
from keras_resizable.export.tflite import convert
from keras_resizable.photos.job import CHOICE, Job, evaluated_configs, read_json
from keras_resizable.photos.source import (
    ALL,
    choosing,
    compile_source,
    make_network,
    make_source,
    of_source,
    set_trained,
)
from keras_resizable.pieces import pieces_of_configs
from keras_resizable.training import TeacherDistillation
from keras_resizable.tree import nodes_of

_TIMED_STEPS = 3
# Seconds to save after an epoch, and to cut out a sub-network then.
_TO_SAVE = _TO_CUT_OUT = 1.0
_RANGE_TEST = 100  # Steps.
_CALIBRATED = 2000  # Images, at most.
_EVALUATED = 2  # Sub-networks after each epoch.
_FILES = 5
_ON_FILE = 4.0  # Times what an image takes in a batch of Keras.
_OF_PIECE = 0.5  # Times what converting the whole takes.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """What `to_phone` will do, and about what it takes.

    Attributes:
        classes: Names of the classes.
        num_train: Number of photos to train with.
        num_validation: Number of photos to choose with.
        num_test: Number of photos to test with.
        image_shape: `(height, width, channels)` to train with.
        num_sub_networks: Number of sub-networks to choose from.
        flops: Multiply-adds of the cheapest and of the dearest of them.
        steps: Number of training steps of each part, at most.
        seconds: About how long each part takes on this machine, at most.
        num_bytes: About how much memory training takes, beside what the program does.
        folder: Folder of a job that it would continue, as that is not done, or with
            other limits; None if there is none. On another device it would continue one
            that is done, too.
    """

    classes: tuple[str, ...]
    num_train: int
    num_validation: int
    num_test: int
    image_shape: tuple[int, int, int]
    num_sub_networks: int
    flops: tuple[int, int]
    steps: dict[str, int]
    seconds: dict[str, float]
    num_bytes: int
    folder: pathlib.Path | None


def estimate(job: Job, *, root: str | os.PathLike = "runs") -> Estimate:
    """What a job will do and about what it takes, from a few steps of each part.

    Args:
        job: A `Job`.
        root: Folder of all runs.

    Returns:
        An `Estimate` of all of it, also if some is done.

    Raises:
        As `to_phone`, before anything is written.
    """
    all_images = job.load()
    images = choosing(all_images)
    network, recipe = make_network(job, images), job.recipe(images)
    space = network.space
    shape = data.resolved_shape(images.image_shape, recipe.image_size)
    classes = len(images.class_names)
    steps, seconds, teacher = {}, {}, None
    if job.is_pretrained:
        untrained = dataclasses.replace(job, weights=None)
        model = make_source(untrained, shape, classes)
        of_model = of_source(recipe, images)
        per_epoch = data.steps_per_epoch(images, of_model.batch_size)
        set_trained(model, ALL)
        compile_source(model, of_model, images, epochs=1)
        start, step = _time_training(model, recipes.train_data(of_model, images))
        epochs = job.passes("epochs", per_epoch) + job.passes("head_epochs", per_epoch)
        steps["model"] = per_epoch * epochs
        # Two range tests, and two trainings.
        seconds["model"] = 4 * start + step * (steps["model"] + 2 * _RANGE_TEST)
        seconds["model"] += epochs * _TO_SAVE
        of_tuning = start, step
        teacher = TeacherDistillation(model)
    network.compile(
        keras.optimizers.SGD(),
        "categorical_crossentropy",
        distillation=teacher,
        split_batch=recipe.split_batch,
    )
    per_epoch = data.steps_per_epoch(images, recipe.batch_size)
    start, step = _time_training(network, recipes.train_data(recipe, images))
    steps["resizable"] = per_epoch * recipe.epochs
    seconds["resizable"] = start + step * steps["resizable"]
    seconds["resizable"] += recipe.epochs * (_TO_SAVE + _EVALUATED * _TO_CUT_OUT)
    epochs = job.passes("tuning_epochs", per_epoch)
    steps["fine-tuning"] = per_epoch * epochs
    if not job.is_pretrained:
        of_tuning = start, step
        seconds["resizable"] += start + step * _RANGE_TEST
    start, step = of_tuning
    seconds["fine-tuning"] = start + step * steps["fine-tuning"] + epochs * _TO_SAVE

    largest = network.sub_network(space.largest, check_statistics=False)
    batch, _ = next(iter(recipes.test_data(recipe, images)))
    largest.predict(batch, verbose=0)
    began = time.perf_counter()
    largest.predict(batch, verbose=0)
    image = (time.perf_counter() - began) / len(batch)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        convert(largest, pathlib.Path(folder) / "largest.tflite")
        conversion = time.perf_counter() - began
    configs = evaluated_configs(job, space)
    pieces = pieces_of_configs(network, configs)
    nodes = {
        node: piece.flops
        for config, of_config in zip(configs, pieces)
        for node, piece in zip(nodes_of(config), of_config)
    }
    flops = [sum(piece.flops for piece in of_config) for of_config in pieces]
    whole = max(flops)
    calibrated = min(_CALIBRATED, images.train.num_images)
    chosen_from = images.test.num_images
    after_epochs = recipe.epochs * _EVALUATED * (chosen_from + calibrated / 4)
    seconds["table"] = image * (
        2 * (chosen_from + calibrated) * sum(nodes.values()) / whole + after_epochs
    )
    if job.max_latency_ms is not None:
        count = len({piece for of_config in pieces for piece in of_config})
        seconds["latency"] = _OF_PIECE * conversion * count
    tested = _FILES * all_images.test.num_images
    seconds["files"] = 2 * _FILES * conversion + _ON_FILE * image * tested
    return Estimate(
        classes=images.class_names,
        num_train=images.train.num_images,
        num_validation=chosen_from,
        num_test=all_images.test.num_images,
        image_shape=shape,
        num_sub_networks=space.size,
        flops=(min(flops), whole),
        steps=steps,
        seconds=seconds,
        num_bytes=memory.estimate_training_memory(network, recipe.batch_size),
        folder=_begun(job, root),
    )


def _begun(job, root):
    """The folder of a job that is not done, or was with other limits."""
    settings, choice = job.settings_and_choice()

    def is_done(folder):
        # On whatever device.
        return choice.items() <= read_json(folder / CHOICE).items()

    root = pathlib.Path(root) / "photos"
    return runs.find_run(job.name, settings, is_done, root=root)


def _time_training(model, batches):
    """Of a compiled model: seconds until it trains, and those of a step then."""
    batches = batches.prefetch(1)
    began = time.perf_counter()
    model.fit(batches, steps_per_epoch=1, verbose=0, shuffle=False)
    traced = time.perf_counter()
    model.fit(batches, steps_per_epoch=_TIMED_STEPS, verbose=0, shuffle=False)
    step = (time.perf_counter() - traced) / _TIMED_STEPS
    return max(traced - began - step, 0.0), step
