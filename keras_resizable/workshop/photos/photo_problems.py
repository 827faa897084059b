"""What may be wrong with the photos of a job, and whether more of them would help."""

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_resizable.conversion import from_keras
from keras_resizable.subnetworks.parts import cut_out
from keras_resizable.utils.extras import import_extra
from keras_resizable.workshop import data
from keras_resizable.workshop.data.image_set import Photo
from keras_resizable.workshop.data.photo_looks import near_duplicates
from keras_resizable.workshop.photos.material import Material
from keras_resizable.workshop.photos.source import make_source
from keras_resizable.workshop.recipes.building import has_center_crop

SPLITS = ("train", "validation", "test")
# Of 100 photos of ImageNet none is as dark, and one as blurred; see `Look`.
_DARK, _BLURRED = 80, 0.1
_FOLDS = 5
_STRENGTH = 0.01  # Of the probe: the inverse of its regularization.
_SHARES = (0.25, 0.5, 1.0)
_FEWEST_TO_PROBE = 20


@dataclasses.dataclass(frozen=True)
class DoubtfulLabel:
    """A photo that the other photos speak against.

    Attributes:
        path: Its path in the folder.
        label: Its class.
        suggestion: The class that it looks like.
        probability: Of its own class, from the probe.
    """

    path: str
    label: str
    suggestion: str
    probability: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhotoProblems:
    """What may be wrong with the photos. Nothing is changed or deleted.

    Attributes:
        num_examined: Number of photos whose looks are known: none of other sources
            than folders and CSV files, and of more than 20,000.
        duplicates: Paths of photos that look the same, by group.
        in_several_classes: Those groups with photos of several classes.
        across_splits: Those with photos in several splits, of the folders
            `train/` and so on: they make results look better than they are.
        dark: Paths of dark photos.
        blurred: Paths of blurred photos.
        small: Paths of photos that are smaller than the network's input.
        doubtful: Photos whose label may be wrong, the most doubtful first; None if
            this was not examined.
        more_photos: Accuracy of the probe after a quarter, a half, and all training
            photos, on the other photos; empty if not examined.
    """

    num_examined: int
    duplicates: list[list[str]]
    in_several_classes: list[list[str]]
    across_splits: list[list[str]]
    dark: list[str]
    blurred: list[str]
    small: list[str]
    doubtful: list[DoubtfulLabel] | None
    more_photos: list[tuple[int, float]]

    @property
    def in_one_split(self) -> list[list[str]]:
        """Groups that look the same and are in one split, as they should be."""
        return [group for group in self.duplicates if group not in self.across_splits]


def examine(material: Material) -> PhotoProblems:
    """Examines the photos of a job, with the features of a pretrained model."""
    located = [
        (split, photo)
        for split in SPLITS
        for photo in getattr(material.photos, split).photos
        if photo.look is not None
    ]
    groups = [
        [located[n] for n in group]
        for group in near_duplicates([photo.look for _, photo in located])
    ]
    doubtful, more_photos = None, []
    if material.job.is_pretrained and material.images.is_labelled and located:
        doubtful, more_photos = _probe(material)
    is_labelled = material.images.is_labelled
    return PhotoProblems(
        num_examined=len(located),
        duplicates=_paths(groups),
        in_several_classes=_paths(
            group
            for group in groups
            if is_labelled and len({photo.label for _, photo in group}) > 1
        ),
        across_splits=_paths(
            group for group in groups if len({split for split, _ in group}) > 1
        ),
        dark=[p.path for _, p in located if p.look.brightness < _DARK],
        blurred=[p.path for _, p in located if p.look.sharpness < _BLURRED],
        small=[
            p.path for _, p in located if p.look.short_side < min(material.shape[:2])
        ],
        doubtful=doubtful,
        more_photos=more_photos,
    )


def _paths(groups):
    return [[photo.path for _, photo in group] for group in groups]


def _probe(material):
    """Doubtful labels, and accuracies after some and all training photos."""
    linear = import_extra("sklearn.linear_model", "photos")
    selection = import_extra("sklearn.model_selection", "photos")
    pipeline = import_extra("sklearn.pipeline", "photos")
    scaling = import_extra("sklearn.preprocessing", "photos")
    photos: list[Photo] = []
    batches = []
    pooled = _pooled_features(material)
    crop = has_center_crop(material.recipe)
    for split in (getattr(material.photos, name) for name in SPLITS):
        for images, _ in data.eval_dataset(split, material.shape, 64, center_crop=crop):
            batches.append(pooled(images).numpy())
        photos += split.photos
    features = np.concatenate(batches)
    labels = np.array([photo.label for photo in photos])
    is_train = np.arange(len(photos)) < len(material.photos.train.photos)
    smallest = np.bincount(labels, minlength=material.classes).min()
    if smallest < 2 or len(labels) < _FEWEST_TO_PROBE:
        return None, []

    def probe():
        return pipeline.make_pipeline(
            scaling.StandardScaler(),
            linear.LogisticRegression(C=_STRENGTH, max_iter=1000),
        )

    folds = selection.StratifiedKFold(
        min(_FOLDS, smallest), shuffle=True, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of folds, and of iterations.
        found = selection.cross_val_predict(
            probe(), features, labels, cv=folds, method="predict_proba"
        )
        more = []
        order = np.random.default_rng(0).permutation(np.flatnonzero(is_train))
        for share in _SHARES:
            chosen = order[: round(share * len(order))]
            if len(set(labels[chosen])) < 2:
                return doubtful_labels(photos, found, material.images.class_names), []
            model = probe().fit(features[chosen], labels[chosen])
            accuracy = model.score(features[~is_train], labels[~is_train])
            more.append((len(chosen), float(accuracy)))
    return doubtful_labels(photos, found, material.images.class_names), more


def doubtful_labels(
    photos: Sequence[Photo], probabilities: np.ndarray, names: Sequence[str]
) -> list[DoubtfulLabel]:
    """Photos that are as probable in another class as that class's own photos.

    Confident learning (Northcutt et al., 2021, https://arxiv.org/abs/1911.00068): a
    class's threshold is the mean probability that its own photos have in it.

    Args:
        photos: `Photo`s.
        probabilities: Of each class for each photo, `(photos, classes)`, from models
            that were not trained on the photo.
        names: Names of the classes.
    """
    labels = np.array([photo.label for photo in photos])
    thresholds = np.array(
        [probabilities[labels == n, n].mean() for n in range(len(names))]
    )
    confident = np.where(probabilities >= thresholds, probabilities, 0)
    suggested = confident.argmax(axis=1)
    own = probabilities[np.arange(len(labels)), labels]
    is_doubtful = (confident.max(axis=1) > 0) & (suggested != labels)
    order = [n for n in np.argsort(own, kind="stable") if is_doubtful[n]]
    return [
        DoubtfulLabel(
            photos[n].path,
            names[labels[n]],
            names[suggested[n]],
            round(float(own[n]), 3),
        )
        for n in order
    ]


def _pooled_features(material):
    """A function from images to the pretrained model's last features, averaged."""
    source = make_source(material.job, material.model, material.shape, material.classes)
    network = from_keras(source, material.job.scales)
    features, _ = cut_out(network.parts[:-1], network.space.largest, "features")
    return tf.function(
        lambda images: tf.reduce_mean(features(images, training=False), (1, 2))
    )
