"""What a job will take, before it is done."""

import dataclasses
import os
import pathlib
import tempfile
import time
from typing import NamedTuple

import keras

from keras_resizable import data, memory, recipes, runs
from keras_resizable.export.tflite import convert
from keras_resizable.photos.job import Job, evaluated_configs
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
        folder: Folder of a job that it would go on with, also if that is done; None if
            there is none.
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
    configs = evaluated_configs(job, network.space)
    pieces = pieces_of_configs(network, configs)
    flops = [sum(piece.flops for piece in of_config) for of_config in pieces]
    num_tested = all_images.test.num_images
    steps, seconds = _of_training(job, network, recipe, images)
    image, conversion = _time_largest(network, recipe, images)
    seconds["table"] = image * _num_evaluated(images, recipe.epochs, configs, pieces)
    if job.max_latency_ms is not None:
        count = len({piece for of_config in pieces for piece in of_config})
        seconds["latency"] = _OF_PIECE * conversion * count
    seconds["files"] = _FILES * (2 * conversion + _ON_FILE * image * num_tested)
    return Estimate(
        classes=images.class_names,
        num_train=images.train.num_images,
        num_validation=images.test.num_images,
        num_test=num_tested,
        image_shape=data.resolved_shape(images.image_shape, recipe.image_size),
        num_sub_networks=network.space.size,
        flops=(min(flops), max(flops)),
        steps=steps,
        seconds=seconds,
        num_bytes=memory.estimate_training_memory(network, recipe.batch_size),
        folder=_begun(job, root),
    )


class _Training(NamedTuple):
    """Of a compiled model: seconds until it trains, and those of a step then."""

    start: float
    step: float

    def seconds(self, steps, epochs, starts=1):
        return starts * self.start + steps * self.step + epochs * _TO_SAVE


def _of_training(job, network, recipe, images):
    """Steps and seconds of each part that trains, from a few steps of each."""
    steps, seconds, of_model, teacher = {}, {}, None, None
    if job.is_pretrained:
        model, recipe_of_model = _compiled_source(job, recipe, images)
        of_model = _time(model, recipes.train_data(recipe_of_model, images))
        per_epoch = data.steps_per_epoch(images, recipe_of_model.batch_size)
        epochs = job.passes("epochs", per_epoch) + job.passes("head_epochs", per_epoch)
        steps["model"] = per_epoch * epochs
        # Two range tests, and two trainings.
        seconds["model"] = of_model.seconds(
            steps["model"] + 2 * _RANGE_TEST, epochs, starts=4
        )
        teacher = TeacherDistillation(model)
    network.compile(
        keras.optimizers.SGD(),
        "categorical_crossentropy",
        distillation=teacher,
        split_batch=recipe.split_batch,
    )
    of_network = _time(network, recipes.train_data(recipe, images))
    per_epoch = data.steps_per_epoch(images, recipe.batch_size)
    steps["resizable"] = per_epoch * recipe.epochs
    seconds["resizable"] = of_network.seconds(steps["resizable"], recipe.epochs)
    seconds["resizable"] += recipe.epochs * _EVALUATED * _TO_CUT_OUT
    if of_model is None:
        seconds["resizable"] += of_network.seconds(_RANGE_TEST, epochs=0)
    epochs = job.passes("tuning_epochs", per_epoch)
    steps["fine-tuning"] = per_epoch * epochs
    of_sub_network = of_model or of_network
    seconds["fine-tuning"] = of_sub_network.seconds(steps["fine-tuning"], epochs)
    return steps, seconds


def _compiled_source(job, recipe, images):
    """The model that others are taught by, as it is trained, and its recipe."""
    shape = data.resolved_shape(images.image_shape, recipe.image_size)
    untrained = dataclasses.replace(job, weights=None)
    model = make_source(untrained, shape, len(images.class_names))
    recipe = of_source(recipe, images)
    set_trained(model, ALL)
    compile_source(model, recipe, images, epochs=1)
    return model, recipe


def _time(model, batches):
    """A `_Training` of a compiled model."""
    batches = batches.prefetch(1)
    began = time.perf_counter()
    model.fit(batches, steps_per_epoch=1, verbose=0, shuffle=False)
    traced = time.perf_counter()
    model.fit(batches, steps_per_epoch=_TIMED_STEPS, verbose=0, shuffle=False)
    step = (time.perf_counter() - traced) / _TIMED_STEPS
    return _Training(max(traced - began - step, 0.0), step)


def _time_largest(network, recipe, images):
    """Seconds of an image through the largest sub-network, and of its conversion."""
    largest = network.sub_network(network.space.largest, check_statistics=False)
    batch, _ = next(iter(recipes.test_data(recipe, images)))
    largest.predict(batch, verbose=0)
    began = time.perf_counter()
    largest.predict(batch, verbose=0)
    image = (time.perf_counter() - began) / len(batch)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        convert(largest, pathlib.Path(folder) / "largest.tflite")
        return image, time.perf_counter() - began


def _num_evaluated(images, epochs, configs, pieces):
    """Images to calibrate and evaluate with, as many of the largest take as long."""
    flops_of_nodes = {
        node: piece.flops
        for config, of_config in zip(configs, pieces)
        for node, piece in zip(nodes_of(config), of_config)
    }
    whole = max(sum(piece.flops for piece in of_config) for of_config in pieces)
    calibrated = min(_CALIBRATED, images.train.num_images)
    chosen_from = images.test.num_images
    in_tree = 2 * (chosen_from + calibrated) * sum(flops_of_nodes.values()) / whole
    return in_tree + epochs * _EVALUATED * (chosen_from + calibrated / 4)


def _begun(job, root):
    """The folder of a job that was begun, or done, maybe with other limits."""
    settings, _ = job.settings_and_choice()
    root = pathlib.Path(root) / "photos"
    return runs.find_run(job.name, settings, lambda folder: False, root=root)
