"""The time that a job will take."""

import dataclasses
import math
import os
import pathlib
import time
from collections.abc import Sequence

import numpy as np

from keras_resizable.workshop import data
from keras_resizable.workshop.photos.findings import (
    counts,
    note_on_uneven,
)
from keras_resizable.workshop.photos.job import Job
from keras_resizable.workshop.photos.material import Material, read, settings_of
from keras_resizable.workshop.photos.photo_problems import SPLITS
from keras_resizable.workshop.photos.progress import (
    MODEL,
    RESIZABLE,
    TUNING,
    Part,
)
from keras_resizable.workshop.photos.steps import recipe_of_source
from keras_resizable.workshop.recipes.building import (
    steps_of_epoch,
    train_data,
)
from keras_resizable.workshop.runs.folders import find_run

_TIMED_STEPS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A plan of `to_phone`, with its approximate training time.

    Attributes:
        classes: Names of the classes.
        by_class: Numbers of training, validation and test photos, by class.
        num_train: Number of training photos.
        num_validation: Number of validation photos.
        num_test: Number of test photos.
        image_shape: `(height, width, channels)` for training.
        num_sub_networks: Number of sub-networks to choose from.
        flops: Multiply-adds of the cheapest and of the most expensive of them.
        steps: Number of training steps of each part, at most.
        seconds: Approximate time of each part's steps on this machine, without
            evaluating sub-networks and writing files.
        note: A warning of classes with few photos; empty if there is none.
        folder: Folder of the job that it would resume or return, if any.
    """

    classes: tuple[str, ...]
    by_class: dict[str, tuple[int, ...]]
    num_train: int
    num_validation: int
    num_test: int
    image_shape: tuple[int, int, int]
    num_sub_networks: int
    flops: tuple[int, int]
    steps: dict[str, int]
    seconds: dict[str, float]
    note: str
    folder: pathlib.Path | None


def estimate(job: Job, *, root: str | os.PathLike = "runs") -> Estimate:
    """Plans a job, and estimates its training time from a few timed steps.

    Args:
        job: A `Job`.
        root: Folder of all runs.

    Returns:
        An `Estimate` of the whole job, even if parts of it are done.

    Raises:
        The errors of `to_phone` that come before it writes anything.
    """
    material = read(job)
    network = material.untrained()
    flops = material.count_flops(network)
    parts = work_of(material, flops)
    settings, _ = settings_of(job)
    seconds = _time_step(network, material.recipe, material.images)
    pace = seconds / parts[RESIZABLE].flops
    by_class = {
        name: tuple(numbers)
        for name, *numbers in zip(
            material.images.class_names,
            *(counts(material, split) for split in SPLITS),
        )
    }
    return Estimate(
        classes=material.images.class_names,
        by_class=by_class,
        num_train=material.photos.train.num_images,
        num_validation=material.images.test.num_images,
        num_test=material.photos.test.num_images,
        image_shape=material.shape,
        num_sub_networks=network.space.size,
        flops=(min(flops), max(flops)),
        steps={name: part.steps for name, part in parts.items()},
        seconds={name: part.steps * part.flops * pace for name, part in parts.items()},
        note=note_on_uneven(material),
        folder=find_run(
            job.name, settings, lambda folder: False, root=pathlib.Path(root) / "photos"
        ),
    )


def work_of(material: Material, flops: Sequence[int]) -> dict[str, Part]:
    """The trainings of a job by name, at most.

    Args:
        material: The photos and the model.
        flops: Multiply-adds of the configurations to choose from.
    """
    job, images, recipe = material.job, material.images, material.recipe
    parts: dict[str, Part] = {}
    if job.is_pretrained and images.is_labelled:
        batch_size = recipe_of_source(material).batch_size
        per_pass = data.steps_per_epoch(images, batch_size)
        steps = sum(
            math.prod(job.epochs_of(name, per_pass))
            for name in ("head_epochs", "epochs")
        )
        parts[MODEL] = Part(steps, batch_size * max(flops))
    per_pass = data.steps_per_epoch(images, recipe.batch_size)
    images_of_plan = 1 if recipe.split_batch else len(recipe.scales)
    parts[RESIZABLE] = Part(
        steps_of_epoch(recipe, images) * recipe.epochs,
        recipe.batch_size * images_of_plan * float(np.mean(flops)),
    )
    steps = math.prod(job.epochs_of("tuning_epochs", per_pass))
    parts[TUNING] = Part(steps, recipe.batch_size * max(flops))
    return parts


def _time_step(network, recipe, images):
    """Seconds of a step of the resizable network."""
    network.compile("sgd", "categorical_crossentropy", split_batch=recipe.split_batch)
    batches = train_data(recipe, images).prefetch(1)
    options = {"verbose": 0, "shuffle": False}
    network.fit(batches, steps_per_epoch=1, **options)  # Traces the step.
    began = time.perf_counter()
    network.fit(batches, steps_per_epoch=_TIMED_STEPS, **options)
    return (time.perf_counter() - began) / _TIMED_STEPS
