"""Errors in a network or its training, reported before anything runs."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resizable.distillation import (
    Distillation,
    InPlaceDistillation,
    TeacherDistillation,
)
from keras_resizable.layers import HasStockForm, ScaleAwareBatchNorm
from keras_resizable.samplers import PiecewiseSampler
from keras_resizable.training.records import check_shares
from keras_resizable.utils.classifier_outputs import num_classes, require_one_class
from keras_resizable.utils.keras_graph import layers_of

_DRAWN_STEPS = 10  # For samplers whose plans are unknown.


def check_compiler(jit_compile: bool | str) -> None:
    """Rejects XLA."""
    if jit_compile is True:
        raise ValueError(
            "`jit_compile=True` does not work: XLA needs fixed sizes, but those of a "
            "resizable network change from step to step. Leave it out."
        )


def check_distillation(
    distillation: Distillation,
    sampler: Callable[..., tf.Tensor],
    stem: keras.Model,
    head: keras.Model,
    split_batch: bool,
    loss: Any,
) -> None:
    """Raises if distillation does not support the head, plans, images or labels."""
    in_place = isinstance(distillation, InPlaceDistillation)
    if split_batch and in_place:
        raise ValueError(
            "With `split_batch=True` each sub-network sees different images, and "
            "none can teach another: use TeacherDistillation, or `split_batch=False`."
        )
    if num_classes(head) is None:
        raise ValueError(
            "Distillation needs one output of (batch, classes), two or more classes. "
            f"The head has {[tuple(output.shape) for output in head.outputs]}."
        )
    require_one_class(loss)
    if isinstance(distillation, TeacherDistillation):
        _check_teacher(distillation.teacher, stem, head)
    step = step_without_largest(sampler) if in_place else None
    if step is not None:
        raise ValueError(
            "InPlaceDistillation needs plans with the largest sub-network. "
            f"{sampler} has none at step {step}: use SandwichSampler."
        )


def _check_teacher(teacher, stem, head):
    for name, theirs, ours in (
        ("takes", teacher.inputs[0].shape, stem.inputs[0].shape),
        ("answers with", teacher.outputs[0].shape, head.outputs[0].shape),
    ):
        if not tf.TensorShape(theirs[1:]).is_compatible_with(ours[1:]):
            raise ValueError(
                f"The teacher {teacher.name!r} {name} {tuple(theirs)}, the network "
                f"{tuple(ours)}: both must have the same images and classes."
            )


def step_without_largest(sampler: Callable[[tf.Tensor], tf.Tensor]) -> int | None:
    """The first step whose plan is known to lack the largest sub-network, or None."""
    if getattr(sampler, "always_has_largest", False):
        return None
    steps = list(range(_DRAWN_STEPS))
    if isinstance(sampler, PiecewiseSampler):
        for boundary in sampler.boundaries:
            steps += range(boundary, boundary + _DRAWN_STEPS)
    for step in steps:
        plan = np.asarray(sampler(tf.constant(step, tf.int64)))
        if not np.any(np.all(plan == 0, axis=1)):
            return step
    return None


def check_batches(batch_spec: Any, sampler: Callable[..., tf.Tensor]) -> None:
    """Checks with `check_shares`, where both numbers are known before training."""
    images, count = keras.tree.flatten(batch_spec)[0], getattr(sampler, "length", None)
    if count is None or not isinstance(images, tf.TensorSpec) or not images.shape.rank:
        return
    num_images = images.shape[0]
    if num_images is not None and num_images < count:
        check_shares(num_images, count)


def check_penalties(variables: Iterable[keras.Variable]) -> None:
    """Raises for regularizers of weights that are not float32."""
    for variable in variables:
        if variable.regularizer is not None and variable.dtype != "float32":
            raise ValueError(
                f"{variable.path} is {variable.dtype} and has a regularizer: Keras "
                "adds penalties in float32 only. Use a mixed precision, such as "
                "'mixed_float16', or no regularizer."
            )


def check_layers(
    stem: keras.Model,
    stages: Sequence[keras.Model],
    head: keras.Model,
    scales: tuple[float, ...],
) -> None:
    """Raises for other scale factors, rows shared by stages, and channels first."""
    stage_of: dict[int, int] = {}
    for number, stage in enumerate(stages):
        for layer in layers_of(stage):
            if isinstance(layer, HasStockForm):
                try:
                    layer.check_scales(scales)
                except ValueError as error:
                    raise ValueError(f"Stage {number + 1}: {error}") from error
            has_rows = isinstance(layer, ScaleAwareBatchNorm) and layer.num_scales > 1
            if has_rows and (first := stage_of.setdefault(id(layer), number)) < number:
                raise ValueError(
                    f"Layer {layer.name!r} is in stages {first + 1} and {number + 1}: "
                    "each stage needs separate batch normalisation."
                )
    for layer in itertools.chain(*map(layers_of, (stem, *stages, head))):
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                f"Layer {layer.name!r} has data_format='channels_first'. A resizable "
                "network takes images (batch, height, width, channels)."
            )
