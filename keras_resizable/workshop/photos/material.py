"""The photos and the model of a job, and the recipe that follows from them."""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import random
from typing import Any

import keras

from keras_resizable.conversion import from_keras
from keras_resizable.errors import NotWithinLimitsError
from keras_resizable.network import ResizableNetwork
from keras_resizable.space import Configuration, SpatialSpace
from keras_resizable.subnetworks.pieces import count_flops_of_configs
from keras_resizable.workshop import data, recipes
from keras_resizable.workshop.data.answers import with_answers
from keras_resizable.workshop.data.csv_labels import read_csv
from keras_resizable.workshop.data.folder import UNKNOWN, has_images_alone
from keras_resizable.workshop.data.pipeline import resolved_shape
from keras_resizable.workshop.photos.job import Job
from keras_resizable.workshop.photos.source import make_source
from keras_resizable.workshop.recipes.building import has_center_crop, make_network
from keras_resizable.workshop.recipes.source_models import APPLICATIONS, load_stock

# These settings may change without another training.
_CHOICES = (
    *("max_latency_ms", "max_flops", "min_top1"),
    *("tuning_epochs", "io", "max_loss"),
)
# These may change without training the source again.
AFTER_SOURCE = ("scales", "resizable_epochs")
_IMAGE_SIZE = 224  # If photos have several sizes.
_SMALL = 96  # Below this, random crops of varying size leave too little.
_IMAGES_PER_SHARE = 32
_FEWEST_PER_SHARE = 16
_MAX_EVALUATED = 1024  # Sub-networks.


