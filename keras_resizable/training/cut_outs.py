"""Fine-tuning a sub-network that was cut out."""

import keras

from keras_resizable.training.replicas import num_replicas
from keras_resizable.utils.classifier_outputs import Classifier, is_multi_label
from keras_resizable.utils.keras_graph import layers_of

WEIGHTS = ("all", "classifier")


def train_only(model: keras.Model, weights: str) -> None:
    """Unfreezes all weights, or the dense layer at the end and the last batch norm.

    The latter suit a change of resolution (Touvron et al., 2019, arXiv:1906.06423).
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
        if not layers_of(layer):  # A layer that holds others follows them.
            layer.trainable = layer in trained


def _last(model, kind):
    for layer in reversed(layers_of(model)):
        if isinstance(layer, kind):
            return layer
    raise ValueError(f"{model.name} has no {kind.__name__} layer to train.")


def taught_by(model: keras.Model, teacher: keras.Model) -> keras.distillation.Distiller:
    """A model to `fit` that learns from labels and from a teacher in equal parts.

    Hinton et al., 2015, arXiv:1503.02531. Weights of samples and classes are ignored.
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
    """The mean of a function, or of a function of Keras by its name."""

    def __init__(self, function):
        super().__init__(name="mean")
        self._function = keras.losses.get(function)

    def call(self, y_true, y_pred):
        return self._function(y_true, y_pred)


class _Distiller(keras.distillation.Distiller):
    """Adds the penalties of the student's regularizers, which Keras leaves out."""

    def compile(self, optimizer="adam", loss=None, **kwargs):
        if is_multi_label(loss):
            raise ValueError(
                "A teacher gives each image one class, and with this loss it may have "
                f"several. Received: loss={loss!r}"
            )
        # Keras would not average a function over replicas.
        is_function = loss is not None and not isinstance(loss, keras.losses.Loss)
        super().compile(optimizer, _Mean(loss) if is_function else loss, **kwargs)

    def compute_loss(self, *args, **kwargs):
        penalties = sum(self.student.losses) / num_replicas()
        return super().compute_loss(*args, **kwargs) + penalties
