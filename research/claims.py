"""The paper's claims and our own, as rows to compare; see experiment.py."""

import dataclasses

from arms import (
    EPOCHS_ALONE,
    FAMILIES,
    FAMILY_RATES,
    LARGEST,
    RATES,
    RATES_AFTER,
    SCALES,
    SETTINGS,
    SMALLEST,
    TUNED,
    UNIFORM,
    name_of,
)

from keras_resizable import Configuration


@dataclasses.dataclass(frozen=True)
class Row:
    """A sub-network of an arm, and the arm it is compared with.

    Args:
        arm: Name of the arm.
        config: Configuration; None for the mean of all configurations.
        against: Name of the arm to compare with, at the same configuration; None for a
            baseline.
    """

    arm: str
    config: Configuration | None
    against: str | None = None


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim, and the rows that show whether it holds here.

    Args:
        title: The claim.
        paper: The gain that the paper reports.
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


def _of_family(family):
    """Kinds of training, each with the configurations to compare (None: the mean)."""
    uniform = [SETTINGS[family].uniform(scale) for scale in SCALES]
    alone = [(name_of("alone", config[0]), [config]) for config in uniform]
    return [*alone, *((kind, [*uniform, None]) for kind in ("fair", "dealt"))]


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
        "Distillation beats the paper's training",
        "ours",
        [
            *_at_all("resizable"),
            *(
                row
                for arm in (
                    "sandwich",
                    "in-place",
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
            Row(f"cifar10, tuned: {name_of(kind)}, {size}, {rate}", config)
            for kind, choices in TUNED.items()
            for size, rate in choices
            for config in ([LARGEST] if kind == "alone" else [*UNIFORM, None])
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
    "dealt_longer": Claim(
        "Dealt training beats three networks alone with twice the FLOPs, too",
        "ours",
        [
            *(
                Row(f"cifar10, alone {c[0]}, {2 * EPOCHS_ALONE} epochs", c)
                for c in UNIFORM
            ),
            *(
                Row(
                    "cifar10, dealt, twice the FLOPs",
                    c,
                    f"cifar10, alone {c[0]}, {2 * EPOCHS_ALONE} epochs",
                )
                for c in UNIFORM
            ),
            Row("cifar10, dealt, twice the FLOPs", None),
        ],
        seeds=1,
    ),
    "longest": Claim(
        "Dealt training of the whole network on all images, against the largest alone",
        "ours",
        [
            Row("cifar10, longest: alone 1.0", LARGEST),
            Row("cifar10, longest: dealt", LARGEST, "cifar10, longest: alone 1.0"),
            *(
                Row("cifar10, longest: dealt", config)
                for config in (*UNIFORM[1:], None)
            ),
        ],
        seeds=1,
    ),
    "families_tuning": Claim(
        "Which rate is best for each side, of two mobile networks (held-out images)",
        "not given",
        [
            Row(f"{family}, tuned: {arm}, {rate}", config)
            for family in FAMILIES
            for arm, configs in _of_family(family)
            for rate in FAMILY_RATES
            for config in configs
        ],
        seeds=1,
    ),
    "families": Claim(
        "Dealt training beats three networks alone, of two mobile networks",
        "ours",
        [
            row
            for family in FAMILIES
            for config in (SETTINGS[family].uniform(scale) for scale in SCALES)
            for row in (
                Row(f"{family}, alone {config[0]}", config),
                Row(f"{family}, fair", config),
                Row(f"{family}, dealt", config, f"{family}, alone {config[0]}"),
            )
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
                    *(f"cifar10, dealt, then the largest, {r}" for r in RATES_AFTER),
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