@dataclasses.dataclass(frozen=True)
class Material:
    """The photos and the model of a job, from `read`.

    Attributes:
        job: The job.
        photos: The photos; `test` are the held-out test photos.
        model: The model in its .keras file, if any.
    """

    job: Job
    photos: data.ImageSet
    model: keras.Model | None

    @functools.cached_property
    def images(self) -> data.ImageSet:
        """The photos to train with, and the validation photos as `test`."""
        photos = self.photos
        if self.job.balance and photos.is_labelled:
            photos = data.load(
                self.job.images, validation=self.job.validation, balance=True
            )
        assert photos.validation is not None
        return dataclasses.replace(photos, test=photos.validation)

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` for training."""
        return resolved_shape(self.images.image_shape, self.recipe.image_size)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.images.class_names)

    @functools.cached_property
    def recipe(self) -> recipes.Recipe:
        """The resizable network's recipe, without learning rate and teacher."""
        job, images = self.job, self.images
        size = job.image_size or _square_of(self.model)
        if size is None and None in images.image_shape:
            size = _IMAGE_SIZE
        pixels = size or images.image_shape[0] or _IMAGE_SIZE
        count, plan = images.train.num_images, len(job.scales)
        is_split = count >= _FEWEST_PER_SHARE * plan
        batch = min(_IMAGES_PER_SHARE * (plan if is_split else 1), count)
        epochs, steps = job.epochs_of("resizable_epochs", count // batch)
        return recipes.Recipe(
            network=(APPLICATIONS if job.is_application else "") + job.model,
            dataset=job.images,
            validation=job.validation,
            balance=job.balance,
            image_size=size,
            epochs=epochs,
            steps_per_epoch=steps,
            batch_size=batch,
            split_batch=is_split,
            scales=job.scales,
            learning_rate=0.1,  # Replaced by a range test's.
            schedule="cosine",
            warmup=0.05,
            nesterov=True,
            weight_decay=1e-4,
            # Labels that are the teacher's answers add nothing to them.
            distillation_weight=0.5 if self.images.is_labelled else 1.0,
            augmentation="inception" if pixels >= _SMALL else "pad_crop_flip",
            seed=job.seed,
        )

    @property
    def limits(self) -> dict[str, Any]:
        """The limits of the job, as `Table.best` takes them."""
        limits = self.job.limits
        if not self.images.is_labelled and "min_top1" in limits:
            limits["min_agreement"] = limits.pop("min_top1")
        return limits

    @property
    def file_options(self) -> dict[str, Any]:
        """The options of `to_tflite` for the job's files."""
        return {"quantize": "int8", "io": self.job.io, "max_loss": self.job.max_loss}

    def untrained(self) -> ResizableNetwork:
        """The untrained resizable network, for its FLOPs and timing.

        Raises:
            ValueError: If the model cannot be converted.
            NotWithinLimitsError: If no sub-network is within the limit of FLOPs.
        """
        if self.job.is_pretrained:
            job = dataclasses.replace(self.job, weights=None)
            model = make_source(job, self.model, self.shape, self.classes)
            network = from_keras(model, job.scales)
        else:
            network = make_network(
                self.recipe,
                "resizable",
                None,
                image_shape=self.shape,
                classes=self.classes,
            )
        if self.job.max_flops is not None:
            self._check_flops(network, self.job.max_flops)
        return network

    def _check_flops(self, network, limit):
        configs = self.evaluated(network.space)
        flops = dict(zip(configs, self.count_flops(network)))
        nearest = min(flops, key=flops.__getitem__)
        if limit < flops[nearest]:
            raise NotWithinLimitsError(
                f"No sub-network has flops of at most {limit:.4g}. The nearest is "
                f"'{nearest}': flops {flops[nearest]:.4g}."
            )

    def count_flops(self, network: ResizableNetwork) -> list[int]:
        """The multiply-adds of the configurations to choose from."""
        return count_flops_of_configs(network, self.evaluated(network.space))

    def evaluated(self, space: SpatialSpace) -> list[Configuration]:
        """The configurations to choose from: all, or a random sample."""
        configs = list(space.configs())
        if len(configs) <= _MAX_EVALUATED:
            return configs
        return random.Random(self.job.seed).sample(configs, _MAX_EVALUATED)


def read(job: Job) -> Material:
    """Reads the photos and the model of a job.

    Raises:
        FileNotFoundError: If photos or model are missing.
        ValueError: If there are too few photos or only one class, or if the file does
            not hold a stock Keras model.
    """
    photos = data.load(job.images, validation=job.validation)
    model = load_stock(job.model) if job.model.endswith(".keras") else None
    if not photos.class_names:
        if model is None:
            raise ValueError(
                f"{job.images} has no folder for each class, so its photos have no "
                "labels. Without labels sub-networks can learn the answers of a model "
                f"of your own, a .keras file. Received: model={job.model!r}"
            )
        return _with_answers(Material(job, photos, model))
    if len(photos.class_names) < 2:
        raise ValueError(
            f"{job.images} has one class, {photos.class_names[0]!r}: there is nothing "
            "to tell apart."
        )
    return Material(job, photos, model)


def _with_answers(material):
    """Material with the answers of its model as labels."""
    if material.model.output_shape[-1] == 1:
        raise ValueError(
            "Photos without labels need a model with an output for each class. "
            f"{material.job.model} has outputs {material.model.output_shape}."
        )
    source = make_source(material.job, material.model, material.shape)
    photos = with_answers(
        material.photos,
        source,
        material.shape,
        center_crop=has_center_crop(material.recipe),
    )
    return dataclasses.replace(material, photos=photos)


def settings_of(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings that determine training, and the other ones."""
    settings = json.loads(json.dumps(dataclasses.asdict(job)))
    choice = {name: settings.pop(name) for name in _CHOICES}
    folder = folder_of_photos(job)
    if folder.exists():
        settings["images"] = os.fspath(folder)  # In any spelling.
    # The split of the photos depends on all of them.
    settings["photos"] = digest_of_photos(job)
    settings["model_file"] = digest_of_model(job)
    return settings, choice


def folder_of_photos(job: Job) -> pathlib.Path:
    """The folder of the photos, unless TensorFlow Datasets has them."""
    return pathlib.Path(job.images).expanduser().resolve()


def digest_of_photos(job: Job) -> str:
    """A digest of the photos, their names, and their folder."""
    folder = folder_of_photos(job)
    digest = hashlib.sha256(os.fsencode(folder))
    for path in _files_of(folder):
        digest.update(os.fsencode(os.path.relpath(path, folder)))
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _files_of(folder):
    """The files of a job, sorted. Links are followed."""
    if folder.suffix.lower() == ".csv":
        unknown = filter(pathlib.Path.is_file, (folder.parent / UNKNOWN).rglob("*"))
        return [folder, *sorted({*read_csv(folder), *unknown})]
    if not folder.is_dir():
        return []
    # Photos without classes; or classes at the top, and in train/ and test/.
    patterns = ["*", f"{UNKNOWN}/*"] if has_images_alone(folder) else ["*/*", "*/*/*"]
    return sorted(
        path
        for pattern in patterns
        for path in folder.glob(pattern)
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def digest_of_model(job: Job) -> str:
    """A digest of the files that hold the model and its weights, if any."""
    digest = hashlib.sha256()
    for name in (job.model, job.weights or ""):
        path = pathlib.Path(name)
        if path.suffix in (".keras", ".h5") and path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _square_of(model):
    """Height and width of a model's input, if it is a square of one size."""
    if model is None:
        return None
    shape = model.inputs[0].shape
    return shape[1] if len(shape) == 4 and shape[1] == shape[2] else None
