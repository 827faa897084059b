"""Cutting sub-networks out."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from keras_resizable.layers import HasStockForm, ScaleAwareBatchNorm
from keras_resizable.space import Configuration
from keras_resizable.subnetworks.calibration import scope_of, tables_of
from keras_resizable.utils.graph import is_graph, layers_of, run_through

if TYPE_CHECKING:
    from keras_resizable.network import ResizableNetwork


def cut_out(
    network: "ResizableNetwork", config: Configuration
) -> tuple[keras.Model, "Cut"]:
    """A sub-network, of stock Keras layers only.

    Args:
        network: A `ResizableNetwork`.
        config: Its configuration.

    Returns:
        A functional `keras.Model` with copies of the weights, and the `Cut`, which
        knows what each layer has become.

    Raises:
        ValueError: If the network's height and width are not fixed, or a layer of this
            library is inside of a layer that is no functional or sequential model.
    """
    (inputs,) = network.stem.inputs
    input_shape = inputs.shape[1:]
    if None in input_shape:
        raise ValueError(
            "A sub-network has a fixed input shape, but the network's is "
            f"{input_shape}. Make a network with a fixed `input_shape`, and "
            "load the weights of this one into it: they do not depend on it."
        )
    images = keras.Input(input_shape, name="images", dtype=inputs.dtype)
    cut = Cut()
    features = images
    for part in network.parts:
        features = part.cut_out(features, part.scale_index_in(config), cut)
    return keras.Model(images, features, name=network.name), cut


def as_super_network(
    network: "ResizableNetwork", config: Configuration, cut: "Cut"
) -> Callable[[tf.Tensor], tf.Tensor]:
    """The super-network with the batch statistics of a sub-network that was cut out.

    What the sub-network's outputs must equal: the two share no layer.

    Args:
        network: A `ResizableNetwork`.
        config: The configuration of the sub-network.
        cut: The `Cut` that `cut_out` returned with it.

    Returns:
        A callable from images to outputs, in inference mode.
    """
    tables, rows = cut.statistics()

    def run(images):
        with scope_of(tables, rows):
            features = network.stem(images, training=False)
            indices = map(tf.constant, config.indices)
            return network.run_stages(features, indices, False)

    return run


class Cut:
    """Rebuilds parts of a network of stock layers, with copies of the weights.

    Layers are told apart by what they are, not by their names: two parts may use a name
    twice, and then a copy has that of its part too.
    """

    def __init__(self) -> None:
        self._copies: dict[int, tuple[keras.Operation, keras.Operation]] = {}
        self._forms: dict[tuple[int, int], tuple[HasStockForm, keras.Layer]] = {}
        self._names = {"images", "features"}  # Those of the inputs.

    def part(
        self, part: keras.Model, inputs: keras.KerasTensor, scale_index: int = 0
    ) -> Any:
        """Rebuilds a stem, stage or head.

        Args:
            part: A functional `keras.Model`.
            inputs: Features, as a tensor of Keras.
            scale_index: Scale index of a stage, an integer.

        Returns:
            The outputs, in the structure of `part.output`.
        """

        def call(layer, *args, **kwargs):
            if isinstance(layer, HasStockForm):
                form = self._form_of(layer, scale_index, part)
                is_layer = isinstance(form, keras.layers.Layer)
                return form(args[0], **(_only_training(kwargs) if is_layer else {}))
            if _holds_ours(layer):
                return self._inside(layer, args, kwargs, call)
            return self._copy(layer, part)(*args, **kwargs)

        known = len(self._copies)
        others = [None] * (len(part.inputs) - 1)  # Of a stage, the scale index.
        outputs = run_through(part, [inputs, *others], call)
        for layer, copy in [*self._copies.values()][known:]:
            copy_state(layer, copy)
            copy_trainable(layer, copy)
        return outputs

    def copy_of(self, norm: keras.layers.Layer) -> keras.layers.BatchNormalization:
        """The batch normalisation that one of the network's has become."""
        for layer, copy in self._pairs():
            if layer is norm:
                return copy
        raise KeyError(norm.name)

    def statistics(self) -> tuple[list[keras.Variable], list[keras.Variable]]:
        """The network's tables of batch statistics, and the rows that the copies have.

        Returns:
            Two lists in the same order: variables, and variables of one row each.
        """
        pairs = self._pairs()
        return (
            tables_of(layer for layer, _ in pairs),
            tables_of(copy for _, copy in pairs),
        )

    def _pairs(self):
        kind = keras.layers.BatchNormalization
        pairs = []
        for layer, copy in (*self._forms.values(), *self._copies.values()):
            copies = _with_inner(copy)
            # What holds a layer of others is left out.
            layers = _with_inner(layer)[-len(copies) :]
            pairs += [pair for pair in zip(layers, copies) if isinstance(pair[1], kind)]
        return pairs

    def _copy(self, layer, part):
        if id(layer) not in self._copies:
            copy = type(layer).from_config(layer.get_config())
            copy.name = self._unused(layer.name, part)
            self._copies[id(layer)] = layer, copy
        return self._copies[id(layer)][1]

    def _form_of(self, layer, scale_index, part):
        """What stands in for a layer of this library.

        One stock layer for all of its calls; or, for each call, a function that calls
        some.
        """
        key = id(layer), layer.row_of(scale_index)
        if key not in self._forms:
            form = layer.stock_form(scale_index, self._unused(layer.name, part))
            if not isinstance(form, keras.layers.Layer):
                return form
            self._forms[key] = layer, form
        return self._forms[key][1]

    def _inside(self, layer, args, kwargs, call):
        """The layers of a model inside of a part, as if they were the part's own."""
        if not is_graph(layer):
            raise ValueError(
                f"Layer {layer.name!r}, a {type(layer).__name__}, holds layers of "
                "keras_resizable, and cannot be rebuilt of stock layers: only "
                "functional and sequential models can."
            )
        given = _only_training(kwargs)

        def call_inner(inner, *args, **kwargs):
            takes = inspect.signature(inner.call).parameters
            defaults = given if "training" in takes else {}
            return call(inner, *args, **{**defaults, **kwargs})

        return run_through(layer, args[0] if len(args) == 1 else args, call_inner)

    def _unused(self, name, part):
        candidate, number = name, 1
        while candidate in self._names:
            candidate = f"{part.name}_{name}" + (f"_{number}" if number > 1 else "")
            number += 1
        self._names.add(candidate)
        return candidate


