"""The folder of a run and its contents."""

import functools
import os
import pathlib
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from keras_resizable import search
from keras_resizable.distillation import TeacherDistillation
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
from keras_resizable.workshop.recipes.source_models import load_stock
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

# Images to evaluate files with: 10 seconds for a ResNet-50.
_MAX_EVALUATED = 1000
_MAX_EVALUATED_BYTES = 32e6


class Run:
    """A run: the folder written by `keras_resizable.runs.train`.

    Every call reads its file again, except for the settings.

    Args:
        folder: The run's folder; by default the newest in `runs/`.

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
        """The settings at the start: recipe, mode, target and versions of packages.

        Raises:
            FileNotFoundError: If the folder does not belong to a run.
            ValueError: If the settings are damaged.
        """
        return read_run(self.folder / SETTINGS)

    def has_settings(self) -> bool:
        """Whether the folder has settings."""
        return (self.folder / SETTINGS).is_file()

    @functools.cached_property
    def recipe(self) -> recipes.Recipe:
        """Its recipe."""
        _ = self.settings  # Raises if there are none.
        return recipes.resolve(str(self.folder / SETTINGS))

    @property
    def is_labelled(self) -> bool:
        """Whether its images have labels, rather than its teacher's answers."""
        if not self.has_settings():
            return True
        return self.settings.get("images", {}).get("is_labelled", True)

    @property
    def network_path(self) -> pathlib.Path:
        """The path of the trained network."""
        return self.folder / NETWORK

    @property
    def model_path(self) -> pathlib.Path:
        """The path of the trained network or, after fine-tuning, of the sub-network."""
        tuned = self.folder / SUB_NETWORK
        return tuned if tuned.exists() else self.network_path

    def network(self) -> ResizableNetwork:
        """Its trained network.

        Raises:
            FileNotFoundError: If there is none yet.
            ValueError: If the file is damaged.
        """
        return self._with_teacher(load_network(self.network_path))

    def _with_teacher(self, network):
        """The network, with the teacher that answered images without labels."""
        if not self.is_labelled and self.recipe.teacher is not None:
            network.teacher = TeacherDistillation(load_stock(self.recipe.teacher))
        return network

    def finer_network(self, configs: Iterable[ConfigLike] = ()) -> ResizableNetwork:
        """The trained network, extended by the scale factors in its table.

        Args:
            configs: Further configurations with scale factors to add.

        Raises:
            FileNotFoundError: If there is none yet.
            ValueError: If a file is damaged, or a factor is outside of the trained
                range.
        """
        network, configs = load_network(self.network_path), list(configs)
        if self.table_path.exists():
            configs += self.table().configs
        return self._with_teacher(network.with_factors_of(configs))

    def images(self) -> ImageSet:
        """The images of the run's training and evaluation.

        Raises:
            ValueError: If the run used other images than its recipe's.
        """
        images = recipes.load_data(self.recipe)
        known = self.settings.get("images", {})
        if any(
            known.get(name, value) != value for name, value in describe(images).items()
        ):
            raise ValueError(
                f"{self.folder} was trained on other images than its recipe's, "
                "passed as `images=`: pass them again."
            )
        return images

    def test_data(self) -> tf.data.Dataset:
        """The batches that the run evaluates on, images and labels, if it has labels.

        Images alone are evaluated by the agreement with the teacher.
        """
        return self._without_answers(recipes.test_data(self.recipe, self.images()))

    def _without_answers(self, batches):
        return batches if self.is_labelled else batches.map(lambda image, _: image)

    def unseen_data(self) -> tf.data.Dataset | None:
        """The batches of held-out test images.

        Returns:
            Images and labels; None if the run has no validation images, since its test
            images then serve for choices.
        """
        if not self.recipe.validation:
            return None
        images = recipes.load_data(self.recipe, unseen=True)
        return self._without_answers(recipes.test_data(self.recipe, images))

    def unseen_score(
        self,
        network: ResizableNetwork,
        configs: Sequence[ConfigLike],
        *,
        calibrate: bool = True,
    ) -> list[float] | None:
        """Accuracies of chosen sub-networks on `unseen_data`, or agreements.

        Args:
            network: The run's network.
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
        return [float(table[config][table.score]) for config in configs]

    def calibration(self) -> tf.data.Dataset:
        """Batches of training images to calibrate sub-networks with.

        Raises:
            FileNotFoundError: If there are none.
            ValueError: If the file is damaged.
        """
        return load_images(self.folder / CALIBRATION)

    def has_calibration(self) -> bool:
        """Whether there are images to calibrate with."""
        return (self.folder / CALIBRATION).exists()

    def evaluation(self) -> tf.data.Dataset:
        """Batches to evaluate files with, a part of `test_data`.

        Raises:
            FileNotFoundError: If there are none.
            ValueError: If the file is damaged.
        """
        return self._without_answers(load_images(self.folder / EVALUATION))

    def has_evaluation(self) -> bool:
        """Whether there are images to evaluate files with."""
        return (self.folder / EVALUATION).exists()

    @property
    def table_path(self) -> pathlib.Path:
        """The path of the lookup table."""
        return self.folder / TABLE

    def table(self) -> search.Table:
        """The lookup table, see `keras_resizable.search.build_table`.

        Raises:
            FileNotFoundError: If there is none yet.
            ValueError: If the file is damaged.
        """
        if not self.table_path.exists():
            raise FileNotFoundError(
                f"No {self.table_path}. Make it by keras_resizable.search.build_table, "
                f"or keras-resizable search --run={shlex.quote(str(self.folder))}"
            )
        return search.Table.load(self.table_path)

    def export_options(self) -> dict[str, Any]:
        """What its images and classes are, as options of `export.to_tflite`.

        Returns:
            A dictionary: `labels`; `input_range`; and `metadata` with `center_crop`,
            the side of the central square to use as a fraction of the photo's shorter
            side, or None for the whole photo.
        """
        has_crop, labels = has_center_crop(self.recipe), self.labels()
        return {
            "labels": labels and [" ".join(label.split()) for label in labels],
            "input_range": (-1.0, 1.0),
            "metadata": {"center_crop": CENTER if has_crop else None},
        }

    def labels(self) -> list[str] | None:
        """The names of the classes; None if unknown."""
        return read_labels(self.folder)

    def keep(self, images: ImageSet) -> None:
        """Saves images for calibration and evaluation, unless they are already saved.

        Args:
            images: The images of the run.
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
