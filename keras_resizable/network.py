"""The resizable network: stem, stages, head, and how they are trained."""

import functools
import os
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from keras_resizable import distillation as distillations
from keras_resizable import samplers
from keras_resizable.distillation import Distillation, TeacherDistillation
from keras_resizable.space import ConfigLike, SpatialSpace
from keras_resizable.subnetworks.calibration import (
    are_unlike,
    batch_norms,
    calibrate,
    calibrate_as_changed,
    estimated_statistics,
    tables_of,
    warn_of_images,
)
from keras_resizable.subnetworks.parts import (
    Part,
    check_sizes,
    cut_out,
    norms_by_stage,
)
from keras_resizable.subnetworks.scales import with_scales
from keras_resizable.training.checks import (
    check_batches,
    check_compiler,
    check_distillation,
    check_layers,
    check_penalties,
)
from keras_resizable.training.distribution import MultiWorkerTraining
from keras_resizable.training.records import DivergenceRecord, StatisticsRecord
from keras_resizable.training.step import TrainStep
from keras_resizable.training.variables import create_variables
from keras_resizable.utils.batches import Batches
from keras_resizable.utils.classifier_outputs import Classifier, num_classes


@keras.saving.register_keras_serializable(package="keras_resizable")
class ResizableNetwork(MultiWorkerTraining, keras.Model):
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
        config: Configuration to run; `network.config` by default.
        training: Whether to run in training mode.

    Attributes:
        space: The network's configurations, a `SpatialSpace`.
        check_statistics: Whether a trained network raises an error for a sub-network
            whose batch statistics were never estimated. True by default; set it to
            False for ablations.

    Raises:
        ValueError: If `scales` are not valid, a layer of a stage has other scales, or a
            part cannot run at the map sizes of a scale factor.

    Example:

    >>> import keras_resizable
    >>> import tensorflow as tf
    >>> network = keras_resizable.ResNet20(scales=(1.0, 0.5), classes=3)
    >>> network(tf.zeros((1, 32, 32, 3)), config=(0.5, 1.0, 1.0)).shape
    TensorShape([1, 3])
    """

    def __init__(
        self,
        stem: keras.Model,
        stages: Sequence[keras.Model],
        head: keras.Model,
        scales: Iterable[float],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.space = SpatialSpace(scales, len(stages))
        check_layers(stem, stages, head, self.space.scales)
        self.stem = stem
        self.stages = list(stages)
        self.head = head
        self.check_statistics = True
        self.teacher: TeacherDistillation | None = None  # Instead of labels.
        # None of these is a weight: only the statistics' record is saved, and
        # it holds no parameters.
        self._config_indices = tf.Variable([0] * self.space.num_stages, trainable=False)
        self.statistics = StatisticsRecord(self.space)
        self.divergence = DivergenceRecord(self.space)
        self.built = True
        check_sizes(self.parts, self.space.scales)

    @property
    def config(self) -> tuple[float, ...]:
        """The configuration to run by default.

        It is the largest one until you set it, and is not saved with the network.
        """
        return self.space.from_indices(self._config_indices.numpy())

    @config.setter
    def config(self, config: ConfigLike) -> None:
        self.require_statistics(config)
        self._config_indices.assign(self.space.config(config).indices)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of a batch of images."""
        return self.stem.input_shape

    @property
    def output_shape(self) -> Any:
        """Shape of a batch of outputs, in the structure of the outputs."""
        return self.head.output_shape

    @property
    def parts(self) -> list[Part]:
        """The stem, the stages and the head, in the order in which they run."""
        stages = [Part(stage, number) for number, stage in enumerate(self.stages)]
        return [Part(self.stem), *stages, Part(self.head)]

    @property
    def extra_params(self) -> int:
        """Number of parameters added by the scale factors after the first."""
        return sum(
            layer.count_params() * (layer.num_scales - 1) // layer.num_scales
            for _, layer in norms_by_stage(self.parts)
        )

    def call(self, images, config=None, training=None):
        if config is None:
            indices = tf.unstack(self._config_indices)
        else:
            if not isinstance(config, str):
                # Keras turns NumPy's numbers into tensors.
                config = [
                    tf.get_static_value(s) if tf.is_tensor(s) else s for s in config
                ]
            indices = map(tf.constant, self.space.config(config).indices)
        features = self.stem(images, training=training)
        return self.run_stages(features, indices, training)

    def run_stages(
        self,
        features: tf.Tensor,
        indices: Iterable[tf.Tensor],
        training: bool | None,
    ) -> Any:
        """Runs the stages and the head on features from the stem.

        Args:
            features: `(batch, height, width, channels)`.
            indices: Scalar int32 tensors, the scale index of each stage.
            training: Whether to run in training mode.
        """
        for stage, scale_index in zip(self.stages, indices):
            features = stage([features, scale_index], training=training)
        return self.head(features, training=training)

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str = "rmsprop",
        loss: Any = None,
        *,
        sampler: Callable[[tf.Tensor], tf.Tensor] | str = "fair",
        distillation: Distillation | str | None = None,
        split_batch: bool = False,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Configures training, as `keras.Model.compile` does.

        Without a loss, a classifier of two or more outputs learns from the answers of a
        teacher: `fit` and `evaluate` take images without labels, and report the
        agreement with the teacher. It is the one of `distillation`, or else of the last
        `compile`, or else the source model, in a network that was not trained since
        `from_keras` or `load_stock_weights`.

        Args:
            optimizer: As in `keras.Model.compile`.
            loss: As in `keras.Model.compile`; None to learn without labels.
            sampler: Which sub-networks a step trains: `"fair"`, `"sandwich"`,
                `"uniform"`; a sampler such as
                `keras_resizable.FairSampler(seed=1)`; or any callable from the
                optimizer step to a plan.
            distillation: Who teaches the sub-networks: None for nobody, `"in_place"`
                for the largest one, or an object such as
                `keras_resizable.InPlaceDistillation(0.3)` or
                `keras_resizable.TeacherDistillation(model)`. The head must classify.
                Without a loss the teacher's weight has no effect.
            split_batch: Whether each sub-network of a step gets its own share of the
                images ("dealt training"), rather than all (Algorithm 1). An epoch then
                costs the FLOPs of an average sub-network. A batch needs at least one
                image per sub-network, and 16 or more work better.
            loss_weights: As in `keras.Model.compile`.
            metrics: As in `keras.Model.compile`; by default the agreement, if there is
                no loss.
            weighted_metrics: As in `keras.Model.compile`.
            run_eagerly: As in `keras.Model.compile`.
            steps_per_execution: As in `keras.Model.compile`.
            jit_compile: `"auto"` or False: XLA cannot compile a resizable network.
            auto_scale_loss: As in `keras.Model.compile`.

        Raises:
            ValueError: If `sampler` or `distillation` is not valid, `jit_compile` is
                True, `distillation` does not support the plans or outputs, or a weight
                with a regularizer is not float32.

        Example:

        >>> import keras_resizable
        >>> network = keras_resizable.ResNet20(scales=(1.0, 0.5))
        >>> network.compile(
        ...     "sgd", "sparse_categorical_crossentropy", sampler="sandwich",
        ...     distillation="in_place", metrics=["accuracy"],
        ... )
        >>> network.sampler
        SandwichSampler(seed=0, num_draws=1)
        """
        check_compiler(jit_compile)
        sampler = samplers.get(sampler)
        if isinstance(sampler, samplers.Sampler):
            sampler = sampler.for_space(self.space)
        teaching = distillations.get(distillation)
        if loss is None and teaching is None:
            teaching = self.find_teacher()
        if teaching is not None:
            check_distillation(
                teaching, sampler, self.stem, self.head, split_batch, loss
            )
        check_penalties(self.trainable_variables)
        if self.teacher is not None and metrics is None:
            metrics = []  # Keras would keep the agreement.
        self.teacher = None
        if loss is None and isinstance(teaching, TeacherDistillation):
            self.teacher, teaching = teaching, None
            is_logits = not Classifier(self.head).gives_probabilities
            loss = keras.losses.CategoricalCrossentropy(from_logits=is_logits)
            metrics = metrics or [keras.metrics.CategoricalAccuracy("agreement")]
        super().compile(
            optimizer=optimizer,
            loss=loss,
            loss_weights=loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        self.__dict__.pop("classifier", None)  # It was for the previous loss.
        self.training_step = TrainStep(self, sampler, teaching, split_batch)
        if teaching is not None:
            _ = self.classifier.gives_probabilities  # Before it is needed in a graph.

    @property
    def sampler(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The sampler passed to `compile`."""
        return self.training_step.sampler

    @functools.cached_property
    def classifier(self) -> Classifier:
        """Reads the outputs as the loss of `compile` defines them."""
        return Classifier(self.head, self.loss if self.compiled else None)

    def make_train_function(self, force: bool = False) -> None:
        if self.train_function is not None and not force:
            return
        super().make_train_function(force)
        train = self.train_function

        def train_function(iterator):
            spec = getattr(iterator, "element_spec", None)
            if not self.optimizer.built and spec is not None:
                create_variables(self, spec)
            if self.training_step.split_batch and spec is not None:
                check_batches(spec, self.sampler)
            logs = train(iterator)
            if self.training_step.split_batch:
                self.training_step.shares.check(self.distribute_strategy)
            return logs

        self.train_function: Any = train_function

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        return self._logs(self.training_step(data))

    def with_targets(self, data: Any) -> tuple[Any, Any, Any]:
        """Images, targets and sample weights of a batch; a teacher gives the targets.

        Raises:
            ValueError: If there are targets but no loss, or no targets and no teacher.
        """
        images, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if self.teacher is not None:
            if targets is not None:
                raise ValueError(
                    "`compile` has no loss for the labels of these batches: pass a "
                    "loss, or images alone to learn from the teacher."
                )
            targets = self.teacher.answers(images)
        elif targets is None and (self.loss is not None or num_classes(self.head)):
            raise ValueError(
                "These batches have no labels, and there is no teacher. To learn from "
                "the answers of a model, compile without a loss and with "
                "`distillation=TeacherDistillation(model)`."
            )
        return images, targets, sample_weight

    def find_teacher(self) -> TeacherDistillation | None:
        """The teacher of the last `compile`; else full size, if not trained since."""
        if self.teacher is not None:
            return self.teacher
        if self.compiled and isinstance(
            self.training_step.distillation, TeacherDistillation
        ):
            return self.training_step.distillation
        is_known = self.has_full_size_statistics
        if not is_known or not num_classes(self.head) or None in self.input_shape[1:]:
            return None
        try:
            return TeacherDistillation(self.sub_network(self.space.largest))
        except ValueError:  # Its outputs are no class probabilities or logits.
            return None

    def sub_network(
        self,
        config: ConfigLike,
        calibrate_with: Batches | None = None,
        check_statistics: bool = True,
    ) -> keras.Model:
        """Cuts out a sub-network as a model of stock Keras layers.

        Args:
            config: Scale factors, one per stage; those omitted at the end are the
                largest. With `calibrate_with`, any factors between the largest and the
                smallest of `scales` are valid; see `with_scales`.
            calibrate_with: `tf.data.Dataset` of batches to re-estimate the batch
                statistics of this configuration with. The super-network's statistics
                are a mixture over the configurations that share them. A network that
                `has_full_size_statistics` keeps them at full size; for smaller sizes
                see `calibrate_sub_network`.
            check_statistics: Whether to raise an error if statistics were never
                estimated.

        Returns:
            A functional `keras.Model` with copies of the weights, not compiled.

        Raises:
            ValueError: If `config` is not a configuration of this network, the
                network's height and width are not fixed, or the statistics were never
                estimated and `calibrate_with` is absent.

        Example:

        >>> import keras_resizable
        >>> network = keras_resizable.ResNet20(scales=(1.0, 0.5))
        >>> model = network.sub_network("0.5,0.5,0.5")
        >>> keras_resizable.count_flops(model) / 1e6
        5.866112
        """
        if set(self.space.factors(config)).difference(self.space.scales):
            if calibrate_with is None:
                try:
                    self.space.config(config)
                except ValueError as error:
                    raise ValueError(
                        f"{error} With `calibrate_with=dataset` factors between them "
                        "can be cut out too."
                    ) from None
            network = self.with_factors_of([config])
            return network.sub_network(config, calibrate_with, check_statistics)
        if check_statistics and calibrate_with is None:
            self.require_statistics(config)
        model, _ = cut_out(self.parts, self.space.config(config), self.name)
        if calibrate_with is not None:
            self.calibrate_sub_network(model, config, calibrate_with)
        return model

    def calibrate_sub_network(
        self, model: keras.Model, config: ConfigLike, dataset: Batches
    ) -> None:
        """Re-estimates the batch statistics of a cut-out sub-network.

        This is `keras_resizable.calibrate`, except in a network that
        `has_full_size_statistics`. There, statistics at full size stay, and those at
        other sizes change only by the estimated difference from full size.

        Args:
            model: The sub-network.
            config: Its scale factors.
            dataset: As in `keras_resizable.calibrate`.
        """
        if not self.has_full_size_statistics:
            calibrate(model, dataset)
        elif self.space.config(config) != self.space.largest:
            full, _ = cut_out(self.parts, self.space.largest, self.name)
            estimated = estimated_statistics(full, dataset)
            if are_unlike(tables_of(batch_norms(full)), estimated):
                warn_of_images()
            calibrate_as_changed(model, estimated, dataset)

    def calibrate_full_size(self, dataset: Batches) -> None:
        """Estimates the batch statistics at full size, and copies them to all scales.

        Do this with training images before a network goes to someone who has only few
        images, or others. From then on sub-networks are calibrated by how they differ
        from full size, for which a few dozen images suffice. Without calibration only
        full size can be used.

        Args:
            dataset: As in `keras_resizable.calibrate`.

        Raises:
            ValueError: If 1.0 is not among the scale factors, or as in
                `keras_resizable.calibrate`.

        Example:

        >>> import keras_resizable
        >>> import numpy as np
        >>> network = keras_resizable.ResNet20(scales=(1.0, 0.5))
        >>> network.calibrate_full_size(np.random.rand(64, 32, 32, 3))
        >>> network.has_full_size_statistics
        True
        """
        if self.space.scales[0] != 1.0:
            raise ValueError(
                "Full size is the scale factor 1.0. This network has only "
                f"{self.space.scales}."
            )
        model, cut = cut_out(self.parts, self.space.largest, self.name)
        calibrate(model, dataset)
        for table, row in zip(*cut.statistics()):
            table.assign(tf.broadcast_to(row, table.shape))
        self.statistics.start_from_full_size()

    @property
    def has_full_size_statistics(self) -> bool:
        """Whether all scales have the batch statistics of full size.

        This holds after `from_keras`, `load_stock_weights` and `calibrate_full_size`
        until the network is trained. Calibration does not change full size then, and
        other sizes only by how they differ from it.
        """
        return self.statistics.is_of_full_size and self.space.scales[0] == 1.0

    def with_scales(self, scales: Iterable[float]) -> Self:
        """The same network with other scale factors.

        Weights are copied. Scale factors of this network keep their rows of batch
        normalisation. Rows of new ones are mixtures of the two neighbouring rows, and
        raise an error until they are trained or calibrated, as `sub_network(config,
        calibrate_with=dataset)` and the lookup table do. Scale factors below the
        smallest trained one need training: without it accuracy breaks down.

        Map sizes are integers, so close factors may give equal sizes: a warning names
        factors that do so in every stage.

        Args:
            scales: Scale factors, distinct numbers in (0, 1].

        Returns:
            A network, not compiled.

        Raises:
            ValueError: If `scales` are not valid, or a part cannot run at their map
                sizes.

        Example:

        >>> import keras_resizable
        >>> network = keras_resizable.ResNet20(scales=(1.0, 0.5))
        >>> network.with_scales((1.0, 0.75, 0.5)).space.size
        27
        """
        return with_scales(self, scales)

    def with_factors_of(self, configs: Iterable[ConfigLike]) -> Self:
        """A network with all scale factors that some configurations use.

        It is this network if it has them all, otherwise `with_scales` of both lists.

        Args:
            configs: Configurations with factors between the largest and the smallest
                scale factor of this network.

        Raises:
            ValueError: If a factor is outside of this range.
        """
        scales = self.space.scales
        factors = {f for config in configs for f in self.space.factors(config)}
        others = sorted(factors.difference(scales))
        if not others:
            return self
        if not scales[-1] <= others[0] <= others[-1] <= scales[0]:
            raise ValueError(
                f"{others} are not all between the scale factors {scales[0]} and "
                f"{scales[-1]}. Outside of these accuracy breaks down even with "
                "calibration: add them by `network.with_scales` and train."
            )
        return self.with_scales({*scales, *others})

    def require_statistics(self, config: ConfigLike) -> None:
        """Raises if the batch statistics of a sub-network cannot be trusted.

        Does nothing if `check_statistics` is False or the network was never trained.
        Warns if the statistics are much older than the convolutions.

        Args:
            config: Scale factors of the sub-network.

        Raises:
            ValueError: If training never estimated them, or `config` is not a
                configuration of this network.
        """
        indices = self.space.config(config).indices
        count = len(self.space.scales)
        has_rows = any(
            norm.num_scales == count for _, norm in norms_by_stage(self.parts)
        )
        if self.check_statistics and has_rows:
            self.statistics.check(indices)

    def export(self, filepath: str | os.PathLike, **kwargs: Any) -> None:
        """Exports the sub-network at `config`, as `keras.Model.export` does.

        For several sub-networks in one SavedModel see
        `keras_resizable.export.to_saved_model`, for checked `.tflite` files
        `keras_resizable.export.to_tflite_files`.

        Args:
            filepath: Path to write to.
            **kwargs: As in `keras.Model.export`.
        """
        self.sub_network(self.config).export(filepath, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        self.require_statistics(self.config)
        return super().evaluate(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        self.require_statistics(self.config)
        return super().predict(*args, **kwargs)

    def set_weights(self, weights: Any) -> None:
        before = self._batch_statistics()
        super().set_weights(weights)
        # Statistics that come with weights are as good as the network they come from.
        pairs = zip(before, self._batch_statistics())
        self.statistics.trust([np.any(old != new, axis=1) for old, new in pairs])

    def _batch_statistics(self):
        """For each stage the statistics of its layers, a row for each scale factor."""
        count = len(self.space.scales)
        rows = [[np.zeros((count, 1))] for _ in self.stages]
        for stage, norm in norms_by_stage(self.parts):
            if norm.num_scales == count:
                rows[stage] += [norm.moving_mean.numpy(), norm.moving_variance.numpy()]
        return [np.concatenate(of_stage, axis=1) for of_stage in rows]

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        self.statistics.save(store)

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        self.statistics.load(store)

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

    def get_compile_config(self) -> dict[str, Any]:
        config = super().get_compile_config()
        if self.compiled:
            serialize, step = keras.saving.serialize_keras_object, self.training_step
            config["sampler"] = serialize(step.sampler)
            if self.teacher is not None:  # It is not saved, nor what depends on it.
                config["loss"] = config["metrics"] = None
            is_taught = isinstance(step.distillation, TeacherDistillation)
            config["distillation"] = serialize(None if is_taught else step.distillation)
            config["split_batch"] = step.split_batch
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)
