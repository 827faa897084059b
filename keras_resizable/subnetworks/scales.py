"""The same network with other scale factors."""

import itertools
import warnings
from collections.abc import Iterable
from typing import Any, TypeVar

import keras
import numpy as np

from keras_resizable.layers import ScaleAwareBatchNorm
from keras_resizable.space import check_scales, mixture, resized
from keras_resizable.subnetworks.calibration import tables_of
from keras_resizable.subnetworks.cutting import copy_own_state
from keras_resizable.subnetworks.parts import stem_output_spec
from keras_resizable.utils.digests import digest_of_weights
from keras_resizable.utils.keras_graph import layers_of

_Network = TypeVar("_Network", bound=keras.Model)


def with_scales(network: _Network, scales: Iterable[float]) -> _Network:
    """A copy of a network with other scale factors; see `network.with_scales`."""
    old, new = network.space.scales, check_scales(scales)
    if len(old) == 1 < len(new):
        raise ValueError(
            f"A network of one scale factor, here {old[0]}, has one row of batch "
            "normalisation, too few to mix others: make it with several scale factors."
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
    """A digest of weights, without untrained rows such as `with_scales` mixes."""
    record = getattr(model, "statistics", None)
    if record is None or not record.is_trained:
        return digest_of_weights(model)
    mixed = np.flatnonzero(record.untrained().all(axis=0)).tolist()
    rows: dict[int, Any] = {}
    for layer in layers_of(model):
        if isinstance(layer, ScaleAwareBatchNorm) and layer.num_scales > 1:
            rows |= {id(table): mixed for table in tables_of([layer])}
            for row in mixed:
                rows |= {id(v): slice(None) for v in layer.row_variables(row)}
    return digest_of_weights(model, rows)


def _of_scales(config: Any, new: tuple[float, ...]) -> Any:
    """A configuration, with other scale factors in the layers of this library."""
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
        changed.pop("build_config", None)  # Its shapes are for the old number of rows.
    return changed


def _mix_rows(layer, other, mixtures):
    rows = np.stack([layer.get_row_weights(row) for row in range(layer.num_scales)])
    for row, parts in enumerate(mixtures):
        weights = sum(part * rows[number] for number, part in parts.items())
        other.set_row_weights(weights, [row])


def _warn_of_equal_sizes(network):
    """Warns of scale factors that give the same maps in every stage."""
    if None in network.stem.inputs[0].shape[1:]:
        return
    scales = network.space.scales
    features = stem_output_spec(network.parts)
    sizes: list[list[int]] = [[] for _ in scales]
    for stage in network.parts[1:-1]:
        for scale, found in zip(scales, sizes):
            found += [resized(size, scale) for size in features.shape[1:3]]
        features = stage.output_spec(features, 0)
    for (larger, one), (smaller, other) in itertools.pairwise(zip(scales, sizes)):
        if one == other:
            warnings.warn(
                f"The scale factors {larger} and {smaller} give maps of the same "
                "sizes in every stage: one of them is enough.",
                stacklevel=3,
            )
