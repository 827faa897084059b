"""What is to be made of a folder of photos."""

import dataclasses
import functools
import hashlib
import json
import numbers
import os
import pathlib
import random
from typing import Any

import keras

from keras_resizable import data, recipes
from keras_resizable.conversion.sources import APPLICATIONS
from keras_resizable.export.quantization import IO
from keras_resizable.models import NETWORKS
from keras_resizable.runs.saving import load_model
from keras_resizable.search.query import check_limits
from keras_resizable.space import Configuration, SpatialSpace, check_scales

# Of each part: how many passes, or of few photos how many steps.
EPOCHS = {
    "head_epochs": (5, 100),
    "epochs": (20, 500),
    "resizable_epochs": (20, 500),
    "tuning_epochs": (5, 100),
}
CHOICE = "choice.json"  # The last that is written: all is done.
# What is chosen and written may change without training anew.
_CHOICES = ("max_latency_ms", "max_flops", "min_top1", "io", "max_loss")
_IMAGE_SIZE = 224  # Of photos of several sizes.
_SMALL = 96  # Below, random crops of other sizes leave too little.
_IMAGES_PER_SHARE = 32
_FEWEST_PER_SHARE = 16
_MAX_EVALUATED = 1024  # Sub-networks.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What `to_phone` is to do, and how.

    Args:
        images: Path of a folder with a folder of photos for each class, or a name of
            TensorFlow Datasets; see `data.load`. Without test photos of its own, 15 %
            of each class are test photos, and another 15 % validation photos.
        model: What to start from: a name of `keras.applications`; the path of a
            `.keras` file, whose classifier is replaced if it has other classes; or one
            of this library's networks that are not in `keras.applications`, such as
            `ResNet20`, which start from nothing.
        weights: Of a model of `keras.applications`: `"imagenet"`, the path of a
            `.weights.h5` file of it without its classifier, or None for random ones:
            then the resizable network is trained at once, without a teacher.
        input_range: What pixels of 0 and 255 are to the model in a `.keras` file. If
            absent, they are 0 and 255 to one that begins with a
            `keras.layers.Rescaling` of such pixels, and -1 and 1 to others.
        scales: Scale factors of the resizable network.
        image_size: Height and width to train with; if absent that of the `.keras` file,
            or that of the images of a set of TensorFlow Datasets in which all have the
            same, or 224.
        max_latency_ms: Maximum milliseconds of the float32 sub-network on the device,
            as the sum of its pieces.
        max_flops: Maximum multiply-adds.
        min_top1: Minimum accuracy on the validation photos, from 0 to 1.
        io: What the int8 files take and return, see `export.to_tflite`.
        max_loss: How much accuracy an int8 file may lose, see `export.to_tflite`, from
            0 to 1.
        head_epochs: Passes over the photos in which only the classifier is trained; 5
            if absent, or more of few photos: 100 steps.
        epochs: Passes, at most, in which the whole model is trained; it ends when the
            accuracy on the validation photos no longer rises; 20, or 500 steps.
        resizable_epochs: Passes of the resizable network; 20, or 500 steps.
        tuning_epochs: Passes of the chosen sub-network; 5, or 100 steps.
        validation: Share of each class for validation.
        seed: Seed of weights and order.

    Raises:
        ValueError: If a value is not valid.
    """

    images: str | os.PathLike
    model: str = "MobileNetV3Small"
    weights: str | None = "imagenet"
    input_range: tuple[float, float] | None = None
    scales: tuple[float, ...] = (1.0, 0.75, 0.5)
    image_size: int | None = None
    max_latency_ms: float | None = None
    max_flops: float | None = None
    min_top1: float | None = None
    io: str = "int8"
    max_loss: float = 0.02
    head_epochs: int | None = None
    epochs: int | None = None
    resizable_epochs: int | None = None
    tuning_epochs: int | None = None
    validation: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", os.fspath(self.model))
        if self.model.endswith(".h5"):
            raise ValueError(
                f"A model is a .keras file. Received: model={self.model!r}"
            )
        weights = self.weights
        if weights not in (None, "imagenet") and not pathlib.Path(weights).is_file():
            raise ValueError(
                "`weights` is None, 'imagenet' or the path of a file. Received: "
                f"weights={weights!r}"
            )
        check_scales(self.scales)
        size = self.image_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(
                "`image_size` is one number of pixels, height and width. Received: "
                f"image_size={size!r}"
            )
        check_limits(**self.limits)
        if self.io not in IO:
            raise ValueError(f"`io` must be one of {IO}. Received: io={self.io!r}")
        for name in EPOCHS:
            given = getattr(self, name)
            least = 0 if name == "head_epochs" else 1
            if given is not None and not (isinstance(given, int) and given >= least):
                raise ValueError(
                    f"`{name}` is an integer, {least} or more. Received: {given!r}"
                )
        if not 0 < self.validation < 0.5:
            raise ValueError(
                "`validation` is more than 0 and less than 0.5. Received: "
                f"{self.validation}"
            )
        if self.input_range is not None and not _is_range(self.input_range):
            raise ValueError(
                "`input_range` is of two numbers, what pixels of 0 and 255 are to the "
                f"model. Received: {self.input_range}"
            )
        if not 0 <= self.max_loss <= 1:
            raise ValueError(f"`max_loss` is from 0 to 1. Received: {self.max_loss}")

    @property
    def limits(self) -> dict[str, Any]:
        """The limits, as `search.best` takes them."""
        names = ("max_latency_ms", "max_flops", "min_top1")
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def is_pretrained(self) -> bool:
        """Whether the model knows something, and is trained first and teaches then."""
        if self.model.endswith(".keras"):
            return True
        return self._is_application and self.weights is not None

    @property
    def _is_application(self):
        return hasattr(keras.applications, self.model) or self.model not in NETWORKS

    def passes(self, name: str, steps_per_epoch: int) -> int:
        """How many epochs a part is trained for.

        Args:
            name: One of `EPOCHS`.
            steps_per_epoch: Number of its steps in an epoch.
        """
        given = getattr(self, name)
        epochs, steps = EPOCHS[name]
        return max(epochs, -(-steps // steps_per_epoch)) if given is None else given

    @property
    def name(self) -> str:
        """What its folder is named after."""
        return pathlib.Path(self.model).stem.lower()

    def check_for_browser(self) -> None:
        """Refuses files that browsers cannot run.

        Raises:
            ValueError: If files are to take int8 images.
        """
        if self.io == "int8":
            raise ValueError(
                "Browsers take no int8 images, but files that are int8 inside: "
                "io='float32' (--io=float32)."
            )

    def settings_and_choice(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What decides what is trained, and what decides what is chosen and written."""
        settings = json.loads(json.dumps(dataclasses.asdict(self), default=os.fspath))
        choice = {name: settings.pop(name) for name in _CHOICES}
        if self._folder.is_dir():
            settings["images"] = os.fspath(self._folder)  # However it is spelled.
        settings["photos"] = self.digest_of_photos()  # Others have other purposes.
        settings["model_file"] = self.digest_of_model()
        return settings, choice

    def digest_of_model(self) -> str:
        """A digest of the files that the model and its weights are in, if any."""
        digest = hashlib.sha256()
        for name in (self.model, self.weights or ""):
            path = pathlib.Path(name)
            if path.suffix in (".keras", ".h5") and path.is_file():
                digest.update(path.read_bytes())
        return digest.hexdigest()

    def read_model(self) -> keras.Model:
        """The model in the .keras file.

        Raises:
            FileNotFoundError: If it is not there.
        """
        if not pathlib.Path(self.model).is_file():
            raise FileNotFoundError(f"There is no file {self.model}.")
        return load_model(self.model)

    @functools.cached_property
    def _size_of_model(self) -> int | None:
        """Height and width that a .keras file takes, if it takes one square only."""
        if not self.model.endswith(".keras"):
            return None
        shape = self.read_model().inputs[0].shape
        return shape[1] if len(shape) == 4 and shape[1] == shape[2] else None

    def digest_of_photos(self) -> str:
        """A digest of the photos, their names, and where they are."""
        digest = hashlib.sha256(os.fsencode(self._folder))
        # Of classes, and of classes in train/ and test/; links are followed.
        for path in sorted([*self._folder.glob("*/*"), *self._folder.glob("*/*/*")]):
            name = path.relative_to(self._folder)
            if path.is_file() and not any(part.startswith(".") for part in name.parts):
                digest.update(os.fsencode(name))
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    @property
    def _folder(self) -> pathlib.Path:
        """Where the photos are, if they are not a set of TensorFlow Datasets."""
        return pathlib.Path(self.images).expanduser().resolve()

    def load(self) -> data.ImageSet:
        """The photos, some of them for validation.

        Raises:
            ValueError: If there are too few, or of one class only.
        """
        images = data.load(os.fspath(self.images), validation=self.validation)
        if len(images.class_names) < 2:
            raise ValueError(
                f"{self.images} has one class, {images.class_names[0]!r}: there is "
                "nothing to tell apart."
            )
        return images

    def recipe(
        self, images: data.ImageSet, source: str | None = None
    ) -> recipes.Recipe:
        """How the resizable network is trained, but for its learning rate.

        Args:
            images: The photos.
            source: Path of the trained model to start from and to learn from.
        """
        size = self.image_size or self._size_of_model
        if size is None and None in images.image_shape:
            size = _IMAGE_SIZE
        pixels = size or images.image_shape[0] or _IMAGE_SIZE
        count, plan = images.train.num_images, len(self.scales)
        is_split = count >= _FEWEST_PER_SHARE * plan
        batch = min(_IMAGES_PER_SHARE * (plan if is_split else 1), count)
        name = self.model
        if self._is_application and not name.endswith(".keras"):
            name = APPLICATIONS + name
        return recipes.Recipe(
            network=source or name,
            teacher=source,
            dataset=os.fspath(self.images),
            validation=self.validation,
            image_size=size,
            epochs=self.passes("resizable_epochs", count // batch),
            batch_size=batch,
            split_batch=is_split,
            scales=self.scales,
            learning_rate=0.1,  # Until it is found.
            schedule="cosine",
            warmup=0.05,
            nesterov=True,
            weight_decay=1e-4,
            augmentation="inception" if pixels >= _SMALL else "pad_crop_flip",
            seed=self.seed,
        )


def _is_range(given):
    """Whether it is two numbers that differ."""
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        return False
    return all(isinstance(x, numbers.Real) for x in given) and given[0] != given[1]


def evaluated_configs(job: Job, space: SpatialSpace) -> list[Configuration]:
    """The configurations to choose from: all, or as many as are quick to evaluate."""
    configs = list(space.configs())
    if len(configs) <= _MAX_EVALUATED:
        return configs
    return random.Random(job.seed).sample(configs, _MAX_EVALUATED)


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """What is in a file that a job has written; nothing if it has not yet."""
    return json.loads(path.read_text()) if path.exists() else {}
