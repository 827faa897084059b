"""Algorithm 1: the training step of a resizable network."""

import warnings
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_resizable.distillation import Distillation, InPlaceDistillation
from keras_resizable.subnetworks.parts import norms_by_stage
from keras_resizable.training import replicas
from keras_resizable.training.batch import Batch, Collecting
from keras_resizable.training.plans import checked, draw_plan, for_each_row, is_largest
from keras_resizable.training.records import ShareRecord
from keras_resizable.training.replicas import num_replicas
from keras_resizable.utils.classifier_outputs import only_output


class TrainStep:
    """Trains the sub-networks of a plan one at a time, and updates the weights once.

    Resizable Neural Networks, Algorithm 1. Ways of training differ only in `draw_plan`,
    `batch_of`, `weight_of`, `loss_of` and `handed_on`.
    """

    def __init__(
        self,
        network: keras.Model,
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

    def __call__(self, data: Any) -> dict[str, tf.Tensor]:
        """Trains on a batch, in a graph; returns means over the plan by name."""
        network = self.network
        synchronized = replicas.is_synchronized(network)
        num_images = tf.shape(keras.tree.flatten(data)[0])[0]
        data = replicas.with_an_image(data, num_images, synchronized)
        images, targets, sample_weight = network.with_targets(data)
        plan = self.draw_plan()
        if self.split_batch:
            self.shares.add_step(num_images, tf.shape(plan)[0])
            plan = replicas.with_images(plan, num_images, synchronized)
        features, stem_losses, stem_state, run_stem_backward = self._run_stem(images)
        batch = Batch(
            features, images, targets, sample_weight, tf.zeros(()), num_images
        )
        gradients, features_gradient, state, diverged = self._run_plan(
            plan, batch, stem_losses, synchronized
        )
        replicas.assign_state(
            [v for part in network.parts for v in part.model.non_trainable_variables],
            [*stem_state, *state],
            num_images,
        )
        network.divergence.add_step(network.optimizer.iterations, plan, diverged)
        run_stem_backward(gradients, features_gradient)
        self._apply(replicas.gradients_of_images(gradients, network, num_images), plan)
        return network.get_metrics_result()

    def draw_plan(self) -> tf.Tensor:
        """The sub-networks of this step, the largest first."""
        step = tf.cast(tf.convert_to_tensor(self.network.optimizer.iterations), "int64")
        plan = draw_plan(self.sampler, self.network.space, step)
        if isinstance(self.distillation, InPlaceDistillation):
            plan = checked(
                plan,
                is_largest(plan[0]),
                "InPlaceDistillation needs plans with the largest sub-network, but "
                f"{self.sampler} has drawn:",
                plan,
            )
        return plan

    def batch_of(self, number: tf.Tensor, count: tf.Tensor, batch: Batch) -> Batch:
        """All images, or the share of the sub-network at this place in the plan."""
        if not self.split_batch:
            return batch
        # Shares rotate, so that each sub-network gets the remainder equally often.
        step = tf.cast(self.network.optimizer.iterations, count.dtype)
        place, size = (number + step) % count, tf.shape(batch.features)[0]
        start, end = place * size // count, (place + 1) * size // count
        return batch.part(start, end)

    def weight_of(self, count: tf.Tensor, own: Batch, batch: Batch) -> tf.Tensor:
        """The weight of a sub-network's loss; the weights of a plan add up to 1."""
        if not self.split_batch:
            return 1 / count
        return tf.shape(own.features)[0] / tf.shape(batch.features)[0]

    def loss_of(self, number: tf.Tensor, batch: Batch, outputs: Any) -> tf.Tensor:
        """The loss of a sub-network, including regularizers."""
        network, distillation = self.network, self.distillation
        loss = network.compute_loss(
            batch.images, batch.targets, outputs, batch.sample_weight, training=True
        )
        if distillation is None:
            return loss
        # The teacher's loss replaces a part of the loss of the labels.
        taught = keras.losses.CategoricalCrossentropy(
            from_logits=not network.classifier.gives_probabilities
        )(batch.teacher, only_output(outputs), batch.sample_weight)
        penalties = _sum(network.losses) / num_replicas()
        part = tf.where(distillation.has_teacher(number), distillation.weight, 0.0)
        return loss + part * (taught - (loss - penalties))

    def handed_on(
        self, number: tf.Tensor, outputs: Any, teacher: tf.Tensor
    ) -> tf.Tensor:
        """The teacher's probabilities for the sub-networks after this one."""
        if self.distillation is None:
            return teacher
        probabilities = self.network.classifier.probabilities(outputs)
        return self.distillation.next_teacher(teacher, number, probabilities)

    def _run_stem(self, images):
        """Features, losses added by layers, new state, and the stem's backward pass."""
        network = self.network
        state = network.stem.non_trainable_variables
        with tf.GradientTape(persistent=True) as tape:
            before = [(variable, tf.convert_to_tensor(variable)) for variable in state]
            with Collecting(before, network.trainable_variables) as scope:
                features = network.stem(images, training=True)
            losses = _sum(scope.added) / num_replicas()
            scaled = network.optimizer.scale_loss(losses)
        weights = network.stem.trainable_variables
        numbers = {id(w): n for n, w in enumerate(network.trainable_variables)}

        def add_gradients_of(target, output_gradient, gradients):
            of_target = tape.gradient(
                target,
                [weight.value for weight in weights],
                output_gradients=output_gradient,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            for weight, gradient in zip(weights, of_target):
                gradients[numbers[id(weight)]] += gradient

        def run_backward(gradients, features_gradient):
            upstream = tf.cast(features_gradient, features.dtype)
            add_gradients_of(features, upstream, gradients)
            if scope.added:
                add_gradients_of(scaled, None, gradients)

        state_values = [scope.get_current_value(variable) for variable in state]
        return features, losses, state_values, run_backward

    def _run_plan(self, plan, batch, stem_losses, synchronized):
        """Runs the sub-networks one at a time on the stem's features.

        Returns the mean gradients, without the stem's backward pass; the gradient of
        the features; the new state; and the first row with a loss that is not
        finite, or -1.
        """
        network, distillation = self.network, self.distillation
        count = tf.shape(plan)[0]
        loss_metric = next(m for m in network.metrics if m.name == "loss")
        # Tapes return zero gradients only for TensorFlow's own variables.
        weights = [weight.value for weight in network.trainable_variables]
        state = [
            variable
            for part in network.parts[1:]
            for variable in part.model.non_trainable_variables
        ]
        precision = keras.backend.result_type(batch.features.dtype.name, "float32")

        def train_sub_network(
            k, gradients, features_gradient, state_values, diverged, teacher
        ):
            with tf.GradientTape() as tape:
                tape.watch(batch.features)
                own = self.batch_of(k, count, batch._replace(teacher=teacher))
                # An assignment in a loop cannot be reduced over replicas, so the loop
                # passes the state on and it is assigned afterwards.
                before = zip(state, state_values)
                with Collecting(before, network.trainable_variables) as scope:
                    outputs = network.run_stages(
                        own.features, tf.unstack(plan[k]), training=True
                    )
                loss = self.loss_of(k, own, outputs)
                added = stem_losses + _sum(scope.added) / num_replicas()
                loss += tf.cast(added, loss.dtype)
                weight = tf.cast(self.weight_of(count, own, batch), loss.dtype)
                share = network.optimizer.scale_loss(loss) * weight
            *new_gradients, new_features_gradient = tape.gradient(
                share,
                [*weights, batch.features],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            loss_metric.update_state(
                loss * num_replicas(), sample_weight=own.num_images
            )

            def update_metrics():
                network.compute_metrics(
                    own.images, own.targets, outputs, own.sample_weight
                )

            replicas.if_images(own.num_images, update_metrics)
            return (
                k + 1,
                [old + new for old, new in zip(gradients, new_gradients)],
                features_gradient + tf.cast(new_features_gradient, precision),
                [scope.get_current_value(variable) for variable in state],
                tf.where((diverged < 0) & ~tf.math.is_finite(loss), k, diverged),
                self.handed_on(k, outputs, teacher),
            )

        teacher = batch.teacher
        if distillation is not None:
            classes = network.classifier.num_outputs
            teacher = distillation.first_teacher(batch.images, classes)
        loop = (
            tf.constant(0),
            [tf.zeros(weight.shape, weight.dtype) for weight in weights],
            tf.zeros_like(batch.features, precision),
            [tf.convert_to_tensor(variable) for variable in state],
            tf.constant(-1),
            teacher,
        )
        # Replicas cannot exchange statistics in a loop.
        loop = for_each_row(plan, train_sub_network, loop, unrolled=synchronized)
        _, gradients, features_gradient, state_values, diverged, _ = loop
        return gradients, features_gradient, state_values, diverged

    def _apply(self, gradients, plan):
        """Updates the weights, except rows that the plan did not use."""
        network = self.network
        if not network.trainable_variables:
            warnings.warn(
                "The model does not have any trainable weights.", stacklevel=2
            )
            return
        used = tf.reduce_any(
            tf.one_hot(plan, len(network.space.scales), True, False), axis=0
        )
        if self.split_batch and num_replicas() > 1:
            # A replica with few images has not trained the whole plan.
            used = replicas.sum_over_replicas(tf.cast(used, "int32")) > 0
        is_used = [tf.unstack(rows) for rows in tf.unstack(used)]
        # Momentum and weight decay would change the rows that were not used. (Averages
        # of `use_ema` have already recorded the change of this one step.)
        kept = [
            (variable, tf.convert_to_tensor(variable), is_used[stage][row])
            for stage, layer in norms_by_stage(network.parts)
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
        """Stages whose batch statistics training does not change."""
        if not self._knows_statistics:  # Their origin is unknown.
            return set()
        return {
            stage
            for stage, layer in norms_by_stage(self.network.parts)
            if layer.num_scales > 1 and not layer.trainable
        }


def _sum(losses):
    return tf.add_n([tf.zeros(()), *(tf.cast(loss, tf.float32) for loss in losses)])
