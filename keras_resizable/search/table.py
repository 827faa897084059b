"""The lookup table: building, reading, writing and merging it."""

import hashlib
import os
import pathlib
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from keras_resizable.network import ResizableNetwork
from keras_resizable.search.evaluation import evaluate_configs
from keras_resizable.search.image_results import (
    SAMPLES,
    SampleResults,
    confidence_interval,
    join_samples,
    load_samples,
    save_samples,
)
from keras_resizable.space import ConfigLike, SpatialSpace
from keras_resizable.subnetworks.pieces import count_flops_of_configs
from keras_resizable.subnetworks.scales import digest_of_network
from keras_resizable.training.distribution import is_chief
from keras_resizable.utils.batches import (
    Batches,
    images_in_random_order,
    labelled_batches,
)
from keras_resizable.utils.digests import digest_of_data
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import check_writable, replacing

if TYPE_CHECKING:
    import pandas

TABLE = "table.csv"
_PARTS = ("top1_raw", "top1", "top1_low", "top1_high", "top5")
_HARM = 0.02  # Accuracy that calibrating the largest may cost without a warning.
_COUNTS = ("flops", "params", "size_bytes")
# Beginnings of columns; the name of a device follows.
LATENCY = "latency_ms_"
MEASURED = "measured_"


def build_table(
    network: ResizableNetwork,
    dataset: Batches,
    configs: Iterable[ConfigLike] | None = None,
    *,
    calibrate_with: Batches | None = None,
    folder: str | os.PathLike | None = None,
    raw: bool = True,
    verbose: bool = True,
) -> "pandas.DataFrame":
    """The lookup table: FLOPs, parameters and accuracy of sub-networks.

    Resizable Neural Networks, section 3.3. All are evaluated in one pass over the
    data, in which those that begin with the same scale factors share computations, on
    the devices of the network's strategy. The network is not changed.

    Args:
        network: A `ResizableNetwork` that classifies.
        dataset: `tf.data.Dataset` of batches of images and labels, integers or
            one-hot, to evaluate with; or both as a tuple of arrays.
        configs: Configurations; all if absent.
        calibrate_with: `tf.data.Dataset` of batches to re-estimate the batch
            statistics of each configuration with.
        folder: Folder for `table.csv` and `samples.npz` (see `load_samples`), in which
            rows are kept and an interrupted evaluation resumes. The data sets are first
            read once more, and must give the same batches whenever they are read.
        raw: Whether to evaluate with the statistics that training left as well, which
            takes as long again if sub-networks are calibrated.
        verbose: Whether to show progress.

    Returns:
        A `pandas.DataFrame` with a row per configuration, including those of the
        folder: `config` as text, such as `"0.75,0.5,1.0"`; `flops`; `params`;
        `top1_raw` with the statistics that training left (NaN without `raw`); and after
        calibration, if any, `top1` with its 95 % confidence interval from `top1_low` to
        `top1_high`, `top5` and `loss`, the cross-entropy. Accuracies are from 0 to 1;
        with one output, they are those at 0.5. NaN outputs count as wrong.

    Raises:
        ValueError: If the network does not classify; if a configuration's statistics
            were never estimated and it is not calibrated; or if the folder holds a
            table that is damaged, or of another network or other data.
        OSError: If the folder cannot be written.

    Example:

    >>> import numpy as np
    >>> from keras_resizable import ResNet20, search
    >>> network = ResNet20(scales=(1.0, 0.5), width=0.25)
    >>> data = np.zeros((8, 32, 32, 3), np.float32), np.arange(8)
    >>> table = search.build_table(network, data, ["1.0", "0.5"], verbose=False)
    >>> table[["config", "flops"]]
            config    flops
    0  1.0,1.0,1.0  2633888
    1  0.5,1.0,1.0   741536
    """
    pandas = import_extra("pandas", "search")
    import_extra("scipy", "search")
    space = network.space
    selected = space.select(configs)
    dataset = labelled_batches(dataset, network)
    if calibrate_with is not None:
        calibrate_with = images_in_random_order(calibrate_with, network)
    table = samples = partial = origin = None
    if folder is not None:
        folder = pathlib.Path(folder)
        if verbose:
            print("Reading the images, to know them again")
        origin = {
            "network": digest_of_network(network),
            "data": digest_of_data(dataset),
            "calibration": digest_of_data(calibrate_with),
        }
        if (folder / TABLE).exists():
            table, samples = _read_results(folder, space, origin)
            known = set(table["config"])
            selected = [config for config in selected if str(config) not in known]
            if not selected:
                return table
    if calibrate_with is None:
        for config in selected:
            network.require_statistics(config)
    flops = count_flops_of_configs(network, selected)
    if folder is not None:
        if is_chief(network.distribute_strategy):
            check_writable(folder)  # Before the work.
        # Named by its settings, so that a call with others does not replace it.
        asked = hashlib.sha256(repr((origin, selected)).encode()).hexdigest()[:8]
        partial = folder / f"table.partial-{asked}.npz"
    of_raw, scores = evaluate_configs(
        network, dataset, selected, calibrate_with, partial, origin, raw, verbose
    )
    names = tuple(map(str, selected))
    right, means = scores.right, scores.means
    low, high = zip(*map(confidence_interval, right))
    new_table = pandas.DataFrame(
        {
            "config": names,
            "flops": flops,
            "params": network.count_params() - network.extra_params,
            "top1_raw": np.nan if of_raw is None else of_raw.means["top1"],
            "top1": means["top1"],
            "top1_low": low,
            "top1_high": high,
            "top5": means["top5"],
            "loss": means["loss"],
        }
    )
    new_samples = SampleResults(names, right, scores.confidence, origin or {})
    if samples is not None:
        new_table = pandas.concat([table, new_table], ignore_index=True)
        new_samples = join_samples(samples, new_samples)
    if partial is not None and is_chief(network.distribute_strategy):
        # The samples come first, as a table without them is rejected.
        save_samples(new_samples, partial.with_name(SAMPLES))
        write_table(new_table, partial.with_name(TABLE))
        partial.unlink(missing_ok=True)
    if bad := [name for name, x in zip(names, scores.loss) if not np.isfinite(x)]:
        warnings.warn(
            f"These sub-networks answer NaN or infinity on some images, which counts "
            f"as wrong: {'; '.join(bad)}.",
            stacklevel=2,
        )
    if calibrate_with is not None and raw:
        largest = new_table[new_table["config"] == str(space.largest)]
        _warn_of_harm(largest, right.shape[1])
    return new_table


