"""Plans: the sub-networks of one training step."""

from collections.abc import Callable

import tensorflow as tf

from keras_resizable.space import SpatialSpace


def draw_plan(
    sampler: Callable[[tf.Tensor], tf.Tensor], space: SpatialSpace, step: tf.Tensor
) -> tf.Tensor:
    """The plan of a step, the largest sub-network first.

    Args:
        sampler: Callable from the optimizer step to a plan.
        space: The `SpatialSpace` of the network.
        step: The optimizer step, a scalar int64 tensor.

    Returns:
        Scale indices, int32 `(sub-networks, num_stages)`.

    Raises:
        ValueError: If the sampler returns another shape, or no integers.
    """
    plan = tf.convert_to_tensor(sampler(step))
    is_table = plan.shape.rank == 2 and plan.shape[0] != 0
    has_stages = is_table and plan.shape[1] == space.num_stages
    if not has_stages or not plan.dtype.is_integer:
        raise ValueError(
            "A sampler must return scale indices, integers of shape (sub-networks, "
            f"{space.num_stages}); `space.config(scale_factors).indices` has them. "
            f"Received {plan.dtype.name} of shape {plan.shape} from {sampler}."
        )
    plan = _with_known_indices(tf.cast(plan, tf.int32), sampler, len(space.scales))
    # FLOPs follow the area of the feature maps, and stages cost about the
    # same at equal scale.
    scales = tf.gather(tf.constant(space.scales), plan)
    areas = tf.reduce_sum(tf.math.cumprod(scales, axis=1) ** 2, axis=1)
    order = tf.argsort(areas, direction="DESCENDING", stable=True)
    return tf.gather(plan, order)


def _with_known_indices(plan, sampler, count):
    """A plan that fails in the graph if it has none, or others than scale indices."""
    is_known = tf.reduce_all((plan >= 0) & (plan < count)) & (tf.size(plan) > 0)
    check = tf.debugging.Assert(
        is_known,
        [f"Scale indices are from 0 to {count - 1}, but {sampler} has drawn:", plan],
        summarize=1000,
    )
    with tf.control_dependencies([check]):
        return tf.identity(plan)


def with_largest(
    plan: tf.Tensor, sampler: Callable[[tf.Tensor], tf.Tensor], needed_by: str
) -> tf.Tensor:
    """A plan that fails in the graph if it lacks the largest sub-network.

    Args:
        plan: A plan, the largest sub-network first.
        sampler: Where it comes from.
        needed_by: Name of what needs the largest.
    """
    check = tf.debugging.Assert(
        is_largest(plan[0]),
        [
            f"{needed_by} needs plans with the largest sub-network, but {sampler} has "
            "drawn:",
            plan,
        ],
        summarize=1000,
    )
    with tf.control_dependencies([check]):
        return tf.identity(plan)


def is_largest(indices: tf.Tensor) -> tf.Tensor:
    """Whether scale indices are those of the largest sub-network."""
    return tf.reduce_all(indices == 0)


def for_each_row(
    plan: tf.Tensor,
    body: Callable[..., tuple],
    loop: tuple,
    unrolled: bool,
) -> tuple:
    """Runs a body for each sub-network of a plan.

    Args:
        plan: A plan.
        body: Callable from loop variables to loop variables. It counts the first up.
        loop: Loop variables, the first of which is the number of the sub-network.
        unrolled: Whether to write the body out as often, which needs a plan of a fixed
            length, rather than to loop.

    Returns:
        The loop variables after the last.

    Raises:
        ValueError: If it is unrolled and the length of the plan is not fixed.
    """
    if unrolled:
        for _ in range(_static_length(plan)):
            loop = body(*loop)
        return loop
    count = tf.shape(plan)[0]
    return tf.while_loop(lambda k, *_: k < count, body, loop, parallel_iterations=1)


def _static_length(plan):
    if plan.shape[0] is None:
        raise ValueError(
            "With synchronized batch normalisation on several replicas, a "
            "sampler must return plans of a fixed number of sub-networks."
        )
    return plan.shape[0]
