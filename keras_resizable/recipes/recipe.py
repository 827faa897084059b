"""A recipe: settings of training, as data."""

import dataclasses
import math

from keras_resizable import samplers
from keras_resizable.conversion.sources import APPLICATIONS, is_source
from keras_resizable.data.preprocessing import AUGMENTATIONS
from keras_resizable.models import NETWORKS

MODES = ("individual", "resizable", "resizable_aug")
SCHEDULES = ("step", "linear", "cosine")
SAMPLERS = tuple(samplers.SAMPLERS)
DISTILLATIONS = ("none", "in_place")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


def _field(help_text, *default):
    metadata = {"help": help_text}
    if default:
        return dataclasses.field(default=default[0], metadata=metadata)
    return dataclasses.field(metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of training; `FIELDS` describes each.

    Example:

    >>> from keras_resizable import recipes
    >>> recipes.resolve("sample_resnet20", overrides={"epochs": 5}).epochs
    5
    """

    network: str = _field(
        "Name of a network, such as ResNet50; a model of Keras, as "
        "keras.applications.EfficientNetB0; a .keras file; or your own function that "
        "makes one, as package.module:function."
    )
    dataset: str = _field("'sample', a folder, or a set of TensorFlow Datasets.")
    epochs: int = _field("Passes over the images.")
    batch_size: int = _field("Images per step, on all devices together.")
    learning_rate: float = _field("Peak learning rate.")
    schedule: str = _field(f"Decay of the learning rate: {', '.join(SCHEDULES)}.")
    weight_decay: float = _field("L2 decay.")
    decay_epochs: tuple[float, ...] = _field(
        "Epochs after which the schedule 'step' divides the rate by 10.", ()
    )
    warmup: float = _field("Fraction of steps in which 'cosine' warms up.", 0.0)
    momentum: float = _field("Momentum.", 0.9)
    nesterov: bool = _field("Whether the momentum is Nesterov's.", False)
    scales: tuple[float, ...] = _field("Scale factors.", (1.0, 0.9, 0.8, 0.7))
    width: float = _field("Width, if the network comes in several.", 1.0)
    weights: str | None = _field(
        "'imagenet' or a .weights.h5 file to start from.", None
    )
    image_size: int | None = _field("Height and width; the images' if None.", None)
    num_images: int | None = _field("Training images; all if None.", None)
    validation: float = _field(
        "Part of the training images to evaluate with, instead of the test images.",
        0.0,
    )
    augmentation: str = _field("none, pad_crop_flip or inception.", "inception")
    rand_augment: float = _field("Magnitude of RandAugment, 0 to 1.", 0.0)
    cutout: float = _field("Cutout's box, as a fraction of the image's sides.", 0.0)
    mixup: float = _field("Alpha of mixup.", 0.0)
    cutmix: float = _field("Alpha of CutMix.", 0.0)
    label_smoothing: float = _field("Label smoothing.", 0.0)
    dropout: float = _field("Dropout before the classifier.", 0.0)
    drop_path: float = _field("Drop-path in the largest sub-network.", 0.0)
    ema: float = _field("Momentum of averaged weights, 0 for none.", 0.0)
    sampler: str = _field(f"Plans: {', '.join(SAMPLERS)}.", "fair")
    draws: int = _field("Sub-networks that uniform and sandwich draw per step.", 1)
    distillation: str = _field(
        f"What sub-networks learn from: {', '.join(DISTILLATIONS)}.", "none"
    )
    teacher: str | None = _field(
        "A .keras file of a model that teaches every sub-network.", None
    )
    distillation_weight: float = _field("The teacher's share of the loss.", 0.5)
    shrink: float = _field("Fraction of epochs that train the largest alone.", 0.0)
    switch: float = _field("Fraction of steps before 'resizable_aug' switches.", 0.5)
    split_batch: bool = _field(
        "Whether each sub-network of a step gets its share of the images, not all.",
        False,
    )
    synchronized: bool = _field("Whether devices share batch statistics.", False)
    precision: str = _field(f"{', '.join(PRECISIONS)}.", "float32")
    seed: int = _field("Seed of weights, images and plans.", 0)
    ours: tuple[str, ...] = _field("What the paper does not give.", ())


FIELDS = {field.name: field for field in dataclasses.fields(Recipe)}


def checked(recipe: Recipe) -> Recipe:
    """A recipe whose values are valid.

    Raises:
        ValueError: If one is not.
    """
    _check(recipe)
    return recipe


def _check(recipe):
    choices = {
        "schedule": SCHEDULES,
        "precision": PRECISIONS,
        "augmentation": AUGMENTATIONS,
        "sampler": SAMPLERS,
        "distillation": DISTILLATIONS,
    }
    for key, valid in choices.items():
        if getattr(recipe, key) not in valid:
            raise ValueError(
                f"{key} is one of {', '.join(valid)}. "
                f"Received: {getattr(recipe, key)!r}"
            )
    is_own = ":" in recipe.network
    if recipe.network not in NETWORKS and not is_own and not is_source(recipe.network):
        raise ValueError(
            f"network is one of {', '.join(NETWORKS)}; a model of Keras, as "
            f"{APPLICATIONS}EfficientNetB0; a .keras file; or your own function that "
            f"makes one, as package.module:function. Received: {recipe.network!r}"
        )
    given = [
        key for key in ("image_size", "num_images") if getattr(recipe, key) is not None
    ]
    for key in ("epochs", "batch_size", "draws", *given):
        if getattr(recipe, key) < 1:
            raise ValueError(f"{key} is at least 1. Received: {getattr(recipe, key)}")
    not_negative = ("learning_rate", "weight_decay", "mixup")
    for key in not_negative:
        if not 0 <= getattr(recipe, key) < math.inf:
            raise ValueError(f"{key} is at least 0. Received: {getattr(recipe, key)}")
    if not 0 <= recipe.validation < 0.5:
        raise ValueError(
            f"validation is at least 0 and less than 0.5. Received: {recipe.validation}"
        )
    for key in (
        "warmup",
        "switch",
        "rand_augment",
        "cutout",
        "cutmix",
        "label_smoothing",
        "drop_path",
        "ema",
        "distillation_weight",
        "shrink",
    ):
        if not 0 <= getattr(recipe, key) <= 1:
            raise ValueError(f"{key} is from 0 to 1. Received: {getattr(recipe, key)}")
    for key in ("dropout", "momentum"):
        if not 0 <= getattr(recipe, key) < 1:
            raise ValueError(
                f"{key} is at least 0 and less than 1. Received: {getattr(recipe, key)}"
            )
    if recipe.warmup and recipe.schedule != "cosine":
        raise ValueError(
            f"Only the schedule 'cosine' has a warmup. Received: {recipe.warmup} with "
            f"{recipe.schedule!r}"
        )
    if recipe.teacher is not None and recipe.distillation != "none":
        raise ValueError(
            "Sub-networks have one teacher. Received: teacher="
            f"{recipe.teacher!r} and distillation={recipe.distillation!r}"
        )
    decays = recipe.decay_epochs
    is_within = decays and 0 < min(decays) and max(decays) < recipe.epochs
    if recipe.schedule == "step" and not is_within:
        raise ValueError(
            "The schedule 'step' needs decay_epochs before the last of "
            f"{recipe.epochs} epochs. Received: {decays}"
        )
