"""Recipes: settings of training, as data.

Those of the paper (Resizable Neural Networks, A.1 and A.3) for ImageNet, for each
network in three modes:

    individual     one sub-network, trained alone
    resizable      all sub-networks, by Algorithm 1
    resizable_aug  Algorithm 1, then the target alone (section 3.4)

Fields listed in `ours` are what the paper does not give. The recipes that start
with `sample_` or `fashion_mnist_` end in minutes on two cores, and are all ours.
"""

import dataclasses
import json
import math
import pathlib
import types
import typing

from keras_resizable import data

MODES = ("individual", "resizable", "resizable_aug")
SCHEDULES = ("step", "linear", "cosine")
SAMPLERS = ("fair", "uniform", "sandwich")
DISTILLATIONS = ("none", "in_place", "top_down", "ensemble")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
NETWORKS = (
    "MobileNetV1",
    "MobileNetV2",
    "ResNet20",
    "ResNet50",
    "ResNet56",
    "ResNet101",
    "ResNet152",
    "ResizableNet",
    "ShuffleNetV2",
)


def _field(help_text, *default):
    metadata = {"help": help_text}
    if default:
        return dataclasses.field(default=default[0], metadata=metadata)
    return dataclasses.field(metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Recipe:
    network: str = _field("Name of a network, such as ResNet50.")
    dataset: str = _field("'sample', a folder, or a set of TensorFlow Datasets.")
    epochs: int = _field("Passes over the images.")
    batch_size: int = _field("Images per step, on all devices together.")
    learning_rate: float = _field("Peak learning rate.")
    schedule: str = _field(f"Decay of the learning rate: {', '.join(SCHEDULES)}.")
    weight_decay: float = _field("L2 decay.")
    decay_epochs: tuple[float, ...] = _field(
        "Epochs after which the schedule 'step' divides by 10.", ()
    )
    warmup: float = _field("Part of all steps that the schedule 'cosine' rises.", 0.0)
    momentum: float = _field("Momentum.", 0.9)
    nesterov: bool = _field("Whether the momentum is Nesterov's.", False)
    scales: tuple[float, ...] = _field("Scale factors.", (1.0, 0.9, 0.8, 0.7))
    width: float = _field("Width, of networks that come in several.", 1.0)
    weights: str | None = _field(
        "'imagenet' or a .weights.h5 file to start from.", None
    )
    image_size: int | None = _field("Height and width; the images' if None.", None)
    num_images: int | None = _field("Training images; all if None.", None)
    canvas: int | None = _field(
        "Side of a canvas on which images lie at sizes of chance.", None
    )
    augmentation: str = _field("none, pad_crop_flip or inception.", "inception")
    rand_augment: float = _field("Magnitude of RandAugment, 0 to 1.", 0.0)
    cutout: float = _field("Side of Cutout's square, of the image's.", 0.0)
    mixup: float = _field("Alpha of mixup.", 0.0)
    cutmix: float = _field("Alpha of CutMix.", 0.0)
    label_smoothing: float = _field("Label smoothing.", 0.0)
    dropout: float = _field("Dropout before the classifier.", 0.0)
    drop_path: float = _field("Drop-path in the largest sub-network.", 0.0)
    ema: float = _field("Momentum of averaged weights, 0 for none.", 0.0)
    scale_aware: bool = _field("Batch normalisation of its own for each scale.", True)
    sampler: str = _field(f"Plans: {', '.join(SAMPLERS)}.", "fair")
    draws: int = _field("Sub-networks a step that uniform and sandwich draw.", 1)
    distillation: str = _field(
        f"What sub-networks learn from: {', '.join(DISTILLATIONS)}.", "none"
    )
    distillation_weight: float = _field("The teacher's part of the loss.", 0.5)
    shrink: float = _field("Part of all epochs that train the largest alone.", 0.0)
    switch: float = _field("Part of all steps before 'resizable_aug' switches.", 0.5)
    gradient_reduction: str = _field("mean or sum over the sub-networks.", "mean")
    synchronized: bool = _field("Whether devices share batch statistics.", False)
    precision: str = _field(f"{', '.join(PRECISIONS)}.", "float32")
    seed: int = _field("Seed of weights, images and plans.", 0)
    ours: tuple[str, ...] = _field("What the paper does not give.", ())


FIELDS = {field.name: field for field in dataclasses.fields(Recipe)}
_UNGIVEN = ("scales", "gradient_reduction", "synchronized", "precision", "seed")

_resnet50 = Recipe(
    network="ResNet50",
    dataset="imagenet2012",
    image_size=224,
    epochs=100,
    batch_size=512,
    learning_rate=0.2,
    schedule="step",
    decay_epochs=(30, 60, 80, 90),
    weight_decay=1e-4,
    ours=(*_UNGIVEN, "learning_rate", "momentum", "augmentation", "switch"),
)
_mobilenet_v1 = Recipe(
    network="MobileNetV1",
    dataset="imagenet2012",
    image_size=224,
    epochs=240,
    batch_size=1024,
    learning_rate=0.5,
    schedule="linear",
    weight_decay=4e-5,
    ours=(*_UNGIVEN, "momentum", "augmentation", "switch"),
)
_mobilenet_v2 = dataclasses.replace(_mobilenet_v1, network="MobileNetV2")
_shufflenet_v2 = dataclasses.replace(_mobilenet_v1, network="ShuffleNetV2", width=1.5)
_resizable_net = dataclasses.replace(
    _mobilenet_v1,
    network="ResizableNet",
    epochs=480,
    weight_decay=3e-5,
    label_smoothing=0.1,
    dropout=0.5,
    ours=(*_UNGIVEN, "label_smoothing", "switch"),
)
# He et al., 2016, section 4.2: 64,000 steps.
_resnet20 = Recipe(
    network="ResNet20",
    dataset="cifar10",
    scales=(1.0, 0.75, 0.5),
    epochs=164,
    batch_size=128,
    learning_rate=0.1,
    schedule="step",
    decay_epochs=(82, 123),
    weight_decay=1e-4,
    augmentation="pad_crop_flip",
    ours=tuple(FIELDS),
)
_sample_resnet20 = Recipe(
    network="ResNet20",
    dataset="sample",
    scales=(1.0, 0.75, 0.5),
    epochs=3,
    batch_size=64,
    learning_rate=0.1,
    schedule="cosine",
    warmup=0.125,
    nesterov=True,
    weight_decay=1e-4,
    augmentation="none",
    ours=tuple(FIELDS),
)
# Half an hour or less on two cores, for what is compared in docs/results.md: the
# learning rate is the best of 0.05, 0.1, 0.2 and 0.4 for one sub-network and for all.
_fashion_mnist_resnet20 = dataclasses.replace(
    _sample_resnet20,
    dataset="fashion_mnist",
    width=0.5,
    epochs=6,
    batch_size=128,
    learning_rate=0.2,
    warmup=0.1,
    augmentation="pad_crop_flip",
)
# Networks with a total stride of 32 want more pixels than the sample has.
_sample_mobilenet_v1 = dataclasses.replace(
    _sample_resnet20, network="MobileNetV1", width=0.25, image_size=64, epochs=5
)


def _doubled(recipe):
    """A recipe for twice the epochs."""
    return dataclasses.replace(
        recipe,
        epochs=2 * recipe.epochs,
        decay_epochs=tuple(2 * epoch for epoch in recipe.decay_epochs),
    )


def _modes(individual, resizable, resizable_aug):
    return dict(zip(MODES, (individual, resizable, resizable_aug)))


def _of_paper(recipe):
    # "The other resizable network train for 200 epochs", "480 epochs"; and "the
    # resizable augmentation network always use the same training setting as the
    # baseline" (A.1).
    return _modes(recipe, _doubled(recipe), recipe)


def _same(recipe):
    return _modes(recipe, recipe, recipe)


RECIPES = {
    "sample_resnet20": _same(_sample_resnet20),
    "sample_mobilenet_v1": _same(_sample_mobilenet_v1),
    "sample_mobilenet_v2": _same(
        dataclasses.replace(
            _sample_mobilenet_v1,
            network="MobileNetV2",
            width=0.35,
            learning_rate=0.03,  # At 0.1 it learns nothing of photos.
        )
    ),
    "sample_shufflenet_v2": _same(
        dataclasses.replace(_sample_mobilenet_v1, network="ShuffleNetV2", width=0.5)
    ),
    "fashion_mnist_resnet20": _same(_fashion_mnist_resnet20),
    "resnet20": _of_paper(_resnet20),
    "resnet56": _of_paper(dataclasses.replace(_resnet20, network="ResNet56")),
    "resnet50": _of_paper(_resnet50),
    "resnet101": _of_paper(
        dataclasses.replace(_resnet50, network="ResNet101", ours=tuple(FIELDS))
    ),
    "resnet152": _of_paper(
        dataclasses.replace(_resnet50, network="ResNet152", ours=tuple(FIELDS))
    ),
    "mobilenet_v1": _of_paper(_mobilenet_v1),
    "mobilenet_v2": _of_paper(_mobilenet_v2),
    "shufflenet_v2": _of_paper(_shufflenet_v2),
    # The paper trains it for 480 epochs, and only as `resizable_aug`.
    "resizable_net": _same(_resizable_net),
}


def resolve(name, mode="resizable", overrides=None):
    """A recipe with some of its values replaced.

    Args:
        name: Name of a recipe, or the path of a `recipe.json` of a run.
        mode: One of `MODES`.
        overrides: Values by field, as text or as they are.

    Returns:
        A `Recipe`.

    Raises:
        ValueError: If a name, key or value is not valid.
    """
    if mode not in MODES:
        raise ValueError(f"A mode is one of {MODES}. Received: {mode!r}")
    if is_run(name):
        values = dict(read_run(name)["recipe"])
    elif name in RECIPES:
        values = dataclasses.asdict(RECIPES[name][mode])
    else:
        raise ValueError(
            f"There is no recipe {name!r}. The recipes are: {', '.join(RECIPES)}."
        )
    values |= overrides or {}
    for key in values:
        if key not in FIELDS:
            raise ValueError(
                f"A recipe has no {key!r}. It has: {', '.join(sorted(FIELDS))}."
            )
    recipe = Recipe(
        **{key: _parse(FIELDS[key], value) for key, value in values.items()}
    )
    _check(recipe)
    return recipe


def is_run(name):
    """Whether a recipe is that of a run, by the path of its `recipe.json`."""
    return name.endswith(".json")


def read_run(path):
    """What the `recipe.json` of a run holds: `recipe`, `mode`, `config`.

    Raises:
        ValueError: If it is something else.
    """
    try:
        contents = json.loads(pathlib.Path(path).read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(contents, dict) or not contents.keys() >= {"recipe", "mode"}:
        raise ValueError(f"{path} is not the recipe.json of a run.")
    return contents


def numbers(name, text):
    """Numbers between commas."""
    return tuple(_as(name, float, part) for part in text.split(",") if part != "")


def _parse(field, value):
    kind = typing.get_type_hints(Recipe)[field.name]
    if isinstance(kind, types.UnionType):
        if value in (None, "None"):
            return None
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) is tuple:
        if isinstance(value, str):
            return numbers(field.name, value)
        return tuple(_as(field.name, typing.get_args(kind)[0], part) for part in value)
    return _as(field.name, kind, value)


def _as(name, kind, value):
    if kind is bool:
        texts = {"true": True, "false": False, "1": True, "0": False}
        if str(value).lower() in texts:
            return texts[str(value).lower()]
    else:
        try:
            return kind(value)
        except (TypeError, ValueError):
            pass
    raise ValueError(f"{name} is of type {kind.__name__}. Received: {value!r}")


def _check(recipe):
    choices = {
        "network": NETWORKS,
        "schedule": SCHEDULES,
        "precision": PRECISIONS,
        "gradient_reduction": ("mean", "sum"),
        "augmentation": data.AUGMENTATIONS,
        "sampler": SAMPLERS,
        "distillation": DISTILLATIONS,
    }
    for key, valid in choices.items():
        if getattr(recipe, key) not in valid:
            raise ValueError(
                f"{key} is one of {', '.join(valid)}. "
                f"Received: {getattr(recipe, key)!r}"
            )
    given = [
        key
        for key in ("image_size", "num_images", "canvas")
        if getattr(recipe, key) is not None
    ]
    for key in ("epochs", "batch_size", "draws", *given):
        if getattr(recipe, key) < 1:
            raise ValueError(f"{key} is at least 1. Received: {getattr(recipe, key)}")
    not_negative = ("learning_rate", "weight_decay", "mixup", "momentum")
    for key in not_negative:
        if not 0 <= getattr(recipe, key) < math.inf:
            raise ValueError(f"{key} is at least 0. Received: {getattr(recipe, key)}")
    for key in (
        "warmup",
        "switch",
        "rand_augment",
        "cutout",
        "cutmix",
        "label_smoothing",
        "dropout",
        "drop_path",
        "ema",
        "distillation_weight",
        "shrink",
    ):
        if not 0 <= getattr(recipe, key) <= 1:
            raise ValueError(f"{key} is from 0 to 1. Received: {getattr(recipe, key)}")
    if recipe.warmup and recipe.schedule != "cosine":
        raise ValueError(
            f"Only the schedule 'cosine' has a warmup. Received: {recipe.warmup} with "
            f"{recipe.schedule!r}"
        )
    decays = recipe.decay_epochs
    if recipe.schedule == "step" and not (decays and max(decays) < recipe.epochs):
        raise ValueError(
            "The schedule 'step' needs decay_epochs before the last of "
            f"{recipe.epochs} epochs. Received: {decays}"
        )
