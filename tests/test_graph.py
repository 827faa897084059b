"""What the library uses of Keras that is not public."""

import keras
from keras import layers

from keras_resizable.utils.graph import is_graph, layers_of, run_through


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
