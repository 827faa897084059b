"""Fine-tuning a sub-network that was cut out."""

import keras

from keras_resizable.training.replicas import num_replicas
from keras_resizable.utils.arguments import one_of
from keras_resizable.utils.classifier_outputs import Classifier, require_one_class
from keras_resizable.utils.keras_graph import layers_of

WEIGHTS = ("all", "classifier")


def train_only(model: keras.Model, weights: str) -> None:
    """Unfreezes all weights, or only the last dense layer and batch normalisation.

    The latter adapts to another resolution (Touvron et al., 2019, arXiv:1906.06423).
    """
    one_of("weights", weights, WEIGHTS)
    layers = layers_of(model)
    for layer in layers:
        layer.trainable = True
    if weights == "all":
        return
    leaves = [layer for layer in layers if not layers_of(layer)]
    *_, classifier = (layer for layer in leaves if layer.weights)
    if not isinstance(classifier, keras.layers.Dense):
        raise ValueError(
            f"{model.name} does not end with a dense layer, but with "
            f"{classifier.name!r}. Train all weights."
        )
    norms = [x for x in leaves if isinstance(x, keras.layers.BatchNormalization)]
    for layer in leaves:  # Containers come after their layers.
        layer.trainable = layer in (classifier, *norms[-1:])


def taught_by(model: keras.Model, teacher: keras.Model) -> keras.distillation.Distiller:
    """A model to `fit` that learns equally from labels and from a teacher.

    Hinton et al., 2015, arXiv:1503.02531. Sample and class weights are ignored.
    """
    for taking_part in (model, teacher):
        classifier = Classifier(taking_part)
        if classifier.is_binary or not classifier.gives_probabilities:
            raise ValueError(
                "A teacher and its student must return probabilities of two or more "
                f"classes: {taking_part.name!r} needs a softmax at its end."
            )
        require_one_class(taking_part.loss if taking_part.compiled else None)
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
        require_one_class(loss)
        # Keras would not average a function over replicas.
        is_function = loss is not None and not isinstance(loss, keras.losses.Loss)
        super().compile(optimizer, _Mean(loss) if is_function else loss, **kwargs)

    def compute_loss(self, *args, **kwargs):
        penalties = sum(self.student.losses) / num_replicas()
        return super().compute_loss(*args, **kwargs) + penalties
