"""Many sub-networks as `.tflite` files, one after the other."""

import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from keras_resizable.export.accuracy import FileAccuracy, kind_of_outputs
from keras_resizable.export.comparison import OutputComparison
from keras_resizable.export.flatbuffer import read_metadata
from keras_resizable.export.interpreters import open_tflite
from keras_resizable.export.tflite import (
    about_images,
    check_options,
    file_name,
    to_tflite,
)
from keras_resizable.export.tflite_file import TFLiteFile
from keras_resizable.network import ResizableNetwork
from keras_resizable.space import ConfigLike
from keras_resizable.subnetworks.parts import as_super_network, cut_out
from keras_resizable.subnetworks.pieces import count_flops_of_configs
from keras_resizable.subnetworks.scales import digest_of_network
from keras_resizable.utils.batches import (
    Batches,
    evaluation_batches,
    images_in_random_order,
)
from keras_resizable.utils.digests import digest_of_data


def to_tflite_files(
    network: ResizableNetwork,
    configs: Iterable[ConfigLike],
    folder: str | os.PathLike,
    *,
    quantize: str = "none",
    io: str = "int8",
    calibrate_with: Batches | None = None,
    evaluate_with: Batches | None = None,
    max_loss: float = 0.02,
    labels: Sequence[str] | None = None,
    input_range: tuple[float, float] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Iterator[TFLiteFile]:
    """Converts sub-networks to TFLite, one after the other.

    One sub-network is in memory at a time. Outputs are compared with the
    super-network's. An existing file of the same network and settings is kept, so that
    an interrupted conversion resumes.

    Args:
        network: A `ResizableNetwork`.
        configs: Configurations.
        folder: Folder of the files, such as `resnet20_0.75_0.5_1.0_float16.tflite`.
        quantize: As in `to_tflite`.
        io: As in `to_tflite`.
        calibrate_with: `tf.data.Dataset` of batches to re-estimate each sub-network's
            batch statistics with; then used as in `to_tflite`.
        evaluate_with: As in `to_tflite`.
        max_loss: As in `to_tflite`.
        labels: As in `to_tflite`.
        input_range: As in `to_tflite`.
        metadata: As in `to_tflite`. Each file's also holds the configuration, its
            FLOPs, the scale factors, and digests of the network's weights and the data.

    Yields:
        A `TFLiteFile` for each configuration, when it is done; its `difference` is None
        if the file existed.

    Raises:
        As `to_tflite`; `ValueError` for an invalid configuration.
    """
    check_options(quantize, io, calibrate_with, max_loss, input_range, metadata)
    space = network.space
    selected = space.select(configs)
    if calibrate_with is not None:
        calibrate_with = images_in_random_order(calibrate_with, network)
    if evaluate_with is not None:
        evaluate_with = evaluation_batches(evaluate_with, network, "evaluate_with")
    of_all = {
        **kind_of_outputs(network),
        **(metadata or {}),
        **about_images(labels, input_range),
        "scales": list(space.scales),
        "network": digest_of_network(network),
        "calibration": digest_of_data(calibrate_with),
        "evaluation": digest_of_data(evaluate_with),
    }
    if quantize == "int8":
        of_all["io"] = io
    flops = count_flops_of_configs(network, selected)
    for config, of_config in zip(selected, flops):
        path = pathlib.Path(folder) / file_name(network, config, quantize, io)
        written = {**of_all, "config": str(config), "quantize": quantize}
        written["flops"] = of_config
        if _has(path, written, max_loss):
            yield TFLiteFile(path)
            continue
        if calibrate_with is None:
            network.require_statistics(config)
        model, cut = cut_out(network.parts, config, network.name)
        if calibrate_with is not None:
            network.calibrate_sub_network(model, config, calibrate_with)
        yield to_tflite(
            model,
            path,
            quantize,
            io=io,
            calibrate_with=calibrate_with,
            evaluate_with=evaluate_with,
            max_loss=max_loss,
            labels=labels,
            input_range=input_range,
            metadata=written,
            reference=as_super_network(network.parts, config, cut),
        )


def _has(path, written, max_loss):
    """Whether a complete file has this metadata and loses at most `max_loss`."""
    try:
        metadata = read_metadata(path) or {}
        open_tflite(path)
    except (FileNotFoundError, ValueError):
        return False
    written = json.loads(json.dumps(written))
    if "accuracy" in metadata and FileAccuracy(**metadata["accuracy"]).loses(max_loss):
        return False
    comparison = metadata.get("comparison", [])
    if any(OutputComparison(**output).loss > max_loss for output in comparison):
        return False
    return written == {name: metadata.get(name) for name in written}
