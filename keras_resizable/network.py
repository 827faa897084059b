import keras
import tensorflow as tf

from keras_resizable.layers import ScaleAwareBatchNorm, StageResize
from keras_resizable.sampling import FairSampler
from keras_resizable.space import SpatialSpace
from keras_resizable.statistics import StatisticsRecord
from keras_resizable.sub_network import calibrate, cut_out


@keras.saving.register_keras_serializable(package="keras_resizable")
class ResizableNetwork(keras.Model):
    """A CNN whose feature maps can be resized, stage by stage.

    Resizable Neural Networks, section 3. All sub-networks share the
    convolutions; every scale factor of a stage has its own batch normalisation.
    `fit` trains by Algorithm 1: every step trains the sub-networks of a plan,
    accumulates their gradients, and updates once. Loss and metrics are means
    over the plan.

    Args:
        stem: Functional model from images to features, run once for all the
            sub-networks of a step.
        stages: Functional models from `[features, scale_index]` to features,
            made with `StageResize` and `ScaleAwareBatchNorm`.
        head: Functional model from features to the outputs.
        scales: Scale factors, distinct numbers in (0, 1], kept largest first.

    Call arguments:
        images: `(batch, height, width, channels)`.
        config: Configuration to run, scale factors; `network.config` if absent.
        training: Whether to run in training mode.

    Attributes:
        space: The `SpatialSpace` of its configurations.
        check_statistics: Whether to refuse a sub-network whose batch statistics
            were never estimated, in a network that was trained. True; set it to
            False for ablations.

    Raises:
        ValueError: If `scales` are not valid, or a layer of a stage was made
            for others.

    Example:

    >>> network = keras_resizable.ResNet20(scales=(1.0, 0.5), classes=3)
    >>> network(tf.zeros((1, 32, 32, 3)), config=(0.5, 1.0, 1.0)).shape
    TensorShape([1, 3])
    """

    def __init__(self, stem, stages, head, scales, **kwargs):
        super().__init__(**kwargs)
        self.space = SpatialSpace(scales, len(stages))
        _check_stages(stages, self.space.scales)
        self.stem = stem
        self.stages = list(stages)
        self.head = head
        self.check_statistics = True
        # Neither of these two is a weight: one is not saved, and the other
        # holds no parameters.
        self._config_indices = tf.Variable([0] * self.space.num_stages, trainable=False)
        self._statistics = StatisticsRecord(self.space)
        self.built = True

    @property
    def config(self):
        """The configuration that runs when none is given.

        The largest until it is set; it is not saved with the network.
        """
        return self.space.config(self._config_indices.numpy())

    @config.setter
    def config(self, config):
        self.require_statistics(config)
        self._config_indices.assign(self.space.indices(config))

    @property
    def extra_params(self):
        """Number of parameters that the further scale factors add."""
        return sum(
            layer.count_params() * (layer.num_scales - 1) // layer.num_scales
            for _, layer in self._batch_norms()
        )

    def call(self, images, config=None, training=None):
        if config is None:
            indices = tf.unstack(self._config_indices)
        else:
            # Keras has made tensors of NumPy's numbers.
            config = [tf.get_static_value(s) if tf.is_tensor(s) else s for s in config]
            indices = map(tf.constant, self.space.indices(config))
        features = self.stem(images, training=training)
        return self._run_stages(features, indices, training)

    def _run_stages(self, features, indices, training):
        for stage, scale_index in zip(self.stages, indices):
            features = stage([features, scale_index], training=training)
        return self.head(features, training=training)

    def compile(self, *args, sampler=None, gradient_reduction="mean", **kwargs):
        """Configures training, as `keras.Model.compile` does.

        Args:
            *args: Those of `keras.Model.compile`.
            sampler: Callable from the optimizer step to a plan, such as
                `UniformSampler`; `FairSampler(network.space)` if absent.
            gradient_reduction: `"mean"` over the sub-networks of a step, or
                `"sum"`, the letter of Algorithm 1, which equals it at a learning
                rate divided by their number. In both, the penalties of
                regularizers count once a step.
            **kwargs: Those of `keras.Model.compile`.

        Raises:
            ValueError: If `gradient_reduction` is anything else, or
                `jit_compile` is asked for.
        """
        if gradient_reduction not in ("mean", "sum"):
            raise ValueError(
                "`gradient_reduction` must be 'mean' or 'sum'. "
                f"Received: gradient_reduction={gradient_reduction!r}"
            )
        if kwargs.get("jit_compile") is True:
            raise ValueError(
                "`jit_compile=True` is not possible: XLA needs sizes that are "
                "known when it compiles, and those of a resizable network "
                "change from step to step. Leave it out."
            )
        super().compile(*args, **kwargs)
        self.sampler = sampler or FairSampler(self.space)
        self.gradient_reduction = gradient_reduction

    def make_train_function(self, force=False):
        if self.train_function is not None and not force:
            return
        super().make_train_function(force)
        train = self.train_function

        def train_function(iterator):
            # Keras creates the variables of optimizer and metrics while it
            # traces the graph, and TensorFlow has to trace it again for that.
            if not self.optimizer.built and hasattr(iterator, "element_spec"):
                self._create_variables(iterator.element_spec)
            return train(iterator)

        self.train_function = train_function

    def _create_variables(self, batch_spec):
        self.optimizer.build(self.trainable_variables)
        _, *targets = keras.utils.unpack_x_y_sample_weight(batch_spec)
        specs = keras.tree.flatten(targets)
        if not all(spec is None or _is_dense(spec) for spec in specs):
            return
        targets, sample_weight, outputs = keras.tree.map_structure(
            _zeros_for_one_image, (*targets, self.head.output)
        )
        self.compute_metrics(None, targets, outputs, sample_weight)
        self.reset_metrics()

    def train_step(self, data):
        images, *targets = keras.utils.unpack_x_y_sample_weight(data)
        plan = self._plan()
        with tf.GradientTape() as stem_tape:
            features = self.stem(images, training=True)
        gradients, features_gradient = self._run_plan(plan, features, images, *targets)
        stem_weights = self.stem.trainable_variables
        stem_gradients = stem_tape.gradient(
            features,
            [weight.value for weight in stem_weights],
            output_gradients=tf.cast(features_gradient, features.dtype),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        index = {id(w): i for i, w in enumerate(self.trainable_variables)}
        for weight, gradient in zip(stem_weights, stem_gradients):
            gradients[index[id(weight)]] += gradient
        if self.gradient_reduction == "sum":
            gradients = self._summed(gradients, tf.shape(plan)[0])
        self._apply(gradients, plan)
        return self.get_metrics_result()

    def _plan(self):
        """The sub-networks of this step, the largest first."""
        plan = tf.convert_to_tensor(self.sampler(self.optimizer.iterations))
        plan = tf.cast(plan, tf.int32)
        if plan.shape.rank != 2 or plan.shape[1] != self.space.num_stages:
            raise ValueError(
                "A sampler must return scale indices of shape (sub-networks, "
                f"{self.space.num_stages}). Received shape {plan.shape} from "
                f"{self.sampler}."
            )
        # FLOPs follow the area of the feature maps, and stages cost about the
        # same at equal scale.
        scales = tf.gather(tf.constant(self.space.scales), plan)
        areas = tf.reduce_sum(tf.math.cumprod(scales, axis=1) ** 2, axis=1)
        order = tf.argsort(areas, direction="DESCENDING", stable=True)
        return tf.gather(plan, order)

    def _run_plan(self, plan, features, images, targets, sample_weight):
        """Runs the sub-networks of a plan, one at a time, on stem features.

        Returns:
            The mean gradients of the trainable variables, without what comes to
            them through the stem, and that of `features`, in float32.
        """
        count = tf.shape(plan)[0]
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        loss_metric = next(m for m in self.metrics if m.name == "loss")
        # Tapes need TensorFlow's own variables for gradients that are zero.
        weights = [weight.value for weight in self.trainable_variables]
        state = [
            variable
            for part in (*self.stages, self.head)
            for variable in part.non_trainable_variables
        ]

        def train_sub_network(k, gradients, features_gradient, state_values):
            with tf.GradientTape() as tape:
                tape.watch(features)
                # An assignment in a loop cannot be reduced over replicas. So
                # the state is handed on, and assigned when the loop has ended.
                with keras.StatelessScope(zip(state, state_values)) as scope:
                    outputs = self._run_stages(
                        features, tf.unstack(plan[k]), training=True
                    )
                loss = self.compute_loss(
                    images, targets, outputs, sample_weight, training=True
                )
                share = self.optimizer.scale_loss(loss) / tf.cast(count, loss.dtype)
            *new_gradients, new_features_gradient = tape.gradient(
                share,
                [*weights, features],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            loss_metric.update_state(loss * replicas, sample_weight=tf.shape(images)[0])
            self.compute_metrics(images, targets, outputs, sample_weight)
            return (
                k + 1,
                [old + new for old, new in zip(gradients, new_gradients)],
                features_gradient + tf.cast(new_features_gradient, tf.float32),
                [scope.get_current_value(variable) for variable in state],
            )

        loop = (
            tf.constant(0),
            [tf.zeros(weight.shape, weight.dtype) for weight in weights],
            tf.zeros_like(features, tf.float32),
            [tf.convert_to_tensor(variable) for variable in state],
        )
        if replicas > 1 and self._is_synchronized():
            # Replicas cannot exchange statistics in a loop.
            for _ in range(_static_length(plan)):
                loop = train_sub_network(*loop)
        else:
            loop = tf.while_loop(
                lambda k, *_: k < count,
                train_sub_network,
                loop,
                parallel_iterations=1,
            )
        _, gradients, features_gradient, state_values = loop
        for variable, value in zip(state, state_values):
            variable.assign(value)
        return gradients, features_gradient

    def _summed(self, gradients, count):
        """Sums instead of means, but for the penalties of regularizers."""
        weights = self.trainable_variables
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            penalty = tf.zeros(())
            for weight in weights:
                if weight.regularizer is not None:
                    penalty += weight.regularizer(weight) / replicas
            penalty = self.optimizer.scale_loss(penalty)
        penalties = tape.gradient(
            penalty,
            [weight.value for weight in weights],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        count = tf.cast(count, tf.float32)
        return [
            (mean - penalty) * count + penalty
            for mean, penalty in zip(gradients, penalties)
        ]

    def _apply(self, gradients, plan):
        """Updates the weights; batch normalisation only where the plan was."""
        used = tf.reduce_any(
            tf.one_hot(plan, len(self.space.scales), True, False), axis=0
        )
        # Momentum and weight decay would move the rows that were not used.
        kept = [
            (table, tf.convert_to_tensor(table), used[stage][:, None])
            for stage, layer in self._batch_norms()
            for table in layer.trainable_variables
        ]
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        for table, before, used_rows in kept:
            table.assign(tf.where(used_rows, table, before))
        self._statistics.add_step(used)

    def _batch_norms(self):
        """Pairs of stage number and `ScaleAwareBatchNorm`."""
        return [
            (number, layer)
            for number, stage in enumerate(self.stages)
            for layer in stage.layers
            if isinstance(layer, ScaleAwareBatchNorm)
        ]

    def _is_synchronized(self):
        return any(layer.synchronized for _, layer in self._batch_norms())

    def sub_network(self, config, calibrate_with=None, check_statistics=True):
        """Cuts a sub-network out, as a model of stock Keras layers.

        Args:
            config: Scale factors, one per stage; those left out are the
                largest.
            calibrate_with: `tf.data.Dataset` of batches to re-estimate the batch
                statistics of this configuration with. Those of the super-network
                are a mixture over the configurations that share them.
            check_statistics: Whether to refuse statistics that were never
                estimated.

        Returns:
            A functional `keras.Model` with copies of the weights, not compiled.

        Raises:
            ValueError: If `config` is not a configuration of this network, its
                height and width are not fixed, or its statistics were never
                estimated and it is not calibrated.
        """
        if check_statistics and calibrate_with is None:
            self.require_statistics(config)
        model = cut_out(self, self.space.indices(config))
        if calibrate_with is not None:
            calibrate(model, calibrate_with)
        return model

    def require_statistics(self, config):
        """Refuses a sub-network whose batch statistics are not to be trusted.

        Without a word if `check_statistics` is False, or if the network was
        never trained: then it behaves as Keras's do. Statistics that are much
        older than the convolutions get a warning.

        Args:
            config: Scale factors of the sub-network.

        Raises:
            ValueError: If training never estimated them, or `config` is not a
                configuration of this network.
        """
        indices = self.space.indices(config)
        if self.check_statistics:
            self._statistics.check(indices)

    def evaluate(self, *args, **kwargs):
        self.require_statistics(self.config)
        return super().evaluate(*args, **kwargs)

    def predict(self, *args, **kwargs):
        self.require_statistics(self.config)
        return super().predict(*args, **kwargs)

    def save_own_variables(self, store):
        self._statistics.save(store)

    def load_own_variables(self, store):
        self._statistics.load(store)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "stem": serialize(self.stem),
            "stages": [serialize(stage) for stage in self.stages],
            "head": serialize(self.head),
            "scales": self.space.scales,
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        config = dict(config)
        for part in ("stem", "head"):
            config[part] = deserialize(config[part])
        config["stages"] = [deserialize(stage) for stage in config["stages"]]
        return cls(**config)

    def get_compile_config(self):
        config = super().get_compile_config()
        if self.compiled:
            config["sampler"] = keras.saving.serialize_keras_object(self.sampler)
            config["gradient_reduction"] = self.gradient_reduction
        return config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)


def _check_stages(stages, scales):
    for number, stage in enumerate(stages):
        for layer in stage.layers:
            if isinstance(layer, StageResize) and layer.scales != scales:
                raise ValueError(
                    f"Layer {layer.name!r} of stage {number} resizes by "
                    f"{layer.scales}, but the scales are {scales}."
                )
            if isinstance(layer, ScaleAwareBatchNorm) and layer.num_scales != len(
                scales
            ):
                raise ValueError(
                    f"Layer {layer.name!r} of stage {number} has num_scales="
                    f"{layer.num_scales}, but the scales are {scales}."
                )


def _is_dense(spec):
    return isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None


def _zeros_for_one_image(spec):
    if spec is None:
        return None
    return tf.zeros([1, *(size or 1 for size in spec.shape[1:])], spec.dtype)


def _static_length(plan):
    if plan.shape[0] is None:
        raise ValueError(
            "With synchronized batch normalisation on several replicas, a "
            "sampler must return plans of a fixed number of sub-networks."
        )
    return plan.shape[0]
