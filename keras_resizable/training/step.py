"""Algorithm 1: what a training step of a resizable network does."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from keras_resizable.distillation import Distillation, InPlaceDistillation
from keras_resizable.layers import drop_path
from keras_resizable.subnetworks.parts import norms_by_stage
from keras_resizable.training.batch import Batch
from keras_resizable.training.collecting import Collecting
from keras_resizable.training.plans import (
    draw_plan,
    for_each_row,
    is_largest,
    with_largest,
)
from keras_resizable.training.records import ShareRecord
from keras_resizable.training.replicas import assign_state, num_replicas, with_an_image
from keras_resizable.utils.graph import layers_of
from keras_resizable.utils.outputs import only_output

if TYPE_CHECKING:
    from keras_resizable.network import ResizableNetwork


class TrainStep:
    """Trains the sub-networks of a plan, one at a time, and updates once.

    Resizable Neural Networks, Algorithm 1. `ResizableNetwork.compile` makes it. Each
    point in which rules of training may differ is a method:

    - `batch_of`: which images a sub-network sees: all, or its share.
    - `weight_of`: the weight of its loss, by its images.
    - `loss_of`: its loss, of labels, and of a teacher if there is one.
    - `handed_on`: what later sub-networks get from it, as distillation says.

    Args:
        network: The `ResizableNetwork`.
        sampler: Callable from the optimizer step to a plan.
        distillation: What sub-networks learn from each other, or None.
        split_batch: Whether each sub-network gets its own share of the images, rather
            than all.
    """

    def __init__(
        self,
        network: "ResizableNetwork",
        sampler: Callable[[tf.Tensor], tf.Tensor],
        distillation: Distillation | None,
        split_batch: bool = False,
    ) -> None:
        self.network = network
        self.sampler = sampler
        self.distillation = distillation
        self.split_batch = split_batch
        self._knows_statistics = network.statistics.is_trained
        with network.distribute_strategy.scope():
            self.shares = ShareRecord()

    def batch_of(self, number: tf.Tensor, count: tf.Tensor, batch: Batch) -> Batch:
        """What a sub-network is trained with.

        Args:
            number: Its place in the plan, a scalar integer tensor.
            count: Number of sub-networks of the plan, at most that of the images.
            batch: The whole batch.
        """
        if not self.split_batch:
            return batch
        # By turns, so that what a division leaves over goes to all alike.
        step = tf.cast(self.network.optimizer.iterations, count.dtype)
        place, size = (number + step) % count, tf.shape(batch.features)[0]
        start, end = place * size // count, (place + 1) * size // count
        return batch.part(start, end)

    def weight_of(self, count: tf.Tensor, own: Batch, batch: Batch) -> tf.Tensor:
        """The weight of the loss of a sub-network; those of a plan add up to 1.

        Args:
            count: Number of sub-networks of the plan.
            own: What `batch_of` returned.
            batch: The whole batch.
        """
        if not self.split_batch:
            return 1 / count
        return tf.shape(own.features)[0] / tf.shape(batch.features)[0]

    def loss_of(self, number: tf.Tensor, batch: Batch, outputs: Any) -> tf.Tensor:
        """The loss of a sub-network, penalties of weights included.

        Args:
            number: Its place in the plan.
            batch: What `batch_of` returned.
            outputs: Its outputs.
        """
        network, distillation = self.network, self.distillation
        loss = network.compute_loss(
            batch.images, batch.targets, outputs, batch.sample_weight, training=True
        )
        if distillation is None:
            return loss
        # The teacher's part of the loss is instead of that of the labels.
        taught = keras.losses.CategoricalCrossentropy(
            from_logits=not network.classifier.gives_probabilities
        )(batch.teacher, only_output(outputs), batch.sample_weight)
        penalties = _sum(network.losses) / num_replicas()
        part = tf.where(distillation.has_teacher(number), distillation.weight, 0.0)
        return loss + part * (taught - (loss - penalties))

    def handed_on(
        self, number: tf.Tensor, outputs: Any, teacher: tf.Tensor
    ) -> tf.Tensor:
        """What the sub-networks after this one get.

        Args:
            number: Its place in the plan.
            outputs: Its outputs.
            teacher: What the sub-networks before have handed on.
        """
        if self.distillation is None:
            return teacher
        probabilities = self.network.classifier.probabilities(outputs)
        return self.distillation.next_teacher(teacher, number, probabilities)

    def __call__(self, data: Any) -> dict[str, tf.Tensor]:
        """Trains, in a graph.

        Args:
            data: A batch as Keras's `train_step` gets it.

        Returns:
            The results of loss and metrics by name, means over the plan.
        """
        network = self.network
        num_images = tf.shape(keras.tree.flatten(data)[0])[0]
        if num_replicas() > 1:
            data = with_an_image(data, num_images, self._is_synchronized())
        images, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        plan = self.draw_plan()
        if self.split_batch:
            self.shares.add_step(num_images, tf.shape(plan)[0])
            plan = self._with_images(plan, num_images)
        of_stem = network.stem.non_trainable_variables
        with tf.GradientTape(persistent=True) as stem_tape:
            of_before = [(v, tf.convert_to_tensor(v)) for v in of_stem]
            with Collecting(of_before, network.trainable_variables) as scope:
                features = network.stem(images, training=True)
            activities = _sum(scope.added) / num_replicas()
            penalty = network.optimizer.scale_loss(activities)
        nothing = tf.zeros(())
        batch = Batch(features, images, targets, sample_weight, nothing, num_images)
        gradients, features_gradient, diverged, state_values = self._run_plan(
            plan, batch, activities
        )
        values_of_stem = map(scope.get_current_value, of_stem)
        assign_state(
            [*of_stem, *self._state()], [*values_of_stem, *state_values], num_images
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
        if scope.added:
            add(
                stem_tape.gradient(
                    penalty,
                    stem_weights,
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )
            )
        if num_replicas() > 1:
            # Of the black image that stands in, only what regularizers say of weights.
            gradients = [
                tf.where(num_images > 0, gradient, penalty)
                for gradient, penalty in zip(gradients, self._penalty_gradients())
            ]
        self._apply(gradients, plan)
        return network.get_metrics_result()

    def draw_plan(self) -> tf.Tensor:
        """The sub-networks of this step, the largest first."""
        plan = draw_plan(self.sampler, self.network.space, self._step())
        if isinstance(self.distillation, InPlaceDistillation):
            plan = with_largest(plan, self.sampler, type(self.distillation).__name__)
        return plan

    def _step(self):
        """The optimizer step, as samplers get it."""
        return tf.cast(tf.convert_to_tensor(self.network.optimizer.iterations), "int64")

    def _with_images(self, plan, num_images):
        """The sub-networks of a plan that get an image, the largest of them."""
        if num_replicas() > 1 and self._is_synchronized():
            check = tf.debugging.Assert(
                num_images >= tf.shape(plan)[0],
                [
                    "With synchronized batch normalisation and a split batch each "
                    "replica needs an image for each sub-network of a step: batch the "
                    "data set with drop_remainder=True."
                ],
            )
            with tf.control_dependencies([check]):
                return tf.identity(plan)
        return plan[: tf.maximum(num_images, 1)]

    def _run_plan(self, plan, batch, activities):
        """Runs the sub-networks of a plan, one at a time, on stem features.

        Returns:
            The mean gradients of the trainable variables, without what comes to
            them through the stem; that of the features, in float32 at least; the first
            row of the plan whose loss is not finite, or -1; and the new values of the
            state of stages and head.
        """
        network = self.network
        count = tf.shape(plan)[0]
        loss_metric = next(m for m in network.metrics if m.name == "loss")
        # Tapes need TensorFlow's own variables for gradients that are zero.
        weights = [weight.value for weight in network.trainable_variables]
        state = self._state()
        precision = keras.backend.result_type(batch.features.dtype.name, "float32")
        # Replicas cannot exchange statistics in a loop.
        unrolled = num_replicas() > 1 and self._is_synchronized()

        def train_sub_network(
            k, gradients, features_gradient, state_values, diverged, teacher
        ):
            with tf.GradientTape() as tape:
                tape.watch(batch.features)
                own = self.batch_of(k, count, batch._replace(teacher=teacher))
                # An assignment in a loop cannot be reduced over replicas. So
                # the state is handed on, and assigned when the loop has ended.
                before = zip(state, state_values)
                with Collecting(before, network.trainable_variables) as scope:
                    outputs = self._run_row(own.features, plan[k])
                loss = self.loss_of(k, own, outputs)
                of_layers = activities + _sum(scope.added) / num_replicas()
                loss += tf.cast(of_layers, loss.dtype)
                scaled = network.optimizer.scale_loss(loss)
                share = scaled * tf.cast(self.weight_of(count, own, batch), loss.dtype)
            *new_gradients, new_features_gradient = tape.gradient(
                share,
                [*weights, batch.features],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            loss_metric.update_state(
                loss * num_replicas(), sample_weight=own.num_images
            )
            self._update_metrics(own, outputs)
            return (
                k + 1,
                [old + new for old, new in zip(gradients, new_gradients)],
                features_gradient + tf.cast(new_features_gradient, precision),
                [scope.get_current_value(variable) for variable in state],
                tf.where((diverged < 0) & ~tf.math.is_finite(loss), k, diverged),
                self.handed_on(k, outputs, teacher),
            )

        loop = (
            tf.constant(0),
            [tf.zeros(weight.shape, weight.dtype) for weight in weights],
            tf.zeros_like(batch.features, precision),
            [tf.convert_to_tensor(variable) for variable in state],
            tf.constant(-1),
            self._first_teacher(batch),
        )
        loop = for_each_row(plan, train_sub_network, loop, unrolled)
        _, gradients, features_gradient, state_values, diverged, _ = loop
        return gradients, features_gradient, diverged, state_values

    def _update_metrics(self, batch, outputs):
        arguments = batch.images, batch.targets, outputs, batch.sample_weight
        if num_replicas() == 1:
            self.network.compute_metrics(*arguments)
            return

        def update():
            self.network.compute_metrics(*arguments)

        tf.cond(batch.num_images > 0, update, lambda: None)

    def _first_teacher(self, batch):
        """What the first sub-network is handed."""
        if self.distillation is None:
            return tf.zeros(())
        classes = self.network.classifier.num_outputs
        return self.distillation.first_teacher(batch.images, classes)

    def _run_row(self, features, row):
        """Outputs of one sub-network of a plan, in training mode."""
        with drop_path.running(is_largest(row)):
            return self.network.run_stages(features, tf.unstack(row), True)

    def _state(self):
        """What stages and head assign when they are called."""
        return [
            variable
            for part in self.network.parts[1:]
            for variable in part.model.non_trainable_variables
        ]

    def _penalty_gradients(self):
        """What the regularizers of weights add to this replica's gradients."""
        weights = self.network.trainable_variables
        with tf.GradientTape() as tape:
            penalty = tf.zeros(())
            for weight in weights:
                if weight.regularizer is not None:
                    of_weight = tf.cast(weight.regularizer(weight), tf.float32)
                    penalty += of_weight / num_replicas()
            penalty = self.network.optimizer.scale_loss(penalty)
        return tape.gradient(
            penalty,
            [weight.value for weight in weights],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )

    def _apply(self, gradients, plan):
        """Updates the weights; batch normalisation only where the plan was."""
        network = self.network
        if not network.trainable_variables:
            warnings.warn(
                "The model does not have any trainable weights.", stacklevel=2
            )
            return
        used = tf.reduce_any(
            tf.one_hot(plan, len(network.space.scales), True, False), axis=0
        )
        if num_replicas() > 1 and self.split_batch:
            # A replica with few images has not trained all of the plan.
            context = tf.distribute.get_replica_context()
            count = context.all_reduce(
                tf.distribute.ReduceOp.SUM, tf.cast(used, "int32")
            )
            used = count > 0
        is_used = [tf.unstack(rows) for rows in tf.unstack(used)]
        # Momentum and weight decay would move the rows that were not used. (Averages of
        # `use_ema` have seen them moved by this one step.)
        kept = [
            (variable, tf.convert_to_tensor(variable), is_used[stage][row])
            for stage, layer in norms_by_stage(network)
            if layer.num_scales > 1
            for row in range(layer.num_scales)
            for variable in layer.row_variables(row)
            if variable.trainable
        ]
        network.optimizer.apply_gradients(zip(gradients, network.trainable_variables))
        for variable, before, moves in kept:
            variable.assign(tf.where(moves, variable, before))
        network.statistics.add_step(used, self._frozen_stages())

    def _frozen_stages(self):
        """Stages with batch statistics that training leaves as they are."""
        if not self._knows_statistics:  # They may come from anywhere.
            return set()
        return {
            stage
            for stage, layer in norms_by_stage(self.network)
            if layer.num_scales > 1 and not layer.trainable
        }

    def _is_synchronized(self):
        layers = (
            layer for part in self.network.parts[1:] for layer in layers_of(part.model)
        )
        return any(getattr(layer, "synchronized", False) for layer in layers)


def _sum(losses):
    return tf.add_n([tf.zeros(()), *(tf.cast(loss, tf.float32) for loss in losses)])
