"""The runs that are compared; see claims.py.

All of them train a narrow network, which takes minutes on two cores. One setting is a
ResNet-20 on 4,000 images of Fashion-MNIST on a canvas (canvas.py), without
augmentation, so that resolution matters and the images are memorized, as in the paper's
long training runs. The others are a ResNet-20 and two mobile networks on 10,000 images
of CIFAR-10, with crops and flips.
"""

import dataclasses

from keras_resizable import Configuration, SpatialSpace

SCALES = (1.0, 0.75, 0.5)
# Locations of the images, unless flags override them.
DATASETS = {
    "fashion_mnist": "fashion_mnist_on_canvas",
    "cifar10": "cifar10",
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """Images, and the options that all arms on them share.

    Args:
        dataset: One of `DATASETS`.
        changes: Fields of the recipe that differ from `RECIPE`.
        image_shape: `(height, width, channels)`.
        classes: Number of classes.
        num_stages: Number of stages.
    """

    dataset: str
    changes: dict
    image_shape: tuple[int, int, int]
    classes: int = 10
    num_stages: int = 3

    def uniform(self, scale):
        """The configuration with the same scale factor everywhere."""
        return SpatialSpace(SCALES, self.num_stages).config((scale,) * self.num_stages)


def _cifar10(size, **changes):
    return {
        "num_images": 10_000,
        "image_size": size,
        "batch_size": 96,
        "learning_rate": 0.1,
        "weight_decay": 5e-4,
        "warmup": 0.05,
        "validation": 0.0,
    } | changes


SETTINGS = {
    "fashion_mnist": Setting(
        "fashion_mnist",
        {
            "num_images": 4000,
            "image_size": 28,
            "batch_size": 64,
            "epochs": 20,
            "learning_rate": 0.1,
            "augmentation": "none",
            "validation": 0.0,
        },
        (28, 28, 3),
    ),
    "cifar10": Setting("cifar10", _cifar10(32), (32, 32, 3)),
    "MobileNetV2": Setting(
        "cifar10", _cifar10(48, network="MobileNetV2"), (48, 48, 3), num_stages=5
    ),
    "ShuffleNetV2": Setting(
        "cifar10", _cifar10(48, network="ShuffleNetV2"), (48, 48, 3)
    ),
}
# The best of the rates that were tried; see the claim "learning_rate".
RATE_ALONE = 0.4
# FLOPs of the arm `resizable`.
BUDGET = 28.0
UNIFORM = [SETTINGS["cifar10"].uniform(scale) for scale in SCALES]
LARGEST, _, SMALLEST = UNIFORM
RECIPE = "fashion_mnist_resnet20"
ONE_ROW = "one_row:ResNet20"  # One row of batch norm for all factors.
NUM_HELD_OUT = 5000


@dataclasses.dataclass(frozen=True)
class Arm:
    """Runs that differ only in their seeds.

    Args:
        mode: One of `recipes.MODES`.
        config: The target configuration, if any.
        changes: Fields of the recipe that differ from the arm's setting.
        setting: Name of a setting.
        budget: FLOPs to train for, in epochs of the largest sub-network alone; replaces
            the epochs of the recipe.
        fine_tuned_from: The arm whose sub-network at `config` is trained further.
        held_out: Whether to evaluate on `NUM_HELD_OUT` held-out training images instead
            of the test images, for tuning.
        calibrated: Whether to re-estimate batch statistics on training images without
            augmentation.
    """

    mode: str = "resizable"
    config: Configuration | None = None
    changes: dict = dataclasses.field(default_factory=dict)
    setting: str = "fashion_mnist"
    budget: float | None = None
    fine_tuned_from: str | None = None
    held_out: bool = False
    calibrated: bool = True


def _alone(config, **changes):
    return Arm("individual", config, {"learning_rate": RATE_ALONE} | changes)


ARMS = {
    "resizable": Arm(),
    **{f"alone {c[0]}": _alone(c) for c in UNIFORM},
    **{
        f"alone {c[0]}, same FLOPs": dataclasses.replace(_alone(c), budget=BUDGET)
        for c in (LARGEST, SMALLEST)
    },
    **{
        f"fine-tuned {c[0]}": Arm(
            config=c,
            changes={"epochs": 5, "learning_rate": 0.01},
            fine_tuned_from="resizable",
        )
        for c in UNIFORM
    },
    "uniform, 3 draws": Arm(changes={"sampler": "uniform", "draws": 3}),
    "uniform, 1 draw, 3 x the steps": Arm(changes={"sampler": "uniform", "epochs": 60}),
    "one row": Arm(changes={"network": ONE_ROW}),
    "resizable, twice the epochs": Arm(changes={"epochs": 40}),
    "resizable-aug": Arm("resizable_aug", LARGEST),
    "resizable-aug, one row": Arm(
        "resizable_aug", LARGEST, changes={"network": ONE_ROW}
    ),
    # Their statistics are estimated on augmented images, as in plain Keras.
    "cutout": dataclasses.replace(_alone(LARGEST, cutout=0.5), calibrated=False),
    "mixup": dataclasses.replace(_alone(LARGEST, mixup=0.2), calibrated=False),
    "rand_augment": dataclasses.replace(
        _alone(LARGEST, rand_augment=0.5), calibrated=False
    ),
    "sandwich": Arm(changes={"sampler": "sandwich"}),
    "in-place": Arm(changes={"sampler": "sandwich", "distillation": "in_place"}),
}
RATES = (0.05, 0.1, 0.2, 0.4, 0.8)
for _rate in RATES:
    _change = {"learning_rate": _rate}
    ARMS[f"tuned: resizable, {_rate}"] = Arm(changes=_change, held_out=True)
    for _config in (LARGEST, SMALLEST):
        ARMS[f"tuned: alone {_config[0]}, {_rate}"] = dataclasses.replace(
            _alone(_config, **_change), held_out=True
        )

# Arms on CIFAR-10. Three networks trained alone share a budget, with the same number
# of epochs each. The best batch sizes and rates are from the claim "cifar10_tuning", at
# a third of the budget. Dealt training uses the larger batch, as the smaller one is
# within noise of it.
BUDGET_OF_CIFAR10 = 28.0
EPOCHS_ALONE = 17
KINDS: dict[str, dict] = {
    "alone": {},
    "fair": {},
    "one draw": {"sampler": "uniform"},
    "dealt": {"split_batch": True},
    "sandwich": {"split_batch": True, "sampler": "sandwich"},
    "one row": {"split_batch": True, "network": ONE_ROW},
}
TUNED = {
    "alone": ((32, 0.05), (32, 0.1), (64, 0.1), (64, 0.2)),
    "fair": ((32, 0.05), (32, 0.1)),
    "one draw": ((32, 0.1), (64, 0.1), (64, 0.2)),
    "dealt": ((48, 0.1), (96, 0.1), (96, 0.2)),
}
BEST = {"alone": (32, 0.1), "fair": (32, 0.1), "one draw": (32, 0.1)}
BEST |= dict.fromkeys(("dealt", "sandwich", "one row"), (96, 0.2))


def _on_cifar10(kind, chosen, budget=BUDGET_OF_CIFAR10, mode="resizable", **options):
    setting = options.setdefault("setting", "cifar10")
    changes = KINDS[kind] | dict(zip(("batch_size", "learning_rate"), chosen))
    changes |= options.pop("changes", {})
    target = SETTINGS[setting].uniform(options.pop("scale", 1.0))
    config = target if kind == "alone" or mode == "resizable_aug" else None
    mode = "individual" if kind == "alone" else mode
    return Arm(mode, config, changes, budget=budget, **options)


def _alone_for(epochs, scale, **options):
    return _on_cifar10(
        "alone",
        BEST["alone"],
        budget=None,
        scale=scale,
        changes={"epochs": epochs},
        **options,
    )


def name_of(kind, scale=1.0):
    """The name of a kind of training, with the scale factor if it trains only one."""
    return f"{kind} {scale}" if kind == "alone" else kind


for _kind, _choices in TUNED.items():
    for _choice in _choices:
        _name = f"cifar10, tuned: {name_of(_kind)}, {_choice[0]}, {_choice[1]}"
        ARMS[_name] = _on_cifar10(_kind, _choice, BUDGET_OF_CIFAR10 / 3, held_out=True)
for _kind in KINDS:
    ARMS[f"cifar10, {name_of(_kind)}"] = _on_cifar10(_kind, BEST[_kind])
for _scale in SCALES:
    for _epochs in (EPOCHS_ALONE, 2 * EPOCHS_ALONE):
        ARMS[f"cifar10, alone {_scale}, {_epochs} epochs"] = _alone_for(_epochs, _scale)
ARMS["cifar10, dealt, twice the FLOPs"] = _on_cifar10(
    "dealt", BEST["dealt"], 2 * BUDGET_OF_CIFAR10
)
# The network at its full width, on all images.
BUDGET_OF_LONGEST = 30.0
for _kind in ("alone", "dealt"):
    ARMS[f"cifar10, longest: {name_of(_kind)}"] = _on_cifar10(
        _kind,
        BEST[_kind],
        BUDGET_OF_LONGEST,
        changes={"width": 1.0, "num_images": None, "precision": "mixed_bfloat16"},
    )
for _part, _switch in (("tenth", 0.9), ("third", 2 / 3)):
    ARMS[f"cifar10, dealt, last {_part} the largest"] = _on_cifar10(
        "dealt", BEST["dealt"], mode="resizable_aug", changes={"switch": _switch}
    )
# Two thirds of the budget for all, the rest for the largest, with a separate cosine.
ARMS["cifar10, dealt, two thirds"] = _on_cifar10(
    "dealt", BEST["dealt"], BUDGET_OF_CIFAR10 * 2 / 3
)
RATES_AFTER = (0.02, 0.1)
for _rate in RATES_AFTER:
    ARMS[f"cifar10, dealt, then the largest, {_rate}"] = Arm(
        config=LARGEST,
        changes={
            "epochs": round(BUDGET_OF_CIFAR10 / 3),
            "batch_size": 32,
            "learning_rate": _rate,
        },
        setting="cifar10",
        fine_tuned_from="cifar10, dealt, two thirds",
    )
for _name in ("cutout", "mixup", "rand_augment"):
    ARMS[f"cifar10, {_name}"] = _on_cifar10(
        "alone",
        BEST["alone"],
        changes={_name: ARMS[_name].changes[_name]},
        calibrated=False,
    )

# Two mobile networks, with half of that budget; three alone share it as above.
BUDGET_OF_FAMILY = 14.0
FAMILIES = ("MobileNetV2", "ShuffleNetV2")
SIZES = {"alone": 32, "fair": 32, "dealt": 96}
FAMILY_RATES = (0.05, 0.1, 0.2)
for _family in FAMILIES:
    for _kind, _scale in (
        *(("alone", scale) for scale in SCALES),
        ("fair", 1.0),
        ("dealt", 1.0),
    ):
        for _rate in FAMILY_RATES:
            ARMS[f"{_family}, tuned: {name_of(_kind, _scale)}, {_rate}"] = _on_cifar10(
                _kind,
                (SIZES[_kind], _rate),
                BUDGET_OF_FAMILY / 3,
                setting=_family,
                held_out=True,
                scale=_scale,
            )
# The best rate. ShuffleNetV2's fair sampling is better at 0.1 with a third of the
# FLOPs, but worse at 0.1 with all of them.
RATE_OF_FAMILY = 0.05
EPOCHS_ALONE_OF_FAMILY = 8
for _family in FAMILIES:
    for _kind in ("fair", "dealt"):
        ARMS[f"{_family}, {_kind}"] = _on_cifar10(
            _kind, (SIZES[_kind], RATE_OF_FAMILY), BUDGET_OF_FAMILY, setting=_family
        )
    for _scale in SCALES:
        ARMS[f"{_family}, alone {_scale}"] = _on_cifar10(
            "alone",
            (SIZES["alone"], RATE_OF_FAMILY),
            None,
            scale=_scale,
            setting=_family,
            changes={"epochs": EPOCHS_ALONE_OF_FAMILY},
        )
