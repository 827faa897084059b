"""Plans: the sub-networks of one training step."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_resizable.space import SpatialSpace


def draw_plan(
    sampler: Callable[[tf.Tensor], tf.Tensor], space: SpatialSpace, step: tf.Tensor
) -> tf.Tensor:
    """The plan of an optimizer step, int32, the largest sub-network first."""
    plan = tf.convert_to_tensor(sampler(step))
    is_table = plan.shape.rank == 2 and plan.shape[0] != 0
    has_stages = is_table and plan.shape[1] == space.num_stages
    if not has_stages or not plan.dtype.is_integer:
        raise ValueError(
            "A sampler must return scale indices, integers of shape (sub-networks, "
            f"{space.num_stages}); `space.config(scale_factors).indices` has them. "
            f"Received {plan.dtype.name} of shape {plan.shape} from {sampler}."
        )
    plan, count = tf.cast(plan, tf.int32), len(space.scales)
    plan = checked(
        plan,
        tf.reduce_all((plan >= 0) & (plan < count)) & (tf.size(plan) > 0),
        f"Scale indices are from 0 to {count - 1}, but {sampler} has drawn:",
        plan,
    )
    # FLOPs follow the area of the feature maps, and stages cost about the
    # same at equal scale.
    scales = tf.gather(tf.constant(space.scales), plan)
    areas = tf.reduce_sum(tf.math.cumprod(scales, axis=1) ** 2, axis=1)
    order = tf.argsort(areas, direction="DESCENDING", stable=True)
    return tf.gather(plan, order)


def checked(tensor: tf.Tensor, condition: tf.Tensor, *message: Any) -> tf.Tensor:
    """The tensor, with an error in the graph if a condition is false."""
    check = tf.debugging.Assert(condition, list(message), summarize=1000)
    with tf.control_dependencies([check]):
        return tf.identity(tensor)


def is_largest(indices: tf.Tensor) -> tf.Tensor:
    """Whether scale indices belong to the largest sub-network."""
    return tf.reduce_all(indices == 0)


def for_each_row(
    plan: tf.Tensor, body: Callable[..., tuple], loop: tuple, unrolled: bool
) -> tuple:
    """Runs a body for each row, which is the first of the loop variables."""
    if not unrolled:
        count = tf.shape(plan)[0]
        return tf.while_loop(lambda k, *_: k < count, body, loop, parallel_iterations=1)
    if plan.shape[0] is None:
        raise ValueError(
            "With synchronized batch normalisation on several replicas, a "
            "sampler must return plans of a fixed number of sub-networks."
        )
    for _ in range(plan.shape[0]):
        loop = body(*loop)
    return loop
