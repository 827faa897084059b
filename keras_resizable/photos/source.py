"""The model that a job starts from, trained for its classes."""

import dataclasses
import pathlib
from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from keras_resizable import data, recipes
from keras_resizable.conversion import from_keras
from keras_resizable.conversion.sources import application_model, classifier
from keras_resizable.data.pipeline import resolved_shape
from keras_resizable.network import ResizableNetwork
from keras_resizable.photos.job import Job, evaluated_configs
from keras_resizable.recipes.building import (
    compile_sub_network,
    make_network,
    train_data,
)
from keras_resizable.runs import fit_resumable, save_network
from keras_resizable.search.evaluation import evaluate_model
from keras_resizable.subnetworks.pieces import count_flops_of_configs
from keras_resizable.utils.graph import is_graph, layers_of
from keras_resizable.utils.outputs import Classifier

SOURCE = "source.keras"
ALL = "all"  # The phase in which all of it is trained.
_BATCH = 32
_LARGEST_PIXEL = 10  # Of what a layer that rescales pixels of 0 to 255 returns.
_AFTER_DENSE = (layers.Activation, layers.Dropout, layers.Softmax)
_PATIENCE = 5, 100  # Epochs without a better accuracy, or of few photos steps.


def choosing(images: data.ImageSet) -> data.ImageSet:
    """The photos, with the validation photos in the place of the test photos."""
    assert images.validation is not None
    return dataclasses.replace(images, test=images.validation)


def network_of(job: Job, images: data.ImageSet) -> ResizableNetwork:
    """The resizable network of a job, not trained.

    Args:
        job: A `Job`.
        images: Its photos.

    Raises:
        FileNotFoundError: If the model's file is not there.
        ValueError: If the model of the job cannot be converted, or no sub-network of it
            is within the limit of FLOPs.
    """
    network = _network_of(job, images)
    if job.max_flops is not None:
        _check_flops(job, network)
    return network


def _check_flops(job, network):
    configs = evaluated_configs(job, network.space)
    flops = dict(zip(configs, count_flops_of_configs(network, configs)))
    nearest = min(flops, key=flops.__getitem__)
    if job.max_flops < flops[nearest]:
        raise ValueError(
            f"No sub-network has flops of at most {job.max_flops:.4g}. The nearest is "
            f"'{nearest}': flops {flops[nearest]:.4g}."
        )


def _network_of(job, images):
    recipe = job.recipe(images)
    shape = resolved_shape(images.image_shape, recipe.image_size)
    if not job.is_pretrained:
        return make_network(
            recipe, "resizable", None, image_shape=shape, classes=_classes(images)
        )
    untrained = dataclasses.replace(job, weights=None)
    return from_keras(make_source(untrained, shape, _classes(images)), job.scales)


def make_source(
    job: Job, image_shape: tuple[int, int, int], classes: int
) -> keras.Model:
    """The model to start from, for images in [-1, 1] and the classes of a job.

    Args:
        job: A `Job` that is pretrained.
        image_shape: `(height, width, channels)`.
        classes: Number of classes.

    Returns:
        A `keras.Model`.

    Raises:
        ValueError: If there is none, it takes other images, or its classifier cannot be
            replaced.
    """
    if not job.model.endswith(".keras"):
        return application_model(
            job.model, input_shape=image_shape, classes=classes, weights=job.weights
        )
    model = job.read_model()
    if isinstance(model, ResizableNetwork):
        raise ValueError(
            f"{job.model} holds a resizable network already. A sub-network of it is a "
            "model of Keras."
        )
    taken = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    fits = len(taken) == 1 and len(taken[0]) == 3
    if not fits or any(a not in (None, b) for a, b in zip(taken[0], image_shape)):
        raise ValueError(
            f"{job.model} takes {', '.join(map(str, taken))}, and the images are "
            f"{image_shape}. Their size is `image_size`: leave it out for the model's."
        )
    low, high = job.input_range or _range_of(model)
    images = keras.Input(image_shape, name="images")
    scale = (high - low) / 2
    x = layers.Rescaling(scale, low + scale, name="to_range")(images)
    model = _with_classes(model, classes, job.model)
    outputs = model(x)
    if not Classifier(model).gives_probabilities:
        outputs = layers.Softmax(dtype="float32", name="probabilities")(outputs)
    return keras.Model(images, outputs, name="mine")


def _range_of(model):
    """What pixels of 0 and 255 are to a model, by a first layer that rescales them."""
    for layer in layers_of(model):
        if isinstance(layer, layers.Rescaling):
            ends = np.array([0.0, 255.0])[:, None] * layer.scale + layer.offset
            if np.abs(ends).max() <= _LARGEST_PIXEL:
                return 0.0, 255.0
        if layer.weights and not is_graph(layer):
            break
    return -1.0, 1.0


