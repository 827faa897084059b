"""The time that a job will take."""

import dataclasses
import os
import pathlib
import time

import numpy as np

from keras_resizable.subnetworks.pieces import count_flops_of_configs
from keras_resizable.workshop import data
from keras_resizable.workshop.photos.job import Job
from keras_resizable.workshop.photos.material import read, settings_of
from keras_resizable.workshop.photos.steps import recipe_of_source
from keras_resizable.workshop.recipes.building import train_data
from keras_resizable.workshop.runs.folders import find_run

_TIMED_STEPS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A plan of `to_phone`, with its approximate training time.

    Attributes:
        classes: Names of the classes.
        num_train: Number of training photos.
        num_validation: Number of validation photos.
        num_test: Number of test photos.
        image_shape: `(height, width, channels)` for training.
        num_sub_networks: Number of sub-networks to choose from.
        flops: Multiply-adds of the cheapest and of the most expensive of them.
        steps: Number of training steps of each part, at most.
        seconds: Approximate time of each part's steps on this machine, without
            evaluating sub-networks and writing files.
        folder: Folder of the job that it would resume or return, if any.
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
    images, recipe, network = material.images, material.recipe, material.untrained()
    flops = count_flops_of_configs(network, material.evaluated(network.space))
    settings, _ = settings_of(job)
    # The number of steps of each part, and the multiply-adds of one.
    steps: dict[str, int] = {}
    of_step: dict[str, float] = {}
    if job.is_pretrained and images.is_labelled:
        batch_size = recipe_of_source(material).batch_size
        per_epoch = data.steps_per_epoch(images, batch_size)
        epochs = job.passes("epochs", per_epoch) + job.passes("head_epochs", per_epoch)
        steps["model"], of_step["model"] = per_epoch * epochs, batch_size * max(flops)
    per_epoch = data.steps_per_epoch(images, recipe.batch_size)
    steps["resizable"] = per_epoch * recipe.epochs
    images_of_plan = 1 if recipe.split_batch else len(recipe.scales)
    of_step["resizable"] = recipe.batch_size * images_of_plan * float(np.mean(flops))
    steps["fine-tuning"] = per_epoch * job.passes("tuning_epochs", per_epoch)
    of_step["fine-tuning"] = recipe.batch_size * max(flops)
    pace = _time_step(network, recipe, images) / of_step["resizable"]
    return Estimate(
        classes=images.class_names,
        num_train=images.train.num_images,
        num_validation=images.test.num_images,
        num_test=material.photos.test.num_images,
        image_shape=material.shape,
        num_sub_networks=network.space.size,
        flops=(min(flops), max(flops)),
        steps=steps,
        seconds={part: steps[part] * of_step[part] * pace for part in steps},
        folder=find_run(
            job.name, settings, lambda folder: False, root=pathlib.Path(root) / "photos"
        ),
    )


def _time_step(network, recipe, images):
    """Seconds of a step of the resizable network."""
    network.compile("sgd", "categorical_crossentropy", split_batch=recipe.split_batch)
    batches = train_data(recipe, images).prefetch(1)
    options = {"verbose": 0, "shuffle": False}
    network.fit(batches, steps_per_epoch=1, **options)  # Traces the step.
    began = time.perf_counter()
    network.fit(batches, steps_per_epoch=_TIMED_STEPS, **options)
    return (time.perf_counter() - began) / _TIMED_STEPS
