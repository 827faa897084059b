"""What is claimed, by the paper and by us, as runs to compare; see experiment.py.

All train a ResNet-20 of half the width, which takes two cores minutes: on 4,000 images
of Fashion-MNIST, placed on a canvas at random sizes, without augmentation, so that
resolution matters and the images are memorized, as in the paper's long training runs;
or on 10,000 images of CIFAR-10, with crops and flips.
"""

import dataclasses

from keras_resizable import Configuration, SpatialSpace


@dataclasses.dataclass(frozen=True)
class Setting:
    """Images, and what the arms on them have in common.

    Args:
        dataset: Where the images are, if no flag says otherwise.
        changes: Fields of the recipe that differ from `RECIPE`.
        image_shape: `(height, width, channels)`.
        classes: Number of classes.
    """

    dataset: str
    changes: dict
    image_shape: tuple[int, int, int]
    classes: int = 10


SETTINGS = {
    "fashion_mnist": Setting(
        "/usr/share/datasets/fashion-mnist",
        {
            "num_images": 4000,
            "canvas": 28,
            "batch_size": 64,
            "epochs": 20,
            "learning_rate": 0.1,
            "augmentation": "none",
        },
        (28, 28, 1),
    ),
    "cifar10": Setting(
        "cifar10",
        {
            "num_images": 10_000,
            "image_size": 32,
            "batch_size": 96,
            "learning_rate": 0.1,
            "weight_decay": 5e-4,
            "warmup": 0.05,
        },
        (32, 32, 3),
    ),
}
# The best of those that were tried, see the claim "learning_rate".
RATE_ALONE = 0.4
# FLOPs of the arm `resizable`.
BUDGET = 28.0
SCALES = (1.0, 0.75, 0.5)
UNIFORM = SpatialSpace(SCALES, num_stages=3).select([(s,) * 3 for s in SCALES])
LARGEST, _, SMALLEST = UNIFORM
RECIPE = "fashion_mnist_resnet20"
NUM_HELD_OUT = 5000


