"""The lookup table: a row for each sub-network, and its results on each image."""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pydantic

from keras_resizable.devices import Device
from keras_resizable.network import ResizableNetwork
from keras_resizable.search import query
from keras_resizable.search.latency import latency_rows
from keras_resizable.search.query import LATENCY, MEASURED
from keras_resizable.search.report import write_report
from keras_resizable.search.significance import PairedTest
from keras_resizable.space import ConfigLike, SpatialSpace
from keras_resizable.subnetworks.pieces import count_flops_of_configs
from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import read_arrays, reading, replacing

if TYPE_CHECKING:
    import pandas

TABLE = "table.npz"
_COLUMN = "column "  # Prefix of the names of arrays in the file.


class ImageResults(NamedTuple):
    """A sub-network's results on each image.

    Attributes:
        right: Boolean `(images,)`, whether the answer is correct.
        confidence: float16 `(images,)`, the probability of the answer.
    """

    right: np.ndarray
    confidence: np.ndarray


class Table:
    """The lookup table of a network, as built by `build_table`.

    Resizable Neural Networks, section 3.3. Each sub-network has a row. Rows are found
    by configuration, a tuple or text such as `table["0.75,0.5"]`; stages omitted at the
    end are at the largest scale. `build_table` describes the columns; `add_latency`
    adds `latency_ms_<device>` in milliseconds at batch size 1, `measured_<device>` with
    the settings of the measurement, and `size_bytes` of the `.tflite` file.

    Args:
        frame: A `pandas.DataFrame` with a column `config` and any other columns.
        results: `ImageResults` of evaluated sub-networks, by configuration as text.
        origin: Digests of the `network`, the `data` and the `calibration` by name.

    Raises:
        ValueError: If there is no column `config`, or a configuration occurs twice.

    Example:

    >>> import pandas
    >>> from keras_resizable import search
    >>> configs = ["1.0,1.0", "1.0,0.5", "0.5,0.5"]
    >>> frame = pandas.DataFrame(
    ...     {"config": configs, "flops": [4, 2, 1], "top1": [0.9, 0.7, 0.8]}
    ... )
    >>> table = search.Table(frame)
    >>> table.best(max_flops=3)["config"]
    '0.5,0.5'
    >>> table.front()["config"].tolist()
    ['0.5,0.5', '1.0,1.0']
    >>> float(table["1.0,0.5"]["top1"])
    0.7
    """

    def __init__(
        self,
        frame: "pandas.DataFrame",
        results: Mapping[str, ImageResults] | None = None,
        origin: Mapping[str, str] | None = None,
    ) -> None:
        if "config" not in frame:
            raise ValueError(
                f"A lookup table needs a column 'config'. It has {[*frame.columns]}."
            )
        self._frame = frame.reset_index(drop=True)
        self._numbers = {
            str(config): number for number, config in enumerate(frame["config"])
        }
        if len(self._numbers) < len(frame):
            raise ValueError("A configuration occurs twice in the table.")
        self.results = dict(results or {})
        self.origin = dict(origin or {})

    @classmethod
    def of(
        cls, network: ResizableNetwork, configs: Iterable[ConfigLike] | None = None
    ) -> "Table":
        """A table of FLOPs alone, to add latencies to.

        Args:
            network: A `ResizableNetwork` with a fixed input shape.
            configs: Configurations; by default all.
        """
        pandas = import_extra("pandas", "search")
        selected = network.space.select(configs)
        flops = count_flops_of_configs(network, selected)
        rows = {"config": list(map(str, selected)), "flops": flops}
        return cls(pandas.DataFrame(rows))

    @property
    def configs(self) -> list[str]:
        """The configurations of the rows, as text."""
        return list(self._numbers)

    @property
    def devices(self) -> list[str]:
        """Names of the devices whose latencies are in the table."""
        return query.devices_of(self._frame)

    @property
    def score(self) -> str:
        """The column that `best` and `front` go by: `"top1"`, or `"agreement"`."""
        return query.score_of(self._frame)

    @property
    def num_images(self) -> int:
        """The number of images of the results; 0 if there are none."""
        return next((len(each.right) for each in self.results.values()), 0)

    def __len__(self) -> int:
        return len(self._frame)

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __contains__(self, config: object) -> bool:
        try:
            self._name(config)
        except ValueError:
            return False
        return True

    def __getitem__(self, config: ConfigLike) -> "pandas.Series":
        """The row of a sub-network; `ValueError` if there is none."""
        return self._frame.iloc[self._numbers[self._name(config)]]

    def to_frame(self) -> "pandas.DataFrame":
        """The rows as a `pandas.DataFrame`, whose `to_csv` exports them."""
        return self._frame.copy()

    def right(self, config: ConfigLike) -> np.ndarray:
        """Whether a sub-network is right on each image, boolean `(images,)`.

        Raises:
            ValueError: If it was not evaluated.
        """
        return self._results_of(config).right

    def confidence(self, config: ConfigLike) -> np.ndarray:
        """The probability of a sub-network's answer on each image, float16 `(images,)`.

        Raises:
            ValueError: If it was not evaluated.
        """
        return self._results_of(config).confidence

    def best(
        self,
        *,
        max_flops: float | None = None,
        max_latency_ms: float | None = None,
        max_size_bytes: float | None = None,
        min_top1: float | None = None,
        min_agreement: float | None = None,
        device: str | None = None,
        within_noise: bool = False,
        confidence: float = 0.95,
    ) -> "pandas.Series":
        """The best sub-network within limits.

        This is the most accurate one or, if the only limit is on accuracy, the one with
        the fewest FLOPs. FLOPs, or accuracy, decide between equals. The most accurate
        of many sub-networks on few images is partly the luckiest: `within_noise`
        returns the cheapest that is not significantly worse.

        Args:
            max_flops: Multiply-adds.
            max_latency_ms: Milliseconds on a device.
            max_size_bytes: Size of the `.tflite` file.
            min_top1: Accuracy, from 0 to 1.
            min_agreement: Agreement with the teacher, from 0 to 1, in a table of images
                without labels.
            device: Name of the device for `max_latency_ms`; by default the only one.
            within_noise: Whether to take the cheapest, by the columns with a limit or
                else by FLOPs, that `compare` cannot tell from the most accurate one.
            confidence: Confidence level of that test, from 0 to 1.

        Returns:
            The row of the table, a `pandas.Series`.

        Raises:
            NotWithinLimitsError: If no sub-network is within the limits.
            ValueError: If the table lacks the column for a limit.

        Warns:
            UserWarning: If rows are skipped because they have no value for a limit.
        """
        limits = query.Limits(
            max_flops=max_flops,
            max_latency_ms=max_latency_ms,
            max_size_bytes=max_size_bytes,
            min_top1=min_top1,
            min_agreement=min_agreement,
        )
        within, costs = query.within_limits(self._frame, limits, device)
        order, ascending = [self.score, "flops"], [False, True]
        has_minimum = min_top1 is not None or min_agreement is not None
        if not costs and has_minimum and not within_noise:
            order, ascending = order[::-1], ascending[::-1]
        row = within.sort_values(order, ascending=ascending).iloc[0]
        if within_noise:
            for _, other in within.sort_values([*costs, "flops"]).iterrows():
                test = self.compare(row["config"], other["config"])
                if test.difference <= 0 or test.p_value > 1 - confidence:
                    return other
        return row

    def front(self, cost: str = "flops") -> "pandas.DataFrame":
        """The sub-networks for which no other is both cheaper and as accurate.

        Args:
            cost: Column to keep low: `"flops"`, `"size_bytes"`, `"latency_ms_host"`,
                ...

        Returns:
            Rows of the table, the cheapest first; each is more accurate than those
            before it. Rows without the cost or the accuracy are skipped.

        Raises:
            ValueError: If the table has no such column.
        """
        return query.pareto_front(self._frame, cost)

    def main_effects(self, column: str | None = None) -> list[dict[float, float]]:
        """The effect of each stage's scale factor, as a mean over all other stages.

        The table must have all sub-networks, or a random sample of them.

        Args:
            column: `"flops"`, `"latency_ms_host"`, ...; by default the `score`.

        Returns:
            For each stage, the mean of the column by scale factor.

        Raises:
            ValueError: If the table lacks the column.
        """
        return query.main_effects(self._frame, column or self.score)

    def compare(self, config: ConfigLike, other: ConfigLike) -> PairedTest:
        """Tests whether one sub-network is more accurate than another.

        Args:
            config: A configuration.
            other: Another one.

        Returns:
            A `PairedTest` on the images of the table.

        Raises:
            ValueError: If one was not evaluated.
        """
        return PairedTest.of(self.right(config), self.right(other))

    @property
    def oracle_top1(self) -> float:
        """The fraction of the images that at least one sub-network gets right.

        This is an upper bound for any choice of a sub-network per image.
        """
        rights = [each.right for each in self.results.values()]
        return float(np.any(rights, axis=0).mean())

    def only(self, configs: Iterable[ConfigLike]) -> "Table":
        """A table with only some rows, in the order of `configs`.

        Raises:
            ValueError: If the table lacks one of them.
        """
        names = list(dict.fromkeys(map(self._name, configs)))
        rows = self._frame.iloc[[self._numbers[name] for name in names]]
        results = {name: self.results[name] for name in names if name in self.results}
        return Table(rows, results, self.origin)

    def merge(self, other: "Table") -> "Table":
        """A table with the rows and the columns of both.

        If both have a latency or a size, the one in `other` counts.

        Raises:
            ValueError: If the tables disagree on anything else, or have results on
                different images or of another score.

        Example:

        >>> import pandas
        >>> from keras_resizable import search
        >>> table = search.Table(
        ...     pandas.DataFrame({"config": ["1.0", "0.5"], "flops": [4, 1]})
        ... )
        >>> phone = search.Table(
        ...     pandas.DataFrame({"config": ["0.5"], "latency_ms_phone": [2.5]})
        ... )
        >>> table.merge(phone)
          config  flops  latency_ms_phone
        0    1.0      4               NaN
        1    0.5      1               2.5
        """
        if self.results and other.results:
            self.require_images(other.origin.get("data"), other.num_images)
            if self.score != other.score:
                raise ValueError(
                    f"One table has {self.score}, the other {other.score}."
                )
        old, new = (each._frame.set_index("config") for each in (self, other))
        shared = old.index.intersection(new.index)
        for name in old.columns.intersection(new.columns):
            if name.startswith((LATENCY, MEASURED, "size_bytes")):
                old[name] = old[name].mask(new[name].reindex(old.index).notna())
                continue
            one, two = old.loc[shared, name], new.loc[shared, name]
            differ = one.notna() & two.notna() & (one != two)
            if differ.any():
                config = differ.idxmax()
                raise ValueError(
                    f"The tables disagree on {name} of {config!r}: {one[config]} and "
                    f"{two[config]}. They are for different networks or data."
                )
        columns = [*old, *(name for name in new if name not in old)]
        rows = [*old.index, *new.index.difference(old.index, sort=False)]
        frame = old.combine_first(new).loc[rows, columns].reset_index(names="config")
        return Table(frame, self.results | other.results, other.origin | self.origin)

    def add_latency(
        self,
        network: ResizableNetwork,
        device: Device,
        *,
        threads: int = 1,
        warmup: int = 3,
        runs: int = 10,
        rounds: int = 4,
        cache: str | os.PathLike | None = None,
        verbose: bool = True,
    ) -> None:
        """Adds the TFLite latency and size of all rows, as sums over their pieces.

        Sub-networks share few distinct pieces: the 256 of a ResNet-50 with four scale
        factors have one stem, 62 stages at an input size and a scale, and 6 heads. Each
        piece is converted and timed once, and cached by its computation, so that
        another network or a resumed call measures only new pieces.

        Rounds time sub-networks that together have all pieces. A piece's latency is the
        smallest of its medians over the rounds, as other load only adds to it.

        Args:
            network: The `ResizableNetwork` of the table, with a fixed input shape.
            device: The device to measure on, such as `keras_resizable.devices.Host()`.
            threads: Number of threads.
            warmup: Untimed runs of each piece in each round.
            runs: Timed runs of each piece in each round.
            rounds: Number of rounds.
            cache: Path of a `.json` file to cache latencies in; by default
                `~/.keras/keras_resizable/latency.json`, or nowhere, with a warning, if
                that cannot be written.
            verbose: Whether to show progress.

        Raises:
            ValueError: If a number or the device's name is not valid, or the cache is
                damaged.
            OSError: If a `cache` was given that cannot be written.
        """
        each = threads, warmup, runs
        new = latency_rows(network, device, self, each, rounds, cache, verbose)
        self._frame = self.merge(Table(new.assign(config=self.configs)))._frame

    def require_images(self, data: str | None, count: int) -> None:
        """Raises `ValueError` if the results are for other images.

        Args:
            data: Digest of the images, if known.
            count: Number of the images.
        """
        known = self.origin.get("data")
        if count != self.num_images or (known and data and known != data):
            raise ValueError(
                "Results must be for the same images in the same order. They are for "
                f"{self.num_images} and {count} images."
            )

    def report(
        self,
        folder: str | os.PathLike,
        title: str = "Sub-networks",
        recipe: Mapping[str, Any] | None = None,
        *,
        files: "pandas.DataFrame | None" = None,
    ) -> None:
        """Writes `pareto.png` and `report.html`.

        Both plot the accuracy of every sub-network against FLOPs and against its
        latency on each device, with the Pareto front as a line. `report.html` works
        offline: pointing at a dot shows its configuration, limits can be set, and a
        table can be sorted. Names are never read as markup or formulas.

        Args:
            folder: The folder to write to.
            title: Title of both, such as the name of the network.
            recipe: The recipe of the network's training, as JSON.
            files: A table of files to show, such as `ForPhone.files` from
                `photos.to_phone`.
        """
        write_report(self._frame, folder, title, recipe, files)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the table, its results and their origin as one `.npz` file."""
        rights = [each.right for each in self.results.values()]
        confidences = [each.confidence for each in self.results.values()]
        shape = (len(self.results), self.num_images)
        texts = self._frame.select_dtypes(exclude="number").fillna("").astype(str)
        rows = self._frame.assign(**texts)
        arrays: dict[str, Any] = {
            f"{_COLUMN}{name}": np.array(values.tolist())
            for name, values in rows.items()
        }
        with replacing(path) as temporary:
            np.savez_compressed(
                temporary,
                evaluated=np.array(list(self.results), str),
                right=np.packbits(np.reshape(rights, shape).astype(bool), axis=1),
                confidence=np.reshape(confidences, shape).astype(np.float16),
                origin=np.array(json.dumps(self.origin)),
                **arrays,
            )

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Table":
        """Reads a table from a file of `save`.

        Raises:
            FileNotFoundError: If there is no such file.
            DamagedFileError: If the file is damaged or of another kind.
        """
        pandas = import_extra("pandas", "search")
        contents = read_arrays(path)
        with reading(path):
            columns = {
                name.removeprefix(_COLUMN): values
                for name, values in contents.items()
                if name.startswith(_COLUMN)
            }
            frame = pandas.DataFrame(columns).replace("", np.nan)
            confidence = contents["confidence"]
            right = np.unpackbits(contents["right"], axis=1, count=confidence.shape[1])
            parts = map(ImageResults, right.astype(bool), confidence)
            results = dict(zip(map(str, contents["evaluated"]), parts, strict=True))
            return cls(frame, results, _ORIGIN.validate_json(str(contents["origin"])))

    def _results_of(self, config):
        name = self._name(config)
        if name not in self.results:
            raise ValueError(f"{name!r} was not evaluated, so it has no results.")
        return self.results[name]

    def _name(self, config: Any) -> str:
        """The text of a configuration that has a row."""
        text = config if isinstance(config, str) else ",".join(map(str, config))
        if text in self._numbers:
            return text
        with contextlib.suppress(ValueError):  # Rows may have other names.
            full = str(_space(self.configs).config(config))
            if full in self._numbers:
                return full
        raise ValueError(
            f"The table has no row for {text!r}. It has {len(self)} rows, such as "
            f"{'; '.join(self.configs[:5])}."
        )

    def __repr__(self) -> str:
        return repr(self._frame)

    def _repr_html_(self) -> str:
        return self._frame._repr_html_()


_ORIGIN = pydantic.TypeAdapter(dict[str, str])


def _space(configs):
    """The space of the scale factors in the texts; `ValueError` if they are names."""
    rows = [list(map(float, config.split(","))) for config in configs]
    scales = {factor for row in rows for factor in row}
    return SpatialSpace(scales, max(map(len, rows)))
