"""What the library uses of Keras that is not public."""

import keras
from keras import layers

from keras_resizable.utils.keras_graph import (
    is_graph,
    layers_of,
    replace_layers,
    run_through,
)


class Holder(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.held = [layers.Dense(2), layers.Dense(2)]


class OwnCall(keras.Model):
    def call(self, inputs):
        return inputs


def branching():
    inputs = keras.Input((3,), name="x")
    dense = layers.Dense(3, name="twice")
    first = dense(inputs)
    second = dense(first)
    return keras.Model(inputs, {"b": second, "a": [first, first + second]})


def test_layers_inside_of_layers_are_found_once():
    dense, holder = layers.Dense(2), Holder()
    inner = keras.Sequential([keras.Input((2,)), dense])
    x = keras.Input((2,))
    model = keras.Model(x, layers.Add()([inner(x), dense(x)]))
    model.extra = holder
    found = layers_of(model)
    assert found.count(dense) == 1 and found.count(holder.held[1]) == 1
    assert inner in found and model not in found
    assert found.index(inner) < found.index(dense) < found.index(holder)
    assert found[-3:] == [holder, *holder.held]


def test_what_is_run_through():
    assert is_graph(branching()) and is_graph(keras.Sequential())
    assert not is_graph(layers.Dense(2)) and not is_graph(OwnCall())
    x = keras.Input((2,))
    assert not is_graph(OwnCall(x, x))


def test_calls_come_in_order_and_outputs_in_their_structure():
    model, calls = branching(), []

    def call(operation, *args, **kwargs):
        calls.append(operation.name)
        return f"{operation.name}({', '.join(map(str, keras.tree.flatten(args)))})"

    outputs = run_through(model, "x", call)
    assert outputs["b"] == "twice(twice(x))"
    assert (
        outputs["a"][0] == "twice(x)" and "twice(x), twice(twice(x))" in outputs["a"][1]
    )
    assert calls[:2] == ["twice", "twice"] and len(calls) == 3
    sequential = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="one")])
    assert run_through(sequential, "x", call) == "one(x)"


class Deep(layers.Layer):
    """Layers in attributes, one of them twice, in a list, a dictionary, a tuple."""

    def __init__(self):
        super().__init__()
        self.first = layers.Dense(2)
        self.again = self.first
        self.held = [Holder(), {"dense": layers.Dense(2)}, (layers.Dense(2),)]
        self.model = keras.Sequential([layers.Dense(2)])

    def build(self, shape):
        pass  # What it holds is built when it is called.


def test_layers_inside_of_layers_are_replaced():
    """In place, each once, also in a layer that is built; but not in a model."""
    deep = Deep()
    deep.build((None, 2))
    before = layers_of(deep)

    def replacement(layer):
        return layers.ReLU() if isinstance(layer, layers.Dense) else layer

    replace_layers(deep, replacement)
    assert isinstance(deep.first, layers.ReLU) and deep.again is deep.first
    assert all(isinstance(layer, layers.ReLU) for layer in deep.held[0].held)
    assert isinstance(deep.held[1]["dense"], layers.ReLU)
    assert isinstance(deep.held[2][0], layers.ReLU)
    assert isinstance(deep.model.layers[0], layers.Dense)
    kinds = [
        layers.ReLU if isinstance(layer, layers.Dense) else type(layer)
        for layer in before
    ]
    kinds[before.index(deep.model.layers[0])] = layers.Dense
    assert [type(layer) for layer in layers_of(deep)] == kinds
    assert keras.ops.all(deep.held[0].held[1](-keras.ops.ones((1, 2))) == 0)