def _warn_of_harm(largest, num_images):
    """Warns if calibrating made the largest sub-network worse, beyond chance."""
    for raw, top1 in largest[["top1_raw", "top1"]].to_numpy():
        if raw - top1 > _HARM + 2 * (0.5 / num_images) ** 0.5:
            warnings.warn(
                f"Calibrating took the largest sub-network from {100 * raw:.1f} to "
                f"{100 * top1:.1f} %: `calibrate_with` should be a few thousand images "
                "that the network was trained with, of all classes, in random order.",
                stacklevel=3,
            )


def _read_results(folder, space, origin):
    """The table and the samples of a folder, if they are of this origin."""
    path, advice = folder / TABLE, f"Delete {folder / TABLE}, or choose another folder."
    table = read_table(path, space)
    if not (folder / SAMPLES).exists():
        raise ValueError(f"{path} is without {SAMPLES}. {advice}")
    samples = load_samples(folder / SAMPLES)
    meanings = {
        "network": "another network",
        "data": "other test images, or they come in another order",
        "calibration": "sub-networks that were calibrated otherwise, or not",
    }
    for name, meaning in meanings.items():
        if samples.origin.get(name) != origin[name]:
            raise ValueError(f"{path} is of {meaning}. {advice}")
    top1_of = dict(zip(samples.configs, samples.right.mean(axis=1)))
    for line, (config, top1) in enumerate(zip(table["config"], table["top1"]), 2):
        if not np.isclose(top1, top1_of.get(config, np.nan), rtol=0, atol=1e-9):
            raise ValueError(
                f"{path}, line {line}: top1 of {config!r} is not what {SAMPLES} has. "
                f"{advice}"
            )
    return table, samples