@dataclasses.dataclass(frozen=True)
class Arm:
    """Runs that differ in their seeds only.

    Args:
        mode: One of `recipes.MODES`.
        config: The target, if there is one.
        changes: Fields of the recipe that differ from its setting.
        setting: Name of a setting.
        budget: FLOPs to train for, in epochs of the largest sub-network alone, instead
            of the epochs of the recipe.
        fine_tuned_from: The arm whose sub-network at `config` is trained further.
        held_out: Whether to evaluate with `NUM_HELD_OUT` further training images, not
            with the test images: for what is tuned.
        calibrated: Whether to re-estimate batch statistics, with training images that
            are not augmented.
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
    "one row": Arm(changes={"scale_aware": False}),
    "resizable, twice the epochs": Arm(changes={"epochs": 40}),
    "resizable-aug": Arm("resizable_aug", LARGEST),
    "resizable-aug, one row": Arm(
        "resizable_aug", LARGEST, changes={"scale_aware": False}
    ),
    # Their statistics are those of augmented images, as in plain Keras.
    "cutout": dataclasses.replace(_alone(LARGEST, cutout=0.5), calibrated=False),
    "mixup": dataclasses.replace(_alone(LARGEST, mixup=0.2), calibrated=False),
    "rand_augment": dataclasses.replace(
        _alone(LARGEST, rand_augment=0.5), calibrated=False
    ),
    "sandwich": Arm(changes={"sampler": "sandwich"}),
    "in-place": Arm(changes={"sampler": "sandwich", "distillation": "in_place"}),
    "delayed shrinking": Arm(changes={"shrink": 0.5}),
}
RATES = (0.05, 0.1, 0.2, 0.4, 0.8)
for _rate in RATES:
    _change = {"learning_rate": _rate}
    ARMS[f"tuned: resizable, {_rate}"] = Arm(changes=_change, held_out=True)
    for _config in (LARGEST, SMALLEST):
        ARMS[f"tuned: alone {_config[0]}, {_rate}"] = dataclasses.replace(
            _alone(_config, **_change), held_out=True
        )

# On CIFAR-10. Three networks alone share a budget, for as many epochs each. The best
# batch sizes and rates are those of the claim "cifar10_tuning", at a third of the
# budget; for dealt training the larger batch, as the smaller is within noise of it.
BUDGET_OF_CIFAR10 = 28.0
EPOCHS_ALONE = 17
KINDS: dict[str, dict] = {
    "alone 1.0": {},
    "fair": {},
    "one draw": {"sampler": "uniform"},
    "dealt": {"split_batch": True},
    "interval": {"split_batch": True, "sampler": "interval"},
    "sandwich": {"split_batch": True, "sampler": "sandwich"},
    "one row": {"split_batch": True, "scale_aware": False},
}
TUNED = {
    "alone 1.0": ((32, 0.05), (32, 0.1), (64, 0.1), (64, 0.2)),
    "fair": ((32, 0.05), (32, 0.1)),
    "one draw": ((32, 0.1), (64, 0.1), (64, 0.2)),
    "dealt": ((48, 0.1), (96, 0.1), (96, 0.2)),
}
BEST = {"alone 1.0": (32, 0.1), "fair": (32, 0.1), "one draw": (32, 0.1)}
BEST |= dict.fromkeys(("dealt", "interval", "sandwich", "one row"), (96, 0.2))


def _on_cifar10(kind, chosen, budget=BUDGET_OF_CIFAR10, mode="resizable", **options):
    changes = KINDS[kind] | dict(zip(("batch_size", "learning_rate"), chosen))
    changes |= options.pop("changes", {})
    alone = kind == "alone 1.0"
    return Arm(
        "individual" if alone else mode,
        options.pop("config", LARGEST if alone or mode == "resizable_aug" else None),
        changes,
        setting="cifar10",
        budget=budget,
        **options,
    )


for _kind, _choices in TUNED.items():
    for _choice in _choices:
        ARMS[f"cifar10, tuned: {_kind}, {_choice[0]}, {_choice[1]}"] = _on_cifar10(
            _kind, _choice, BUDGET_OF_CIFAR10 / 3, held_out=True
        )
for _kind in KINDS:
    ARMS[f"cifar10, {_kind}"] = _on_cifar10(_kind, BEST[_kind])
for _config in UNIFORM:
    ARMS[f"cifar10, alone {_config[0]}, {EPOCHS_ALONE} epochs"] = _on_cifar10(
        "alone 1.0",
        BEST["alone 1.0"],
        budget=None,
        config=_config,
        changes={"epochs": EPOCHS_ALONE},
    )
for _part, _switch in (("tenth", 0.9), ("third", 2 / 3)):
    ARMS[f"cifar10, dealt, last {_part} the largest"] = _on_cifar10(
        "dealt", BEST["dealt"], mode="resizable_aug", changes={"switch": _switch}
    )
for _name in ("cutout", "mixup", "rand_augment"):
    ARMS[f"cifar10, {_name}"] = _on_cifar10(
        "alone 1.0",
        BEST["alone 1.0"],
        changes={_name: ARMS[_name].changes[_name]},
        calibrated=False,
    )


@dataclasses.dataclass(frozen=True)
class Row:
    """A sub-network of an arm, and what it is compared with.

    Args:
        arm: Name of the arm.
        config: Configuration; None for the mean of all.
        against: Name of the arm to compare with, at the same configuration; None for
            what others are compared with.
    """

    arm: str
    config: Configuration | None
    against: str | None = None


@dataclasses.dataclass(frozen=True)
class Claim:
    """What is claimed, and the rows that show whether it holds here.

    Args:
        title: The claim.
        paper: The gain that the paper gives.
        rows: `Row`s.
        seeds: Number of seeds.
    """

    title: str
    paper: str
    rows: list[Row]
    seeds: int = 3


def _at_all(arm, against=None):
    return [Row(arm, config, against) for config in UNIFORM]


def _and_mean(arm, against=None):
    return [*_at_all(arm, against), Row(arm, None, against)]


CLAIMS = {
    "learning_rate": Claim(
        "Which learning rate is best for each side (on held-out training images)",
        "not given",
        [
            Row(f"tuned: {side}, {rate}", config)
            for side, config in (
                ("alone 1.0", LARGEST),
                ("alone 0.5", SMALLEST),
                ("resizable", LARGEST),
                ("resizable", SMALLEST),
            )
            for rate in RATES
        ],
        seeds=1,
    ),
    "individual": Claim(
        "Sub-networks of a resizable network beat individually trained ones (Table 1)",
        "+0.7 to +1.4",
        [
            row
            for config in UNIFORM
            for row in (
                Row(f"alone {config[0]}", config),
                Row("resizable", config, f"alone {config[0]}"),
                Row("resizable, twice the epochs", config, f"alone {config[0]}"),
            )
        ],
    ),
    "equal_compute": Claim(
        "They do at equal compute",
        "not given",
        [
            row
            for config in (LARGEST, SMALLEST)
            for row in (
                Row(f"alone {config[0]}, same FLOPs", config),
                Row("resizable", config, f"alone {config[0]}, same FLOPs"),
            )
        ],
        seeds=1,
    ),
    "sampling": Claim(
        "Fair sampling beats naive uniform sampling (3.2)",
        "not given",
        [
            *_at_all("uniform, 3 draws"),
            *_at_all("resizable", "uniform, 3 draws"),
            *_at_all("uniform, 1 draw, 3 x the steps", "resizable"),
        ],
        seeds=2,
    ),
    "fine_tuning": Claim(
        "Fine-tuning the chosen sub-network helps (Fig. 2a, Table 4)",
        "+0.4 to +1.4",
        [
            *_at_all("resizable"),
            *(Row(f"fine-tuned {c[0]}", c, "resizable") for c in UNIFORM),
        ],
    ),
    "augmentation": Claim(
        "Resizable as augmentation beats the baseline and others (Table 2)",
        "+2.4; Cutout +0.1, Mixup +0.3, AutoAugment +1.2",
        [
            Row("alone 1.0", LARGEST),
            Row("cutout", LARGEST, "alone 1.0"),
            Row("mixup", LARGEST, "alone 1.0"),
            Row("resizable-aug", LARGEST, "alone 1.0"),
            Row("resizable-aug, one row", LARGEST, "alone 1.0"),
        ],
        seeds=2,
    ),
    "rand_augment": Claim(
        "RandAugment, in place of the paper's AutoAugment",
        "+1.2",
        [
            Row("alone 1.0", LARGEST),
            Row("rand_augment", LARGEST, "alone 1.0"),
            Row("resizable-aug", LARGEST, "alone 1.0"),
        ],
        seeds=1,
    ),
    "scale_aware": Claim(
        "Without scale-aware batch normalisation the gain is lost (Table 5)",
        "76.9 against 78.8",
        [*_at_all("resizable"), *_at_all("one row", "resizable")],
    ),
    "plain": Claim(
        "A plainly trained network is not resizable (Fig. 4)",
        "collapse",
        [*_at_all("resizable"), *_at_all("alone 1.0", "resizable")],
    ),
    "beyond": Claim(
        "Distillation and delayed shrinking beat the paper's training",
        "ours",
        [
            *_at_all("resizable"),
            *(
                row
                for arm in (
                    "sandwich",
                    "in-place",
                    "delayed shrinking",
                )
                for row in _at_all(arm, "resizable")
            ),
            *_at_all("in-place", "sandwich"),
        ],
        seeds=2,
    ),
    "cifar10_tuning": Claim(
        "Which batch size and rate is best for each side (on held-out images)",
        "not given",
        [
            Row(f"cifar10, tuned: {kind}, {size}, {rate}", config)
            for kind, choices in TUNED.items()
            for size, rate in choices
            for config in ([LARGEST] if kind == "alone 1.0" else [*UNIFORM, None])
        ],
        seeds=1,
    ),
    "dealt": Claim(
        "Dealt training beats three networks alone, and the paper's, at equal FLOPs",
        "ours",
        [
            *(Row(f"cifar10, alone {c[0]}, {EPOCHS_ALONE} epochs", c) for c in UNIFORM),
            *_and_mean("cifar10, fair"),
            *(
                Row(
                    "cifar10, dealt",
                    c,
                    f"cifar10, alone {c[0]}, {EPOCHS_ALONE} epochs",
                )
                for c in UNIFORM
            ),
            *_and_mean("cifar10, dealt", "cifar10, fair"),
        ],
    ),
    "interval": Claim(
        "Training at random factors costs the listed ones nothing",
        "ours",
        [
            *_and_mean("cifar10, dealt"),
            *_and_mean("cifar10, interval", "cifar10, dealt"),
        ],
        seeds=1,
    ),
    "largest_last": Claim(
        "The largest of dealt training, trained last, reaches the largest alone",
        "ours",
        [
            Row("cifar10, alone 1.0", LARGEST),
            *(
                Row(arm, LARGEST, "cifar10, alone 1.0")
                for arm in (
                    "cifar10, dealt",
                    "cifar10, dealt, last tenth the largest",
                    "cifar10, dealt, last third the largest",
                )
            ),
        ],
        seeds=1,
    ),
    "dealt_augmentation": Claim(
        "Dealt training as augmentation beats the baseline and others",
        "+2.4; Cutout +0.1, Mixup +0.3, AutoAugment +1.2",
        [
            Row("cifar10, alone 1.0", LARGEST),
            *(
                Row(f"cifar10, {arm}", LARGEST, "cifar10, alone 1.0")
                for arm in (
                    "cutout",
                    "mixup",
                    "rand_augment",
                    "dealt, last tenth the largest",
                    "dealt, last third the largest",
                )
            ),
        ],
        seeds=1,
    ),
    "dealt_variants": Claim(
        "Fair plans with scale-aware batch normalisation are the best to deal",
        "76.9 against 78.8 for one row",
        [
            *_and_mean("cifar10, dealt"),
            *_and_mean("cifar10, one draw", "cifar10, dealt"),
            *_and_mean("cifar10, one row", "cifar10, dealt"),
            *_and_mean("cifar10, sandwich", "cifar10, dealt"),
        ],
        seeds=1,
    ),
}

# Adaptive inference is compared at a range of budgets, by flags of adapt.py.
ADAPTIVE_TITLE = (
    "Adaptive inference beats the fixed sub-network of equal FLOPs (Fig. 2d)"
)
ADAPTIVE_PAPER = "0 to +0.5"
ADAPTIVE = {
    "router trained on other images": ["--unused", "--num_samples=10000"],
    "router trained on the network's images": [],
    "router after the first stage": ["--unused", "--num_samples=10000", "--attach=1"],
}
ADAPTIVE_ARM = "resizable"
