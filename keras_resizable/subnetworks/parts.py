"""The parts of a network: a stem, stages and a head."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_resizable.layers import ScaleAwareBatchNorm
from keras_resizable.layers.stock_form import Shape
from keras_resizable.space import Configuration
from keras_resizable.subnetworks.calibration import batch_norms, scope_of
from keras_resizable.subnetworks.cutting import Cut
from keras_resizable.subnetworks.flops import flops_and_outputs, of_one_image
from keras_resizable.subnetworks.shapes import inputs_of, outputs_of
from keras_resizable.utils.keras_graph import require_fixed_size
from keras_resizable.utils.messages import first_line


@dataclasses.dataclass(frozen=True)
class Part:
    """A stem, a head, or a stage, which has a number from 0 and takes a scale index."""

    model: keras.Model
    stage: int | None = None

    @property
    def batch_norms(self) -> list[keras.layers.Layer]:
        """Its batch normalisations, stock ones and those inside layers included."""
        return batch_norms(self.model)

    def scale_index_in(self, config: Configuration) -> int:
        """Its scale index in a configuration; 0 for the stem and the head."""
        return 0 if self.stage is None else config.indices[self.stage]

    def run(self, features: tf.Tensor, scale_index: tf.Tensor, training: bool) -> Any:
        """Outputs for features; a stem and a head ignore the scale index."""
        if self.stage is None:
            return self.model(features, training=training)
        return self.model([features, scale_index], training=training)

    def output_spec(
        self, features: keras.KerasTensor, scale_index: int | None = None
    ) -> Any:
        """Symbolic outputs for symbolic features."""
        inputs = inputs_of(self.model, features.shape, features.dtype)
        return outputs_of(self.model, inputs, scale_index)

    def count_flops(self, input_shape: Shape, scale_index: int) -> tuple[int, Shape]:
        """Multiply-adds for one image, and the shape of the first output."""
        inputs = inputs_of(self.model, of_one_image(input_shape))
        flops, outputs = flops_and_outputs(self.model, inputs, scale_index)
        return flops, keras.tree.flatten(outputs)[0].shape

    def cut_out(self, inputs: keras.KerasTensor, scale_index: int) -> Any:
        """The symbolic outputs of a copy from stock Keras layers."""
        return Cut().part(self.model, inputs, scale_index)


def norms_by_stage(parts: Iterable[Part]) -> list[tuple[int, ScaleAwareBatchNorm]]:
    """Pairs of a stage's number and a `ScaleAwareBatchNorm` in it."""
    return [
        (part.stage, norm)
        for part in parts
        if part.stage is not None
        for norm in part.batch_norms
        if isinstance(norm, ScaleAwareBatchNorm)
    ]


def cut_out(
    parts: Sequence[Part], config: Configuration, name: str
) -> tuple[keras.Model, Cut]:
    """A sub-network of stock Keras layers, and the `Cut` with the copied layers."""
    (inputs,) = parts[0].model.inputs
    require_fixed_size(inputs.shape)
    features = images = keras.Input(inputs.shape[1:], name="images", dtype=inputs.dtype)
    cut = Cut()
    for part in parts:
        features = cut.part(part.model, features, part.scale_index_in(config))
    return keras.Model(images, features, name=name), cut


def as_super_network(
    parts: Sequence[Part], config: Configuration, cut: Cut
) -> Callable[[tf.Tensor], tf.Tensor]:
    """The super-network in inference mode, with the statistics of a sub-network."""
    tables, rows = cut.statistics()

    def run(features):
        with scope_of(tables, rows):
            for part in parts:
                index = tf.constant(part.scale_index_in(config))
                features = part.run(features, index, training=False)
        return features

    return run


def output_shapes(parts: Sequence[Part], config: Configuration) -> list[Shape]:
    """The shapes of a sub-network's outputs, without the batch."""
    features = stem_output_spec(parts)
    for part in parts[1:]:
        features = part.output_spec(features, part.scale_index_in(config))
    return [tuple(tensor.shape[1:]) for tensor in keras.tree.flatten(features)]


def stem_output_spec(parts: Sequence[Part]) -> Any:
    """The symbolic features of two images after the stem."""
    images = parts[0].model.inputs[0]
    shape = (2, *images.shape[1:])  # Two images, to notice layers that mix them.
    return parts[0].output_spec(keras.KerasTensor(shape, images.dtype))


def check_sizes(parts: Sequence[Part], scales: Iterable[float]) -> None:
    """Checks that stages and head can run at each uniform configuration."""
    if None in parts[0].model.inputs[0].shape[1:]:
        return
    of_stem = stem_output_spec(parts)
    for scale_index, scale in enumerate(scales):
        features = of_stem
        for part in parts[1:]:
            size = " x ".join(map(str, features.shape[1:3]))
            try:
                features = _checked_outputs(part, features, scale_index)
            except ValueError as error:
                where = "the head"
                if part.stage is not None:
                    where = f"stage {part.stage + 1} at scale {scale}"
                raise ValueError(
                    f"With the scale factor {scale} everywhere, {where} gets maps of "
                    f"{size} and cannot run: {first_line(error)} Leave out the scale "
                    f"{scale} or take a milder one, resize in fewer places (with "
                    "`resize_before` of `from_keras`), take larger images, or replace "
                    "a layer that takes maps of one size."
                ) from error


def _checked_outputs(part, features, scale_index):
    taken = part.model.inputs[0].shape
    if not tf.TensorShape(taken).is_compatible_with(features.shape):
        raise ValueError(f"It only takes {tuple(taken[1:])}.")
    outputs = part.output_spec(features, scale_index)
    for tensor in keras.tree.flatten(outputs):
        if any(length is not None and length < 1 for length in tensor.shape):
            raise ValueError(f"It would leave maps of {tuple(tensor.shape[1:])}.")
    return outputs