def copy_state(
    layer: keras.Operation, copy: keras.Operation, scale_index: int = 0
) -> None:
    """Gives a copy all that a layer is saved with, that of layers in it included.

    As its file would: some layers make more of their weights when they load them, as
    `keras.layers.Normalization` does.

    Args:
        layer: A layer, a model or an operation.
        copy: One of the same configuration, built. Where one of the two has stock batch
            normalisation, the other may have a row of it for each scale factor.
        scale_index: The row that stock batch normalisation gets.
    """
    if not isinstance(layer, keras.layers.Layer):
        return
    for old, new in zip(_with_inner(layer), _with_inner(copy), strict=True):
        if type(old) is type(new):
            copy_own_state(old, new)
        elif isinstance(new, ScaleAwareBatchNorm):
            new.set_row_weights(old.get_weights())
        else:
            new.set_weights(old.get_row_weights(scale_index))


def copy_trainable(layer: keras.Operation, copy: keras.Operation) -> None:
    """Freezes of a copy what is frozen of a layer, in layers in it too."""
    if isinstance(layer, keras.layers.Layer):
        for old, new in zip(_with_inner(layer), _with_inner(copy), strict=True):
            new.trainable = old.trainable


def copy_own_state(layer: keras.layers.Layer, copy: keras.layers.Layer) -> None:
    """As `copy_state`, without that of layers in the layer."""
    store: dict = {}
    layer.save_own_variables(store)
    copy.load_own_variables(store)


def _with_inner(layer):
    if not isinstance(layer, keras.layers.Layer):
        return [layer]  # An operation.
    return [layer, *layers_of(layer)]


def _holds_ours(layer):
    return any(isinstance(inner, HasStockForm) for inner in _with_inner(layer)[1:])


def _only_training(kwargs):
    return {"training": kwargs["training"]} if "training" in kwargs else {}
