"""Fine-tuning a sub-network that was cut out."""

import keras
import tensorflow as tf

from keras_resizable.utils.graph import layers_of
from keras_resizable.utils.outputs import Classifier, is_multi_label

WEIGHTS = ("all", "classifier")


def train_only(model: keras.Model, weights: str) -> None:
    """Chooses which weights of a model are trained.

    Args:
        model: A `keras.Model`, such as a sub-network.
        weights: `"all"`; or `"classifier"` for the dense layer that ends the model
            and its last batch normalisation, which suits a change of resolution
            (Touvron et al., 2019, https://arxiv.org/abs/1906.06423).

    Raises:
        ValueError: If `weights` is anything else, or the model has no such layers, or
            does not end with the dense one.

    Example:

    >>> import keras_resizable
    >>> model = keras_resizable.ResNet20().sub_network("0.5")
    >>> train_only(model, "classifier")
    >>> [layer.name for layer in model.layers if layer.trainable and layer.weights]
    ['conv4_block3_2_bn', 'predictions']
    """
    if weights not in WEIGHTS:
        raise ValueError(
            f"`weights` must be one of {WEIGHTS}. Received: weights={weights!r}"
        )
    layers = layers_of(model)
    for layer in layers:
        layer.trainable = True
    if weights == "all":
        return
    classifier = _last(model, keras.layers.Dense)
    behind = layers[layers.index(classifier) + 1 :]
    others = [layer for layer in behind if layer.weights and not layers_of(layer)]
    if others:
        raise ValueError(
            f"{model.name} does not end with a dense layer: behind {classifier.name!r} "
            f"comes {others[-1].name!r}. Train all weights."
        )
    trained = [_last(model, keras.layers.BatchNormalization), classifier]
    for layer in layers:
        if not layers_of(layer):  # Where layers hold others, those decide.
            layer.trainable = layer in trained


def _last(model, kind):
    for layer in reversed(layers_of(model)):
        if isinstance(layer, kind):
            return layer
    raise ValueError(f"{model.name} has no {kind.__name__} layer to train.")


def taught_by(model: keras.Model, teacher: keras.Model) -> keras.distillation.Distiller:
    """A model to `fit`, which learns from labels and from a teacher in equal parts.

    Args:
        model: A `keras.Model` that ends in softmax.
        teacher: Another one, for the same images and classes.

    Returns:
        A `keras.distillation.Distiller` with `model` as its student. The second part
        of its loss is the divergence of the model's probabilities from the
        teacher's (Hinton et al., 2015, https://arxiv.org/abs/1503.02531). As of Keras's
        own, `fit` leaves out weights of samples and of classes.

    Raises:
        ValueError: If one of them gives logits, or does not classify.

    Example:

    >>> import keras_resizable
    >>> network = keras_resizable.ResNet20(scales=(1.0, 0.5))
    >>> small, largest = network.sub_network("0.5"), network.sub_network("1.0")
    >>> taught = taught_by(small, largest)
    >>> taught.compile("sgd", "sparse_categorical_crossentropy")
    """
    for taking_part in (model, teacher):
        classifier = Classifier(taking_part)
        if not classifier.gives_probabilities:
            raise ValueError(
                "A teacher and its student answer with probabilities. "
                f"{taking_part.name!r} gives logits: add a softmax layer."
            )
        loss = taking_part.loss if taking_part.compiled else None
        if classifier.is_binary or is_multi_label(loss):
            raise ValueError(
                "A teacher and its student answer with one of two or more classes, "
                f"by probabilities that sum to 1. {taking_part.name!r} does not: "
                "softmax does."
            )
    return _Distiller(
        teacher,
        model,
        keras.distillation.FeatureDistillation(loss=keras.losses.KLDivergence()),
        student_loss_weight=0.5,
    )


class _Mean(keras.losses.Loss):
    """The mean of a function, or of one of Keras's that has a name."""

    def __init__(self, function):
        super().__init__(name="mean")
        self._function = keras.losses.get(function)

    def call(self, y_true, y_pred):
        return self._function(y_true, y_pred)


class _Distiller(keras.distillation.Distiller):
    """With the penalties of the student's regularizers, which Keras leaves out."""

    def compile(self, optimizer="adam", loss=None, **kwargs):
        if is_multi_label(loss):
            raise ValueError(
                "A teacher gives each image one class, and with this loss it may have "
                f"several. Received: loss={loss!r}"
            )
        # A function would not be averaged over replicas.
        is_function = loss is not None and not isinstance(loss, keras.losses.Loss)
        super().compile(optimizer, _Mean(loss) if is_function else loss, **kwargs)

    def compute_loss(self, *args, **kwargs):
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        penalties = sum(self.student.losses) / replicas
        return super().compute_loss(*args, **kwargs) + penalties
