import keras
import tensorflow as tf

from keras_resizable.extras import import_extra
from keras_resizable.search.flops import count_flops_of_configs
from keras_resizable.sub_network import make_calibrator


def build_table(network, dataset, configs=None, calibrate_with=None, verbose=True):
    """The lookup table: FLOPs, parameters and accuracy of sub-networks.

    Resizable Neural Networks, section 3.3. The network stays as it is.

    Args:
        network: A `ResizableNetwork` that classifies.
        dataset: `tf.data.Dataset` of batches of images and integer labels to
            evaluate with.
        configs: Configurations; all if absent.
        calibrate_with: `tf.data.Dataset` of batches to re-estimate the batch
            statistics of each configuration with.
        verbose: Whether to show progress.

    Returns:
        A `pandas.DataFrame` with a row per configuration: `config` as
        `network.space.format` writes it, `flops`, `params`, `top1_raw` with the
        statistics that training left, and `top1`, the accuracy of the
        sub-network that `sub_network` cuts out: after calibration, if there is
        any. Accuracies are from 0 to 1.

    Raises:
        ValueError: If a configuration's statistics were never estimated and it
            is not calibrated.
        ImportError: If the extra `search` is not installed.
    """
    pandas = import_extra("pandas", "search")
    space = network.space
    configs = [
        space.config(space.indices(config))
        for config in (space.configs() if configs is None else configs)
    ]
    if calibrate_with is None:
        for config in configs:
            network.require_statistics(config)
    raw, calibrated = _copy(network), _copy(network)
    count_raw, count_calibrated = _counter(raw), _counter(calibrated)
    calibrate = make_calibrator(calibrated)
    params = network.count_params() - network.extra_params
    progress = keras.utils.Progbar(
        len(configs), verbose=int(verbose), unit_name="sub-network"
    )
    rows = []
    for config, flops in zip(configs, count_flops_of_configs(network, configs)):
        raw.config = calibrated.config = config
        row = {
            "config": space.format(config),
            "flops": flops,
            "params": params,
            "top1_raw": _accuracy(count_raw, dataset),
        }
        row["top1"] = row["top1_raw"]
        if calibrate_with is not None:
            calibrate(calibrate_with)
            row["top1"] = _accuracy(count_calibrated, dataset)
        rows.append(row)
        progress.add(1)
    return pandas.DataFrame(rows)


def best(table, max_flops):
    """The most accurate sub-network within a budget.

    Of equal ones, the one with the fewest FLOPs.

    Args:
        table: A table of `build_table`.
        max_flops: The budget, multiply-adds.

    Returns:
        The row of the table, a `pandas.Series`.

    Raises:
        ValueError: If all need more.
    """
    within = table[table["flops"] <= max_flops]
    if within.empty:
        nearest = table.loc[table["flops"].idxmin()]
        raise ValueError(
            f"No sub-network has at most {max_flops:.4g} FLOPs. The nearest is "
            f"{nearest['config']!r} with {nearest['flops']:.4g}."
        )
    return within.sort_values(["top1", "flops"], ascending=[False, True]).iloc[0]


def _copy(network):
    copy = type(network).from_config(network.get_config())
    copy.set_weights(network.get_weights())
    return copy


def _counter(network):
    """A graph that counts the images of a batch that are classified rightly."""

    @tf.function(reduce_retracing=True, autograph=False)
    def count(images, labels):
        predicted = tf.argmax(network(images, training=False), axis=-1)
        right = tf.equal(predicted, tf.cast(labels, predicted.dtype))
        return tf.reduce_sum(tf.cast(right, tf.int32))

    return count


def _accuracy(count, dataset):
    right = total = 0
    for images, labels in dataset:
        right += int(count(images, labels))
        total += len(labels)
    return right / total
