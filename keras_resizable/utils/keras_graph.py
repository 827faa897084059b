"""Walking through models by Keras's private methods, for want of public ones.

`tests/test_graph.py` fails if Keras changes.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf


def layers_of(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """All layers inside a layer or a model, each once and before its inner layers."""
    found: dict[int, keras.layers.Layer] = {}

    def add(layer: keras.layers.Layer) -> None:
        for inner in layer._flatten_layers(include_self=False, recursive=False):
            if id(inner) not in found:
                found[id(inner)] = inner
                add(inner)

    add(model)
    return list(found.values())


def require_graph(model: keras.Model) -> None:
    """Raises for a model that is subclassed, or sequential and not built."""
    if not getattr(model, "inputs", None):
        raise ValueError(
            f"The inputs of {model.name!r} are unknown, as it is subclassed, or "
            "sequential and not built: pass a functional model. For a Cascade and an "
            "AdaptiveNetwork there are adapt.to_tflite, adapt.evaluate and the methods "
            "`calibrate` and `export`."
        )


def replace_layers(
    layer: keras.layers.Layer,
    replacement: Callable[[keras.layers.Layer], keras.layers.Layer],
) -> None:
    """Replaces layers in the attributes of a layer and of its inner layers."""
    # Inner functional and sequential models, which are graphs, keep their layers.
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
            if name in ("_layers", "_metrics") or name.startswith("_self_"):
                continue  # Keras and TensorFlow maintain these lists themselves.
            leaves = keras.tree.flatten(value)
            if any(isinstance(leaf, keras.layers.Layer) for leaf in leaves):
                setattr(owner, name, new_for(value))
        owner._layers[:] = [made.get(id(inner), inner) for inner in before]
        if locked:
            tracker.lock(message)


def is_graph(layer: keras.Operation) -> bool:
    """Whether a layer is a model that `run_through` can run."""
    kinds = (keras.Sequential, _functional())
    return any(isinstance(layer, k) and type(layer).call is k.call for k in kinds)


def run_through(model: keras.Model, inputs: Any, call: Callable[..., Any]) -> Any:
    """Runs a functional or sequential model, making each call by `call`."""
    if isinstance(model, keras.Sequential):
        (outputs,) = keras.tree.flatten(inputs)
        for layer in model.layers:
            outputs = call(layer, outputs)
        return outputs
    outputs = model._run_through_graph(inputs, call_fn=call)
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
    """A function of tensors as one graph for all sizes, or two without a `shape`."""
    # TensorFlow warns if functions with the same code are traced often, as for a
    # network's many parts; a partial function has no code to count.
    graph = tf.function(
        functools.partial(function), reduce_retracing=True, autograph=False
    )
    if shape is None:
        return graph
    traced: list[Callable[..., Any]] = []

    def run(first, *others):
        if not traced and tf.is_tensor(first):  # Not a value on several devices.
            spec = tf.TensorSpec(shape, first.dtype)
            traced.append(graph.get_concrete_function(spec, *others))
        return graph(first, *others)

    return run


def require_fixed_size(shape: Sequence[int | None]) -> None:
    """Raises if the shape of a batch of images has no fixed size."""
    if None in shape[1:]:
        raise ValueError(
            "A fixed input shape is needed, as costs and files depend on it. Received: "
            f"{tuple(shape[1:])}. Make the model with a fixed `input_shape`, and load "
            "the weights of this one into it."
        )
