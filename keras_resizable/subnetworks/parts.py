"""The parts of a network: a stem, stages and a head."""

import dataclasses
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from keras_resizable.layers import ScaleAwareBatchNorm
from keras_resizable.space import Configuration
from keras_resizable.subnetworks.calibration import batch_norms
from keras_resizable.subnetworks.cutting import Cut
from keras_resizable.subnetworks.flops import count_part

if TYPE_CHECKING:
    from keras_resizable.network import ResizableNetwork


@dataclasses.dataclass(frozen=True)
class Part:
    """A stem, a stage or a head.

    Args:
        model: A functional `keras.Model`: from features to features, and of a stage
            from `[features, scale_index]`.
        stage: Number of a stage, from 0; None for the stem and the head.
    """

    model: keras.Model
    stage: int | None = None

    @property
    def batch_norms(self) -> list[keras.layers.Layer]:
        """Its batch normalisations, stock ones and those inside of layers too."""
        return batch_norms(self.model)

    def scale_index_in(self, config: Configuration) -> int:
        """Its scale index in a configuration; 0 for the stem and the head."""
        return 0 if self.stage is None else config.indices[self.stage]

    def run(
        self, features: tf.Tensor, scale_index: tf.Tensor, training: bool | None = None
    ) -> Any:
        """Outputs for some features.

        Args:
            features: `(batch, height, width, channels)`.
            scale_index: Scalar int32 tensor, of no effect on a stem and a head.
            training: Whether to run in training mode.
        """
        if self.stage is None:
            return self.model(features, training=training)
        return self.model([features, scale_index], training=training)

    def count_flops(
        self, input_shape: tuple[int | None, ...], scale_index: int
    ) -> tuple[int, tuple[int | None, ...]]:
        """Multiply-adds for one image, see `keras_resizable.count_flops`.

        Args:
            input_shape: Shape of the features that come in, with the batch.
            scale_index: Scale index of a stage.

        Returns:
            An integer, and the shape of what comes out; of several outputs that of the
            first.
        """
        return count_part(self.model, input_shape, scale_index)

    def cut_out(
        self, inputs: keras.KerasTensor, scale_index: int, cut: Cut | None = None
    ) -> Any:
        """Rebuilds it of stock Keras layers, with copies of the weights.

        Args:
            inputs: Features, as a tensor of Keras.
            scale_index: Scale index of a stage.
            cut: The `Cut` of the sub-network that it is rebuilt for.

        Returns:
            The outputs, in the structure of those of the part.
        """
        return (cut or Cut()).part(self.model, inputs, scale_index)


def norms_by_stage(
    network: "ResizableNetwork",
) -> list[tuple[int, ScaleAwareBatchNorm]]:
    """Pairs of the number of a stage and a `ScaleAwareBatchNorm` in it."""
    return [
        (part.stage, norm)
        for part in network.parts
        if part.stage is not None
        for norm in part.batch_norms
        if isinstance(norm, ScaleAwareBatchNorm)
    ]
