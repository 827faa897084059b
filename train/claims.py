"""What is claimed, by the paper and by us, as runs to compare; see experiment.py.

All train a ResNet-20 of half the width on 4,000 images of Fashion-MNIST, placed on a
canvas at random sizes, without augmentation: it takes two cores a few minutes,
resolution matters, and the images are memorized, as in the paper's long training
runs.
"""

import dataclasses

from keras_resizable import Configuration, SpatialSpace

SETTING = {
    "num_images": 4000,
    "canvas": 28,
    "batch_size": 64,
    "epochs": 20,
    "learning_rate": 0.1,
    "augmentation": "none",
}
# The best of those that were tried, see the claim "learning_rate".
RATE_ALONE = 0.4
SCALES = (1.0, 0.75, 0.5)
UNIFORM = SpatialSpace(SCALES, num_stages=3).select([(s,) * 3 for s in SCALES])
LARGEST, _, SMALLEST = UNIFORM
RECIPE = "fashion_mnist_resnet20"
NUM_HELD_OUT = 5000
NUM_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Arm:
    """Runs that differ in their seeds only.

    Args:
        mode: One of `recipes.MODES`.
        config: The target, if there is one.
        changes: Fields of the recipe that differ from `SETTING`.
        same_compute: Whether to train for as many epochs as make the FLOPs of the arm
            `resizable`, rather than for as many epochs.
        fine_tuned_from: The arm whose sub-network at `config` is trained further.
        held_out: Whether to evaluate with `NUM_HELD_OUT` further training images, not
            with the test images: for what is tuned.
        calibrated: Whether to re-estimate batch statistics, with training images that
            are not augmented.
    """

    mode: str = "resizable"
    config: Configuration | None = None
    changes: dict = dataclasses.field(default_factory=dict)
    same_compute: bool = False
    fine_tuned_from: str | None = None
    held_out: bool = False
    calibrated: bool = True


def _alone(config, **changes):
    return Arm("individual", config, {"learning_rate": RATE_ALONE} | changes)


ARMS = {
    "resizable": Arm(),
    **{f"alone {c[0]}": _alone(c) for c in UNIFORM},
    **{
        f"alone {c[0]}, same FLOPs": dataclasses.replace(_alone(c), same_compute=True)
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
    "ensemble": Arm(changes={"distillation": "ensemble"}),
    "top-down": Arm(changes={"distillation": "top_down"}),
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


@dataclasses.dataclass(frozen=True)
class Row:
    """A sub-network of an arm, and what it is compared with.

    Args:
        arm: Name of the arm.
        config: Configuration.
        against: Name of the arm to compare with, at the same configuration; None for
            what others are compared with.
    """

    arm: str
    config: Configuration
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
                    "ensemble",
                    "top-down",
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
