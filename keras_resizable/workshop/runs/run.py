"""The folder of a run, and what is in it."""

import functools
import os
import pathlib
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from keras_resizable import search
from keras_resizable.network import ResizableNetwork
from keras_resizable.search.table import TABLE
from keras_resizable.space import ConfigLike
from keras_resizable.workshop import recipes
from keras_resizable.workshop.data import ImageSet
from keras_resizable.workshop.data.image_set import describe
from keras_resizable.workshop.data.kept_images import load_images, save_images
from keras_resizable.workshop.data.pipeline import resolved_shape
from keras_resizable.workshop.data.preprocessing import CENTER
from keras_resizable.workshop.recipes.building import has_center_crop
from keras_resizable.workshop.recipes.resolving import read_run
from keras_resizable.workshop.runs.folders import (
    CALIBRATION,
    EVALUATION,
    LATEST,
    NETWORK,
    SETTINGS,
    SUB_NETWORK,
    read_labels,
    write_labels,
)
from keras_resizable.workshop.runs.keras_files import load_network

# Images to evaluate files with: what one of ResNet-50 takes 10 seconds for.
_MAX_EVALUATED = 1000
_MAX_EVALUATED_BYTES = 32e6


class Run:
    """A run: the folder that `keras_resizable.runs.train` has written.

    Files are read again on every call, except the settings.

    Args:
        folder: Its folder; the newest of those in `runs/` if absent.

    Attributes:
        folder: The `pathlib.Path` of the folder.

    Example:

    >>> from keras_resizable import export, runs
    >>> run = runs.Run("runs/latest")
    >>> network, images = run.network(), run.calibration()  # doctest: +SKIP
    >>> model = network.sub_network("0.75,0.5", calibrate_with=images)  # doctest: +SKIP
    """

    def __init__(self, folder: str | os.PathLike = LATEST) -> None:
        self.folder = pathlib.Path(folder)

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """What it was started with: recipe, mode, target and versions of packages.

        Raises:
            FileNotFoundError: If the folder is not that of a run.
            ValueError: If they are damaged.
        """
        return read_run(self.folder / SETTINGS)

    def has_settings(self) -> bool:
        """Whether it says what it was started with."""
        return (self.folder / SETTINGS).is_file()

    @functools.cached_property
    def recipe(self) -> recipes.Recipe:
        """Its recipe."""
        _ = self.settings  # They are there.
        return recipes.resolve(str(self.folder / SETTINGS))

    @property
    def network_path(self) -> pathlib.Path:
        """The path of its trained network."""
        return self.folder / NETWORK

    @property
    def model_path(self) -> pathlib.Path:
        """The path of what it trained: its network, or a fine-tuned sub-network."""
        tuned = self.folder / SUB_NETWORK
        return tuned if tuned.exists() else self.network_path

    def network(self) -> ResizableNetwork:
        """Its trained network.

        Raises:
            FileNotFoundError: If there is none yet.
            ValueError: If the file is damaged.
        """
        return load_network(self.network_path)

    def finer_network(self, configs: Iterable[ConfigLike] = ()) -> ResizableNetwork:
        """Its trained network, with the scale factors of its table too.

        Args:
            configs: Further configurations whose scale factors it is to have.

        Raises:
            FileNotFoundError: If there is none yet.
            ValueError: If a file is damaged, or a factor is not between those that were
                trained.
        """
        network, configs = self.network(), list(configs)
        if self.table_path.exists():
            configs += self.table().configs
        return network.with_factors_of(configs)

    def images(self) -> ImageSet:
        """The images it was trained and evaluated with.

        Raises:
            ValueError: If they are not those of its recipe.
        """
        images = recipes.load_data(self.recipe)
        known = self.settings.get("images", {})
        if any(
            known.get(name, value) != value for name, value in describe(images).items()
        ):
            raise ValueError(
                f"{self.folder} was trained with other images than its recipe's, which "
                "were given as `images=`: give them again."
            )
        return images

    def test_data(self) -> tf.data.Dataset:
        """The batches that it was evaluated with, images and labels."""
        return recipes.test_data(self.recipe, self.images())

    def unseen_data(self) -> tf.data.Dataset | None:
        """The batches of test images that nothing was chosen with.

        Returns:
            Images and labels; None if the run has no validation images, as what is
            chosen is then chosen with these.
        """
        if not self.recipe.validation:
            return None
        images = recipes.load_data(self.recipe, unseen=True)
        return recipes.test_data(self.recipe, images)

    def unseen_top1(
        self,
        network: ResizableNetwork,
        configs: Sequence[ConfigLike],
        *,
        calibrate: bool = True,
    ) -> list[float] | None:
        """Accuracies of sub-networks that were chosen, on `unseen_data`.

        Args:
            network: Its network.
            configs: Configurations.
            calibrate: Whether to re-estimate batch statistics.

        Returns:
            Numbers from 0 to 1; None if the run has no such images.
        """
        unseen = self.unseen_data()
        if unseen is None:
            return None
        table = search.build_table(
            network,
            unseen,
            configs,
            calibrate_with=self.calibration() if calibrate else None,
            raw=False,
            verbose=False,
        )
        return [float(table[config]["top1"]) for config in configs]

    def calibration(self) -> tf.data.Dataset:
        """Batches of images to calibrate sub-networks with.

        Raises:
            FileNotFoundError: If there are none.
            ValueError: If the file is damaged.
        """
        return load_images(self.folder / CALIBRATION)

    def has_calibration(self) -> bool:
        """Whether there are images to calibrate with."""
        return (self.folder / CALIBRATION).exists()

    def evaluation(self) -> tf.data.Dataset:
        """Batches of images and labels to evaluate files with.

        Some of those that the run was evaluated with.

        Raises:
            FileNotFoundError: If there are none.
            ValueError: If the file is damaged.
        """
        return load_images(self.folder / EVALUATION)

    def has_evaluation(self) -> bool:
        """Whether there are images to evaluate files with."""
        return (self.folder / EVALUATION).exists()

    @property
    def table_path(self) -> pathlib.Path:
        """The path of its lookup table."""
        return self.folder / TABLE

    def table(self) -> search.Table:
        """Its lookup table, see `keras_resizable.search.build_table`.

        Raises:
            FileNotFoundError: If there is none yet.
            ValueError: If it is damaged.
        """
        if not self.table_path.exists():
            raise FileNotFoundError(
                f"No {self.table_path}. keras_resizable.search.build_table makes it, "
                f"and keras-resizable search --run={shlex.quote(str(self.folder))}"
            )
        return search.Table.load(self.table_path)

    def preprocessing(self) -> dict[str, Any]:
        """What its networks take of a photo, for the metadata of files.

        Returns:
            A dictionary: `input_range`, what pixels of 0 and 255 are; and
            `center_crop`, the part of a photo's shorter side that is the side of the
            central square to take, or None for all of the photo.
        """
        has_crop = has_center_crop(self.recipe)
        return {"input_range": [-1.0, 1.0], "center_crop": CENTER if has_crop else None}

    def labels(self) -> list[str] | None:
        """The names of the classes; None if they are not known."""
        return read_labels(self.folder)

    def keep(self, images: ImageSet) -> None:
        """Saves what will be needed of the images later, unless it is saved already.

        Args:
            images: The images that it is trained with.
        """
        shape = resolved_shape(images.image_shape, self.recipe.image_size)
        crop = has_center_crop(self.recipe)
        if not self.has_calibration():
            save_images(
                images.train, self.folder / CALIBRATION, shape, center_crop=crop
            )
        if not self.has_evaluation():
            save_images(
                images.test,
                self.folder / EVALUATION,
                shape,
                max_images=_MAX_EVALUATED,
                max_bytes=_MAX_EVALUATED_BYTES,
                center_crop=crop,
            )
        write_labels(images.class_names, self.folder)
