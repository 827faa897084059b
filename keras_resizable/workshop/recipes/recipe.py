"""A recipe: training settings, as data."""

from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field, NonNegativeFloat, PositiveInt

from keras_resizable.models import NETWORKS
from keras_resizable.utils.arguments import one_of
from keras_resizable.workshop.recipes.source_models import APPLICATIONS, is_source

MODES = ("individual", "resizable", "resizable_aug")


def _read(value: Any) -> Any:
    """Reads text: None, or numbers between commas."""
    if isinstance(value, str) and _read_none(value) is not None:
        return [part for part in value.split(",") if part]
    return _read_none(value)


def _read_none(value: Any) -> Any:
    return None if value in ("None", "none") else value


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, (int, float)) else value


FromText = pydantic.BeforeValidator(_read)
OrNone = pydantic.BeforeValidator(_read_none)
Floats = Annotated[tuple[float, ...], FromText]
FloatOrFloats = Annotated[Floats, pydantic.BeforeValidator(_as_list)]
Fraction = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
FiniteRate = Annotated[NonNegativeFloat, Field(allow_inf_nan=False)]


@pydantic.dataclasses.dataclass(
    frozen=True,
    kw_only=True,
    config={"use_attribute_docstrings": True, "extra": "forbid"},
)
class Recipe:
    """Training settings; each field is also a flag. Values may be given as text.

    Raises:
        ValueError: If a value is not valid.

    Example:

    >>> from keras_resizable import recipes
    >>> recipes.resolve("sample_resnet20", overrides={"epochs": 5}).epochs
    5
    """

    network: str
    """A network: its name, such as ResNet50; a Keras model, such as
    keras.applications.EfficientNetB0; a .keras file; or your own function, as
    package.module:function."""
    dataset: str
    """'sample', a folder, a CSV file, or the name of a TensorFlow Datasets set."""
    epochs: PositiveInt
    """Epochs: passes over the images, unless `steps_per_epoch` is given."""
    batch_size: PositiveInt
    """Images per step, on all devices together."""
    learning_rate: FiniteRate
    """Peak learning rate."""
    schedule: Literal["step", "linear", "cosine"]
    """Schedule of the learning rate: step, linear or cosine."""
    weight_decay: FiniteRate
    """L2 decay."""
    steps_per_epoch: Annotated[PositiveInt | None, OrNone] = None
    """Steps of an epoch; None for one pass over the images."""
    decay_epochs: FloatOrFloats = ()
    """Epochs after which the schedule 'step' divides the learning rate by 10."""
    warmup: Fraction = 0.0
    """Fraction of the steps in which 'cosine' warms up."""
    momentum: BelowOne = 0.9
    """Momentum."""
    nesterov: bool = False
    """Whether to use Nesterov momentum."""
    scales: FloatOrFloats = (1.0, 0.9, 0.8, 0.7)
    """Scale factors."""
    width: float = 1.0
    """Width of the network, if it has a width option."""
    weights: Annotated[str | None, OrNone] = None
    """Initial weights: 'imagenet' or a .weights.h5 file."""
    image_size: Annotated[PositiveInt | None, OrNone] = None
    """Height and width of images; None for their own size."""
    num_images: Annotated[PositiveInt | None, OrNone] = None
    """Number of training images; None for all."""
    validation: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Share of the training images for evaluation instead of the test images."""
    balance: bool = False
    """Whether images of smaller classes come several times an epoch."""
    augmentation: Literal["none", "pad_crop_flip", "inception"] = "inception"
    """Augmentation: none, pad_crop_flip or inception."""
    rand_augment: Fraction = 0.0
    """Magnitude of RandAugment, from 0 to 1; 0 for none."""
    cutout: Fraction = 0.0
    """Size of Cutout's box, as a fraction of the image's sides."""
    mixup: FiniteRate = 0.0
    """Alpha of mixup."""
    cutmix: Fraction = 0.0
    """Alpha of CutMix."""
    label_smoothing: Fraction = 0.0
    """Label smoothing."""
    dropout: BelowOne = 0.0
    """Dropout rate before the classifier."""
    ema: Fraction = 0.0
    """Momentum of averaged weights; 0 for none."""
    sampler: Literal["fair", "uniform", "sandwich"] = "fair"
    """Sampler: fair, uniform or sandwich."""
    draws: PositiveInt = 1
    """Sub-networks per step that uniform and sandwich draw at random."""
    distillation: Literal["none", "in_place"] = "none"
    """Distillation: none, or in_place from the largest sub-network."""
    teacher: Annotated[str | None, OrNone] = None
    """A .keras file with a model that teaches every sub-network."""
    distillation_weight: Fraction = 0.5
    """The teacher's share of the loss."""
    switch: Fraction = 0.5
    """Fraction of the steps after which 'resizable_aug' trains only the target."""
    split_batch: bool = False
    """Whether each sub-network of a step gets its own share of the images."""
    synchronized: bool = False
    """Whether devices share batch statistics."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """float32, mixed_float16, mixed_bfloat16."""
    seed: int = 0
    """Seed of weights, images and plans."""
    ours: tuple[str, ...] = ()
    """Names of the fields that the paper does not give."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if ":" not in self.network and not is_source(self.network):
            others = (f"{APPLICATIONS}<name>", "<file>.keras", "<module>:<function>")
            one_of("network", self.network, (*NETWORKS, *others))
        if self.teacher is not None and self.distillation != "none":
            raise ValueError(
                "Give only one of `teacher` and `distillation`. Received: teacher="
                f"{self.teacher!r}, distillation={self.distillation!r}"
            )
        decays = self.decay_epochs
        is_within = decays and 0 < min(decays) and max(decays) < self.epochs
        if (self.schedule == "step" and not is_within) or (
            self.warmup and self.schedule != "cosine"
        ):
            raise ValueError(
                "The schedule 'step' needs `decay_epochs` between 0 and `epochs`, and "
                "only 'cosine' has a `warmup`. Received: "
                f"schedule={self.schedule!r}, epochs={self.epochs}, "
                f"decay_epochs={decays}, warmup={self.warmup}"
            )
        return self


def descriptions_of(kind: Any) -> dict[str, str]:
    """The docstrings of the fields of a pydantic dataclass, by name."""
    return {
        name: " ".join(str(field.description).split())
        for name, field in kind.__pydantic_fields__.items()
    }


FIELDS = descriptions_of(Recipe)
