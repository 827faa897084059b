import pathlib

import numpy as np

from keras_resizable.extras import import_extra
from keras_resizable.files import replacing
from keras_resizable.search.evaluation import evaluate_configs, fingerprint
from keras_resizable.search.pieces import count_flops_of_configs
from keras_resizable.search.samples import (
    SAMPLES,
    SampleResults,
    confidence_interval,
    join_samples,
    load_samples,
    save_samples,
)

TABLE = "table.csv"
PARTIAL = "table.partial.npz"
_PARTS = ("top1_raw", "top1", "top1_low", "top1_high", "top5")
_COUNTS = ("flops", "params", "size_bytes")
# Beginnings of columns; the name of a device follows.
LATENCY = "latency_ms_"
MEASURED = "measured_"


def build_table(
    network, dataset, configs=None, calibrate_with=None, folder=None, verbose=True
):
    """The lookup table: FLOPs, parameters and accuracy of sub-networks.

    Resizable Neural Networks, section 3.3. All are evaluated in one pass over the
    data, in which those that begin with the same scale factors share what they
    compute. The network stays as it is. It runs on the devices of the strategy that
    the network was made in.

    Args:
        network: A `ResizableNetwork` that classifies.
        dataset: `tf.data.Dataset` of batches of images and labels, integers or
            one-hot, to evaluate with.
        configs: Configurations; all if absent.
        calibrate_with: `tf.data.Dataset` of batches to re-estimate the batch
            statistics of each configuration with.
        folder: Folder for `table.csv` and `samples.npz` (see `load_samples`). What
            is there already is not evaluated again, and what an interruption left
            is gone on with. Then the data sets have to give the same batches
            whenever they are read.
        verbose: Whether to show progress.

    Returns:
        A `pandas.DataFrame` with a row per configuration, those of the folder
        included: `config` as `network.space.format` writes it, `flops`, `params`,
        `top1_raw` with the statistics that training left, and `top1` with its
        95 % confidence interval from `top1_low` to `top1_high`, `top5` and `loss`
        of the sub-network that `sub_network` cuts out: after calibration, if there
        is any. Accuracies are from 0 to 1, the loss is the cross-entropy.

    Raises:
        ValueError: If a configuration's statistics were never estimated and it
            is not calibrated; or if the folder holds a table that is damaged, or of
            another network or other data.
        ImportError: If the extra `search` is not installed.
    """
    pandas = import_extra("pandas", "search")
    import_extra("scipy", "search")
    space = network.space
    configs = [
        space.config(space.indices(config))
        for config in (space.configs() if configs is None else configs)
    ]
    table = samples = partial = None
    key = ""
    if folder is not None:
        folder = pathlib.Path(folder)
        partial = folder / PARTIAL
        key = fingerprint(network, dataset, calibrate_with)
        if (folder / TABLE).exists():
            table, samples = _read_results(folder, space, key)
            known = set(table["config"])
            configs = [c for c in configs if space.format(c) not in known]
            if not configs:
                return table
    if calibrate_with is None:
        for config in configs:
            network.require_statistics(config)
    raw, scores = evaluate_configs(
        network, dataset, configs, calibrate_with, partial, verbose
    )
    names = tuple(map(space.format, configs))
    low, high = zip(*map(confidence_interval, scores.right))
    new_table = pandas.DataFrame(
        {
            "config": names,
            "flops": count_flops_of_configs(network, configs),
            "params": network.count_params() - network.extra_params,
            "top1_raw": raw.means["top1"],
            "top1": scores.means["top1"],
            "top1_low": low,
            "top1_high": high,
            "top5": scores.means["top5"],
            "loss": scores.means["loss"],
        }
    )
    new_samples = SampleResults(names, scores.right, scores.confidence, key)
    if table is not None:
        new_table = pandas.concat([table, new_table], ignore_index=True)
        new_samples = join_samples(samples, new_samples)
    if folder is not None:
        # A table without its samples would be foreign.
        save_samples(new_samples, folder / SAMPLES)
        write_table(new_table, folder / TABLE)
    return new_table


def _read_results(folder, space, key):
    advice = f"Delete {folder / TABLE}, or choose another folder."
    table = read_table(folder / TABLE, space)
    if not (folder / SAMPLES).exists():
        raise ValueError(f"{folder / TABLE} is without {SAMPLES}. {advice}")
    samples = load_samples(folder / SAMPLES)
    if samples.fingerprint != key or not set(table["config"]) <= set(samples.configs):
        raise ValueError(
            f"{folder / TABLE} is of another network or of other images; or they "
            f"come in another order, which they must not. {advice}"
        )
    return table, samples


def write_table(table, path):
    """Writes a table as a `.csv` file, whole or not at all.

    Args:
        table: A `pandas.DataFrame`.
        path: Path of the file. One that is there is replaced.
    """
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def read_table(path, space=None):
    """Reads a table that `write_table` or a spreadsheet has written.

    Args:
        path: Path of a `.csv` file.
        space: `SpatialSpace` that its configurations have to be of, if given.

    Returns:
        A `pandas.DataFrame`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or something else, with the line.
        ImportError: If the extra `search` is not installed.
    """
    pandas = import_extra("pandas", "search")
    path = pathlib.Path(path)
    try:
        cells = pandas.read_csv(path, dtype=str, keep_default_na=False)
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, ValueError) as e:
        raise ValueError(f"{path} is damaged or not a table: {e}") from e
    if "config" not in cells or "flops" not in cells or cells.empty:
        raise ValueError(
            f"{path}, line 1: a lookup table has the columns 'config' and 'flops', "
            f"and rows. It has {len(cells)} rows of {', '.join(cells.columns)}."
        )
    columns = {name: [] for name in cells.columns}
    seen = set()
    for number, row in enumerate(cells.itertuples(index=False), start=2):
        try:
            for name, cell in zip(cells.columns, row):
                columns[name].append(_value(name, cell, space))
            if row.config in seen:
                raise ValueError(f"{row.config!r} is there twice")
            seen.add(row.config)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return pandas.DataFrame(columns)


def _value(name, cell, space):
    """What a cell holds; raises `ValueError` if that is not valid."""
    if name == "config":
        return cell if space is None else space.format(space.parse(cell))
    is_number = name in (*_PARTS, *_COUNTS, "loss") or name.startswith(LATENCY)
    if not is_number:
        return cell
    if cell == "" and name not in ("flops", "top1"):
        return np.nan
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"{name} is {cell!r}, not a number") from None
    highest = 1 if name in _PARTS else np.inf
    if not 0 <= value <= highest or np.isinf(value):
        raise ValueError(f"{name} is {cell}, not from 0 to {highest}")
    return int(value) if name in _COUNTS else value


def merge_tables(*tables):
    """Joins tables by configuration, such as those of several devices.

    Args:
        *tables: Tables of one network.

    Returns:
        A table with all rows and columns, in the order in which they first appear.

    Raises:
        ValueError: If two tables disagree on a value.
    """
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
