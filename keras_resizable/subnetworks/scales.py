"""The same network with other scale factors."""

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import keras
import numpy as np

from keras_resizable.layers import ScaleAwareBatchNorm
from keras_resizable.space import check_scales, mixture, resized
from keras_resizable.subnetworks.cutting import copy_own_state
from keras_resizable.subnetworks.shapes import inputs_of, outputs_of
from keras_resizable.utils.digests import digest_of_weights
from keras_resizable.utils.graph import layers_of

if TYPE_CHECKING:
    from keras_resizable.network import ResizableNetwork

_Network = TypeVar("_Network", bound="ResizableNetwork")


def with_scales(network: _Network, scales: Iterable[float]) -> _Network:
    """A copy of a network with other scale factors.

    Args:
        network: A `ResizableNetwork`.
        scales: Scale factors, distinct numbers in (0, 1].

    Returns:
        A network, not compiled. Rows of batch normalisation of scale factors that the
        network has are copies; those of others are mixtures of the two neighbours.
    """
    old, new = network.space.scales, check_scales(scales)
    if len(old) == 1 < len(new):
        raise ValueError(
            f"A network of one scale factor, here {old[0]}, has one row of batch "
            "normalisation, which others cannot be made of: make it with several."
        )
    config = _of_scales(network.get_config(), new)
    copy = type(network).from_config({**config, "scales": new})
    mixtures = [mixture(old, scale) for scale in new]
    for part, part_of_copy in zip(network.parts, copy.parts):
        pairs = zip(layers_of(part.model), layers_of(part_of_copy.model), strict=True)
        for layer, other in pairs:
            if isinstance(layer, ScaleAwareBatchNorm) and layer.num_scales > 1:
                _mix_rows(layer, other, mixtures)
            else:
                copy_own_state(layer, other)
    copy.check_statistics = network.check_statistics
    known = [old.index(scale) if scale in old else None for scale in new]
    copy.statistics.take(network.statistics, known)
    _warn_of_equal_sizes(copy)
    return copy


def digest_of_network(model: keras.Model) -> str:
    """A digest of a model's weights; of a `ResizableNetwork`, of those it was given.

    That is without the rows of scale factors that were never trained, which
    `with_scales` has mixed: until it is trained further, the same network with another
    list has the same digest.

    Args:
        model: A `keras.Model`.
    """
    record = getattr(model, "statistics", None)
    if record is None or not record.is_trained:
        return digest_of_weights(model)
    mixed = np.flatnonzero(record.untrained().all(axis=0)).tolist()
    rows: dict[int, Any] = {}
    for layer in layers_of(model):
        if isinstance(layer, ScaleAwareBatchNorm) and layer.num_scales > 1:
            rows |= {
                id(table): mixed for table in (layer.moving_mean, layer.moving_variance)
            }
            for row in mixed:
                rows |= {id(v): slice(None) for v in layer.row_variables(row)}
    return digest_of_weights(model, rows)


def _of_scales(config: Any, new: tuple[float, ...]) -> Any:
    """A configuration of layers, with those of this library for other scale factors."""
    if isinstance(config, (list, tuple)):
        return type(config)(_of_scales(item, new) for item in config)
    if not isinstance(config, dict):
        return config
    changed = {key: _of_scales(item, new) for key, item in config.items()}
    if str(config.get("registered_name")).startswith("keras_resizable>"):
        settings = changed["config"]
        if "scales" in settings:
            settings["scales"] = new
        if settings.get("num_scales", 1) > 1:
            settings["num_scales"] = len(new)
        changed.pop("build_config", None)  # Its shapes are of the old number of rows.
    return changed


def _mix_rows(layer, other, mixtures):
    rows = [layer.get_row_weights(row) for row in range(layer.num_scales)]
    for row, parts in enumerate(mixtures):
        weights = [
            sum(part * rows[number][i] for number, part in parts.items())
            for i in range(len(rows[0]))
        ]
        other.set_row_weights(weights, [row])


def _warn_of_equal_sizes(network):
    """Tells which scale factors give the same maps in every stage."""
    shape = network.stem.inputs[0].shape
    if None in shape[1:]:
        return
    features = outputs_of(network.stem, inputs_of(network.stem, shape))
    sizes: list[list[int]] = [[] for _ in network.space.scales]
    for stage in network.stages:
        for scale, found in zip(network.space.scales, sizes):
            found += [resized(size, scale) for size in features.shape[1:3]]
        features = outputs_of(
            stage, inputs_of(stage, features.shape, features.dtype), 0
        )
    for number, scale in enumerate(network.space.scales[1:]):
        if sizes[number] == sizes[number + 1]:
            warnings.warn(
                f"The scale factors {network.space.scales[number]} and {scale} give "
                "maps of the same sizes in every stage: one of them is enough.",
                stacklevel=3,
            )
