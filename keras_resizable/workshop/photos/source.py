"""The Keras model that a job starts from."""

import keras
from keras import layers

from keras_resizable.utils.classifier_outputs import Classifier
from keras_resizable.utils.keras_graph import layers_of
from keras_resizable.workshop.photos.job import Job
from keras_resizable.workshop.recipes.source_models import (
    application_model,
    classifier,
    range_of,
)

_AFTER_DENSE = (layers.Activation, layers.Dropout, layers.Softmax)


def make_source(
    job: Job,
    model: keras.Model | None,
    image_shape: tuple[int, int, int],
    classes: int | None = None,
) -> keras.Model:
    """Makes the source, for images in [-1, 1] and the classes of a job.

    Without `classes` it keeps the classes of the model in a .keras file.

    Raises:
        ValueError: If the model takes other images, or its classifier cannot be
            replaced.
    """
    if not job.model.endswith(".keras"):
        assert classes is not None
        return application_model(
            job.model, input_shape=image_shape, classes=classes, weights=job.weights
        )
    assert model is not None
    low, high = job.input_range or range_of(model)
    images = keras.Input(image_shape, name="images")
    scale = (high - low) / 2
    x = layers.Rescaling(scale, low + scale, name="to_range")(images)
    if classes is not None:
        model = _with_classes(model, classes, job.model)
    outputs = model(x)
    if not Classifier(model).gives_probabilities:
        outputs = layers.Softmax(dtype="float32", name="probabilities")(outputs)
    return keras.Model(images, outputs, name="mine")


def _with_classes(model, classes, path):
    """A model with its last dense layer replaced if the number of classes differs."""
    if has_classes(model, classes):
        return model
    last = next(
        layer for layer in reversed(model.layers) if not isinstance(layer, _AFTER_DENSE)
    )
    if len(model.outputs) != 1 or not isinstance(last, layers.Dense):
        raise ValueError(
            f"{path} does not end in a Dense layer that could be replaced by one "
            f"for {classes} classes."
        )
    return keras.Model(model.inputs, classifier(classes)(last.input))


def has_classes(model: keras.Model, classes: int) -> bool:
    """Whether a model already has this number of classes."""
    return [tuple(tensor.shape) for tensor in model.outputs] == [(None, classes)]


def set_trained(model: keras.Model, phase: str) -> None:
    """Chooses which layers learn: the last one with weights, or all.

    Batch normalisation keeps its statistics, which were estimated on more images.
    """
    leaves = [layer for layer in layers_of(model) if not layers_of(layer)]
    last = [layer for layer in leaves if layer.weights][-1]
    for layer in (model, *layers_of(model)):
        layer.trainable = True
    for layer in layers_of(model):
        is_norm = isinstance(layer, layers.BatchNormalization)
        if phase == "classifier" and not layers_of(layer):
            layer.trainable = layer is last
        elif is_norm:
            layer.trainable = False
