"""Building a lookup table by evaluating sub-networks on all images."""

import hashlib
import logging
import os
import pathlib
import warnings
from collections.abc import Iterable

import numpy as np

from keras_resizable.network import ResizableNetwork
from keras_resizable.search.evaluation import (
    answered_batches,
    evaluate_configs,
    table_of,
    teacher_of,
)
from keras_resizable.search.query import AGREEMENT, TOP1
from keras_resizable.search.table import TABLE, Table
from keras_resizable.space import ConfigLike
from keras_resizable.subnetworks.pieces import count_flops_of_configs
from keras_resizable.subnetworks.scales import digest_of_network
from keras_resizable.training.distribution import is_chief
from keras_resizable.utils.batches import (
    Batches,
    are_images_alone,
    evaluation_batches,
    images_in_random_order,
)
from keras_resizable.utils.digests import digest_of_data, digest_of_weights
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import check_writable

_LOG = logging.getLogger(__name__)
_HARM = 0.02  # Accuracy that the largest may lose by calibration without a warning.


def build_table(
    network: ResizableNetwork,
    dataset: Batches,
    configs: Iterable[ConfigLike] | None = None,
    *,
    calibrate_with: Batches | None = None,
    folder: str | os.PathLike | None = None,
    raw: bool = True,
    verbose: bool = True,
) -> Table:
    """Builds the lookup table: FLOPs, parameters and accuracy of sub-networks.

    Resizable Neural Networks, section 3.3. All sub-networks are evaluated in one pass
    over the data, on the devices of the network's strategy; sub-networks that begin
    with the same scale factors share computations. The network is not changed.

    Args:
        network: A `ResizableNetwork` that classifies.
        dataset: `tf.data.Dataset` of batches of images and labels, integers or
            one-hot, for the evaluation; or both as a tuple of arrays. Without labels
            the answers are compared with those of a teacher: the one of `compile`, or
            in a network that was not trained since `from_keras`, its source.
        configs: Configurations; by default all.
        calibrate_with: `tf.data.Dataset` of batches to re-estimate the batch
            statistics of each configuration with.
        folder: Folder for `table.npz`, which keeps rows and lets an interrupted
            evaluation resume. The data sets are then read once more at the start, and
            must give the same batches every time.
        raw: Whether to evaluate with the statistics of training, too. This doubles the
            time of the evaluation if sub-networks are calibrated.
        verbose: Whether to show progress.

    Returns:
        A `Table` with a row per configuration, including rows in the folder: `config`
        as text, such as `"0.75,0.5,1.0"`; `flops`; `params`; `top1_raw` with the
        statistics of training (NaN without `raw`); and after calibration, if any,
        `top1` with its 95 % confidence interval from `top1_low` to `top1_high`, `top5`
        and `loss`, the cross-entropy. Accuracies are from 0 to 1; a single output is
        thresholded at a probability of 0.5. NaN outputs count as wrong. Without labels
        the columns are `agreement_raw`, `agreement`, `agreement_low` and
        `agreement_high`: the share of images with the answer of the teacher.

    Raises:
        ValueError: If the network does not classify; if there are neither labels nor a
            teacher; if statistics were never estimated and `calibrate_with` is absent;
            or if the folder's table is damaged, or is for another network or other
            data.
        OSError: If the folder cannot be written.

    Example:

    >>> import numpy as np
    >>> from keras_resizable import ResNet20, search
    >>> network = ResNet20(scales=(1.0, 0.5), width=0.25)
    >>> data = np.zeros((8, 32, 32, 3), np.float32), np.arange(8)
    >>> table = search.build_table(network, data, ["1.0", "0.5"], verbose=False)
    >>> table.to_frame()[["config", "flops"]]
            config    flops
    0  1.0,1.0,1.0  2633888
    1  0.5,1.0,1.0   741536
    """
    import_extra("pandas", "search")
    selected = network.space.select(configs)
    batches, teacher, score = evaluation_batches(dataset, network), None, TOP1
    if are_images_alone(batches):
        teacher, score = teacher_of(network), AGREEMENT
        batches = answered_batches(batches, teacher)
    if calibrate_with is not None:
        calibrate_with = images_in_random_order(calibrate_with, network)
    known = partial = origin = None
    if folder is not None:
        folder = pathlib.Path(folder)
        _LOG.info("Reading the images once, to recognize them later")
        origin = {
            "network": digest_of_network(network),
            "teacher": "none"
            if teacher is None
            else digest_of_weights(teacher.teacher),
            "data": digest_of_data(batches),
            "calibration": digest_of_data(calibrate_with),
        }
        if (folder / TABLE).exists():
            known = _load(folder / TABLE, origin)
            selected = [config for config in selected if str(config) not in known]
            if not selected:
                return known
    if calibrate_with is None:
        for config in selected:
            network.require_statistics(config)
    flops = count_flops_of_configs(network, selected)
    if folder is not None:
        if is_chief(network.distribute_strategy):
            check_writable(folder)  # Before the work.
        # Named by the settings, so that calls with other settings do not replace it.
        asked = hashlib.sha256(repr((origin, selected)).encode()).hexdigest()[:8]
        partial = folder / f"table.partial-{asked}.npz"
    of_raw, scores, origin = evaluate_configs(
        network, batches, selected, calibrate_with, partial, origin, raw, verbose
    )
    new = table_of(
        list(map(str, selected)),
        scores,
        origin,
        score,
        flops=flops,
        params=network.count_params() - network.extra_params,
        **{f"{score}_raw": np.nan if of_raw is None else of_raw.means["top1"]},
    )
    if calibrate_with is not None and raw and network.space.largest in new:
        largest = new[network.space.largest]
        _warn_of_harm(largest[f"{score}_raw"], largest[score], new.num_images)
    table = new if known is None else known.merge(new)
    if partial is not None and is_chief(network.distribute_strategy):
        table.save(partial.with_name(TABLE))
        partial.unlink(missing_ok=True)
    return table


def _warn_of_harm(raw, calibrated, num_images):
    """Warns if calibration made the largest sub-network significantly worse."""
    if raw - calibrated > _HARM + 2 * (0.5 / num_images) ** 0.5:
        warnings.warn(
            f"Calibration changed the largest sub-network from {100 * raw:.1f} to "
            f"{100 * calibrated:.1f} %: `calibrate_with` should be a few thousand "
            "images that the network was trained on, of all classes, in random order.",
            stacklevel=3,
        )


def _load(path, origin):
    """The table of a folder; raises if it has another origin."""
    table = Table.load(path)
    meanings = {
        "network": "another network",
        "teacher": "the agreement with another teacher, or for labelled images",
        "data": "other test images, or the same in another order",
        "calibration": "sub-networks with another calibration, or none",
    }
    for name, meaning in meanings.items():
        if table.origin.get(name) != origin[name]:
            raise ValueError(
                f"{path} is for {meaning}. Delete it, or choose another folder."
            )
    return table
