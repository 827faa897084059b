"""Algorithm 1: what a training step of a resizable network does."""

import warnings
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from keras_resizable.graph import layers_of
from keras_resizable.layers import drop_path
from keras_resizable.parts import norms_by_stage

if TYPE_CHECKING:
    from keras_resizable.network import ResizableNetwork


def train_step(network: "ResizableNetwork", data: Any) -> dict[str, tf.Tensor]:
    """Trains the sub-networks of a plan, and updates once.

    Args:
        network: A compiled `ResizableNetwork`.
        data: A batch as Keras's `train_step` gets it.

    Returns:
        The results of loss and metrics by name, means over the plan.
    """
    num_images = tf.shape(keras.tree.flatten(data)[0])[0]
    if _replicas() > 1:
        data = _with_an_image(network, data, num_images)
    images, *targets = keras.utils.unpack_x_y_sample_weight(data)
    plan = draw_plan(network)
    of_stem = network.stem.non_trainable_variables
    with tf.GradientTape(persistent=True) as stem_tape:
        with _collecting([(v, tf.convert_to_tensor(v)) for v in of_stem]) as scope:
            features = network.stem(images, training=True)
        activities = _sum(scope.losses) / _replicas()
        penalty = network.optimizer.scale_loss(activities)
    gradients, features_gradient, diverged, state_values = _run_plan(
        network, plan, features, activities, num_images, images, *targets
    )
    values_of_stem = map(scope.get_current_value, of_stem)
    _assign_state(
        [*of_stem, *_state_of(network)], [*values_of_stem, *state_values], num_images
    )
    network.divergence.add_step(network.optimizer.iterations, plan, diverged)
    stem_weights = [weight.value for weight in network.stem.trainable_variables]
    position = {id(w): i for i, w in enumerate(network.trainable_variables)}
    positions = [position[id(w)] for w in network.stem.trainable_variables]

    def add(new_gradients):
        for place, gradient in zip(positions, new_gradients):
            gradients[place] += gradient

    add(
        stem_tape.gradient(
            features,
            stem_weights,
            output_gradients=tf.cast(features_gradient, features.dtype),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
    )
    if network.gradient_reduction == "sum":
        gradients = _sums(network, gradients, tf.shape(plan)[0])
    if scope.losses:
        add(
            stem_tape.gradient(
                penalty,
                stem_weights,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
        )
    if _replicas() > 1:
        # Of the black image that stands in, only what regularizers say of weights.
        gradients = [
            tf.where(num_images > 0, gradient, penalty)
            for gradient, penalty in zip(gradients, _penalty_gradients(network))
        ]
    _apply(network, gradients, plan)
    return network.get_metrics_result()


def _replicas():
    return tf.distribute.get_strategy().num_replicas_in_sync


def _with_an_image(network, data, num_images):
    """A batch, or a black image if this replica got none of the last images.

    TensorFlow's convolutions on CPUs return an input of no images as it is. What the
    black image does is left out of gradients, statistics and metrics.
    """
    missing = 1 - tf.minimum(num_images, 1)
    if _is_synchronized(network):
        check = tf.debugging.Assert(
            num_images > 0,
            [
                "With synchronized batch normalisation each replica needs images: "
                "batch the data set with drop_remainder=True."
            ],
        )
        with tf.control_dependencies([check]):
            missing = tf.identity(missing)
    return keras.tree.map_structure(
        lambda part: tf.pad(part, [[0, missing]] + [[0, 0]] * (part.shape.rank - 1)),
        data,
    )


def _collecting(values):
    """A scope that keeps what layers assign, and what they add to the loss."""
    return keras.StatelessScope(values, collect_losses=True)


def _sum(losses):
    return tf.add_n([tf.zeros(()), *(tf.cast(loss, tf.float32) for loss in losses)])


def draw_plan(network: "ResizableNetwork") -> tf.Tensor:
    """The sub-networks of this step, the largest first."""
    plan = tf.convert_to_tensor(network.sampler(network.optimizer.iterations))
    plan = tf.cast(plan, tf.int32)
    if plan.shape.rank != 2 or plan.shape[1] != network.space.num_stages:
        raise ValueError(
            "A sampler must return scale indices of shape (sub-networks, "
            f"{network.space.num_stages}). Received shape {plan.shape} from "
            f"{network.sampler}."
        )
    # FLOPs follow the area of the feature maps, and stages cost about the
    # same at equal scale.
    scales = tf.gather(tf.constant(network.space.scales), plan)
    areas = tf.reduce_sum(tf.math.cumprod(scales, axis=1) ** 2, axis=1)
    order = tf.argsort(areas, direction="DESCENDING", stable=True)
    plan = tf.gather(plan, order)
    if network.distillation is not None and network.distillation.needs_largest:
        plan = _with_largest(network, plan)
    return plan


def _with_largest(network, plan):
    """A plan, if the largest sub-network is in it."""
    check = tf.debugging.Assert(
        _is_largest(plan[0]),
        [
            f"{type(network.distillation).__name__} needs plans with the largest "
            f"sub-network, but {network.sampler} has drawn:",
            plan,
        ],
        summarize=1000,
    )
    with tf.control_dependencies([check]):
        return tf.identity(plan)


def _is_largest(indices):
    return tf.reduce_all(indices == 0)


def _run_plan(
    network, plan, features, activities, num_images, images, targets, sample_weight
):
    """Runs the sub-networks of a plan, one at a time, on stem features.

    Returns:
        The mean gradients of the trainable variables, without what comes to
        them through the stem; that of `features`, in float32 at least; and the first
        row of the plan whose loss is not finite, or -1; and the new values of the state
        of stages and head.
    """
    count = tf.shape(plan)[0]
    replicas = _replicas()
    loss_metric = next(m for m in network.metrics if m.name == "loss")
    # Tapes need TensorFlow's own variables for gradients that are zero.
    weights = [weight.value for weight in network.trainable_variables]
    state = _state_of(network)

    precision = keras.backend.result_type(features.dtype.name, "float32")
    # Replicas cannot exchange statistics in a loop.
    unrolled = replicas > 1 and _is_synchronized(network)
    distillation = network.distillation
    teacher = tf.zeros(())
    if distillation is not None:
        teacher = tf.zeros((tf.shape(features)[0], network.head.output_shape[-1]))
        if distillation.runs_ahead:
            teacher = _mean_probabilities(
                network, plan, features, state, teacher, unrolled
            )

    def train_sub_network(
        k, gradients, features_gradient, state_values, diverged, teacher
    ):
        with tf.GradientTape() as tape:
            tape.watch(features)
            # An assignment in a loop cannot be reduced over replicas. So
            # the state is handed on, and assigned when the loop has ended.
            with _collecting(zip(state, state_values)) as scope:
                outputs = _run_row(network, features, plan[k])
            loss = network.compute_loss(
                images, targets, outputs, sample_weight, training=True
            )
            if distillation is not None:
                loss = _distilled(network, loss, outputs, sample_weight, k, teacher)
            loss += activities + _sum(scope.losses) / replicas
            share = network.optimizer.scale_loss(loss) / tf.cast(count, loss.dtype)
        *new_gradients, new_features_gradient = tape.gradient(
            share,
            [*weights, features],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        loss_metric.update_state(loss * replicas, sample_weight=num_images)
        if replicas > 1:
            tf.cond(
                num_images > 0,
                lambda: _update_metrics(
                    network, images, targets, outputs, sample_weight
                ),
                lambda: None,
            )
        else:
            network.compute_metrics(images, targets, outputs, sample_weight)
        if distillation is not None:
            probabilities = network.classifier.probabilities(outputs)
            teacher = distillation.next_teacher(teacher, k, probabilities)
        return (
            k + 1,
            [old + new for old, new in zip(gradients, new_gradients)],
            features_gradient + tf.cast(new_features_gradient, precision),
            [scope.get_current_value(variable) for variable in state],
            tf.where((diverged < 0) & ~tf.math.is_finite(loss), k, diverged),
            teacher,
        )

    loop = (
        tf.constant(0),
        [tf.zeros(weight.shape, weight.dtype) for weight in weights],
        tf.zeros_like(features, precision),
        [tf.convert_to_tensor(variable) for variable in state],
        tf.constant(-1),
        teacher,
    )
    loop = _for_each_row(plan, train_sub_network, loop, unrolled)
    _, gradients, features_gradient, state_values, diverged, _ = loop
    return gradients, features_gradient, diverged, state_values


def _state_of(network):
    """What stages and head assign when they are called."""
    return [
        variable
        for part in network.parts[1:]
        for variable in part.model.non_trainable_variables
    ]


def _update_metrics(network, *args):
    network.compute_metrics(*args)


def _assign_state(state, values, num_images):
    """Assigns what layers changed; a replica's batch statistics count by its images."""
    weight = None
    if _replicas() > 1:
        # An assignment takes the mean over replicas.
        context = tf.distribute.get_replica_context()
        all_images = context.all_reduce(tf.distribute.ReduceOp.SUM, num_images)
        weight = tf.cast(num_images * _replicas(), tf.float32)
        weight /= tf.cast(tf.maximum(all_images, 1), tf.float32)
    for variable, value in zip(state, values):
        if weight is not None and variable.aggregation == "mean":
            old = tf.convert_to_tensor(variable)
            weighted = old + (value - old) * tf.cast(weight, value.dtype)
            value = tf.where(weight == 1.0, value, weighted)
        variable.assign(value)


def _for_each_row(plan, body, loop, unrolled):
    """Runs a body, which counts the first of its variables up, for each row."""
    if unrolled:
        for _ in range(_static_length(plan)):
            loop = body(*loop)
        return loop
    count = tf.shape(plan)[0]
    return tf.while_loop(lambda k, *_: k < count, body, loop, parallel_iterations=1)


def _run_row(network, features, row):
    """Outputs of one sub-network of a plan, in training mode."""
    with drop_path.running(_is_largest(row)):
        return network.run_stages(features, tf.unstack(row), training=True)


def _mean_probabilities(network, plan, features, state, zeros, unrolled):
    """What the ensemble of the sub-networks of a plan answers; changes no state."""

    def add_sub_network(k, total):
        # Values of a loop of its own would not be known outside.
        with keras.StatelessScope([(v, tf.convert_to_tensor(v)) for v in state]):
            outputs = _run_row(network, features, plan[k])
        return k + 1, total + network.classifier.probabilities(outputs)

    loop = (tf.constant(0), zeros)
    _, total = _for_each_row(plan, add_sub_network, loop, unrolled)
    return total / tf.cast(tf.shape(plan)[0], total.dtype)


def _distilled(network, loss, outputs, sample_weight, k, teacher):
    """A loss, penalties included, of which a part is that of the teacher instead."""
    distillation = network.distillation
    taught = keras.losses.CategoricalCrossentropy(
        from_logits=not network.classifier.gives_probabilities
    )(teacher, outputs, sample_weight)
    penalties = _sum(network.losses) / _replicas()
    part = tf.where(distillation.has_teacher(k), distillation.weight, 0.0)
    return loss + part * (taught - (loss - penalties))


def _sums(network, gradients, count):
    """Sums instead of means, but for the penalties of regularizers."""
    return [
        (mean - penalty) * tf.cast(count, mean.dtype) + penalty
        for mean, penalty in zip(gradients, _penalty_gradients(network))
    ]


def _penalty_gradients(network):
    """What the regularizers of weights add to this replica's gradients."""
    weights = network.trainable_variables
    with tf.GradientTape() as tape:
        penalty = tf.zeros(())
        for weight in weights:
            if weight.regularizer is not None:
                of_weight = tf.cast(weight.regularizer(weight), tf.float32)
                penalty += of_weight / _replicas()
        penalty = network.optimizer.scale_loss(penalty)
    return tape.gradient(
        penalty,
        [weight.value for weight in weights],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )


def _apply(network, gradients, plan):
    """Updates the weights; batch normalisation only where the plan was."""
    if not network.trainable_variables:
        warnings.warn("The model does not have any trainable weights.", stacklevel=2)
        return
    used = tf.reduce_any(
        tf.one_hot(plan, len(network.space.scales), True, False), axis=0
    )
    # Momentum and weight decay would move the rows that were not used.
    kept = [
        (variable, tf.convert_to_tensor(variable), used[stage][row])
        for stage, layer in norms_by_stage(network)
        if layer.num_scales > 1
        for row in range(layer.num_scales)
        for variable in layer.row_variables(row)
        if variable.trainable
    ]
    network.optimizer.apply_gradients(zip(gradients, network.trainable_variables))
    for variable, before, is_used in kept:
        variable.assign(tf.where(is_used, variable, before))
    network.statistics.add_step(used)


def _is_synchronized(network):
    layers = (layer for part in network.parts[1:] for layer in layers_of(part.model))
    return any(getattr(layer, "synchronized", False) for layer in layers)


def _static_length(plan):
    if plan.shape[0] is None:
        raise ValueError(
            "With synchronized batch normalisation on several replicas, a "
            "sampler must return plans of a fixed number of sub-networks."
        )
    return plan.shape[0]


def create_variables(network: "ResizableNetwork", batch_spec: Any) -> None:
    """Creates the variables of optimizer and metrics ahead of tracing.

    Keras creates them while it traces the training step, and TensorFlow has to
    trace it again for that.

    Args:
        network: A compiled `ResizableNetwork`.
        batch_spec: `tf.TensorSpec`s of a batch, in the structure of the batch.
    """
    if not network.optimizer.built:
        network.optimizer.build(network.trainable_variables)
    images, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(batch_spec)
    specs = keras.tree.flatten((images, targets, sample_weight))
    if all(spec is None or _is_dense(spec) for spec in specs):
        network.compute_metrics(
            *keras.tree.map_structure(
                _one_of_zeros, (images, targets, network.head.output, sample_weight)
            )
        )
        network.reset_metrics()


def _is_dense(spec):
    return isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None


def _one_of_zeros(spec):
    if spec is None:
        return None
    return tf.zeros([1, *(size or 1 for size in spec.shape[1:])], spec.dtype)
