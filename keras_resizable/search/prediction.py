"""Predicting the accuracy of sub-networks from that of others."""

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from keras_resizable.space import ConfigLike
from keras_resizable.utils.extras import import_extra

if TYPE_CHECKING:
    import pandas

# Time grows with the cube of the number of rows.
_ROWS_FOR_LENGTHS = 300
_MOST_ROWS = 2000


def predict(
    table: "pandas.DataFrame", configs: Iterable[ConfigLike] | None = None
) -> "pandas.DataFrame":
    """Predicts the accuracy of sub-networks, also of those that a table has not.

    A Gaussian process over the scale factors of the stages, fitted to `top1` of all
    rows of the table (a seeded 2,000 of more): nearby configurations are about as
    accurate, how near in each stage is estimated, and what is left is noise. So of
    rows of the table it says what their neighbours say too.

    Args:
        table: A table of `build_table` or `explore`.
        configs: Configurations, of any scale factors; those of the table if absent.

    Returns:
        A `pandas.DataFrame` with a row per configuration: `config` as text, `top1` as
        predicted, from 0 to 1, and `standard_error`, of what one evaluation without
        noise would be. Errors that all rows share, as they are of the same images, are
        not in it.

    Raises:
        ValueError: If the table has too few rows, rows without an accuracy, or all of
            the same; or if a configuration has another number of stages.
        ImportError: If the extra `search` is not installed.

    Example:

    >>> import pandas
    >>> from keras_resizable import search
    >>> configs = [f"{one},{other}" for one in (1.0, 0.75, 0.5) for other in (1.0, 0.5)]
    >>> table = pandas.DataFrame(
    ...     {"config": configs, "top1": [0.9, 0.86, 0.88, 0.84, 0.84, 0.8]}
    ... )
    >>> predicted = search.predict(table, ["0.75,0.75"])
    >>> predicted["config"][0], round(float(predicted["top1"][0]), 2)
    ('0.75,0.75', 0.86)
    """
    pandas = import_extra("pandas", "search")
    known = _factors(table["config"])
    configs = list(table["config"] if configs is None else configs)
    asked = _factors(configs)
    if asked.shape[1] != known.shape[1]:
        raise ValueError(
            f"The table is of {known.shape[1]} stages. Received configurations of "
            f"{asked.shape[1]}."
        )
    accuracies = table["top1"].to_numpy(float)
    missing = table["config"][~np.isfinite(accuracies)]
    if len(missing):
        raise ValueError(f"These rows have no accuracy: {'; '.join(missing)}.")
    least = known.shape[1] + 3  # A length in each stage, and three numbers more.
    if len(table) < least:
        raise ValueError(
            f"To predict accuracies of {known.shape[1]} stages takes at least {least} "
            f"rows. The table has {len(table)}."
        )
    if np.ptp(accuracies) == 0:
        raise ValueError(
            f"All rows of the table have a top1 of {accuracies[0]:.4g}: there is "
            "nothing to predict from."
        )
    mean, spread = accuracies.mean(), accuracies.std()
    process = _fit(known, (accuracies - mean) / spread)
    means, errors = process.predict(asked, return_std=True)
    variances = np.maximum(errors**2 - process.kernel_.k2.noise_level, 0)
    return pandas.DataFrame(
        {
            "config": [_text(config) for config in configs],
            "top1": np.clip(mean + spread * means, 0, 1),
            "standard_error": spread * np.sqrt(variances),
        }
    )


def _fit(factors, accuracies):
    """A Gaussian process on some rows, its lengths and noise estimated on fewer."""
    order = np.random.default_rng(0).permutation(len(factors))[:_MOST_ROWS]
    factors, accuracies = factors[order], accuracies[order]
    processes = import_extra("sklearn.gaussian_process", "search")
    kernels = processes.kernels
    smooth = kernels.ConstantKernel(1.0, (1e-2, 1e4)) * kernels.Matern(
        [0.5] * factors.shape[1], (0.05, 50.0), nu=1.5
    )
    noise = kernels.WhiteKernel(0.1, (1e-6, 10.0))
    process = processes.GaussianProcessRegressor(smooth + noise)
    with warnings.catch_warnings():
        # A stage of no effect has a length at its bound, which is as it should be.
        warnings.simplefilter("ignore", category=UserWarning)
        process.fit(factors[:_ROWS_FOR_LENGTHS], accuracies[:_ROWS_FOR_LENGTHS])
    if len(factors) > _ROWS_FOR_LENGTHS:
        process.set_params(kernel=process.kernel_, optimizer=None)
        process.fit(factors, accuracies)
    return process


def _factors(configs):
    """Scale factors, `(configurations, stages)`."""
    rows = [
        [float(factor) for factor in config.split(",")]
        if isinstance(config, str)
        else list(map(float, config))
        for config in configs
    ]
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise ValueError(
            "Configurations have one scale factor for each stage, all as many. "
            f"Received: {sorted(lengths)}"
        )
    return np.array(rows)


def _text(config):
    return config if isinstance(config, str) else ",".join(map(str, config))