def write_table(table: "pandas.DataFrame", path: str | os.PathLike) -> None:
    """Writes a table as a `.csv` file, whole or not at all."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def read_table(
    path: str | os.PathLike, space: SpatialSpace | None = None
) -> "pandas.DataFrame":
    """Reads the `table.csv` of `build_table`, maybe saved by a spreadsheet since.

    Args:
        path: Path of the file.
        space: `SpatialSpace` that its configurations must belong to, if given.

    Returns:
        A `pandas.DataFrame`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or not a table; the message names the line.
    """
    pandas = import_extra("pandas", "search")
    try:
        cells = pandas.read_csv(
            path, dtype=str, keep_default_na=False, skip_blank_lines=False
        )
    except ValueError as error:  # Those of pandas are such errors.
        raise ValueError(f"{path} is damaged or not a table: {error}") from error
    if "config" not in cells or cells.empty:
        raise ValueError(
            f"{path}, line 1: a lookup table has a column 'config', and rows. "
            f"It has {len(cells)} rows of {', '.join(cells.columns)}."
        )
    for name in cells.columns:
        if not name.isprintable():
            raise ValueError(f"{path}, line 1: {name!r} is not the name of a column.")
    rows: list[dict] = []
    seen = set()
    for line, row in enumerate(cells.to_dict("records"), start=2):
        try:
            rows.append({name: _value(name, cell, space) for name, cell in row.items()})
            config = rows[-1]["config"]
            if config in seen:
                raise ValueError(f"{config!r} is there twice")
        except ValueError as error:
            raise ValueError(f"{path}, line {line}: {error}") from error
        seen.add(config)
    return pandas.DataFrame(rows)


def _value(name, cell, space):
    """The value of a cell; raises `ValueError` if that is not valid."""
    if name == "config":
        return cell if space is None else str(space.config(cell))
    is_number = name in (*_PARTS, *_COUNTS, "loss") or name.startswith(LATENCY)
    if not is_number:
        return cell
    if cell == "":
        return np.nan
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"{name} is {cell!r}, not a number") from None
    highest = 1 if name in _PARTS else np.inf
    if not 0 <= value <= highest or np.isinf(value):
        raise ValueError(f"{name} is {cell}, not from 0 to {highest}")
    return int(value) if name in _COUNTS else value


def without_measured(
    table: "pandas.DataFrame", new: "pandas.DataFrame"
) -> "pandas.DataFrame":
    """A table without the latencies and sizes that a newer one replaces."""
    beginnings = (LATENCY, MEASURED, "size_bytes")
    names = [name for name in new if name in table and name.startswith(beginnings)]
    is_old = table["config"].isin(new["config"])
    return table.assign(**table[names].mask(is_old))


def merge_tables(*tables: "pandas.DataFrame") -> "pandas.DataFrame":
    """Joins tables by configuration, such as those of several devices.

    Args:
        *tables: Tables of one network.

    Returns:
        A table with all rows and columns, in the order in which they first appear.

    Raises:
        ValueError: If there is none, or two disagree on a value.

    Example:

    >>> import pandas
    >>> flops = pandas.DataFrame({"config": ["1.0", "0.5"], "flops": [4, 1]})
    >>> latency = pandas.DataFrame({"config": ["0.5"], "latency_ms_phone": [2.5]})
    >>> merge_tables(flops, latency)
      config  flops  latency_ms_phone
    0    1.0      4               NaN
    1    0.5      1               2.5
    """
    if not tables:
        raise ValueError("There are no tables to merge.")
    merged = tables[0].set_index("config")
    for table in tables[1:]:
        table = table.set_index("config")
        shared_rows = merged.index.intersection(table.index)
        for name in merged.columns.intersection(table.columns):
            old, new = merged.loc[shared_rows, name], table.loc[shared_rows, name]
            differ = old.notna() & new.notna() & (old != new)
            if differ.any():
                config = differ.idxmax()
                raise ValueError(
                    f"The tables disagree on {name} of {config!r}: {old[config]} and "
                    f"{new[config]}. They are of different networks or data."
                )
        columns = [*merged, *(name for name in table if name not in merged)]
        rows = [*merged.index, *table.index.difference(merged.index, sort=False)]
        merged = merged.combine_first(table).loc[rows, columns]
    return merged.reset_index()
