"""Walking through models, by what Keras keeps private.

Keras has no public way to list layers inside of layers, to replace them, or to make
the calls of a functional model one by one. `tests/test_graph.py` notices when Keras
changes.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf


def layers_of(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """All layers of a model, also those inside of layers, each once.

    Args:
        model: A `keras.Model`, or any layer.

    Returns:
        A list of layers in the order of the model, each before those inside of it.
    """
    found: dict[int, keras.layers.Layer] = {}

    def add(layer: keras.layers.Layer) -> None:
        for inner in layer._flatten_layers(include_self=False, recursive=False):
            if id(inner) not in found:
                found[id(inner)] = inner
                add(inner)

    add(model)
    return list(found.values())


def require_graph(model: keras.Model) -> None:
    """Refuses a model whose inputs and outputs are not known.

    Args:
        model: A `keras.Model`.

    Raises:
        ValueError: If it is subclassed, or sequential and not built.
    """
    if not getattr(model, "inputs", None):
        raise ValueError(
            f"The inputs of {model.name!r} are not known, as it is subclassed, or "
            "sequential and not built: pass a functional model. For a Cascade and an "
            "AdaptiveNetwork there are adapt.to_tflite, adapt.evaluate and the methods "
            "`calibrate` and `export`."
        )


def replace_layers(
    layer: keras.layers.Layer,
    replacement: Callable[[keras.layers.Layer], keras.layers.Layer],
) -> None:
    """Puts others in the place of layers inside of a layer.

    In attributes, lists, tuples and dictionaries of it and of layers in it. What a
    functional or sequential model inside holds, which is a graph, stays as it is.

    Args:
        layer: A layer that is no model.
        replacement: Callable from a layer to what takes its place, or itself.
    """
    owners = [owner for owner in (layer, *layers_of(layer)) if not is_graph(owner)]
    models = [inner for inner in layers_of(layer) if is_graph(inner)]
    kept = {id(inner) for model in models for inner in (model, *layers_of(model))}
    made: dict[int, keras.layers.Layer] = {}

    def new_for(value):
        if isinstance(value, keras.layers.Layer) and id(value) not in kept:
            if id(value) not in made:
                made[id(value)] = replacement(value)
            return made[id(value)]
        if isinstance(value, dict):
            return {key: new_for(item) for key, item in value.items()}
        if type(value) is tuple or isinstance(value, list):
            return type(value)([new_for(item) for item in value])
        return value

    for owner in owners:
        before, tracker = list(owner._layers), owner._tracker
        locked, message = tracker.locked, tracker._lock_violation_msg
        tracker.unlock()
        for name, value in list(vars(owner).items()):
            # Lists that Keras and TensorFlow keep themselves.
            if name not in ("_layers", "_metrics") and not name.startswith("_self_"):
                if _holds_layers(value):
                    setattr(owner, name, new_for(value))
        owner._layers[:] = [made.get(id(inner), inner) for inner in before]
        if locked:
            tracker.lock(message)


def _holds_layers(value):
    leaves = keras.tree.flatten(value)
    return any(isinstance(leaf, keras.layers.Layer) for leaf in leaves)


def is_graph(layer: keras.Operation) -> bool:
    """Whether a layer is a model whose calls `run_through` can make one by one."""
    if isinstance(layer, keras.Sequential):
        return type(layer).call is keras.Sequential.call
    functional = _functional()
    return isinstance(layer, functional) and type(layer).call is functional.call


def run_through(model: keras.Model, inputs: Any, call: Callable[..., Any]) -> Any:
    """Makes the calls of a model one by one, in order, on other inputs.

    Args:
        model: A functional or sequential `keras.Model`.
        inputs: What takes the place of `model.input`, in its structure.
        call: Callable `(operation, *args, **kwargs)` for each call of a layer or an
            operation, which returns its outputs.

    Returns:
        What takes the place of `model.output`, in its structure.
    """
    if isinstance(model, keras.Sequential):
        (outputs,) = keras.tree.flatten(inputs)
        for layer in model.layers:
            outputs = call(layer, outputs)
        return outputs
    outputs = model._run_through_graph(
        inputs, operation_fn=lambda operation: operation, call_fn=call
    )
    is_single = isinstance(outputs, (list, tuple)) and len(outputs) == 1
    return outputs[0] if is_single else outputs


@functools.cache
def _functional():
    """The class of functional models."""
    images = keras.Input((1,))
    return type(keras.Model(images, images))


def as_graph(
    function: Callable[..., Any], shape: Sequence[int | None] | None = None
) -> Callable[..., Any]:
    """A function of tensors as a graph that takes any sizes.

    If `shape` is not given, the first sizes have a graph of their own, and others one
    for all. TensorFlow counts how often functions of the same code are traced, and
    would warn of a network's many parts; a partial function has no code to count by.

    Args:
        function: Callable from tensors to tensors.
        shape: All that is known of the shape of the first.

    Returns:
        A callable.
    """
    graph = tf.function(
        functools.partial(function), reduce_retracing=True, autograph=False
    )
    if shape is None:
        return graph
    traced: list[Callable[..., Any]] = []

    def run(first, *others):
        if not traced and tf.is_tensor(first):  # Not one of several devices.
            spec = tf.TensorSpec(shape, first.dtype)
            traced.append(graph.get_concrete_function(spec, *others))
        return graph(first, *others)

    return run