def _with_classes(model, classes, path):
    """A model with another last dense layer, if it has other classes."""
    if _has_classes(model, classes):
        return model
    last = next(
        layer for layer in reversed(model.layers) if not isinstance(layer, _AFTER_DENSE)
    )
    if len(model.outputs) != 1 or not isinstance(last, layers.Dense):
        raise ValueError(
            f"{path} ends in no Dense layer of its own that could be replaced by one "
            f"for {classes} classes."
        )
    return keras.Model(model.inputs, classifier(classes)(last.input))


def train_source(
    job: Job,
    images: data.ImageSet,
    recipe: recipes.Recipe,
    folder: pathlib.Path,
    find_rate: Callable[[str, keras.Model, object], float],
) -> pathlib.Path:
    """Trains the model that a job starts from: first its classifier, then all of it.

    Args:
        job: A `Job` that is pretrained.
        images: Its photos; `test` are the validation photos.
        recipe: The recipe of the resizable network.
        folder: Folder of the job.
        find_rate: Callable from a name, a compiled model and its batches to a learning
            rate.

    Returns:
        The path of the trained model.
    """
    path = folder / SOURCE
    if path.exists():
        return path
    recipe = of_source(recipe, images)
    shape = resolved_shape(images.image_shape, recipe.image_size)
    model = make_source(job, shape, _classes(images))
    steps = data.steps_per_epoch(images, recipe.batch_size)
    phases = {ALL: job.passes("epochs", steps)}
    if epochs := job.passes("head_epochs", steps):
        phases = {"classifier": epochs, **phases}
    for phase, epochs in phases.items():
        set_trained(model, phase)
        compile_source(model, recipe, images, epochs)
        rate = find_rate(phase, model, train_data(recipe, images))
        compile_source(model, recipe, images, epochs, rate)
        print(f"Training {phase} of {model.name}, at most {epochs} epochs")
        _fit(model, recipe, images, epochs, folder / f"source_{phase}")
    is_own = job.model.endswith(".keras")
    if is_own and _has_classes(job.read_model(), _classes(images)):
        given = make_source(job, shape, _classes(images))
        model = _better(given, model, recipe, images)
    for layer in (model, *layers_of(model)):
        layer.trainable = True
    # Saved with an optimizer of all layers, which Keras can load.
    compile_source(model, recipe, images, epochs=1)
    model.optimizer.build(model.trainable_variables)
    save_network(model, path)
    return path


def _better(before, after, recipe, images):
    """The model that was given, if training did not make it better."""
    batches = recipes.test_data(recipe, images)
    accuracies = [
        evaluate_model(model, batches, "source").right.mean()
        for model in (before, after)
    ]
    told = " -> ".join(f"{100 * accuracy:.2f}" for accuracy in accuracies)
    print(f"Training: {told} % of the validation photos")
    if accuracies[0] < accuracies[1]:
        return after
    print("That is no better, so the model stays as it was given")
    return before


def _has_classes(model, classes):
    """Whether a model keeps its classifier."""
    return [tuple(tensor.shape) for tensor in model.outputs] == [(None, classes)]


def of_source(recipe: recipes.Recipe, images: data.ImageSet) -> recipes.Recipe:
    """The recipe of a resizable network, for the model that it starts from."""
    count = min(_BATCH, images.train.num_images)
    return dataclasses.replace(
        recipe, batch_size=count, split_batch=False, teacher=None
    )


def compile_source(
    model: keras.Model,
    recipe: recipes.Recipe,
    images: data.ImageSet,
    epochs: int,
    rate: float = 0.01,
) -> None:
    """Compiles the model that a job starts from, for some epochs."""
    steps = epochs * data.steps_per_epoch(images, recipe.batch_size)
    compile_sub_network(model, recipe, learning_rate=rate, steps=steps)


def _fit(model, recipe, images, epochs, folder):
    steps = data.steps_per_epoch(images, recipe.batch_size)
    epochs_of_patience, steps_of_patience = _PATIENCE
    stop = keras.callbacks.EarlyStopping(
        "val_accuracy",
        patience=max(epochs_of_patience, -(-steps_of_patience // steps)),
        mode="max",
        restore_best_weights=True,
    )
    fit_resumable(
        model,
        lambda step: train_data(recipe, images, start_step=step),
        steps_per_epoch=steps,
        epochs=epochs,
        folder=folder,
        callbacks=[stop],
        validation_data=recipes.test_data(recipe, images, num_classes=_classes(images)),
    )


def _classes(images):
    return len(images.class_names)


def set_trained(model: keras.Model, phase: str) -> None:
    """Chooses which layers learn: the last one with weights, or all.

    Batch normalisation keeps the statistics of weights that know more images than
    there are now.
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
